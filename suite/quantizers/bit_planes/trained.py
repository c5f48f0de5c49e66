"""Quantizers, planes of bits: what stands in a weight quantizer's place while planes, or whole weights, are trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from suite.quantizers.bit_planes.adjustment import adjusted, requantized
from suite.quantizers.bit_planes.group_lasso import group_lasso
from suite.quantizers.bit_planes.planes import BitPlanes
from suite.quantizers.bit_planes.whole import WholeWeight
from suite.quantizers.grids import SMALLEST_STEP


class TrainedPlanes(nn.Module):
    """The weight of one layer as planes that are trained; made from a weight, whose values it reads no more."""

    def __init__(self, weight: Tensor, planes: int = 8) -> None:
        super().__init__()
        self._take(BitPlanes.of_weight(weight.detach(), planes))

    def _take(self, planes: BitPlanes) -> None:
        self.positive = nn.Parameter(planes.positive)
        self.negative = nn.Parameter(planes.negative)
        self.scale = nn.Parameter(planes.scale)

    @property
    def planes(self) -> BitPlanes:
        """The planes as they are, with gradients."""
        return BitPlanes(self.positive, self.negative, self.scale)

    def forward(self, weight: Tensor) -> Tensor:
        del weight  # handed over because a quantizer takes it
        return self.planes.weight()

    def penalty(self) -> Tensor:
        """The group lasso times the number of bits; whoever sums divides by the weights of the network."""
        return group_lasso(self.positive, self.negative) * self.positive.numel()

    def keep_valid_(self) -> None:
        """After an update: planes are brought back into [0, 2], and a scale that crossed zero is turned back."""
        self.planes.keep_valid_()
        keep_positive_(self.scale)

    @torch.no_grad()
    def adjust(self, most_planes: int = 8) -> int:
        """Resolve carries, drop empty planes, and say how many are left. The parameters are new ones afterwards."""
        self._take(adjusted(requantized(self.planes, most_planes)))
        return self.planes.count


class TrainedWhole(nn.Module):
    """The weight of one layer as numbers that are rounded to bits and a sign in every pass, at fixed precision."""

    def __init__(self, planes: BitPlanes) -> None:
        super().__init__()
        whole = WholeWeight.of_planes(planes)
        self.bits = whole.bits
        self.value = nn.Parameter(whole.value)
        self.scale = nn.Parameter(whole.scale)

    @property
    def whole(self) -> WholeWeight:
        """The weight as it is, with gradients."""
        return WholeWeight(self.value, self.scale, self.bits)

    def forward(self, weight: Tensor) -> Tensor:
        del weight  # handed over because a quantizer takes it
        return self.whole.weight()

    @torch.no_grad()
    def keep_valid_(self) -> None:
        """After an update: values are brought back into [-1, 1], and a scale that crossed zero is turned back."""
        self.value.clamp_(-1.0, 1.0)
        keep_positive_(self.scale)


@torch.no_grad()
def keep_positive_(scale: Tensor) -> None:
    """S <- max(|S|, machine epsilon): the grid that is left has a step above zero."""
    scale.abs_().clamp_(min=SMALLEST_STEP)
