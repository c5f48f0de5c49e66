"""Bad input to methods that train: a clear error before work begins, or a run that says it diverged."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toys import ToyBench, examples, toy_bench, toy_setting

from suite.axes import Setting
from suite.errors import DataAccessError, SuiteError, Unsupported
from suite.harness.meter import DataMeter
from suite.harness.streams import Streams
from suite.methods.api import Diverged, Method
from suite.methods.dorefa import Dorefa
from suite.methods.linear_qat import LinearTraining
from suite.methods.lsq import LearnedStepSize
from suite.methods.lsq_mse import LeastSquaresStart
from suite.methods.mse_fixed import FixedLeastSquaresSteps
from suite.methods.pact import Pact
from suite.tasks import LabelledTensors

TRAINED = (LearnedStepSize, LeastSquaresStart, FixedLeastSquaresSteps, LinearTraining, Dorefa, Pact)
METHODS = pytest.mark.parametrize("kind", TRAINED, ids=lambda kind: kind.id)

OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "zero epochs": ({"epochs": 0}, "option 'epochs' is 0, expected an integer from 1"),
    "negative epochs": ({"epochs": -3}, "option 'epochs' is -3"),
    "zero steps": ({"steps": 0}, "option 'steps' is 0"),
    "no batch": ({"batch_size": 0}, "option 'batch_size' is 0"),
    "negative rate": ({"learning_rate": -0.1}, "option 'learning_rate' is -0.1, expected a number of at least 0"),
    "rate of NaN": ({"learning_rate": float("nan")}, "option 'learning_rate' is nan"),
    "infinite rate": ({"learning_rate": float("inf")}, "option 'learning_rate' is inf"),
    "momentum of one": ({"momentum": 1.0}, "option 'momentum' is 1.0"),
    "negative decay": ({"weight_decay": -1e-4}, "option 'weight_decay' is -0.0001"),
    "unknown schedule": ({"schedule": "cosin"}, "option 'schedule' is 'cosin'"),
    "no validation": ({"validation_fraction": 0.0}, "option 'validation_fraction' is 0.0"),
    "all for validation": ({"validation_fraction": 1.0}, "option 'validation_fraction' is 1.0"),
    "more than all for validation": ({"validation_fraction": 1.5}, "option 'validation_fraction' is 1.5"),
    "share above one": ({"distillation": 1.5}, "option 'distillation' is 1.5, expected a number from 0 to 1"),
    "no temperature": ({"temperature": 0}, "option 'temperature' is 0"),
    "unknown option": ({"epoch": 3}, "has no option 'epoch'"),
}


def setting_of(kind: type[Method], **changes: object) -> Setting:
    base = {
        "weight_range": "min-max",
        "activation_symmetry": "symmetric",
        "step_gradient_scale": "not-applicable",
        **kind.recommended,
    }
    return toy_setting(**{**base, **changes})


def metered(setting: Setting, count: int = 64) -> ToyBench:
    """A toy bench behind the meter of the harness, which is what refuses."""
    bench = toy_bench(setting, count=count)
    images, labels = examples(count)
    pool = LabelledTensors(images, labels, torch.arange(count))
    bench.data = DataMeter(pool, setting, Streams(0), reference=bench.reference).door  # type: ignore[assignment]
    return bench


@METHODS
@pytest.mark.parametrize(("options", "words"), OPTIONS.values(), ids=OPTIONS)
def test_an_impossible_option_is_refused_by_name(kind: type[Method], options: dict[str, Any], words: str) -> None:
    with pytest.raises(SuiteError) as refused:
        kind.from_mapping(options)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@METHODS
def test_a_card_without_labels_is_refused(kind: type[Method]) -> None:
    with pytest.raises(Unsupported, match="labels = unlabeled"):
        kind.check_setting(setting_of(kind, labels="unlabeled"))


@METHODS
def test_a_method_that_gets_no_labels_says_so(kind: type[Method]) -> None:
    """Also where nobody asked `check_setting` first."""
    bench = metered(setting_of(kind, labels="unlabeled"))
    with pytest.raises(DataAccessError, match="asked for labels, but the card declares unlabeled") as refused:
        kind.from_mapping({"steps": 2, "batch_size": 16}).quantize(bench)
    assert refused.value.axis == "labels"


@METHODS
@pytest.mark.parametrize(("count", "fraction"), [(1, 0.1), (2, 0.9), (64, 0.999)])
def test_a_validation_split_that_leaves_nothing_to_train_on_is_refused(
    kind: type[Method], count: int, fraction: float
) -> None:
    setting = setting_of(kind, checkpoint="best-on-validation", initialization_examples="all")
    method = kind.from_mapping({"steps": 2, "batch_size": 16, "validation_fraction": fraction})
    with pytest.raises(DataAccessError, match=f"{count} examples cannot be parted into training and validation"):
        method.quantize(metered(setting, count))


@METHODS
def test_the_validation_fraction_is_held_out(kind: type[Method]) -> None:
    bench = toy_bench(setting_of(kind, checkpoint="best-on-validation"))
    kind.from_mapping({"steps": 2, "batch_size": 16, "validation_fraction": 0.5}).quantize(bench)
    assert bench.data.held is not None
    assert bench.data.held.size == 32


@METHODS
def test_batches_that_are_never_full_are_an_error_that_says_what_to_change(kind: type[Method]) -> None:
    bench = metered(setting_of(kind, incomplete_batches="dropped", initialization_examples="all"))
    with pytest.raises(SuiteError, match=r"give no training step in batches of 65|do not fill one batch of 65"):
        kind.from_mapping({"epochs": 1, "batch_size": 65}).quantize(bench)


@METHODS
@pytest.mark.parametrize("rate", [1e30, 1e6])
def test_a_rate_that_explodes_is_a_divergence(kind: type[Method], rate: float) -> None:
    options = {"steps": 120, "batch_size": 16, "learning_rate": rate, "schedule": "constant", "compile": "never"}
    bench = toy_bench(setting_of(kind))
    kind.from_mapping({"steps": 60, "batch_size": 16, "learning_rate": 0.05}).quantize(bench)  # something to lose
    again = toy_bench(setting_of(kind))
    start = {name: value for name, value in bench.model.state_dict().items() if name in again.model.state_dict()}
    again.model.load_state_dict({name: start[name] for name in start if "quantizer" not in name}, strict=False)
    with pytest.raises(Diverged, match=r"of 120 steps|too large"):
        kind.from_mapping(options).quantize(again)
