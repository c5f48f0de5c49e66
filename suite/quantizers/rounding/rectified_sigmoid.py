"""Quantizers, learned rounding: the rectified sigmoid of AdaRound, what it adds to a weight, and its regularizer.

h(V) = clip(sigmoid(V) (zeta - gamma) + gamma, 0, 1) with zeta = 1.1 and gamma = -0.1 reaches 0 and 1 at finite V, where
its gradient is zero.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

GAMMA = -0.1
ZETA = 1.1
STRETCH = ZETA - GAMMA
# Its power is zero, for every exponent that a schedule gives.
SMALLEST_MAGNITUDE = 1e-30
# The sigmoids at which h reaches 0 and 1.
LOWEST = -GAMMA / STRETCH
HIGHEST = (1 - GAMMA) / STRETCH


def rectified_sigmoid(v: Tensor) -> Tensor:
    """The rectified sigmoid h(V), by plain operations."""
    return (torch.sigmoid(v) * STRETCH + GAMMA).clamp(0.0, 1.0)


def inverse_rectified_sigmoid(fraction: Tensor) -> Tensor:
    """V with h(V) = fraction in [0, 1]: V = -ln((zeta - gamma) / (fraction - gamma) - 1)."""
    return -torch.log(STRETCH / (fraction - GAMMA) - 1)


class _Interpolate(torch.autograd.Function):
    """The sum offset + reach h(V), with dh/dV = (zeta - gamma) sigmoid' where 0 <= h <= 1."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, offset: Tensor, reach: Tensor) -> Tensor:
        sigmoid = torch.sigmoid(v)
        ctx.save_for_backward(sigmoid, reach)
        return torch.addcmul(offset, reach, sigmoid.mul(STRETCH).add_(GAMMA).clamp_(0.0, 1.0))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        sigmoid, reach = ctx.saved_tensors
        inside = sigmoid.clamp(LOWEST, HIGHEST).eq_(sigmoid)
        slope = torch.ops.aten.sigmoid_backward(gradients[0], sigmoid)
        return slope.mul_(inside).mul_(reach * STRETCH), None, None


class _Regularizer(torch.autograd.Function):
    """sum(1 - |2 h(V) - 1|^beta), and its gradient in the same pass: powers are what costs, and one is enough.

    With u = 2 h - 1 and q = |u|^(beta - 1): the sum is N - sum(q |u|), its gradient -2 beta q sign(u) dh/dV.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, beta: Tensor) -> Tensor:
        sigmoid = torch.sigmoid(v)
        u = sigmoid.mul(2 * STRETCH).add_(2 * GAMMA - 1).clamp_(-1.0, 1.0)
        magnitude = u.abs()
        # By logarithm and exponential, which a compiled loop computes in two thirds of the time of a power.
        q = magnitude.clamp(min=SMALLEST_MAGNITUDE).log_().mul_(beta - 1).exp_()
        total = v.numel() - (q * magnitude).sum()
        # Where h is 0 or 1 the magnitude is 1 and the gradient stops.
        inside = magnitude.lt_(1.0)
        slope = torch.ops.aten.sigmoid_backward(q.mul_(u.sign_()), sigmoid).mul_(inside)
        ctx.save_for_backward(slope.mul_(beta * (-2 * STRETCH)))
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return slope * gradients[0], None


def interpolate(v: Tensor, offset: Tensor, reach: Tensor) -> Tensor:
    """The sum offset + reach h(V), differentiable in V."""
    result: Tensor = _Interpolate.apply(v, offset, reach)  # type: ignore[no-untyped-call]
    return result


def regularizer(v: Tensor, beta: Tensor | float) -> Tensor:
    """sum(1 - |2 h(V) - 1|^beta), differentiable in V; a tensor `beta` changes without a new compilation."""
    beta = torch.as_tensor(beta, dtype=v.dtype, device=v.device)
    result: Tensor = _Regularizer.apply(v, beta)  # type: ignore[no-untyped-call]
    return result
