"""Activations on the lower half of the range in which gradients pass."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from suite.quantizers import Quantizer, QuantizerSpec
from suite.quantizers.half_range import HalfRange, half_range
from suite.quantizers.spec import RangeRule


def quantizer(bits: int, *, signed: bool = False, rule: RangeRule = RangeRule.THREE) -> Quantizer:
    one = Quantizer(QuantizerSpec(bits, signed=signed, symmetric=True, range_rule=rule), is_weight=False)
    one.initialize(torch.tensor([-50.0, 0.1]) if signed else torch.tensor([0.0, 0.1]))
    return one


def test_four_bits_are_the_fifths_up_to_three() -> None:
    values = quantizer(4)(torch.linspace(0, 8, 1000)).unique()
    torch.testing.assert_close(values, torch.arange(16) / 5)


@pytest.mark.parametrize(("bits", "step"), [(2, 3.0), (4, 3 / 7), (8, 3 / 127)])
def test_where_values_are_negative_the_range_reaches_as_far_below(bits: int, step: float) -> None:
    one = quantizer(bits, signed=True)
    assert float(one.scale) == pytest.approx(step)
    ends = one(torch.tensor([-9.0, 9.0]))
    torch.testing.assert_close(ends, torch.tensor([-3.0, 3.0]))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_what_stands_in_gives_the_very_values_of_the_quantizer(bits: int, signed: bool) -> None:
    one = quantizer(bits, signed=signed)
    x = torch.randn(4096, generator=torch.Generator().manual_seed(bits)) * 3
    assert torch.equal(HalfRange(one)(x), one(x))


def test_gradients_are_those_of_a_function_that_ends_at_six() -> None:
    x = torch.tensor([-1.0, 0.0, 0.5, 2.9, 3.1, 4.5, 6.0, 7.0], requires_grad=True)
    HalfRange(quantizer(4))(x).backward(torch.arange(1.0, 9.0))
    oracle = x.detach().clone().requires_grad_()
    nn.functional.hardtanh(oracle, 0.0, 6.0).backward(torch.arange(1.0, 9.0))
    assert x.grad is not None
    inside = [2, 3, 4, 5]
    assert oracle.grad is not None
    assert x.grad[inside].tolist() == oracle.grad[inside].tolist() == [3.0, 4.0, 5.0, 6.0]
    assert x.grad[[0, 7]].tolist() == [0.0, 0.0]
    assert x.grad[[1, 6]].tolist() == [2.0, 7.0]  # both ends belong to the range


def test_gradients_of_negative_values_pass_as_far() -> None:
    x = torch.tensor([-7.0, -5.0, -0.1, 5.0, 7.0], requires_grad=True)
    HalfRange(quantizer(4, signed=True))(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def test_a_quantizer_that_is_off_lets_everything_pass() -> None:
    one = quantizer(4)
    one.enabled = False
    x = torch.tensor([-9.0, 9.0])
    assert torch.equal(HalfRange(one)(x), x)


def test_nothing_stands_in_for_other_ranges() -> None:
    assert isinstance(half_range(quantizer(4)), HalfRange)
    assert all(half_range(quantizer(4, rule=rule)) is None for rule in (RangeRule.UNIT, RangeRule.MIN_MAX))
