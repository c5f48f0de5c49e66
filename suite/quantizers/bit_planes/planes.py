"""Quantizers, planes of bits: a weight as two stacks of planes, for its positive and its negative part, and a scale."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from suite.errors import SuiteError
from suite.quantizers.bit_planes.straight_through import round_in_unit_range

LARGEST_PLANE = 2.0
"""Trained planes are kept in [0, 2]; a bit above one is a carry that the next requantization resolves."""


@dataclass(frozen=True)
class BitPlanes:
    """`positive` and `negative` [..., n] with the most significant plane first, and `scale` S, one for the weight.

    The weight is S Q(Σ_j (p_j - n_j) 2^(n-1-j) / (2^n - 1)), with j from zero and Q the rounding to n bits and a sign.
    Binary planes stand for the integer code Σ_j (p_j - n_j) 2^(n-1-j) and the step S / (2^n - 1).
    """

    positive: Tensor
    negative: Tensor
    scale: Tensor

    @property
    def count(self) -> int:
        """How many planes there are."""
        return self.positive.shape[-1]

    def weight(self) -> Tensor:
        """The weight that a layer uses, with gradients to planes and scale."""
        return represented(self.positive, self.negative, self.scale)

    @torch.no_grad()
    def codes(self) -> Tensor:
        """The weight in steps, before it is limited to n bits: whole numbers, also for trained planes."""
        codes: Tensor = torch.round((self.positive - self.negative) @ place_values(self.positive))
        return codes

    @torch.no_grad()
    def step(self) -> Tensor:
        """The distance of two levels."""
        return self.scale / float(2**self.count - 1)

    def bits(self, *, sign_bit: bool = True) -> int:
        """Bits per weight: the planes, and one more for the sign; none where every plane is empty."""
        if not bool(self.positive.count_nonzero() + self.negative.count_nonzero()):
            return 0
        return self.count + int(sign_bit)

    @torch.no_grad()
    def keep_valid_(self) -> None:
        """Bring planes back into [0, 2] after an update. Nothing but planes is meant to be limited."""
        self.positive.clamp_(0.0, LARGEST_PLANE)
        self.negative.clamp_(0.0, LARGEST_PLANE)

    @classmethod
    @torch.no_grad()
    def of_weight(cls, weight: Tensor, bits: int) -> BitPlanes:
        """Binary planes nearest to a weight: S = max |w| and codes round(w (2^n - 1) / S)."""
        _require_planes(bits)
        scale = weight.abs().amax()
        divisor = scale.clamp(min=torch.finfo(weight.dtype).tiny)
        return cls.of_codes(torch.round(weight * (2**bits - 1) / divisor), scale, bits)

    @classmethod
    @torch.no_grad()
    def of_codes(cls, codes: Tensor, scale: Tensor, bits: int) -> BitPlanes:
        """Binary planes of whole numbers |k| < 2^n, in the dtype of `codes`."""
        _require_planes(bits)
        places = torch.arange(bits - 1, -1, -1, device=codes.device)
        digits = ((codes.abs().long().unsqueeze(-1) >> places) & 1).to(codes.dtype)
        positive = codes.unsqueeze(-1) > 0
        return cls(digits * positive, digits * ~positive, scale.detach().clone())


def represented(positive: Tensor, negative: Tensor, scale: Tensor) -> Tensor:
    """S Q(Σ_j (p_j - n_j) e_j) with e_j = 2^(n-1-j) / (2^n - 1).

    Gradients: dL/dp_j = G S e_j, dL/dn_j = -G S e_j, also where Q clips; dL/dS = Σ G Q.
    """
    count = positive.shape[-1]
    fraction = ((positive - negative) @ place_values(positive)) / (2**count - 1)
    return round_in_unit_range(fraction, count) * scale


def place_values(planes: Tensor) -> Tensor:
    """What a bit of each plane is worth, in steps: 2^(n-1), …, 2, 1. Sums of binary planes with them are exact."""
    count = planes.shape[-1]
    return torch.exp2(torch.arange(count - 1, -1, -1, dtype=planes.dtype, device=planes.device))


def _require_planes(bits: int) -> None:
    if not 1 <= bits <= 23:
        raise SuiteError(f"a weight cannot have {bits} planes of bits", hint="use 1 to 23; a weight of zeros has one")
