"""Quantizers, precisions learned by noise: activations of the fine-tuning phase, on a grid over half of their range."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CEILING = 6.0


def half_range(x: Tensor, bits: int, ceiling: float = CEILING) -> Tensor:
    """ReLU6 and 2^b equal steps over the lower half of [0, 6]: at 4 bits the values 0, 0.2 … 3.0.

    v̂ = s round(min(max(x, 0), 3) / s) with s = 3 / (2^b - 1). The gradient passes straight through the quantization,
    also where it cuts off: it is that of the bounded activation function, 1 for 0 ≤ x ≤ 6 and else 0.
    """
    return _HalfRange.apply(x, bits, ceiling)  # type: ignore[no-any-return, no-untyped-call]


class _HalfRange(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: int, ceiling: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.ceiling = ceiling
        step = ceiling / 2 / (2**bits - 1)
        values: Tensor = torch.round(x.clamp(0.0, ceiling / 2) / step) * step
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return gradients[0] * ((x >= 0) & (x <= ctx.ceiling)), None, None
