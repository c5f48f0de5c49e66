"""Quantizers, learned rounding: AdaRound, a soft choice between the two codes next to every weight."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from suite.quantizers.quantizer import Quantizer
from suite.quantizers.rounding.base import LearnedRounding
from suite.quantizers.rounding.rectified_sigmoid import interpolate, inverse_rectified_sigmoid, regularizer

# V of a weight that rounding to nearest moves down although h is one half: a tie, or the last digit of a logarithm.
JUST_BELOW_ZERO = -1e-12


class AdaRound(LearnedRounding):
    """W^ = s (clip(floor(W/s) + h(V) + z, qmin, qmax) - z), h the rectified sigmoid; s and z stay as they are.

    Start: h(V) = W/s - floor(W/s), so that no weight inside the range is rounded yet, and the hard start is rounding
    to nearest. Hard: up where V >= 0. The gradient is dW^/dV = s h'(V) for a weight between two codes of the grid, and
    zero beyond its ends.

    floor(W/s) and the limits are constants, hence W^ = offset + reach h(V): the offset is the value just below the
    weight and the reach is s, or the offset is the end of the grid and the reach is zero. On the grid {-s, +s} of one
    bit, the codes next to every weight are -1 and +1 and the reach is 2 s.
    """

    below: Tensor
    distance: Tensor
    offset: Tensor
    reach: Tensor

    def __init__(self, weight: Tensor, quantizer: Quantizer) -> None:
        super().__init__(weight, quantizer)
        spec, ratio = self.spec, self.ratio
        if spec.binary:
            below, distance = torch.full_like(ratio, -1.0), torch.full_like(ratio, 2.0)
            fraction = ((ratio + 1) / 2).clamp(0.0, 1.0)
        else:
            floor = ratio.floor()
            lowest, highest = spec.qmin - self.zero_point, spec.qmax - self.zero_point
            below = torch.minimum(torch.maximum(floor, lowest), highest)
            distance = ((floor >= lowest) & (floor < highest)).to(ratio.dtype)
            fraction = ratio - floor
        start = inverse_rectified_sigmoid(fraction)
        nearest = torch.where(self.nearest_codes() > below, start.clamp(min=0.0), start.clamp(max=JUST_BELOW_ZERO))
        self.v = nn.Parameter(torch.where(distance > 0, nearest, start))
        self.keep("below", below)
        self.keep("distance", distance)
        self.keep("offset", below * self.scale)
        self.keep("reach", distance * self.scale)

    def forward(self, weight: Tensor) -> Tensor:
        return interpolate(self.v, self.offset, self.reach)

    @torch.no_grad()
    def hard_codes(self) -> Tensor:
        return torch.addcmul(self.below, self.distance, (self.v >= 0).to(self.v.dtype))

    def penalty(self, beta: Tensor | float) -> Tensor:
        """sum(1 - |2 h(V) - 1|^beta) over all weights: zero when every one of them has decided."""
        return regularizer(self.v, beta)
