"""Quantizers, planes of bits: the rounding of whole weights, whose gradient passes everywhere, beyond limits too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def round_in_unit_range(x: Tensor, bits: int) -> Tensor:
    """Rounded magnitudes: y = round(clip(x, -1, 1) q) / q with q = 2^n - 1.

    n bits and a sign give 2^(n+1) - 1 levels, no bits zeros. The gradient dy/dx = 1 holds beyond the limits too.
    """
    rounded: Tensor = _RoundInUnitRange.apply(x, bits)  # type: ignore[no-untyped-call]
    return rounded


class _RoundInUnitRange(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: int) -> Tensor:
        if bits == 0:
            return torch.zeros_like(x)
        largest = 2**bits - 1
        y: Tensor = torch.round(x.clamp(-1.0, 1.0) * largest) / largest
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None
