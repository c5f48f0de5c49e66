"""Least-squares steps from ordered rows against the sums over every value."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from suite.quantizers import QuantizerSpec
from suite.quantizers.ordered import OrderedRows
from suite.quantizers.ranges import Summary, iterative_mse
from suite.quantizers.search import alternate


def made_rows(seed: int, shape: tuple[int, int]) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64) * 3 + 0.4


@given(seed=st.integers(0, 10_000), bits=st.sampled_from([1, 2, 4, 8]), asymmetric=st.booleans())
@settings(max_examples=40, deadline=None)
def test_sums_are_those_over_every_value(seed: int, bits: int, asymmetric: bool) -> None:
    rows = made_rows(seed, (3, 200))
    scale = torch.tensor([0.05, 0.7, 2.0], dtype=torch.float64)
    zero_points = torch.tensor([0.0, 1.0, 2.0**bits - 1], dtype=torch.float64) if asymmetric else None
    qmin, qmax = 0.0, 2.0**bits - 1
    ordered = OrderedRows(rows, zero_points, qmin, qmax)
    offset = torch.zeros(3, dtype=torch.float64) if zero_points is None else zero_points
    codes = (torch.round(rows / scale[:, None]) + offset[:, None]).clamp(qmin, qmax) - offset[:, None]
    along, square = ordered.products(scale)
    torch.testing.assert_close(along, (rows * codes).sum(1))
    torch.testing.assert_close(square, codes.square().sum(1))
    torch.testing.assert_close(ordered.errors(scale), (rows - scale[:, None] * codes).square().sum(1))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_way_is_the_same_with_and_without_order(bits: int) -> None:
    rows = made_rows(5, (4, 3000))
    start = rows.abs().amax(1) / (2 ** (bits - 1) - 1)
    limits = -float(2 ** (bits - 1)), float(2 ** (bits - 1) - 1)
    plain = alternate(rows, start, None, *limits)
    ordered = alternate(rows, start, None, *limits, ordered=OrderedRows(rows, None, *limits))
    assert plain.trajectory.shape == ordered.trajectory.shape
    torch.testing.assert_close(ordered.trajectory, plain.trajectory)
    torch.testing.assert_close(ordered.error, plain.error)


def test_order_pays_for_long_rows_only() -> None:
    assert OrderedRows.worthwhile(torch.empty(1, 1 << 16), 0, 255)
    assert not OrderedRows.worthwhile(torch.empty(512, 144), -7, 7)


@pytest.mark.parametrize("worthwhile", [True, False])
def test_single_precision_finds_the_same_grid(worthwhile: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = made_rows(1, (1, 50_000)).float()
    spec = QuantizerSpec(4, signed=True, symmetric=True)
    seen = Summary(rows.amin(1), rows.amax(1), rows.abs().mean(1), rows)
    monkeypatch.setattr(OrderedRows, "worthwhile", staticmethod(lambda *_: worthwhile))
    found = iterative_mse(rows, seen, spec)
    exact = rows.double()
    double = Summary(exact.amin(1), exact.amax(1), exact.abs().mean(1), exact)
    expected = iterative_mse(exact, double, spec).parameters.scale
    torch.testing.assert_close(found.parameters.scale.double(), expected, rtol=2e-4, atol=0)
