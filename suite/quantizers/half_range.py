"""Quantizers, half ranges: activations are quantized on the lower half of the range in which gradients pass."""

from __future__ import annotations

from torch import Tensor, nn

from suite.quantizers.quantizer import Quantizer
from suite.quantizers.spec import GIVEN_RANGES, RangeRule
from suite.quantizers.tanh_weights import straight_through


class HalfRange(nn.Module):
    """Stands in the place of a quantizer with the range [0, 3] (or [-3, 3]) while a network is trained.

    x̂ = Q(x), and dx̂/dx = 1 where 0 ≤ x ≤ 6 (or |x| ≤ 6) and else 0: the gradient is that of the activation function
    that ends at 6, so that what is cut off beyond 3 can still come back.
    """

    def __init__(self, quantizer: Quantizer) -> None:
        super().__init__()
        self.quantizer = quantizer
        self.ceiling = 2 * GIVEN_RANGES[quantizer.spec.range_rule]

    def forward(self, x: Tensor) -> Tensor:
        quantizer = self.quantizer
        if not quantizer.enabled:
            return x
        floor = -self.ceiling if quantizer.spec.signed else 0.0
        return straight_through(x.clamp(floor, self.ceiling), quantizer(x.detach()))


def half_range(quantizer: Quantizer) -> HalfRange | None:
    """What stands in for this quantizer while a network is trained; None where nothing does."""
    return HalfRange(quantizer) if quantizer.spec.range_rule is RangeRule.THREE else None
