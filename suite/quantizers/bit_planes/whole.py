"""Quantizers, planes of bits: one number in their place, for fine-tuning at precisions that no longer change."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from suite.quantizers.bit_planes.planes import BitPlanes
from suite.quantizers.bit_planes.straight_through import round_in_unit_range


@dataclass(frozen=True)
class WholeWeight:
    """`value` in about [-1, 1], rounded to `bits` bits and a sign in every forward pass, times `scale`."""

    value: Tensor
    scale: Tensor
    bits: int

    def weight(self) -> Tensor:
        """The weight that a layer uses: S Q(v). Gradients: dL/dv = G S, also where Q clips; dL/dS = Σ G Q(v)."""
        return round_in_unit_range(self.value, self.bits) * self.scale

    @classmethod
    @torch.no_grad()
    def of_planes(cls, planes: BitPlanes) -> WholeWeight:
        """The number that planes stand for; a tensor without a bit has precision 0 and stays zero."""
        bits = planes.bits(sign_bit=False)
        return cls(planes.codes() / (2**planes.count - 1), planes.scale.detach().clone(), bits)

    @torch.no_grad()
    def to_planes(self) -> BitPlanes:
        """Binary planes of the rounded value; one empty plane where there are no bits."""
        count = max(1, self.bits)
        codes = torch.round(round_in_unit_range(self.value, self.bits) * (2**count - 1))
        return BitPlanes.of_codes(codes, self.scale, count)
