"""The operation: grids and gradients, against an element-by-element oracle in plain Python numbers."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.quantizers import GradientMask, fake_quantize

CR, RC = GradientMask.CLIP_THEN_ROUND, GradientMask.ROUND_THEN_CLIP
LIMITS = [(-7, 7), (-8, 7), (0, 15), (-1, 1), (-127, 127), (0, 1)]


def oracle(
    x: float, s: float, z: int, qmin: int, qmax: int, mask: GradientMask
) -> tuple[float, float, float]:  # value, dv/dx, dv/ds
    """One number, from the printed formulas; Python's round is to nearest, ties to even."""
    ratio = x / s
    code = min(max(round(ratio) + z, qmin), qmax)
    judged = ratio + z if mask is CR else round(ratio) + z
    inside = qmin <= judged <= qmax
    return s * (code - z), float(inside), (code - z) - (ratio if inside else 0.0)


@pytest.mark.parametrize("mask", [CR, RC])
@pytest.mark.parametrize(("limits", "z"), [(limits, z) for limits in LIMITS for z in (0, min(3, limits[1]))])
def test_values_and_gradients_equal_the_oracle(limits: tuple[int, int], z: int, mask: GradientMask) -> None:
    qmin, qmax = limits
    # Quarters of a step, so that ties, limits and both sides of every half step occur exactly.
    reach = 4 * (qmax + 3 + abs(z))
    numbers = torch.arange(-reach, reach + 1, dtype=torch.float64) / 4 * 0.5
    x = numbers.clone().requires_grad_()
    s = torch.full_like(numbers, 0.5).requires_grad_()  # one step per element shows every element's gradient
    y = fake_quantize(x, s, torch.full_like(numbers, float(z)) if z else None, qmin, qmax, mask=mask)
    y.sum().backward()
    expected = torch.tensor([oracle(number, 0.5, z, qmin, qmax, mask) for number in numbers.tolist()]).double()
    assert torch.equal(y, expected[:, 0])
    assert x.grad is not None
    assert s.grad is not None
    assert torch.equal(x.grad, expected[:, 1])
    torch.testing.assert_close(s.grad, expected[:, 2], rtol=0, atol=1e-12)


def test_orders_differ_only_within_half_a_step_outside_the_limits() -> None:
    x = torch.linspace(-6, 6, 481, dtype=torch.float64)
    gradients = []
    for mask in (CR, RC):
        leaf = x.clone().requires_grad_()
        fake_quantize(leaf, torch.tensor(0.5, dtype=torch.float64), None, -8, 7, mask=mask).sum().backward()
        assert leaf.grad is not None
        gradients.append(leaf.grad)
    differing = x[gradients[0] != gradients[1]] / 0.5
    assert differing.numel() > 0
    assert bool((((differing > 7) & (differing <= 7.5)) | ((differing < -8) & (differing >= -8.5))).all())


def test_learned_zero_point_moves_only_clipped_values() -> None:
    x = torch.tensor([-3.0, 0.4, 9.0], dtype=torch.float64)
    z = torch.tensor(2.3, dtype=torch.float64, requires_grad=True)
    y = fake_quantize(x, torch.tensor(1.0, dtype=torch.float64), z, 0, 7, step_gradient=0.25)
    assert y.tolist() == [-2.0, 0.0, 5.0]  # z rounds to 2
    y.backward(torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64))
    assert z.grad is not None
    assert z.grad.item() == pytest.approx(-(1.0 + 100.0) * 0.25)


def test_binary_grid_has_two_values_and_no_zero() -> None:
    x = torch.tensor([-3.0, -0.2, 0.0, 0.2, 3.0], requires_grad=True)
    s = torch.tensor(0.5, requires_grad=True)
    y = fake_quantize(x, s, None, -1, 1, binary=True)
    assert y.tolist() == [-0.5, -0.5, 0.5, 0.5, 0.5]
    y.sum().backward()
    assert x.grad is not None
    assert s.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
    # inside k - r: (-1 + .4) + (1 - 0) + (1 - .4); outside -1 + 1
    assert s.grad.item() == pytest.approx(1.0)


def surrogate(x: float, s: float, qmin: int, qmax: int, shift: float) -> float:
    """The function whose derivative the straight-through rule is: rounding replaced by a frozen shift."""
    return s * (min(max(x / s, qmin), qmax) + shift)


