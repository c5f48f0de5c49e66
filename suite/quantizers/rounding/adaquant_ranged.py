"""Quantizers, learned rounding: AdaQuant as its public code has it, the weight itself and its range being learned."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from suite.errors import SuiteError
from suite.quantizers.fake_quantization import fake_quantize
from suite.quantizers.grids import SMALLEST_STEP
from suite.quantizers.quantizer import Quantizer
from suite.quantizers.rounding.base import LearnedRounding
from suite.quantizers.spec import GradientMask


def range_and_minimum(x: Tensor, *, per_channel: bool) -> tuple[Tensor, Tensor]:
    """max(x, 0) - min(x, 0) and min(x, 0), of the whole tensor or per index of axis 0, broadcasting against x."""
    axes = tuple(range(1 if per_channel else 0, x.dim()))
    minimum = x.amin(axes, keepdim=per_channel).clamp(max=0.0)
    return x.amax(axes, keepdim=per_channel).clamp(min=0.0) - minimum, minimum


def ranged_zero_point(step: Tensor, minimum: Tensor, top: float) -> Tensor:
    """The zero point z = clip(round(-minimum / step), 0, top), the rounding passed straight through."""
    exact = -minimum / step
    return (exact + (exact.round() - exact).detach()).clamp(0.0, top)


def ranged_fake_quantize(
    x: Tensor, step: Tensor, minimum: Tensor, top: float, *, mask: GradientMask = GradientMask.CLIP_THEN_ROUND
) -> Tensor:
    """Values s (clip(round(x / s) + z, 0, top) - z) with z = clip(round(-minimum / s), 0, top), s = range / top.

    Differentiable in x, in the step (hence in the range) and in the minimum, which acts through z on what is clipped.
    """
    return fake_quantize(x, step, ranged_zero_point(step, minimum, top), 0.0, top, mask=mask)


class RangedAdaQuant(LearnedRounding):
    """W^ = s (clip(round(W / s) + z, 0, n) - z), s = range / n, z = clip(round(-minimum / s), 0, n), n = 2^bits - 1.

    The weight itself takes the part of W + V; range and minimum are learned beside it. Asymmetric grids only.
    """

    starting_range: Tensor

    def __init__(self, weight: Tensor, quantizer: Quantizer, *, weight_rate_ratio: float = 0.01) -> None:
        super().__init__(weight, quantizer)
        spec = self.spec
        if spec.symmetric:
            raise SuiteError("the public form of AdaQuant learns a minimum", hint="use asymmetric weights")
        self.weight_rate_ratio = weight_rate_ratio
        self.top = float(spec.qmax - spec.qmin)
        self.w = nn.Parameter(weight.detach().to(self.ratio.dtype).clone())
        self.range = nn.Parameter(self.scale * self.top)
        self.minimum = nn.Parameter((spec.qmin - self.zero_point) * self.scale)
        self.keep("starting_range", self.range.detach().clone())

    def forward(self, weight: Tensor) -> Tensor:
        return ranged_fake_quantize(self.w, self._step(), self.minimum, self.top, mask=self.spec.mask)

    @torch.no_grad()
    def hard_codes(self) -> Tensor:
        step = self._step()
        zero_point = self._zero_point(step)
        code = (self.w / step).round()
        return torch.minimum(torch.maximum(code, -zero_point), self.top - zero_point)

    @torch.no_grad()
    def final_scale(self) -> Tensor:
        return self._step().clone()

    @torch.no_grad()
    def final_zero_point(self) -> Tensor:
        return self._zero_point(self._step()) + self.spec.qmin

    def parameter_groups(self, rate: float) -> list[dict[str, Any]]:
        """Range and minimum at `rate`, the weight at `rate` times the ratio; in their own units (1e-3, 1e-5 there)."""
        return [
            {"params": [self.w], "lr": rate * self.weight_rate_ratio},
            {"params": [self.range, self.minimum], "lr": rate},
        ]

    @torch.no_grad()
    def keep_valid(self) -> None:
        """The range stays positive, and the minimum below or at zero, so that zero stays on the grid."""
        self.range.clamp_(min=SMALLEST_STEP * self.top)
        self.minimum.clamp_(max=0.0)

    def _step(self) -> Tensor:
        # s0 (range / range0) and not range / n: an untouched range then gives the quantizer's own step, bit for bit.
        return self.scale * (self.range / self.starting_range)

    def _zero_point(self, step: Tensor) -> Tensor:
        return ranged_zero_point(step, self.minimum, self.top).round()
