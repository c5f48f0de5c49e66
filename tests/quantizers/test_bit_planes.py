"""Weights as planes of bits: exact round trips, gradients by finite differences, agreement with the quantizer."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from suite.errors import SuiteError
from suite.quantizers import Quantizer, QuantizerSpec
from suite.quantizers.bit_planes import (
    BitPlanes,
    WholeWeight,
    adjusted,
    group_lasso,
    represented,
    requantized,
    round_in_unit_range,
    weighted_group_lasso,
)

SEEDS = st.integers(0, 10_000)
COUNTS = st.integers(1, 9)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def trained(count: int, seed: int, *shape: int) -> BitPlanes:
    """Planes somewhere in [0, 2], as they are between two requantizations."""
    random = generator(seed)
    return BitPlanes(
        torch.rand(*shape, count, generator=random) * 2, torch.rand(*shape, count, generator=random) * 2,
        torch.rand((), generator=random) + 0.1,
    )  # fmt: skip


def binary(codes: list[int], count: int, scale: float = 0.7) -> BitPlanes:
    return BitPlanes.of_codes(torch.tensor(codes, dtype=torch.float32), torch.tensor(scale), count)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-511, 511), min_size=1, max_size=20))
def test_codes_survive_as_planes(codes: list[int]) -> None:
    planes = binary(codes, 9)
    assert planes.codes().tolist() == codes
    # The digits are those of the binary notation, and a weight has a positive or a negative part.
    for row, code in enumerate(codes):
        digits = planes.positive[row] if code > 0 else planes.negative[row]
        assert "".join(str(int(digit)) for digit in digits) == f"{abs(code):09b}"
    assert not bool((planes.positive * planes.negative).any())


@settings(max_examples=60, deadline=None)
@given(COUNTS, SEEDS)
def test_planes_of_a_weight_are_nearest_to_it(count: int, seed: int) -> None:
    weight = torch.randn(4, 5, generator=generator(seed))
    planes = BitPlanes.of_weight(weight, count)
    assert float(planes.scale) == float(weight.abs().max())
    assert bool(((planes.weight() - weight).abs() <= planes.step() * (0.5 + 1e-5)).all())


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), SEEDS)
def test_the_quantizer_of_one_more_bit_has_the_same_values(count: int, seed: int) -> None:
    """A number n of planes and a sign are the narrow symmetric grid of n + 1 bits with the step S / (2^n - 1)."""
    planes = BitPlanes.of_weight(torch.randn(4, 5, generator=generator(seed)), count)
    quantizer = Quantizer(QuantizerSpec(count + 1, signed=True, symmetric=True), is_weight=True)
    quantizer.set_parameters(planes.step(), None)
    weight = planes.weight()
    assert torch.equal(quantizer.codes(weight), planes.codes().int())
    torch.testing.assert_close(quantizer(weight), weight, rtol=1e-6, atol=1e-7)
    assert planes.bits() == quantizer.spec.bits


@settings(max_examples=60, deadline=None)
@given(COUNTS, SEEDS)
def test_gradients_are_those_of_the_formula_without_rounding(count: int, seed: int) -> None:
    planes = trained(count, seed, 3, 2)
    p, n, scale = (part.double().requires_grad_() for part in (planes.positive, planes.negative, planes.scale))
    gradient = torch.randn(3, 2, generator=generator(seed + 1), dtype=torch.float64)
    (represented(p, n, scale) * gradient).sum().backward()
    delta = 1e-4

    def smooth(p: Tensor, n: Tensor) -> Tensor:
        values = sum((p[..., j] - n[..., j]) * 2.0 ** (count - 1 - j) for j in range(count))
        return (values / (2.0**count - 1) * scale.detach() * gradient).sum()

    assert p.grad is not None
    assert n.grad is not None
    for plane in range(count):
        moved = p.detach().clone()
        moved[1, 1, plane] += delta
        assert float(p.grad[1, 1, plane]) == pytest.approx(
            float(smooth(moved, n.detach()) - smooth(p.detach(), n.detach())) / delta, rel=1e-5, abs=1e-9
        )
    assert torch.equal(n.grad, -p.grad)
    # The scale multiplies what was rounded, so its gradient is a plain finite difference.
    with torch.no_grad():
        difference = ((represented(p, n, scale + delta) - represented(p, n, scale - delta)) * gradient).sum()
    assert scale.grad is not None
    assert float(scale.grad) == pytest.approx(float(difference) / (2 * delta), rel=1e-6, abs=1e-9)


def test_rounding_lets_gradients_pass_beyond_the_limits() -> None:
    x = torch.tensor([-1.7, -0.2, 0.0, 0.4, 3.0], requires_grad=True)
    y = round_in_unit_range(x, 3)
    assert torch.unique(round_in_unit_range(torch.linspace(-2, 2, 999), 3)).numel() == 15
    y.backward(torch.arange(5.0))
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 2, 3, 4]
    assert y[0] == -1
    assert y[-1] == 1


def test_no_bits_and_no_values_give_zeros() -> None:
    assert not bool(round_in_unit_range(torch.randn(5), 0).any())
    assert not bool(round_in_unit_range(torch.zeros(5), 4).any())


def test_the_group_lasso_and_its_gradient() -> None:
    planes = trained(3, 5, 2, 4)
    parts = [(planes.positive.double().requires_grad_(), planes.negative.double().requires_grad_())]
    parts.append((parts[0][0][..., :2].detach().clone().requires_grad_(), torch.zeros(2, 4, 2).double()))
    by_hand = 0.0
    for p, n in [(p.detach(), n.detach()) for p, n in parts]:
        norms = sum(float((1e-8 + (p[..., j] ** 2).sum() + (n[..., j] ** 2).sum()) ** 0.5) for j in range(p.shape[-1]))
        by_hand += norms * 8 * p.shape[-1] / 16
    assert float(weighted_group_lasso(parts).detach()) == pytest.approx(by_hand, rel=1e-12)
    assert float(weighted_group_lasso(parts, total_weights=32).detach()) == pytest.approx(by_hand / 2, rel=1e-12)
    assert torch.autograd.gradcheck(group_lasso, parts[0])
    empty = torch.zeros(2, 4, 1, requires_grad=True)
    group_lasso(empty, torch.zeros(2, 4, 1)).backward()
    assert empty.grad is not None
    assert not bool(empty.grad.any())


@settings(max_examples=60, deadline=None)
@given(COUNTS, SEEDS, st.integers(1, 10))
def test_requantizing_keeps_every_value_that_fits(count: int, seed: int, most: int) -> None:
    planes = trained(count, seed, 4, 3)
    found = requantized(planes, most)
    assert found.count in (count, min(count + 1, max(most, count)))
    assert set(found.positive.unique().tolist()) <= {0.0, 1.0}
    torch.testing.assert_close(found.step(), planes.step(), rtol=1e-5, atol=0)
    codes = planes.codes()
    assert torch.equal(found.codes(), codes.clamp(1 - 2**found.count, 2**found.count - 1))
    if count < most:
        assert torch.equal(found.codes(), codes)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-31, 31), min_size=1, max_size=8), st.integers(0, 3), st.integers(0, 3))
def test_adjusting_changes_the_planes_and_not_the_weight(codes: list[int], top: int, bottom: int) -> None:
    count = 5 + top + bottom
    before = binary([code << bottom for code in codes], count)
    after = adjusted(before)
    torch.testing.assert_close(after.weight(), before.weight(), rtol=1e-5, atol=1e-7)
    joined = 0
    for code in codes:
        joined |= abs(code)
    # As many planes as lie between the highest and the lowest bit that any weight has.
    needed = joined.bit_length() - (joined & -joined).bit_length() + 1 if joined else 1
    assert after.count == needed
    assert after.bits() == (needed + 1 if joined else 0)
    assert adjusted(after).count == after.count


def test_bits_count_the_sign() -> None:
    planes = binary([3, -1], 2)
    assert planes.bits() == 3
    assert planes.bits(sign_bit=False) == 2
    assert binary([0, 0], 2).bits() == 0


def test_planes_are_kept_between_zero_and_two_and_the_scale_is_left_alone() -> None:
    planes = BitPlanes(torch.tensor([[-0.5, 2.5]]), torch.tensor([[1.5, -3.0]]), torch.tensor(-0.1))
    planes.keep_valid_()
    assert planes.positive.tolist() == [[0.0, 2.0]]
    assert planes.negative.tolist() == [[1.5, 0.0]]
    assert float(planes.scale) == pytest.approx(-0.1)


@settings(max_examples=60, deadline=None)
@given(COUNTS, SEEDS)
def test_fine_tuning_begins_and_ends_with_the_same_weight(count: int, seed: int) -> None:
    planes = BitPlanes.of_weight(torch.randn(3, 4, generator=generator(seed)), count)
    whole = WholeWeight.of_planes(planes)
    torch.testing.assert_close(whole.weight(), planes.weight(), rtol=1e-6, atol=1e-7)
    back = whole.to_planes()
    assert torch.equal(back.positive, planes.positive)
    assert torch.equal(back.negative, planes.negative)
    assert torch.equal(back.scale, planes.scale)


def test_a_weight_without_bits_stays_zero() -> None:
    whole = WholeWeight.of_planes(binary([0, 0], 1))
    assert whole.bits == 0
    moved = WholeWeight(whole.value + 0.9, whole.scale, whole.bits)
    assert not bool(moved.weight().any())
    assert moved.to_planes().bits() == 0
    assert BitPlanes.of_weight(torch.zeros(3), 4).bits() == 0


def test_a_compiled_step_gives_the_same_gradients() -> None:
    planes = trained(4, 3, 5, 6)

    def loss(p: Tensor, n: Tensor, scale: Tensor) -> Tensor:
        return represented(p, n, scale).square().sum() + weighted_group_lasso([(p, n)])

    results = []
    for function in (loss, torch.compile(loss, backend="aot_eager", fullgraph=True)):
        p, n, scale = (part.clone().requires_grad_() for part in (planes.positive, planes.negative, planes.scale))
        function(p, n, scale).backward()
        results.append((p.grad, n.grad, scale.grad))
    for eager, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, eager)


@pytest.mark.parametrize("count", [0, 24, -1])
def test_impossible_numbers_of_planes_are_refused(count: int) -> None:
    with pytest.raises(SuiteError, match="planes of bits"):
        BitPlanes.of_weight(torch.ones(2), count)
