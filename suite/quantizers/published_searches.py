"""Quantizers, searches as published code runs them: same candidates, same score, so that results can be compared.

They differ from the suite's own `mse` rule on purpose: the exponent 2.4, ranges that need not contain zero, zero points
that move with the candidate. All work on rows [R, N] and give one result per row.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from suite.quantizers.grids import Parameters, asymmetric_parameters
from suite.quantizers.search import best_candidate

BRECQ_FACTORS = 80
QDROP_WIDTHS = 100
ERROR_EXPONENT = 2.4
BRECQ_SMALLEST_STEP = 1e-8


class FoundRange(NamedTuple):
    """The best range and the grid that covers it; zero points are zeros on symmetric grids."""

    low: Tensor
    high: Tensor
    scale: Tensor
    zero_point: Tensor


def brecq_min_max(rows: Tensor, bits: int, *, symmetric: bool, factor: float = 1.0) -> Parameters:
    """BRECQ's `max`: [min(v, 0), max(v, 0)] times `factor`, codes 0 ... 2^bits - 1, zero point not clamped.

    The symmetric form widens the range to +-max|v|, or to [0, max|v|] where nothing is negative. `max_scale` is this
    with factor (bits + 2) / 8. Computed in float64, as there: -low / s of a symmetric range is a rounding tie.
    """
    low, high = (end.double() for end in _ends(rows))
    low, high = low.clamp(max=0.0) * factor, high.clamp(min=0.0) * factor
    if symmetric:
        magnitude = torch.maximum(-low, high)
        low, high = torch.where(low < 0, -magnitude, 0.0), magnitude
    scale, zero_point = _brecq_parameters(low, high, bits)
    return Parameters(scale.to(rows.dtype), zero_point.to(rows.dtype))


def brecq_search(rows: Tensor, bits: int) -> Parameters:
    """BRECQ's `mse`: [min, max] (not extended to zero) times 1.00, 0.99 ... 0.21, lowest mean |v - v^|^2.4 wins."""
    low, high = _ends(rows)
    factors = torch.tensor([1.0 - 0.01 * index for index in range(BRECQ_FACTORS)], dtype=rows.dtype, device=rows.device)
    candidates = Parameters(*_brecq_parameters(low[:, None] * factors, high[:, None] * factors, bits))
    return _best(rows, candidates, 0, (1 << bits) - 1, ERROR_EXPONENT)


def qdrop_search(rows: Tensor, qmin: int, qmax: int, *, symmetric: bool) -> FoundRange:
    """QDrop's `MSEObserver`: 100 thresholds, or 100 widths with every zero point, score mean |v - v^|^2.4.

    Symmetric grids, and data with one sign, need only a threshold t: [-t, t], [0, t] or [-t, 0]. Whether data are
    one-sided is decided on all rows together. Two-sided data on an asymmetric grid try widths w with all ranges that
    put zero on one of the codes.
    """
    low, high = _ends(rows)
    steps = torch.arange(1, QDROP_WIDTHS + 1, dtype=rows.dtype, device=rows.device)
    positive, negative = bool((low >= 0).all()), bool((high <= 0).all())
    if symmetric or positive or negative:
        thresholds = torch.maximum(low.abs(), high)[:, None] / QDROP_WIDTHS * steps
        zeros = torch.zeros_like(thresholds)
        lows, highs = zeros if positive else -thresholds, zeros if negative else thresholds
    else:
        widths = (high - low)[:, None] / QDROP_WIDTHS * steps
        step = widths / float(qmax - qmin)
        codes = torch.arange(qmin, qmax + 1, dtype=rows.dtype, device=rows.device)
        lows = (0.0 - codes * step[:, :, None]).flatten(1)
        highs = (widths[:, :, None] - codes * step[:, :, None]).flatten(1)
    if symmetric:
        scales = torch.maximum(-lows, highs) / (float(qmax - qmin) / 2)
        candidates = Parameters(scales.clamp(min=float(torch.finfo(rows.dtype).eps)), None)
    else:
        candidates = asymmetric_parameters(lows, highs, qmin, qmax)
    choice = best_candidate(rows, candidates.scale, candidates.zero_point, qmin, qmax, power=ERROR_EXPONENT)
    index = choice.candidate[:, None]
    zero_points = torch.zeros_like(candidates.scale) if candidates.zero_point is None else candidates.zero_point
    picked = (table.gather(1, index)[:, 0] for table in (lows, highs, candidates.scale, zero_points))
    return FoundRange(*picked)


def shrink_search(
    rows: Tensor, low: Tensor, high: Tensor, qmin: int, qmax: int, *, factors: int = 90, power: float = 2.0
) -> Parameters:
    """FQ-ViT's `omse`: [low, high] times 1.00, 0.99 ... on an asymmetric grid, zero point found anew for each."""
    shrink = torch.tensor([1.0 - 0.01 * index for index in range(factors)], dtype=rows.dtype, device=rows.device)
    candidates = asymmetric_parameters(low[:, None] * shrink, high[:, None] * shrink, qmin, qmax)
    return _best(rows, candidates, qmin, qmax, power)


def _ends(rows: Tensor) -> tuple[Tensor, Tensor]:
    return rows.amin(1), rows.amax(1)


def _brecq_parameters(low: Tensor, high: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    scale = ((high - low) / float((1 << bits) - 1)).clamp(min=BRECQ_SMALLEST_STEP)
    return scale, (-low / scale).round()


def _best(rows: Tensor, candidates: Parameters, qmin: int, qmax: int, power: float) -> Parameters:
    assert candidates.zero_point is not None
    index = best_candidate(rows, candidates.scale, candidates.zero_point, qmin, qmax, power=power).candidate[:, None]
    return Parameters(candidates.scale.gather(1, index)[:, 0], candidates.zero_point.gather(1, index)[:, 0])
