"""Quantizers, precisions learned by noise: the grids, one precision for each weight, and how to read it off again.

p signed bits b_j = ±1 of the value 2^(1-j) give the 2^p odd multiples of h = 2^(1-p) within ±(2 - h): the centres of
2^p equal cells of [-2, 2], without a zero. Grids of different precision share no level, because an odd multiple of one
h is an even multiple of every smaller one. So a quantized weight shows its own precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import ceil, log2
from typing import Any

import torch
from torch import Tensor

from suite.errors import SuiteError

FINEST_PRECISION = 16
"""The most bits of a weight that is on a grid at all."""
READING_TOLERANCE = 2.0**-22
"""Relative; a few units in the last place of float32, which a scale that was multiplied and divided by costs."""


class Span(StrEnum):
    """What the cells of a grid cover; everything of `unit`, noise included, is half as large."""

    TWO = "two"  # [-2, 2], where bits are worth 2^(1-j)
    UNIT = "unit"  # [-1, 1]

    @property
    def half(self) -> float:
        """The factor c: h = c 2^(1-p), and cells cover [-2c, 2c]."""
        return 0.5 if self is Span.UNIT else 1.0


@dataclass(frozen=True)
class PrecisionGrid:
    """Grids of given integer precisions, ready to be applied in every training step.

    `step` is 2h, `inverse_step` 1 / 2h, `last_cell` 2^(p-1) - 1. Where p = 0 all are zero: the only level is 0.
    """

    precision: Tensor
    step: Tensor
    inverse_step: Tensor
    last_cell: Tensor

    @classmethod
    def of(cls, precision: Tensor, span: Span = Span.TWO) -> PrecisionGrid:
        """The grids of `precision`, whole numbers p ≥ 0 in a floating dtype; broadcasts against the weights."""
        if not precision.is_floating_point():
            raise SuiteError("precisions of weights are whole numbers in a floating dtype", hint="convert them first")
        whole = (precision == precision.round()) & (precision >= 0) & (precision <= FINEST_PRECISION)
        if not bool(whole.all()):
            raise SuiteError(f"precisions of weights are whole numbers from 0 to {FINEST_PRECISION}")
        stored = precision > 0
        step = torch.exp2(2 - precision) * span.half
        zero = torch.zeros_like(step)
        return cls(
            precision=precision,
            step=torch.where(stored, step, zero),
            inverse_step=torch.where(stored, 1 / step, zero),
            last_cell=torch.where(stored, torch.exp2(precision - 1) - 1, zero),
        )

    def quantize(self, theta: Tensor) -> Tensor:
        """The level in whose cell θ lies: 2h k + h with k = clip(floor(θ / 2h), -2^(p-1), 2^(p-1) - 1); 0 where p = 0.

        An edge of two cells belongs to the upper one. The gradient passes straight through, but not to removed weights.
        """
        return _Quantize.apply(theta, self.step, self.inverse_step, self.last_cell)  # type: ignore[no-any-return, no-untyped-call]

    def levels(self) -> Tensor:
        """All levels of one precision, in ascending order."""
        if self.precision.numel() != 1:
            raise SuiteError("only grids of one precision have one list of levels")
        if not bool(self.precision):
            return torch.zeros_like(self.step).reshape(1)
        last = int(self.last_cell)
        cells = torch.arange(-last - 1, last + 1, dtype=self.step.dtype, device=self.step.device)
        return (cells + 0.5) * self.step.reshape(())


class _Quantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, theta: Tensor, step: Tensor, inverse_step: Tensor, last_cell: Tensor) -> Tensor:
        ctx.save_for_backward(step)
        # Steps are powers of two: products with them and with their inverses are exact.
        cell = torch.floor(theta * inverse_step)
        cell = torch.minimum(torch.maximum(cell, -1 - last_cell), last_cell)
        return (cell + 0.5) * step

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (step,) = ctx.saved_tensors
        return gradients[0] * (step > 0), None, None, None


def smallest_scale(unit: float, largest: float, span: Span = Span.TWO) -> float:
    """The smallest α with which weights can be α times levels: the largest magnitude and a common unit decide.

    `unit` is the largest number of which all weights are whole multiples: the h of the finest precision. So
    α = unit 2^k / c with the smallest k ≥ 0 that leaves the largest weight inside ±2cα. A larger α would add a bit to
    every weight; what is read with this one is what the weights need, and no more.
    """
    doublings = max(0, ceil(log2(largest / (2 * unit) * (1 - READING_TOLERANCE))))
    return unit * 2.0**doublings / span.half


@torch.no_grad()
def observed_precision(values: Tensor, span: Span = Span.TWO) -> Tensor:
    """The precision of each quantized value, from the value alone; 0 for 0 and infinity for what is on no grid.

    It is the smallest p whose grid has the value as a level. No other p has, so nothing is taken for less than it is.
    """
    value = values.double()
    found = torch.where(value == 0, 0.0, torch.inf)
    for precision in range(1, FINEST_PRECISION + 1):
        grid = PrecisionGrid.of(torch.tensor(float(precision), dtype=torch.float64, device=values.device), span)
        on_grid = (grid.quantize(value) - value).abs() <= READING_TOLERANCE * value.abs()
        found = torch.where(on_grid & found.isinf(), float(precision), found)
    return found.to(values.dtype)
