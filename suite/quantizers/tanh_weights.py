"""Quantizers, DoReFa's weights: a transform in front of a quantizer, folded into the stored weight at the end."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from suite.quantizers.grids import SMALLEST_STEP, parameters_from_range
from suite.quantizers.layout import from_rows, to_rows
from suite.quantizers.quantizer import Quantizer


class TanhWeights(nn.Module):
    """Stands in the place of a weight quantizer while the weight is trained.

    With t = tanh w, and M the largest |t| of all weights that share a step, a constant to the gradient:

        rescaled     ŵ = Q(t) on the grid of [-M, M]      dŵ/dw = 1 - t²
        unit range   ŵ = Q(t / M) on that of [-1, 1]      dŵ/dw = 1
        1 bit        ŵ = sign(w) mean|w|                  dŵ/dw = 1

    On a grid without zero Q(t) = M (2 round((t / 2M + 1/2) (2^b - 1)) / (2^b - 1) - 1), which is the published form.
    The final weight is ŵ itself, which the quantizer inside maps to itself.
    """

    def __init__(self, quantizer: Quantizer, *, rescaled: bool) -> None:
        super().__init__()
        self.quantizer = quantizer
        self.rescaled = rescaled

    def forward(self, weight: Tensor) -> Tensor:
        quantizer = self.quantizer
        if not quantizer.enabled:
            return weight
        if quantizer.spec.binary:
            self._place(self._shared(weight.detach().abs(), torch.mean))
            return straight_through(weight, quantizer(weight.detach()))
        transformed = torch.tanh(weight)
        largest = self._shared(transformed.detach().abs(), torch.amax)
        if self.rescaled:
            self._place(largest)
            # Nothing is clipped; the quotient of the largest may still fall an ulp outside, and must pass all the same.
            return straight_through(transformed, quantizer(transformed.detach()))
        self._place(torch.ones_like(largest))
        unit = transformed.detach() / largest.clamp(min=SMALLEST_STEP)
        return straight_through(weight, quantizer(unit))

    def _shared(self, magnitude: Tensor, reduce: object) -> Tensor:
        """One value for all weights that share a step, in the shape of the scale."""
        spec = self.quantizer.spec
        return from_rows([reduce(rows, 1) for rows in to_rows(magnitude, spec)], magnitude.shape, spec)  # type: ignore[operator]

    def _place(self, largest: Tensor) -> None:
        scale, _ = parameters_from_range(-largest, largest, self.quantizer.spec)
        self.quantizer.scale = scale
        self.quantizer.zero_point = torch.zeros_like(scale)


class _StraightThrough(torch.autograd.Function):
    """The value of the second tensor, the gradient of the first."""

    @staticmethod
    def forward(ctx: object, followed: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def straight_through(followed: Tensor, value: Tensor) -> Tensor:
    """`value` exactly, with the gradient passed to `followed` as it is; v + (q - v) would lose the last digits."""
    result: Tensor = _StraightThrough.apply(followed, value)  # type: ignore[no-untyped-call]
    return result
