"""Quantization with gradients to bits and ends: against finite differences of the real thing, and against Quantizer."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from suite.quantizers import Granularity, Quantizer, QuantizerSpec, StepRule
from suite.quantizers.grids import parameters_from_range
from suite.quantizers.learned_bits import (
    BitForm,
    average_bits,
    bits_of,
    excess_penalty,
    learned_grid,
    learned_of,
    nearest_width,
    quantize_between,
)

X = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(3))
SPECS = {
    "asymmetric": QuantizerSpec(4, signed=False, symmetric=False),
    "unsigned": QuantizerSpec(4, signed=False, symmetric=True),
    "narrow": QuantizerSpec(4, signed=True, symmetric=True),
    "full": QuantizerSpec(4, signed=True, symmetric=True, narrow=False),
    "two-max": QuantizerSpec(4, signed=True, symmetric=True, step_rule=StepRule.TWO_MAX_OVER_LEVELS),
    "extra": QuantizerSpec(4, signed=True, symmetric=True, narrow=False, extra_level=True),
}


def at(spec: QuantizerSpec, bits: int) -> QuantizerSpec:
    return QuantizerSpec.from_dict({**spec.to_dict(), "bits": bits})


@pytest.mark.parametrize("bits", [2, 3, 5, 8])
@pytest.mark.parametrize("name", SPECS)
def test_what_is_learned_is_what_the_quantizer_does_afterwards(name: str, bits: int) -> None:
    spec = at(SPECS[name], bits)
    low, high = torch.tensor(-1.3), torch.tensor(1.9)
    quantizer = Quantizer(spec, is_weight=True)
    quantizer.set_parameters(*parameters_from_range(low, high, spec))
    grid = learned_grid(SPECS[name], torch.tensor(float(bits)), low, high)
    learned = quantize_between(X, grid.step, grid.low, grid.high)
    torch.testing.assert_close(learned, quantizer(X), rtol=1e-6, atol=1e-6)
    assert len(learned.unique()) <= spec.levels


@pytest.mark.parametrize("granularity", [Granularity.PER_TENSOR, Granularity.PER_CHANNEL])
def test_the_gradient_to_the_bits_is_that_of_the_step(granularity: Granularity) -> None:
    """With rounding passed straight through, dL/db = sum of G (code - ratio) ds/db; written out here by hand."""
    channels = granularity is Granularity.PER_CHANNEL
    rows = X.double().reshape(6, -1) if channels else X.double().reshape(1, -1)
    low, high = rows.amin(1, keepdim=True), rows.amax(1, keepdim=True) * 0.6  # the largest values are clipped
    gradient = torch.randn(rows.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    bits = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    grid = learned_grid(SPECS["asymmetric"], bits, low, high)
    quantize_between(rows, grid.step, grid.low, grid.high).backward(gradient)
    step = (high - low) / 7
    ratio = torch.minimum(torch.maximum(rows, low), high) / step
    slope = -(high - low) * math.log(2) * 8 / 49
    expected = (gradient * (ratio.round() - ratio) * slope).sum()
    torch.testing.assert_close(bits.grad, expected)


def test_gradients_beyond_an_end_go_to_the_end_and_are_shared_at_it() -> None:
    low, high = (torch.tensor(end, requires_grad=True) for end in (-1.0, 2.0))
    x = torch.tensor([-3.0, -1.0, 0.5, 2.0, 7.0], requires_grad=True)
    quantize_between(x, torch.tensor(0.25), low, high).backward(torch.tensor([1.0, 10.0, 100.0, 1000.0, 10000.0]))
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 5.0, 100.0, 500.0, 0.0]
    assert (float(low.grad), float(high.grad)) == (6.0, 10500.0)  # type: ignore[arg-type]


def test_no_grid_is_finer_than_its_bits_at_any_width() -> None:
    for width in range(1, 9):
        grid = learned_grid(SPECS["asymmetric"], torch.tensor(float(width)), X.min(), X.max())
        assert len(quantize_between(X, grid.step, grid.low, grid.high).unique()) <= 2**width
        assert float(quantize_between(torch.zeros(()), grid.step, grid.low, grid.high)) == 0.0


@pytest.mark.parametrize("widths", [[2.0, 4.0, 8.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 16.0]])
def test_the_nearest_width_is_found_by_looking_at_all(widths: list[float]) -> None:
    bits = torch.linspace(0.3, 17.0, 500)
    found = nearest_width(bits, torch.tensor(widths)).tolist()
    expected = [min(widths, key=lambda width: (abs(width - one), width)) for one in bits.tolist()]
    assert found == expected


def test_rows_may_offer_different_widths() -> None:
    table = torch.tensor([[1.0, 2.0, 3.0], [2.0, 8.0, 8.0]])
    bits = torch.tensor([5.5, 5.5], requires_grad=True)
    found = nearest_width(bits, table)
    assert found.tolist() == [3.0, 8.0]
    (found * torch.tensor([1.0, 10.0])).sum().backward()
    assert bits.grad is not None
    assert bits.grad.tolist() == [1.0, 10.0]


@pytest.mark.parametrize(("form", "slope"), [(BitForm.LOG2, 6 * math.log(2)), (BitForm.LINEAR, 1.0)])
def test_both_forms_of_what_is_learned(form: BitForm, slope: float) -> None:
    learned = learned_of(torch.tensor(6.0), form).requires_grad_()
    bits = bits_of(learned, form)
    bits.backward()
    assert bits.item() == pytest.approx(6.0, rel=1e-6)
    assert float(learned.grad) == pytest.approx(slope, rel=1e-5)  # type: ignore[arg-type]


def test_averages_weigh_by_elements_and_a_penalty_begins_at_the_target() -> None:
    bits, elements = torch.tensor([2.0, 8.0]), torch.tensor([300.0, 100.0])
    average = average_bits(bits, elements, fixed_bits=8.0 * 100, fixed_elements=100.0)
    assert float(average) == pytest.approx((2 * 300 + 8 * 100 + 8 * 100) / 500)
    assert [float(excess_penalty(average, target, 3.0)) for target in (4.0, 4.4, 5.0)] == pytest.approx([1.2, 0, 0])


def learned_by_descent(x: Tensor, target: float) -> float:
    """A few steps of plain descent on the squared error and the penalty, from 8 bits."""
    learned = torch.tensor(3.0, requires_grad=True)
    for _ in range(200):
        width = nearest_width(bits_of(learned, BitForm.LOG2), torch.arange(1.0, 9.0))
        grid = learned_grid(SPECS["asymmetric"], width, x.min(), x.max())
        error = (quantize_between(x, grid.step, grid.low, grid.high) - x).square().sum()
        (error + excess_penalty(width, target, 2.0)).backward()
        with torch.no_grad():
            learned -= 0.01 * learned.grad.clamp(-5, 5)  # type: ignore[union-attr]
            learned.grad = None
    return float(bits_of(learned.detach(), BitForm.LOG2))


def test_the_penalty_takes_bits_down_until_the_target() -> None:
    assert 2.4 < learned_by_descent(X * 1e-3, 3.0) < 3.6
