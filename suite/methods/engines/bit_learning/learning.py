"""Methods, bit-learning engine: the loop. Bit-widths and ranges follow the task's loss; the weights stay as they are.

A state is a bit-width for every tensor of mixed precision and both ends of every learned range. The state that is left
meets every bound: nothing else is ever kept, and where no state met them, the last one is narrowed until it does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from suite.errors import SuiteError
from suite.methods.api import Batch, DataDoor, Workbench
from suite.methods.engines.acceleration import channels_last, compiled, worth_compiling
from suite.methods.engines.bit_learning.grids import LearnedRanges, LearningModel, Range
from suite.methods.engines.bit_learning.keeping import Keeper, Looks, Resumption
from suite.methods.engines.bit_learning.widths import WidthChoice
from suite.methods.engines.recipe import Compilation
from suite.plan import Plan, choose_bits, quantizers_of
from suite.quantizers.grids import parameters_from_range
from suite.quantizers.learned_bits import BitForm

log = logging.getLogger("suite.training")


@dataclass(frozen=True)
class BitRecipe:
    """How bit-widths are learned.

    `penalty` is the factor on what an average exceeds its target by. `memory` is the share of the moving average that
    the accuracy of earlier batches keeps. `keep_best`: the kept state has the highest such average among those that
    meet the bounds; otherwise it is the last that meets them.
    """

    steps: int = 1500
    batch_size: int = 32
    learning_rate: float = 0.01
    range_rate: float = 0.01
    penalty: float = 2.0
    form: BitForm = BitForm.LOG2
    start_bits: float = 8.0
    memory: float = 0.9
    keep_best: bool = True
    compilation: Compilation = Compilation.AUTO


@dataclass(frozen=True)
class LearnedBits:
    """What was learned: the plan with the chosen bits, and how it came about.

    `kept_step`: the step whose state was kept, from 1; None where no state met the bounds and `narrowed` names the
    choices that were taken down. `averages`: what -> average bits of the state at every look; `losses`: the mean
    cross-entropy between two looks, without the penalty.
    """

    plan: Plan
    kept_step: int | None
    narrowed: tuple[str, ...]
    steps_within: int
    averages: dict[str, list[float]]
    losses: list[float]


def learn_bits(work: Workbench, recipe: BitRecipe, ranges: dict[str, Range], learned_ranges: set[str]) -> LearnedBits:
    """Learn the bits of `work.model` in place: afterwards its quantizers are ordinary ones with bits of their own.

    `ranges` are those of all quantizers whose range does not depend on bits; those named in `learned_ranges` are
    trained with the bits.
    """
    choice = WidthChoice(work.plan, work.setting, form=recipe.form, start_bits=recipe.start_bits, device=work.device)
    learned = LearnedRanges({name: ranges[name] for name in ranges if name in learned_ranges}, work.device)
    positions = {name: index for index, one in enumerate(choice.choices) for name in one.quantizers}
    model = LearningModel(work.model, positions, ranges, learned)
    if not positions and not learned.names:
        raise SuiteError("there is nothing to learn: no tensor has mixed precision, and no range is learned")
    keeper = Keeper(choice, learned, memory=recipe.memory, keep_best=recipe.keep_best)
    looks = Looks(recipe.steps, choice)
    _walk(work, recipe, choice, learned, model, keeper, looks)
    widths, narrowed = keeper.final()
    if narrowed:
        shown = ", ".join(narrowed[:3]) + (f" and {len(narrowed) - 3} more" if len(narrowed) > 3 else "")
        log.warning("no state met the bounds: the bits of %s were lowered after learning", shown)
    plan = _leave(work, choice.by_quantizer(widths), {**ranges, **learned.cut(*keeper.ranges)})
    return LearnedBits(plan, keeper.step, tuple(narrowed), keeper.steps_within, looks.averages, looks.losses)


def _walk(
    work: Workbench, recipe: BitRecipe, choice: WidthChoice, learned: LearnedRanges, model: LearningModel,
    keeper: Keeper, looks: Looks,
) -> None:  # fmt: skip
    """All steps: forward, remember, backward, update. A run that was killed goes on where its checkpoint was kept."""
    groups = []
    if choice.learned.numel():
        groups.append({"params": [choice.learned], "lr": recipe.learning_rate})
    if learned.names:
        groups.append({"params": [learned.low, learned.high], "lr": recipe.range_rate})
    optimizer = torch.optim.Adam(groups, fused=True)
    resumption = Resumption(work, recipe, keeper, looks, optimizer)
    network = work.model.to(work.device).eval()  # running statistics, where batch norms are not folded
    with (
        model.at_work(),
        channels_last(network) as layout,
        compiled(
            network,
            recipe.batch_size,
            wanted=worth_compiling(recipe.compilation, network, recipe.steps),
            required=recipe.compilation is Compilation.ALWAYS,
            training=False,
        ),
        work.progress(recipe.steps, "learning bits") as progress,
    ):
        done = resumption.take_up()
        progress.advance(done - looks.count)
        for step, batch in enumerate(_batches(work.data, recipe)):
            if step < done:  # drawn all the same: the order of the data and what the door counts go on from here
                continue
            assert batch.labels is not None
            widths = choice.widths()
            model.set_grids(widths)
            logits = network(batch.inputs.contiguous(memory_format=layout))
            loss = nn.functional.cross_entropy(logits, batch.labels)
            total = loss + choice.penalty(widths, recipe.penalty) if choice.bounds else loss
            keeper.see(step, widths.detach(), (logits.detach().argmax(1) == batch.labels).float().mean())
            optimizer.zero_grad(set_to_none=True)
            total.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            choice.keep_valid()
            learned.keep_valid()
            taken = looks.see(step, loss.detach(), widths.detach())
            if taken:
                progress.advance(taken, loss=looks.losses[-1])
            if step + 1 < recipe.steps and work.checkpoints.due():
                resumption.put_down(step + 1)
        looks.require_learning(logits.shape[1])


def _batches(door: DataDoor, recipe: BitRecipe) -> Iterator[Batch]:
    """Exactly as many batches as there are steps, with a new order in every pass."""
    given = 0
    while given < recipe.steps:
        before = given
        for batch in door.batches(recipe.batch_size, labels=True, shuffle=True):
            yield batch
            given += 1
            if given == recipe.steps:
                return
        if given == before:
            raise SuiteError("the data door gave no batch")


@torch.no_grad()
def _leave(work: Workbench, bits: dict[str, int], ranges: dict[str, Range]) -> Plan:
    """Ordinary quantizers with the chosen bits, and with scales and zero points for them."""
    plan = choose_bits(work.model, work.plan, bits)
    for name, quantizer in quantizers_of(work.model).items():
        if name in ranges:
            quantizer.set_parameters(*parameters_from_range(ranges[name].low, ranges[name].high, quantizer.spec))
    work.model.eval()
    return plan