@given(
    x=st.floats(-4, 4), s=st.floats(0.05, 2.0), limits=st.sampled_from(LIMITS), mask=st.sampled_from([CR, RC])
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_gradients_equal_finite_differences_away_from_jumps(
    x: float, s: float, limits: tuple[int, int], mask: GradientMask
) -> None:
    qmin, qmax = limits
    ratio, h = x / s, 1e-6
    if min(abs(ratio - limit) for limit in limits) < 0.51:
        return  # at the limits the two orders differ on purpose; the oracle test holds them there
    clipped = min(max(ratio, qmin), qmax)
    shift = round(clipped) - clipped
    leaf, step = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (x, s))
    y = fake_quantize(leaf, step, None, qmin, qmax, mask=mask)
    assert y.item() == pytest.approx(surrogate(x, s, qmin, qmax, shift), abs=1e-12)
    y.backward()
    assert leaf.grad is not None
    assert step.grad is not None
    along_x = (surrogate(x + h, s, qmin, qmax, shift) - surrogate(x - h, s, qmin, qmax, shift)) / (2 * h)
    along_s = (surrogate(x, s + h, qmin, qmax, shift) - surrogate(x, s - h, qmin, qmax, shift)) / (2 * h)
    assert leaf.grad.item() == pytest.approx(along_x, abs=1e-6)
    assert step.grad.item() == pytest.approx(along_s, rel=1e-4, abs=1e-4)


@given(
    values=st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=40),
    s=st.floats(0.0625, 3.0, width=32),
    limits=st.sampled_from(LIMITS),
    shift=st.integers(0, 7),
    mask=st.sampled_from([CR, RC]),
)
@settings(max_examples=150, deadline=None)
def test_grid_properties(
    values: list[float], s: float, limits: tuple[int, int], shift: int, mask: GradientMask
) -> None:
    qmin, qmax = limits
    z = min(qmin + shift, qmax)
    x, step = torch.tensor(values).sort().values, torch.tensor(s)
    zero_point = torch.tensor(float(z))
    y = fake_quantize(x, step, zero_point, qmin, qmax, mask=mask)
    codes = (y.double() / step.double()).round() + z
    assert torch.equal(((codes - z) * step.double()).float(), y)  # on the grid
    assert bool(((codes >= qmin) & (codes <= qmax)).all())
    assert y.unique().numel() <= qmax - qmin + 1
    assert bool((y.diff() >= 0).all())  # monotone
    assert torch.equal(fake_quantize(y, step, zero_point, qmin, qmax, mask=mask), y)  # idempotent
    assert fake_quantize(torch.zeros(()), step, zero_point, qmin, qmax, mask=mask).item() == 0.0
    inside = (x >= s * (qmin - z)) & (x <= s * (qmax - z))
    assert bool(((y - x).abs()[inside] <= s / 2 * (1 + 1e-5)).all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_result_has_the_type_of_the_input(dtype: torch.dtype) -> None:
    x = torch.linspace(-1, 1, 12, dtype=dtype).reshape(3, 4).requires_grad_()
    y = fake_quantize(x, torch.full((3, 1), 0.125), None, -7, 7)
    y.sum().backward()
    assert y.dtype == dtype
    assert x.grad is not None
    assert x.grad.dtype == dtype


def test_backward_keeps_only_the_input_and_the_step() -> None:
    x, step = torch.randn(64, 64, requires_grad=True), torch.tensor(0.2, requires_grad=True)
    kept: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        fake_quantize(x, step, None, -7, 7, mask=CR)
    assert {tensor.data_ptr() for tensor in kept} == {x.data_ptr(), step.data_ptr()}


def test_compiled_equals_eager() -> None:
    def run(x: torch.Tensor, s: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        first = fake_quantize(x.relu(), s, None, 0, 15, mask=CR, step_gradient=0.1)
        return fake_quantize(first - x, s, z, 0, 15, mask=RC)

    torch.manual_seed(0)
    x, weights = torch.randn(4, 32), torch.randn(4, 32)
    results = []
    for function in (run, torch.compile(run, fullgraph=True, backend="aot_eager")):
        leaf, step = x.clone().requires_grad_(), torch.tensor(0.2, requires_grad=True)
        y = function(leaf, step, torch.tensor(4.0))
        y.backward(weights)
        results.append((y.detach(), leaf.grad, step.grad))
    eager, compiled = results
    assert torch.equal(eager[0], compiled[0])
    assert torch.equal(eager[1], compiled[1])
    torch.testing.assert_close(eager[2], compiled[2], rtol=1e-5, atol=1e-6)


def test_oracle_is_independent_of_float32() -> None:
    """The oracle itself: a hand-worked table, so that a slip there cannot hide one in the code."""
    rows = [
        (0.25, 0.5, 0, -8, 7, CR, (0.0, 1.0, -0.5)),  # tie rounds to even
        (0.75, 0.5, 0, -8, 7, CR, (1.0, 1.0, 0.5)),
        (3.6, 0.5, 0, -8, 7, CR, (3.5, 0.0, 7.0)),
        (3.6, 0.5, 0, -8, 7, RC, (3.5, 1.0, 7.0 - 7.2)),
        (-9.0, 0.5, 3, 0, 15, RC, (-1.5, 0.0, -3.0)),
    ]
    for x, s, z, qmin, qmax, mask, expected in rows:
        assert all(
            math.isclose(a, b, abs_tol=1e-12)
            for a, b in itertools.zip_longest(oracle(x, s, z, qmin, qmax, mask), expected)
        )
