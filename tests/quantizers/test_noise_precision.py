"""Precisions learned by noise: gradients by finite differences, grids from all strings of bits, reading back."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from suite.errors import SuiteError
from suite.quantizers.noise_precision import (
    PrecisionGrid,
    PrecisionRounding,
    Span,
    noise_half_width,
    noisy,
    observed_precision,
    parameter_of,
    precision_of,
    precision_penalty,
    project_,
    rounded_precision,
    smallest_scale,
    tolerates_zero,
    uniform_noise,
)

SPANS = [Span.TWO, Span.UNIT]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def grid_of(*precision: float, span: Span = Span.TWO) -> PrecisionGrid:
    return PrecisionGrid.of(torch.tensor(precision, dtype=torch.float64), span)


@settings(max_examples=60, deadline=None)
@given(st.floats(1.001, 16.0))
def test_the_start_of_a_precision_has_this_precision(precision: float) -> None:
    s = parameter_of(torch.tensor(precision, dtype=torch.float64))
    assert float(precision_of(s)) == pytest.approx(precision, abs=1e-9)
    assert float(noise_half_width(s)) == pytest.approx(2 ** (1 - precision), rel=1e-9)


def test_extreme_parameters_stay_finite() -> None:
    """Naive forms overflow in float32 from |s| = 89 on."""
    s = torch.tensor([-200.0, 200.0], requires_grad=True)
    precision_penalty(s).backward()
    assert bool(precision_of(s).isfinite().all())
    assert s.grad is not None
    assert bool(s.grad.isfinite().all())


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("layerwise", [False, True])
def test_gradients_under_noise_are_those_of_finite_differences(span: Span, layerwise: bool) -> None:
    theta, noise = drawn(3, 4).requires_grad_(), drawn(3, 4, seed=1).clamp(-1, 1)
    s = (drawn(seed=2) if layerwise else drawn(3, 4, seed=2)).requires_grad_()

    def loss(theta: Tensor, s: Tensor) -> Tensor:
        return noisy(theta, s, noise, span).square().sum() + 0.1 * precision_penalty(s, 12 if layerwise else 1)

    assert torch.autograd.gradcheck(loss, (theta, s))


def test_one_parameter_for_a_layer_is_penalized_like_one_for_each_weight() -> None:
    s = torch.tensor(0.3)
    assert float(precision_penalty(s, 12)) == pytest.approx(float(precision_penalty(s.expand(12))), rel=1e-6)


def test_noise_is_uniform_and_differs_from_weight_to_weight() -> None:
    torch.manual_seed(0)
    noise = uniform_noise(torch.empty(20_000))
    assert float(noise.abs().max()) <= 1.0
    assert abs(float(noise.mean())) < 5 * 20_000**-0.5 / 3**0.5
    assert float(noise.var()) == pytest.approx(1 / 3, rel=0.05)
    assert len(noise.unique()) > 19_000
    moved = noisy(torch.zeros(20_000), torch.tensor(-3.0), noise)
    assert len(moved.unique()) > 15_000
    assert float(moved.abs().max()) <= float(noise_half_width(torch.tensor(-3.0)))


def test_a_compiled_step_draws_the_same_noise() -> None:
    def step(theta: Tensor, s: Tensor) -> Tensor:
        return noisy(theta, s, uniform_noise(theta)).square().sum() + precision_penalty(s)

    results = []
    for function in (step, torch.compile(step, backend="aot_eager", fullgraph=True)):
        theta, s = drawn(5, 6).float().requires_grad_(), drawn(5, 6, seed=1).float().requires_grad_()
        torch.manual_seed(7)
        value = function(theta, s)
        value.backward()
        results.append((value.detach(), theta.grad, s.grad))
    for eager, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, eager)


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("precision", [1, 2, 3, 5])
def test_levels_are_what_strings_of_signed_bits_stand_for(span: Span, precision: int) -> None:
    strings = product((-1.0, 1.0), repeat=precision)
    values = sorted(sum(bit * 2.0**-place for place, bit in enumerate(string)) for string in strings)
    expected = torch.tensor(values, dtype=torch.float64) * (0.5 if span is Span.UNIT else 1.0)
    grid = grid_of(precision, span=span)
    assert torch.equal(grid.levels(), expected)
    # From far outside on both sides, every value goes to the nearest of them.
    theta = torch.linspace(-3, 3, 1234, dtype=torch.float64)
    nearest = (theta[:, None] - expected).abs().amin(1)
    torch.testing.assert_close((grid.quantize(theta) - theta).abs(), nearest, rtol=0, atol=1e-12)
    assert len(grid.quantize(theta).unique()) == 2**precision


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10), min_size=1, max_size=30), st.integers(0, 1000), st.sampled_from(SPANS))
def test_each_weight_has_its_own_precision_and_shows_it(precisions: list[int], seed: int, span: Span) -> None:
    wanted = torch.tensor(precisions, dtype=torch.float32)
    grid = PrecisionGrid.of(wanted, span)
    quantized = grid.quantize(drawn(len(precisions), seed=seed).float())
    assert torch.equal(observed_precision(quantized, span), wanted)
    assert torch.equal(grid.quantize(quantized), quantized)
    # Also after a scale that is no power of two was multiplied and divided by, in float32.
    scale = torch.tensor(0.0371)
    assert torch.equal(observed_precision(quantized * scale / scale, span), wanted)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(0, 1000), st.floats(1e-3, 10.0), st.sampled_from(SPANS))
def test_the_values_alone_show_scale_and_precisions(finest: int, seed: int, scale: float, span: Span) -> None:
    """As somebody reads them who was told neither the scale nor the map: by whole multiples of a common unit."""
    random = torch.Generator().manual_seed(seed)
    wanted = torch.randint(0, finest + 1, (300,), generator=random).float()
    wanted[:2] = float(finest)
    levels = PrecisionGrid.of(wanted, span).quantize(torch.randn(300, generator=random))
    levels[1] = grid_of(finest, span=span).levels()[-1].float()  # else a smaller scale may hold all of them
    weights = (levels * scale).double()
    unit = scale * span.half * 2.0 ** (1 - finest)
    found = smallest_scale(unit, float(weights.abs().max()), span)
    assert found == pytest.approx(scale, rel=1e-6)
    assert torch.equal(observed_precision(weights / found, span).float(), wanted)


def test_what_is_on_no_grid_has_no_precision() -> None:
    read = observed_precision(torch.tensor([0.3, 2.5, 4.0, 1.0000100, float("nan"), 1.0]))
    assert read.tolist() == [float("inf")] * 5 + [1.0]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.floats(-0.999, 0.999), st.integers(0, 255), st.sampled_from(SPANS))
def test_noise_never_leaves_the_cell_of_a_level(precision: int, noise: float, cell: int, span: Span) -> None:
    """What ties both phases together: the weight under noise is rounded back to the level it came from."""
    grid = grid_of(precision, span=span)
    level = grid.levels()[cell % 2**precision]
    s = (
        parameter_of(torch.tensor(float(precision), dtype=torch.float64))
        if precision > 1
        else torch.tensor(float("inf"), dtype=torch.float64)
    )
    moved = noisy(level, s, torch.tensor(noise, dtype=torch.float64), span)
    assert torch.equal(grid.quantize(moved).reshape(()), level)


def test_gradients_pass_straight_through_except_to_removed_weights() -> None:
    theta = drawn(4).requires_grad_()
    gradient = drawn(4, seed=1)
    quantized = grid_of(0, 1, 2, 8).quantize(theta)
    quantized.backward(gradient)
    assert theta.grad is not None
    assert quantized[0] == 0
    assert theta.grad.tolist() == [0.0, *gradient[1:].tolist()]


@pytest.mark.parametrize("span", SPANS)
def test_projection_ends_at_the_outermost_level(span: Span) -> None:
    precision = torch.tensor([2.0, 3.0, 8.0], dtype=torch.float64)
    s = parameter_of(precision)
    theta = torch.tensor([[-5.0], [0.1], [5.0]], dtype=torch.float64).expand(3, 3).clone()
    project_(theta, s, span)
    ends = torch.stack([grid_of(float(one), span=span).levels()[-1] for one in precision])
    torch.testing.assert_close(theta, torch.stack([-ends, torch.full_like(ends, 0.1), ends]))
    # Under the largest noise, it reaches the edge of the outermost cell.
    edge = noisy(theta[2], s, torch.ones(3, dtype=torch.float64), span)
    torch.testing.assert_close(edge, torch.full_like(edge, 2 * span.half))


def test_rounding_of_precisions() -> None:
    s = parameter_of(torch.tensor([1.01, 1.4, 1.6, 2.3, 2.7, 7.9, 30.0], dtype=torch.float64))
    assert rounded_precision(s).tolist() == [1, 1, 2, 2, 3, 8, 16]
    assert rounded_precision(s, PrecisionRounding.CEIL).tolist() == [2, 2, 2, 3, 3, 8, 16]
    assert rounded_precision(torch.tensor([100.0])).tolist() == [1]


@pytest.mark.parametrize("span", SPANS)
def test_only_weights_whose_noise_reaches_zero_at_one_bit_are_removed(span: Span) -> None:
    precision = torch.tensor([1.2, 1.2, 1.6, 3.0], dtype=torch.float64)
    s = parameter_of(precision)
    width = span.half * noise_half_width(s)
    inside = tolerates_zero(width * 0.99, s, span)
    assert inside.tolist() == [True, True, False, False]
    assert tolerates_zero(-width * 0.99, s, span).tolist() == [True, True, False, False]
    assert tolerates_zero(width * 1.01, s, span).tolist() == [False] * 4


@pytest.mark.parametrize("precision", [[1.5], [-1.0], [17.0], [float("nan")]])
def test_precisions_that_are_no_bits_are_refused(precision: list[float]) -> None:
    with pytest.raises(SuiteError, match="whole numbers"):
        PrecisionGrid.of(torch.tensor(precision))
    with pytest.raises(SuiteError, match="floating dtype"):
        PrecisionGrid.of(torch.tensor([2]))


def test_grids_of_several_precisions_have_no_common_levels() -> None:
    with pytest.raises(SuiteError, match="one precision"):
        grid_of(1, 2).levels()
    assert grid_of(0).levels().tolist() == [0.0]
