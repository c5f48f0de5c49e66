"""Honest runs without scores and records: a placed model, a method, an audit; and settings that cover all pairs."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import combinations

import torch

from suite.audit import AuditReport, audit
from suite.axes import Setting
from suite.errors import SuiteError
from suite.harness.meter import DataMeter
from suite.harness.progress import Mode, Reporter
from suite.harness.streams import Streams
from suite.harness.watch import InputWatch
from suite.harness.workbench import Bench
from suite.methods.api import Method
from suite.models import get_baseline
from suite.plan import Anatomy, dissect, make_plan, place, prepare
from suite.tasks import Split, Task, get_task

Choices = Mapping[str, tuple[object, ...]]


RESNET = "digits-resnet"


@cache
def digits(baseline: str = RESNET) -> tuple[Task, torch.nn.Module]:
    task = get_task("digits")
    return task, get_baseline(baseline).load(task.classes).eval()


@cache
def dissected(batch_norm: str, baseline: str = RESNET) -> tuple[torch.nn.Module, Anatomy]:
    task, reference = digits(baseline)
    prepared = prepare(reference, Setting.default().replace(batch_norm=batch_norm))
    return prepared, dissect(prepared, task.split(Split.TEST).inputs[:2])


def run(method: Method, setting: Setting, seed: int = 0, baseline: str = RESNET) -> AuditReport:
    """What the harness does around a method, minus scores, costs and files."""
    task, reference = digits(baseline)
    prepared, anatomy = dissected(str(setting["batch_norm"]), baseline)
    plan = make_plan(anatomy, setting)
    model = place(prepared, plan)
    streams = Streams(seed)
    meter = DataMeter(task.split(Split.TRAIN), setting, streams, augment=task.augment, reference=reference)
    watch = InputWatch(task.input_shape, task.fingerprints(Split.TEST))
    watch.attach(model)
    bench = Bench(
        model, copy.deepcopy(reference), plan, setting, meter.door, torch.device("cpu"), streams, Reporter(Mode.SILENT)
    )
    claims = method.quantize(bench)
    watch.detach()
    images = task.split(Split.TEST).inputs
    return audit(
        model,
        anatomy=anatomy,
        plan=plan,
        setting=setting,
        batches=images[:96].split(32),
        meter=meter.report(),
        watch=watch.report(),
        claims=claims,
        float_score=0.98,
        epoch_fraction=0.5,
        reference=prepared,
    )


def supported(method: type[Method], values: Mapping[str, object]) -> Setting | None:
    """The setting, unless axes contradict each other, the method or the plan refuses it, or it quantizes nothing."""
    try:
        setting = Setting.default().replace(**values)
        method.check_setting(setting)
        plan = make_plan(dissected(str(setting["batch_norm"]))[1], setting)
    except SuiteError:
        return None
    return setting if plan.quantizers else None


def covering(method: type[Method], base: Mapping[str, object], choices: Choices, seed: int) -> Iterable[Setting]:
    """Settings in which every pair of values of `choices` occurs together once, as far as random search finds them.

    Greedy: of some random supported settings the one with most new pairs is taken, until many in a row bring none.
    """
    rng = random.Random(seed)
    covered: set[tuple[tuple[str, object], tuple[str, object]]] = set()
    barren = 0
    while barren < 2:
        best: tuple[int, Setting | None, set[tuple[tuple[str, object], tuple[str, object]]]] = (0, None, set())
        for _ in range(24):
            drawn = {axis: rng.choice(values) for axis, values in choices.items()}
            fresh = set(combinations(sorted(drawn.items(), key=lambda item: item[0]), 2)) - covered
            if len(fresh) > best[0]:
                setting = supported(method, {**base, **drawn})
                if setting is not None:
                    best = (len(fresh), setting, fresh)
        if best[1] is None:
            barren += 1
            continue
        covered |= best[2]
        yield best[1]


GRIDS: Choices = {
    "weight_bits": (2, 3, 4, 5, 8, 16, 32),
    "activation_bits": (2, 3, 4, 6, 8, 32),
    "weight_symmetry": ("symmetric", "asymmetric"),
    "activation_symmetry": ("symmetric", "asymmetric"),
    "weight_granularity": ("per-channel", "per-tensor", "per-weight"),
    "activation_granularity": ("per-tensor", "per-channel"),
    "symmetric_step": ("max-over-qmax", "two-max-over-levels"),
    "signed_range": ("narrow", "full"),
    "unsigned_activations": ("where-non-negative", "never"),
    "skip_connection": ("quantized", "full-precision"),
    "residual_connection": ("quantized", "full-precision"),
    "first_layer_weights": ("8-bit", "same", "full-precision"),
    "last_layer_weights": ("8-bit", "same", "full-precision"),
    "first_layer_activations": ("same", "8-bit", "full-precision"),
    "last_layer_activations": ("8-bit", "same", "full-precision"),
    "network_input": ("8-bit", "full-precision", "same"),
    "network_output": ("full-precision", "8-bit", "same"),
    "shortcut_weights": ("same", "full-precision"),
    "pooling": ("requantized", "full-precision", "low-precision-integer"),
    "activation_function": ("full-precision", "quantized"),
    "batch_norm": ("folded", "float"),
    "sampling": ("without-replacement", "with-replacement"),
    "subset": ("per-seed", "fixed"),
    "incomplete_batches": ("kept", "dropped"),
    "scales_in_size": ("counted", "not-counted"),
}

POST_TRAINING: Choices = {
    **GRIDS,
    "activation_parameters": ("static", "dynamic"),
    "weight_range": ("min-max", "ema-min-max", "percentile", "mse", "iterative-mse"),
    "activation_range": ("min-max", "ema-min-max", "percentile", "mse", "iterative-mse"),
}

LEARNED: Choices = {
    **GRIDS,
    "gradient_mask": ("clip-then-round", "round-then-clip"),
    "step_gradient_scale": ("features", "all-elements", "elements-per-channel", "none"),
    "checkpoint": ("last", "best-on-validation"),
    "training_transform": ("test", "augmented"),
    "labels": ("labeled", "pseudo-labeled"),
}

CORNERS: tuple[Mapping[str, object], ...] = (
    {"weight_bits": 1, "activation_bits": 4, "signed_range": "full"},
    {"weight_bits": 1, "activation_bits": 1, "signed_range": "full"},
    {"weight_bits": 4, "activation_bits": 1, "activation_symmetry": "symmetric", "signed_range": "full"},
    {"weight_bits": 2, "extra_level": "present", "signed_range": "full", "symmetric_step": "two-max-over-levels"},
    {"weight_bits": 3, "extra_level": "present", "signed_range": "full", "symmetric_step": "max-over-qmax"},
    *(
        {"weight_bits": bits, "weight_granularity": "per-group", "weight_group_size": size, "weight_symmetry": symmetry}
        for bits, size in ((2, 4), (3, 9), (4, 16), (8, 64))
        for symmetry in ("symmetric", "asymmetric")
    ),
    {"activation_granularity": "per-token", "activation_parameters": "dynamic", "activation_bits": 4},
    {"examples": 0, "activation_parameters": "dynamic", "weight_bits": 4},
    {"examples": "full-training-set", "weight_bits": 4, "activation_bits": 4},
    {"weight_bits": 32, "activation_bits": 32},
    {"weight_bits": 7, "activation_bits": 16},
    {"weight_bits": 6, "activation_bits": 7},
    {"weight_bits": 16, "activation_bits": 5},
)
