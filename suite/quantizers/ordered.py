"""Quantizers, ordered rows: least-squares steps of long rows from their order, without touching every value again.

Values with the same code lie next to each other in an ordered row, so that the sums <v, k> and <k, k> follow from the
places where codes change and from running sums: the cost of a step is that of finding levels, not values.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Ordering costs about as much as two hundred steps over all values, finding a place as much as a few dozen values.
VALUES_PER_LEVEL = 64


class OrderedRows:
    """Rows [R, N] in ascending order with their running sums, on the grid with codes qmin ... qmax and a zero point."""

    def __init__(self, rows: Tensor, zero_points: Tensor | None, qmin: float, qmax: float) -> None:
        self.dtype = rows.dtype
        self.values = rows.sort(dim=1).values
        self.sums = torch.nn.functional.pad(self.values.cumsum(1, dtype=torch.float64), (1, 0))
        self.energy = rows.square().sum(1, dtype=torch.float64)
        offset = torch.zeros_like(self.energy) if zero_points is None else zero_points.double()
        levels = torch.arange(int(qmax - qmin) + 1, dtype=torch.float64, device=rows.device)
        self.codes = qmin - offset[:, None] + levels

    @staticmethod
    def worthwhile(rows: Tensor, qmin: float, qmax: float) -> bool:
        """Whether rows are long enough, for this many levels, that ordering them first is faster."""
        return rows.shape[1] >= VALUES_PER_LEVEL * (qmax - qmin + 1)

    def products(self, scale: Tensor) -> tuple[Tensor, Tensor]:
        """<v, k> and <k, k> with k = clip(round(v / s)) for every row [R], in double precision."""
        edges = ((self.codes[:, 1:] - 0.5) * scale.double()[:, None]).to(self.dtype)
        places = torch.searchsorted(self.values, edges)
        length = self.values.shape[1]
        places = torch.nn.functional.pad(places, (1, 0))
        places = torch.nn.functional.pad(places, (0, 1), value=length)
        counts = places.diff(dim=1).double()
        along = (self.codes * self.sums.gather(1, places).diff(dim=1)).sum(1)
        return along, (self.codes.square() * counts).sum(1)

    def errors(self, scale: Tensor) -> Tensor:
        """Sum of (v - s k)^2 in every row [R]."""
        along, square = self.products(scale)
        step = scale.double()
        return (self.energy - 2 * step * along + step.square() * square).clamp(min=0.0)
