"""Quantizers, PACT's activations: the largest value that is kept is learned, and the step follows from it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from suite.quantizers.grids import SMALLEST_STEP
from suite.quantizers.quantizer import Quantizer
from suite.quantizers.tanh_weights import straight_through


class _Clip(torch.autograd.Function):
    """clip(x, -a or 0, a): dy/dx = [low <= x <= a], ends included; dL/da = sum over x >= a, minus that over x <= -a."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, limit: Tensor, signed: bool) -> Tensor:
        ctx.save_for_backward(x, limit)
        ctx.signed = signed
        low = -limit if signed else torch.zeros_like(limit)
        return torch.minimum(torch.maximum(x, low), limit)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (gradient,) = gradients
        x, limit = ctx.saved_tensors
        low = -limit if ctx.signed else torch.zeros_like(limit)
        above = (x >= limit).to(gradient.dtype)
        if ctx.signed:
            above = above - (x <= low).to(gradient.dtype)
        inside = ((x >= low) & (x <= limit)).to(gradient.dtype)
        return gradient * inside, (gradient * above).sum_to_size(limit.shape), None


def learned_clip(x: Tensor, limit: Tensor, *, signed: bool = False) -> Tensor:
    """clip(x, 0, limit), or clip(x, -limit, limit) where `signed`, with PACT's gradients. `limit` broadcasts."""
    result: Tensor = _Clip.apply(x, limit, signed)  # type: ignore[no-untyped-call]
    return result


class LearnedClip(nn.Module):
    """Stands in the place of a symmetric activation quantizer: y = Q(clip(x, 0, a)) with step a / (2^b - 1).

    The gradient of a is that of clipping alone, 1 where x >= a; rounding is passed straight through and adds nothing to
    it, unlike a learned step. On a signed grid values are clipped to [-a, a].
    """

    def __init__(self, quantizer: Quantizer, start: float) -> None:
        super().__init__()
        self.quantizer = quantizer
        self.limit = nn.Parameter(torch.full_like(quantizer.scale, start))

    @property
    def scale(self) -> Tensor:
        """The step that follows from the limit."""
        return self.limit.detach() / self.quantizer.spec.step_divisor()

    def forward(self, x: Tensor) -> Tensor:
        quantizer = self.quantizer
        if not quantizer.enabled:
            return x
        clipped = learned_clip(x, self.limit, signed=quantizer.spec.signed)
        self.place()
        return straight_through(clipped, quantizer(clipped.detach()))

    @torch.no_grad()
    def place(self) -> None:
        """Give the quantizer inside the grid that ends at the limit."""
        limit = self.limit.detach().clamp(min=SMALLEST_STEP)
        self.quantizer.scale = limit / self.quantizer.spec.step_divisor()
        self.quantizer.zero_point = torch.zeros_like(limit)

    @torch.no_grad()
    def keep_positive(self) -> None:
        """Turn back a limit that crossed zero, after an update."""
        self.limit.abs_().clamp_(min=SMALLEST_STEP)
