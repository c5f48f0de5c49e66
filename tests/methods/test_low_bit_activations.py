"""Activations at low bits: half of the range in which gradients pass, and ranges of the batch itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from toys import ToyBench, toy_bench, toy_setting

from suite.errors import SettingError, Unsupported
from suite.methods.api import Method
from suite.methods.dorefa import Dorefa
from suite.methods.linear_qat import LinearTraining
from suite.methods.lsq import LearnedStepSize
from suite.methods.lsq_mse import LeastSquaresStart
from suite.methods.mse_fixed import FixedLeastSquaresSteps
from suite.methods.pact import Pact
from suite.plan import quantizers_of
from suite.quantizers import Quantizer, QuantizerSpec
from suite.quantizers.half_range import HalfRange

METHODS = (LearnedStepSize, LeastSquaresStart, FixedLeastSquaresSteps, LinearTraining)
DYNAMIC = {"activation_parameters": "dynamic", "activation_range": "min-max", "initialization_examples": "all"}


def bench_of(kind: type[Method], **changes: object) -> ToyBench:
    """Four bits everywhere, so that every activation shows the grid that is meant."""
    same = dict.fromkeys(("network_input", "last_layer_activations"), "same")
    base = {
        "weight_range": "min-max",
        "activation_symmetry": "symmetric",
        "step_gradient_scale": "not-applicable",
        **kind.recommended,
    }
    return toy_bench(toy_setting(**{**base, **same, "activation_bits": 4, **changes}))


def train(kind: type[Method], bench: ToyBench) -> None:
    kind.from_mapping({"steps": 4, "batch_size": 16}).quantize(bench)


def activations(bench: ToyBench) -> dict[str, Quantizer]:
    return {name: one for name, one in quantizers_of(bench.model).items() if not one.is_weight}


@pytest.mark.parametrize("kind", METHODS)
def test_a_trained_method_leaves_the_fifths_up_to_three(kind: type[Method]) -> None:
    bench = bench_of(kind, activation_range="three")
    seen: list[list[bool]] = []
    bench.model.middle.register_forward_hook(
        lambda layer, *_: (
            seen.append([isinstance(one, HalfRange) for one in bench.model.quantizers.children()])
            if layer.training
            else None
        )
    )
    train(kind, bench)
    placed = activations(bench)
    assert len(placed) >= 3
    for one in placed.values():
        assert type(one) is Quantizer
        assert not one.learns_step
        assert float(one.scale) == pytest.approx(3 / 7 if one.spec.signed else 0.2)
    assert {one.spec.signed for one in placed.values()} == {True, False}
    assert len(seen) == 4
    assert all(row and all(row) for row in seen)


@pytest.mark.parametrize("kind", METHODS)
def test_weights_learn_what_they_learn_otherwise(kind: type[Method]) -> None:
    bench = bench_of(kind, activation_range="three")
    before = bench.model.conv.weight.detach().clone()
    train(kind, bench)
    assert not torch.equal(before, bench.model.conv.weight)
    weights = [one for one in quantizers_of(bench.model).values() if one.is_weight]
    assert all(one.learns_step == (kind in METHODS[:2]) for one in weights)


@pytest.mark.parametrize("kind", [Dorefa, Pact])
def test_methods_with_a_range_of_their_own_refuse_it(kind: type[Method]) -> None:
    with pytest.raises(Unsupported, match="does not support activation_range = three"):
        kind.check_setting(bench_of(kind, activation_range="three").setting)


def test_a_given_range_is_symmetric_and_static() -> None:
    setting = bench_of(LearnedStepSize).setting
    with pytest.raises(SettingError, match="its grid is symmetric"):
        setting.replace(activation_range="three", activation_symmetry="asymmetric")
    with pytest.raises(SettingError, match="dynamic ranges come from each input alone"):
        setting.replace(**{**DYNAMIC, "activation_range": "three"})


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_dynamic_symmetric_grid_ends_at_the_largest_value_and_passes_every_gradient(bits: int, signed: bool) -> None:
    x = torch.randn(200, generator=torch.Generator().manual_seed(bits))
    x = (x if signed else x.abs()).requires_grad_()
    spec = QuantizerSpec(bits, signed=signed, symmetric=True, dynamic=True)
    y = Quantizer(spec, is_weight=False)(x)
    y.backward(torch.arange(200.0))
    assert x.grad is not None
    assert x.grad.tolist() == torch.arange(200.0).tolist()
    levels = 2 ** (bits - signed) - 1
    largest = float(x.detach().abs().max())
    codes = y.detach() * levels / largest
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-4)
    assert float(y.detach().abs().max()) == pytest.approx(largest)
    assert float((y - x).detach().abs().max()) <= largest / levels * (0.5 + 1e-5)


def test_linear_training_on_ranges_of_the_batch() -> None:
    bench = bench_of(LinearTraining, **DYNAMIC)
    assert all(one.spec.dynamic for one in activations(bench).values())
    bench.data.presented.clear()
    train(LinearTraining, bench)
    assert bench.data.presented == [16] * 4  # nothing to calibrate
    assert all(one.scale.numel() == 0 for one in activations(bench).values())
    assert levels_of_the_middle(bench, bench.data.inputs) == levels_of_the_middle(bench, 5 * bench.data.inputs) == 15


def levels_of_the_middle(bench: ToyBench, inputs: Tensor) -> int:
    """The largest code of what the middle layer reads: the range follows the batch."""
    seen: list[Tensor] = []
    with bench.model.middle.register_forward_pre_hook(lambda _, given: seen.append(given[0])), torch.no_grad():
        bench.model.eval()(inputs)
    steps = seen[0].unique()
    return round(float(steps.max() / steps.diff().min()))


def test_linear_training_leaves_ranges_of_calibration_alone() -> None:
    given, moved = bench_of(LinearTraining, activation_range="min-max"), bench_of(LinearTraining)
    for bench in (given, moved):
        train(LinearTraining, bench)
    untrained = bench_of(LinearTraining, activation_range="min-max")
    LinearTraining.from_mapping({"steps": 1, "batch_size": 16, "learning_rate": 0.0}).quantize(untrained)
    start = {name: float(one.scale) for name, one in activations(untrained).items()}
    assert {name: float(one.scale) for name, one in activations(given).items()} == start
    assert {name: float(one.scale) for name, one in activations(moved).items()} != start
