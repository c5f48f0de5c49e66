"""Contract: how a method fails. Bad data must end in a clear error, never in a model of NaN or a crash."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from suite.axes import AXES, Setting
from suite.contract.results import CheckResult
from suite.errors import SettingError, SuiteError, Unsupported
from suite.harness.meter import DataMeter
from suite.harness.progress import Mode, Reporter
from suite.harness.streams import Streams, deterministic
from suite.harness.workbench import Bench
from suite.methods.api import Diverged, Method
from suite.models import get_baseline
from suite.plan import dissect, make_plan, place, prepare
from suite.tasks import LabelledTensors, Split, get_task

EXAMPLES = 64


def failure_checks(kind: type[Method], base: Setting) -> Iterator[CheckResult]:
    """A refused setting, images that are not numbers, and no images at all."""
    yield from _refusals(kind, base)
    setting = base.replace(examples=EXAMPLES, initialization_examples="all")
    images, labels = _examples()
    broken = images.clone()
    broken[::2] = torch.nan
    yield _ends_clearly("images of NaN end in Diverged or a SuiteError", kind, setting, broken, labels)
    yield _ends_clearly("infinite images end in Diverged or a SuiteError", kind, setting, images / 0.0, labels)
    yield _none(kind, base)


def _refusals(kind: type[Method], base: Setting) -> Iterator[CheckResult]:
    """The first value of each choosy axis that the method does not list is refused, by name."""
    for axis, values in kind.supports.items():
        for other in (word for word in AXES[axis].domain.words if word not in values):
            try:
                setting = base.replace(**{axis: other})
            except SettingError:
                continue  # the value contradicts the rest of the setting, so no card can ask for it
            try:
                kind.check_setting(setting)
                detail = "it was accepted"
            except Unsupported as refused:
                detail = "" if axis in str(refused) else f"the message does not name the axis: {refused}"
            yield CheckResult("failures", f"{axis} = {other} is refused by name", not detail, detail)
            break


def _examples() -> tuple[torch.Tensor, torch.Tensor]:
    train = get_task("digits").split(Split.TRAIN)
    return train.inputs[:EXAMPLES], train.labels[:EXAMPLES]


def _ends_clearly(
    name: str, kind: type[Method], setting: Setting, images: torch.Tensor, labels: torch.Tensor
) -> CheckResult:
    pool = LabelledTensors(images, labels, torch.arange(len(labels)))
    if not kind.needs.examples and not kind.needs.gradients and _data_free(kind, setting):
        return CheckResult("failures", name, True, "it looks at no images under this setting", skipped=True)
    try:
        model = _quantized(kind, setting, pool)
    except (Diverged, SuiteError) as stopped:
        return CheckResult("failures", name, True, str(stopped))
    except Exception as crash:
        return CheckResult("failures", name, False, f"{type(crash).__name__}: {crash}")
    parameters = [value for value in model.state_dict().values() if value.is_floating_point()]
    finite = all(bool(value.isfinite().all()) for value in parameters)
    return CheckResult("failures", name, False, f"it went on, to a model of {'' if finite else 'not '}finite numbers")


def _data_free(kind: type[Method], setting: Setting) -> bool:
    """Whether the method works, and asks for nothing, where the only examples are ordinary ones."""
    images, labels = _examples()
    meter = _meter(setting, LabelledTensors(images, labels, torch.arange(len(labels))))
    _quantize(kind, setting, meter)
    return meter.report().examples_presented == 0


def _none(kind: type[Method], base: Setting) -> CheckResult:
    """No examples: refused before the run, or a run that needs none."""
    name = "no examples end in a SuiteError, or are enough"
    try:
        setting = base.replace(
            examples=0, labels="unlabeled", initialization_examples="all", activation_parameters="dynamic",
            activation_range="min-max",
        )  # fmt: skip
        kind.check_setting(setting)
        empty = LabelledTensors(torch.empty(0, 1, 8, 8), torch.empty(0, dtype=torch.int64), torch.empty(0).long())
        _quantize(kind, setting, _meter(setting, empty))
    except (SuiteError, Diverged) as refused:
        return CheckResult("failures", name, True, str(refused))
    except Exception as crash:
        return CheckResult("failures", name, False, f"{type(crash).__name__}: {crash}")
    return CheckResult("failures", name, True, "it needs none")


def _quantized(kind: type[Method], setting: Setting, pool: LabelledTensors) -> nn.Module:
    return _quantize(kind, setting, _meter(setting, pool))


def _meter(setting: Setting, pool: LabelledTensors) -> DataMeter:
    return DataMeter(pool, setting, Streams(0), augment=lambda images, _: images, reference=_float_model())


def _float_model() -> nn.Module:
    return get_baseline("digits-resnet").load(10).eval()


def _quantize(kind: type[Method], setting: Setting, meter: DataMeter) -> nn.Module:
    """The method at work on a bench of the harness, outside a run: no record, no evaluation."""
    reference = _float_model()
    prepared = prepare(reference, setting)
    plan = make_plan(dissect(prepared, torch.zeros(2, 1, 8, 8)), setting)
    model = place(prepared, plan)
    streams = Streams(0)
    device = torch.device("cpu")
    bench = Bench(model, reference, plan, setting, meter.door, device, streams, Reporter(Mode.SILENT))
    with deterministic(streams):
        kind(kind.Options.quick()).quantize(bench)
    return model
