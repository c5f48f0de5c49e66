"""Quantizers, precisions learned by noise: from real precisions to whole numbers of bits, none at all among them."""

from __future__ import annotations

from enum import StrEnum

import torch
from torch import Tensor

from suite.quantizers.noise_precision.grid import FINEST_PRECISION, Span
from suite.quantizers.noise_precision.maps import noise_half_width, precision_of

REMOVABLE_BELOW = 1.5
"""Only weights that would be rounded to one bit may be removed."""


class PrecisionRounding(StrEnum):
    """How a real precision becomes a whole one."""

    NEAREST = "nearest"  # ceil(p - 1/2): halves go down
    CEIL = "ceil"  # never less than what was learned


@torch.no_grad()
def rounded_precision(s: Tensor, rounding: PrecisionRounding = PrecisionRounding.NEAREST) -> Tensor:
    """The whole precisions of learned numbers s, from 1 to the most that a weight on a grid can have."""
    precision = precision_of(s)
    if rounding is PrecisionRounding.NEAREST:
        precision = precision - 0.5
    return precision.ceil().clamp(1, FINEST_PRECISION)


@torch.no_grad()
def tolerates_zero(theta: Tensor, s: Tensor, span: Span = Span.TWO) -> Tensor:
    """Which weights may be removed, which is a precision of zero: p < 3/2, and |θ| ≤ c σ(s).

    Zero then lies among the values that the weight took under noise, so the loss was trained to tolerate it.
    """
    return (precision_of(s) < REMOVABLE_BELOW) & (theta.abs() <= span.half * noise_half_width(s))
