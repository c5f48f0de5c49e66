"""Quantizers, precisions learned by noise: which precisions a quantized weight shows, when nobody says its scale."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from suite.quantizers.noise_precision.grid import observed_precision, smallest_scale

WHOLE = 2.0**-10
"""How far from a whole number a value over a step may be, in steps."""


@torch.no_grad()
def common_unit(values: Tensor, step: float) -> float | None:
    """The largest number of which all values are whole multiples, given one such number; 0 where all are zero.

    None where they are no multiples of `step` after all.
    """
    ratios = values.double() / step
    codes = ratios.round()
    if not bool(ratios.isfinite().all()) or bool(((ratios - codes).abs() > WHOLE).any()):
        return None
    return step * float(np.gcd.reduce(codes.abs().long().flatten().cpu().numpy(), initial=0))


@torch.no_grad()
def precision_shown(values: Tensor, unit: float) -> Tensor:
    """The fewest bits of each value, which are whole multiples of their common `unit`; 0 for 0.

    The scale is the smallest that holds the largest value. Infinity stands where that takes more than the finest grid.
    """
    largest = float(values.abs().amax()) if values.numel() else 0.0
    if not largest:
        return torch.zeros_like(values)
    return observed_precision(values.double() / smallest_scale(unit, largest)).to(values.dtype)
