"""Laboratory, the audit: what one tensor shows. Summarised at once and forgotten, so that memory stays bounded."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suite.audit.levels import MAX_POSITIONS, Array, Grid, RowFits, count_distinct, distinct_values, fit, fit_rows

SURPRISING = 1e-6
"""A fit that unquantized values would show by chance less often than this counts as seen."""
PROBE = 2048
"""Values looked at first: where they fit no grid, the whole tensor does not either."""
MAX_ROWS = 1 << 22
"""Elements up to which a tensor is examined row by row; a larger one is thinned out to whole rows."""


class Sharing(StrEnum):
    """Which elements of a tensor are looked at together."""

    CHANNEL = "channel"
    GROUP = "group"
    TOKEN = "token"


@dataclass(frozen=True)
class View:
    """One tensor at one site, in one batch.

    distinct: how many distinct values it has, or at least has where they are more than `searched`.
    grid: one uniform grid for the whole tensor, of at most `searched` positions, if there is one.
    levels: its distinct values, sorted, where there is such a grid.
    occurrences: how many elements have each of them, where that was asked for.
    rows: the same for every channel, group or token on its own.
    """

    shape: tuple[int, ...]
    elements: int
    nonzero: int
    lowest: float
    highest: float
    distinct: int
    searched: int
    levels: Array | None
    grid: Grid | None
    rows: dict[Sharing, RowFits] = field(default_factory=dict)
    occurrences: NDArray[np.int64] | None = None

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.lowest) and np.isfinite(self.highest))

    @property
    def surprising(self) -> bool:
        """Whether lying on the grid says anything: values repeat, or there are enough of them."""
        if self.grid is None:
            return False
        return self.grid.chance < SURPRISING or self.nonzero >= 4 * self.distinct + 16


def view(
    tensor: Tensor,
    positions: int,
    sharings: tuple[Sharing, ...] = (),
    *,
    axis: int = 0,
    group: int = 0,
    counted: bool = False,
) -> View:
    """Look at a tensor, for grids of up to `positions` positions; `axis` is the one of its channels.

    `counted`: also how often each of its levels occurs.
    """
    values = tensor.detach().to(device="cpu", dtype=torch.float32)
    flat = values.reshape(-1).numpy()
    searched = min(max(positions, 2), MAX_POSITIONS)
    levels, distinct = _levels(flat, searched)
    grid = None if levels is None else fit(levels, searched)
    rows = {}
    for sharing in sharings:
        matrix = as_rows(values, sharing, axis, group).numpy()
        step = max(1, matrix.size // MAX_ROWS)
        rows[sharing] = fit_rows(matrix[::step].astype(np.float64), searched)
    return View(
        shape=tuple(values.shape),
        elements=flat.size,
        nonzero=int(np.count_nonzero(flat)),
        lowest=float(flat.min(initial=np.inf)) if flat.size else 0.0,
        highest=float(flat.max(initial=-np.inf)) if flat.size else 0.0,
        distinct=distinct,
        searched=searched,
        levels=levels if grid is not None else None,
        grid=grid,
        rows=rows,
        occurrences=_occurrences(flat, levels) if counted and levels is not None and grid is not None else None,
    )


def _occurrences(flat: np.ndarray, levels: Array) -> NDArray[np.int64]:
    """How many values are nearest to each of the sorted levels."""
    between = (levels[1:] + levels[:-1]) / 2
    return np.bincount(np.searchsorted(between, flat), minlength=levels.size)


def _levels(flat: np.ndarray, positions: int) -> tuple[Array | None, int]:
    """(distinct values, how many); the values are None where there are more than `positions` of them."""
    if not np.isfinite(flat).all():
        return None, 0
    probe = flat[:: max(1, flat.size // PROBE)].astype(np.float64)
    seen = int(count_distinct(probe[None])[0])
    if seen > positions:
        return None, seen
    levels = distinct_values(flat)
    if levels.size > positions:
        return None, int(levels.size)
    return levels, int(levels.size)


def as_rows(values: Tensor, sharing: Sharing, axis: int, group: int) -> Tensor:
    """[rows, elements], one row for each set that shares a scale; short last groups are filled up with zeros."""
    axis %= max(values.dim(), 1)
    if values.dim() == 0:
        return values.reshape(1, 1)
    if sharing is Sharing.TOKEN:
        return values.movedim(axis, -1).reshape(-1, values.shape[axis])
    channels = values.movedim(axis, 0).reshape(values.shape[axis], -1)
    if sharing is Sharing.CHANNEL:
        return channels
    missing = -channels.shape[1] % group
    return torch.nn.functional.pad(channels, (0, missing)).reshape(-1, group)
