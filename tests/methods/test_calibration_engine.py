"""The calibration engine and round-to-nearest: scales against numbers worked out by hand from the float model."""

from __future__ import annotations

import pytest
import torch
from toys import ToyBench, toy_bench

from suite.axes import Setting
from suite.errors import SuiteError, Unsupported
from suite.methods.rtn import RoundToNearest
from suite.plan import quantizers_of

UNIFORM = {
    "first_layer_weights": "same",
    "last_layer_weights": "same",
    "first_layer_activations": "same",
    "last_layer_activations": "same",
    "network_input": "same",
    "batch_norm": "float",
    "weight_bits": 4,
    "activation_bits": 4,
}


def bench_under(**changes: object) -> ToyBench:
    return toy_bench(Setting.default().replace(**{**UNIFORM, **changes}))


def quantize(bench: ToyBench) -> ToyBench:
    RoundToNearest().quantize(bench)
    return bench


def float_activation(bench: ToyBench, images: torch.Tensor) -> torch.Tensor:
    """What the second convolution reads in the float model."""
    with torch.no_grad():
        net = bench.reference
        return net.relu(net.norm(net.conv(images)))


def test_weight_steps_are_the_largest_magnitude_over_qmax() -> None:
    bench = quantize(bench_under(weight_granularity="per-channel"))
    found = quantizers_of(bench.model)["conv:weight"].scale.flatten()
    expected = bench.reference.conv.weight.detach().abs().amax((1, 2, 3)) / 7
    torch.testing.assert_close(found, expected)


def test_activation_ranges_are_those_of_the_float_network_over_all_examples() -> None:
    bench = quantize(bench_under(activation_symmetry="symmetric"))
    found = quantizers_of(bench.model)["middle:input"].scale
    torch.testing.assert_close(found, float_activation(bench, bench.data.inputs).amax() / 15)


def test_ranges_start_on_as_many_examples_as_the_axis_says() -> None:
    bench = quantize(bench_under(activation_symmetry="symmetric", initialization_examples=10))
    assert sum(bench.data.presented) == 10
    found = quantizers_of(bench.model)["middle:input"].scale
    torch.testing.assert_close(found, float_activation(bench, bench.data.inputs[:10]).amax() / 15)
    assert bench.displays["calibrating"].steps == 10


def test_dynamic_activations_need_no_example() -> None:
    bench = quantize(bench_under(activation_parameters="dynamic"))
    assert bench.data.presented == []
    assert bench.model(bench.data.inputs).isfinite().all()


def test_weights_that_are_off_while_activations_are_observed_are_on_afterwards() -> None:
    bench = quantize(bench_under())
    assert all(one.enabled and not one.observing for one in quantizers_of(bench.model).values())
    weight = bench.model.conv.weight_quantizer(bench.model.conv.weight)
    assert weight.detach().unique().numel() <= 4 * 15


@pytest.mark.parametrize("rule", ["min-max", "ema-min-max", "percentile", "mse", "iterative-mse"])
@pytest.mark.parametrize("granularity", ["per-tensor", "per-channel"])
def test_every_static_rule_and_granularity_keeps_the_error_bounded(rule: str, granularity: str) -> None:
    bench = quantize(
        bench_under(weight_range=rule, activation_range=rule, weight_granularity=granularity, weight_bits=8)
    )
    weight = bench.reference.conv.weight.detach()
    error = (bench.model.conv.weight_quantizer(weight) - weight).abs().amax()
    assert 0 < float(error) < 0.05 * float(weight.abs().amax())


def test_searched_steps_have_no_larger_squared_error_than_the_largest_magnitude() -> None:
    errors = {}
    for rule in ("min-max", "mse", "iterative-mse"):
        bench = quantize(bench_under(weight_range=rule, weight_bits=2, weight_granularity="per-tensor"))
        weight = bench.reference.middle.weight.detach()
        errors[rule] = float((bench.model.middle.weight_quantizer(weight) - weight).square().sum())
    assert errors["mse"] <= errors["min-max"]
    assert errors["iterative-mse"] <= errors["min-max"]


def test_two_runs_are_bit_identical() -> None:
    states = [quantize(bench_under(activation_range="mse")).model.state_dict() for _ in range(2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_images_that_are_not_finite_are_a_clear_error(value: float) -> None:
    bench = bench_under()
    bench.data.inputs[5] = value
    with pytest.raises(SuiteError, match="NaN or infinite"):
        quantize(bench)


def test_an_unsupported_value_is_refused_with_the_supported_ones() -> None:
    setting = Setting.default().replace(
        weight_range="learned-step", gradient_mask="clip-then-round", step_gradient_scale="features"
    )
    with pytest.raises(Unsupported) as caught:
        RoundToNearest.check_setting(setting)
    assert "method 'rtn' does not support weight_range = learned-step" in str(caught.value)
    assert "min-max, ema-min-max, percentile, mse, iterative-mse" in str(caught.value)
