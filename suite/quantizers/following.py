"""Quantizers, ranges that follow: in training a range is that of the tensor now, or a moving average."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from suite.quantizers.grids import parameters_from_range
from suite.quantizers.layout import from_rows, to_rows
from suite.quantizers.quantizer import Quantizer
from suite.quantizers.spec import Granularity, QuantizerSpec


class FollowingQuantizer(nn.Module):
    """Stands in the place of a static quantizer while its range follows what passes; no gradient reaches the range.

    A weight's range is that of the very weight, in training and in evaluation: low = min w, high = max w. That of an
    activation is a moving average over training batches, low ← m low + (1 − m) min x and the same for high, from where
    the initialized quantizer has its limits; in evaluation it rests.

    The quantizer inside has the range of the last tensor, and remains when the stand-in goes.
    """

    low: Tensor
    high: Tensor

    def __init__(self, quantizer: Quantizer, *, momentum: float) -> None:
        super().__init__()
        self.quantizer = quantizer
        self.momentum = momentum
        low, high = quantizer.limits()
        self.register_buffer("low", low)
        self.register_buffer("high", high)

    def forward(self, x: Tensor) -> Tensor:
        if self.quantizer.enabled and (self.quantizer.is_weight or self.training):
            self.follow(x.detach())
        result: Tensor = self.quantizer(x)
        return result

    @torch.no_grad()
    def follow(self, x: Tensor) -> None:
        """Take this tensor into the range, and give the quantizer inside the grid that covers it."""
        spec = self.quantizer.spec
        low, high = _extremes(x, spec)
        if not self.quantizer.is_weight:
            low = torch.lerp(low, self.low, self.momentum)
            high = torch.lerp(high, self.high, self.momentum)
        # New tensors, never in place: a layer that is called twice has kept the first grid for its gradient.
        self.low, self.high = low, high
        scale, zero_point = parameters_from_range(low, high, spec)
        self.quantizer.scale = scale
        self.quantizer.zero_point = torch.zeros_like(scale) if zero_point is None else zero_point


def _extremes(x: Tensor, spec: QuantizerSpec) -> tuple[Tensor, Tensor]:
    """Smallest and largest value of what shares parameters, in the shape of the scale."""
    if spec.granularity is Granularity.PER_TENSOR:
        return x.amin(), x.amax()  # as one row, an activation with its channels innermost would be copied first
    parts = to_rows(x, spec)
    low = from_rows([rows.amin(1) for rows in parts], x.shape, spec)
    high = from_rows([rows.amax(1) for rows in parts], x.shape, spec)
    return low, high
