"""Laboratory, the audit: what the views of one site, taken together, say about the grid that was declared for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from suite.audit.levels import Array, Grid, distinct_values, fit
from suite.audit.views import SURPRISING, Sharing, View
from suite.bits import FLOAT_BITS, bits_for
from suite.quantizers.spec import Granularity, QuantizerSpec

SAME_STEP = 2e-4
"""Relative difference up to which two recovered steps are one."""
MOST_MULTIPLES = 12
"""Steps seen through few codes are multiples of the true one; beyond this, nothing is concluded from their ratio."""


class State(StrEnum):
    """What a site shows."""

    SILENT = "silent"  # only zeros, or too little to tell
    ON_GRID = "on its grid"
    FLOAT = "on no grid"  # more distinct values than any grid asked for, or none that holds them
    UNEVEN = "unevenly spaced"  # few enough levels, but on no uniform grid
    MISSES_ZERO = "a grid without zero"
    FINER_SHARING = "finer than declared"  # on grids, but not on one shared as declared
    MOVING = "moves from batch to batch"


@dataclass(frozen=True)
class SiteFit:
    """The grids of one site, over all batches and all readers.

    lowest, highest: extreme codes, one entry for each set of elements that shares a grid. positions is the most that
    any of them needs. shared: whether coarser sharing than declared would hold the values as well (None: cannot be
    told). moved: steps differ between batches (None: cannot be told).
    """

    state: State
    text: str
    lowest: NDArray[np.int64]
    highest: NDArray[np.int64]
    spacing: Array
    positions: int
    distinct: int
    sets: int
    shared: bool | None = None
    moved: bool | None = None

    @property
    def bits(self) -> int:
        """Bits that the observed grid needs; 32 for a tensor on none."""
        return bits_for(self.positions) if self.positions else FLOAT_BITS


_NONE = np.zeros(0, dtype=np.int64)


def _off(state: State, text: str, distinct: int, sets: int = 1) -> SiteFit:
    positions = 0 if state is not State.SILENT else 1
    return SiteFit(state, text, _NONE, _NONE, np.zeros(0), positions, distinct, sets)


def fit_site(views: Sequence[View], spec: QuantizerSpec, *, is_weight: bool) -> SiteFit:
    """Judge the views of one site (one a batch and reader) against the way its grid is declared to be shared."""
    live = [one for one in views if one.nonzero]
    if not live:
        return _off(State.SILENT, "only zeros were seen", 1)
    if not all(one.finite for one in live):
        return _off(State.FLOAT, "values are not finite", 0)
    if spec.granularity is Granularity.PER_TENSOR:
        return _fit_tensor(live, spec, is_weight=is_weight)
    if spec.granularity is Granularity.PER_WEIGHT:
        return _off(State.SILENT, "every weight has a scale of its own, so every value lies on some grid", 0)
    return _fit_rows(live, spec, _SHARINGS[spec.granularity], is_weight=is_weight)


_SHARINGS = {
    Granularity.PER_CHANNEL: Sharing.CHANNEL,
    Granularity.PER_GROUP: Sharing.GROUP,
    Granularity.PER_TOKEN: Sharing.TOKEN,
}


def _fit_tensor(views: Sequence[View], spec: QuantizerSpec, *, is_weight: bool) -> SiteFit:
    for one in views:
        if one.grid is None:
            return _explain(one, is_weight=is_weight)
        if one.grid.offset and one.grid.distinct > 2:
            steps = one.grid.offset / one.grid.spacing
            return _off(State.MISSES_ZERO, f"its grid passes {abs(steps):.3g} steps beside zero", one.distinct)
    moved: bool | None = None
    union: Grid | None = views[0].grid
    if len(views) > 1:
        union = _union(views, spec)
        if union is None and not spec.dynamic:
            steps_seen = ", ".join(sorted({f"{one.grid.spacing:.5g}" for one in views if one.grid is not None}))
            return _of_grids(views, State.MOVING, f"steps {steps_seen} in different batches share no grid", moved=True)
        moved = union is None
    if union is not None and moved is False and not spec.dynamic:
        return _of_grid(union, views, moved=False)
    return _of_grids(views, State.ON_GRID, "", moved=moved)


def _union(views: Sequence[View], spec: QuantizerSpec) -> Grid | None:
    """One grid for all batches together, with no more positions than declared, or than one batch needs by itself."""
    levels = distinct_values(np.concatenate([one.levels for one in views if one.levels is not None]))
    needed = max(one.grid.positions for one in views if one.grid is not None)
    searched = max(needed, 2**spec.bits + 1)
    found = fit(levels, searched) if levels.size <= searched else None
    return found if found is not None and found.offset == 0.0 else None


def _of_grid(grid: Grid, views: Sequence[View], *, moved: bool | None) -> SiteFit:
    surprising = grid.chance < SURPRISING or any(one.surprising for one in views)
    return SiteFit(
        State.ON_GRID if surprising else State.SILENT,
        f"{grid.distinct} levels on {grid.positions} positions, step {grid.spacing:.5g}",
        np.array([grid.lowest]),
        np.array([grid.highest]),
        np.array([grid.spacing]),
        grid.positions,
        grid.distinct,
        1,
        moved=moved,
    )


def _of_grids(views: Sequence[View], state: State, text: str, *, moved: bool | None) -> SiteFit:
    grids = [one.grid for one in views if one.grid is not None]
    if state is State.ON_GRID and not any(one.surprising for one in views):
        state = State.SILENT
    widest = max(grids, key=lambda grid: grid.positions)
    return SiteFit(
        state,
        text or f"{widest.distinct} levels on {widest.positions} positions, step {widest.spacing:.5g}",
        np.array([grid.lowest for grid in grids]),
        np.array([grid.highest for grid in grids]),
        np.array([grid.spacing for grid in grids]),
        widest.positions,
        widest.distinct,
        len(grids),
        moved=moved,
    )


def _explain(one: View, *, is_weight: bool) -> SiteFit:
    """Why a tensor lies on no single grid."""
    rows = one.rows.get(Sharing.CHANNEL)
    seen = rows.chance < SURPRISING if rows is not None else None
    if rows is not None and seen is not None and rows.fits.all() and seen.sum() >= 2:
        positions = int(rows.positions.max())
        steps = rows.spacing[seen]
        where = "weight channels" if is_weight else "channels"
        text = (
            f"{int(seen.sum())} {where} have grids of their own, with steps from {steps.min():.5g} to {steps.max():.5g}"
        )
        return SiteFit(
            State.FINER_SHARING, text, rows.lowest, rows.highest, rows.spacing, positions,
            int(rows.distinct.max()), len(rows.fits),
        )  # fmt: skip
    if one.distinct > one.searched:
        return _off(State.FLOAT, f"at least {one.distinct:,} distinct values among {one.elements:,}", one.distinct)
    if one.distinct > 2 and one.elements > 4 * one.distinct:
        text = f"its {one.distinct} distinct values are no multiples of one step"
        return _off(State.UNEVEN, text, one.distinct)
    return _off(State.FLOAT, f"{one.distinct} distinct values among {one.elements:,}, on no grid", one.distinct)


def _fit_rows(views: Sequence[View], spec: QuantizerSpec, sharing: Sharing, *, is_weight: bool) -> SiteFit:
    sets = sum(len(one.rows[sharing].fits) for one in views)
    for one in views:
        rows = one.rows[sharing]
        if rows.fits.all():
            continue
        off = int(np.flatnonzero(~rows.fits)[0])
        finer = one.rows.get(Sharing.GROUP)
        if sharing is Sharing.CHANNEL and finer is not None and finer.fits.all():
            return _off(State.FINER_SHARING, f"{sharing.value} {off} lies on several grids", one.distinct, sets)
        count = int((~rows.fits).sum())
        text = (
            f"{count} of {len(rows.fits)} {sharing.value}s lie on no grid, {sharing.value} {off} with "
            f"{int(rows.distinct[off])} distinct values"
        )
        few = int(rows.distinct[off]) * 4 < max(1, one.elements // len(rows.fits))
        return _off(State.UNEVEN if few else State.FLOAT, text, int(rows.distinct.max()), sets)
    joined = [one.rows[sharing] for one in views]
    lowest = np.concatenate([rows.lowest for rows in joined])
    highest = np.concatenate([rows.highest for rows in joined])
    chance = np.concatenate([rows.chance for rows in joined])
    spacing = np.concatenate([rows.spacing for rows in joined])
    positions = int((highest - lowest + 1).max())
    seen = chance < SURPRISING
    steps = spacing[seen]
    span = f"{steps.min():.5g} to {steps.max():.5g}" if steps.size else "unknown"
    moved = _moved(views, sharing, spec) if not is_weight else None
    state = State.ON_GRID if seen.any() else State.SILENT
    text = f"{sets} {sharing.value}s, at most {positions} positions each, steps {span}"
    if moved and not spec.dynamic:
        state, text = State.MOVING, f"the steps of its {sharing.value}s differ between batches"
    return SiteFit(
        state, text, lowest, highest, spacing, positions, max(int(rows.distinct.max()) for rows in joined), sets,
        shared=_shared(views, sharing, spec), moved=moved,
    )  # fmt: skip


def _shared(views: Sequence[View], sharing: Sharing, spec: QuantizerSpec) -> bool | None:
    """Whether one grid for the tensor (for groups: for each channel) would hold the values within the same bits."""
    limit = spec.positions
    answers: list[bool] = []
    for one in views:
        rows = one.rows[sharing]
        if sharing is Sharing.GROUP:
            channels = one.rows[Sharing.CHANNEL]
            if len(rows.fits) <= len(channels.fits):
                continue
            answers.append(bool(channels.fits.all() and int(channels.positions.max()) <= limit))
        elif (rows.chance < SURPRISING).sum() >= 2:
            answers.append(one.grid is not None and one.grid.offset == 0.0 and one.grid.positions <= limit)
    return all(answers) if answers else None


def _moved(views: Sequence[View], sharing: Sharing, spec: QuantizerSpec) -> bool | None:
    """Whether steps of one channel differ between batches, and no grid of the declared size has both as multiples."""
    if sharing is Sharing.TOKEN or len(views) < 2:
        return None
    first, differing, compared = views[0].rows[sharing], 0, 0
    for other in (one.rows[sharing] for one in views[1:]):
        if len(other.fits) != len(first.fits):
            continue
        both = (first.chance < SURPRISING) & (other.chance < SURPRISING)
        # A step seen is m times the true one, where m codes times those seen still fit; so their ratio is m / n.
        spare = [(2**spec.bits + 1) // rows.positions[both] for rows in (first, other)]
        ratio = first.spacing[both] / other.spacing[both]
        near = np.zeros(ratio.shape, dtype=np.bool_)
        for n in range(1, MOST_MULTIPLES + 1):
            m = np.maximum(np.rint(ratio * n), 1.0)
            near |= (np.abs(m / (ratio * n) - 1) < SAME_STEP) & (m <= spare[0]) & (n <= spare[1])
        certain = (spare[0] <= MOST_MULTIPLES) & (spare[1] <= MOST_MULTIPLES)
        differing, compared = differing + int((certain & ~near).sum()), compared + int((certain | near).sum())
    if compared == 0:
        return None
    return differing > compared / 4
