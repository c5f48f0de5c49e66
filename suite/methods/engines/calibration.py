"""Methods, calibration engine: the first scales, of weights from themselves, of activations from data."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from suite.axes import Setting
from suite.methods.api import DataDoor, Workbench
from suite.plan import all_off, calibrating, initialize_weights, quantizers_of
from suite.quantizers import Quantizer, RangeRule
from suite.quantizers.ranges import Rule
from suite.quantizers.spec import GIVEN_RANGES

BATCH_SIZE = 128


def calibrate(
    work: Workbench,
    *,
    weight_start: Rule | None = None,
    activation_start: Rule | None = None,
    batch_size: int = BATCH_SIZE,
    data: DataDoor | None = None,
) -> None:
    """Initialize all quantizers of `work.model`: weights first, then activations.

    Activations are observed on the float network, so that no range depends on the order in which quantizers are set.
    `weight_start` and `activation_start` replace the plan's range rules, where something is learned or searched later;
    ranges that are given stay.
    `data` replaces the door of the workbench, where some of its examples are held out.
    """
    model = work.model
    for quantizer in quantizers_of(model).values():
        start = weight_start if quantizer.is_weight else activation_start
        if start is not None and quantizer.spec.range_rule not in GIVEN_RANGES:
            quantizer.start_rule = start
    initialize_weights(model)
    calibrate_activations(work, batch_size=batch_size, data=data)


def calibrate_activations(work: Workbench, *, batch_size: int = BATCH_SIZE, data: DataDoor | None = None) -> None:
    """Observe the examples that `initialization_examples` grants, and set the static scales of activations."""
    if not static_activations(work.model):
        return
    data = work.data if data is None else data
    total = initialization_examples(work.setting, data)
    work.model.eval()
    with (
        torch.no_grad(),
        work.progress(total, "calibrating") as progress,
        all_off(work.model),
        calibrating(work.model),
    ):
        for inputs in first_examples(data, total, batch_size):
            work.model(inputs.to(work.device))
            progress.advance(len(inputs))


def start_activations(work: Workbench) -> None:
    """First ranges of activations, from the network as it is by now; learned steps begin to learn."""
    calibrate_activations(work)
    for quantizer in quantizers_of(work.model).values():
        if not quantizer.is_weight and quantizer.spec.range_rule is RangeRule.LEARNED_STEP:
            quantizer.learn_step()


def static_activations(model: nn.Module) -> list[Quantizer]:
    """Activation quantizers that need data before they can work."""
    return [one for one in quantizers_of(model).values() if not one.is_weight and not one.spec.dynamic]


def initialization_examples(setting: Setting, data: DataDoor) -> int:
    """How many examples ranges start on: the axis `initialization_examples`, never more than there are."""
    wanted = setting["initialization_examples"]
    return data.size if wanted == "all" else min(int(str(wanted)), data.size)


def first_examples(data: DataDoor, total: int, batch_size: int) -> Iterator[Tensor]:
    """Images of the first `total` examples of one unshuffled pass, in batches."""
    given = 0
    if total < 1:
        return
    for batch in data.batches(min(batch_size, total)):
        inputs = batch.inputs[: total - given]
        given += len(inputs)
        yield inputs
        if given >= total:
            return
