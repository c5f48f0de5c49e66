"""Laboratory, the audit: pure numerics that recover a uniform grid from nothing but the values of a tensor.

A value on a grid is v = s (k - z) with an integer code k and an integer zero point z, so every value is an integer
multiple of the spacing s: zero is always on the grid, and only the *relative* codes q = k - z can be seen. What is
recovered is the coarsest such grid, the one with the fewest positions; a tensor that uses few codes of a fine
grid may lie on a coarser one too, never the other way round. Every statement "does not fit into P positions" is
therefore a proof, up to float rounding, and every statement "fits" carries how surprising that is (`chance`).

Rounding. A stored float32 value carries a relative error of a few 2^-24, so the ratio of two values is an
integer ratio within `RATIO_ERROR` of itself: at 16 bits, 65,536 x 2^-21 = 0.03 of a step, which still tells
neighbours apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RATIO_ERROR = 2.0**-21
"""Relative error allowed in the ratio of two float32 values that are multiples of one step."""
STEP_ERROR = 2.0**-10
"""Absolute error allowed, in steps: k s - z s rounds twice more than s (k - z) does."""
SAME_LEVEL = 2.0**-20
"""Two values closer than this, relative to their size, are one level."""
LOOSE = 0.12
"""Error in steps up to which a candidate spacing is worth refining."""
SAMPLE = 24
"""Values per row that a candidate spacing must pass before the whole row is looked at."""
BLOCK = 16
"""Candidate spacings tried together."""
MAX_POSITIONS = 2**16 + 1
"""The finest grid anybody looks for: 16 bits and the extra level."""
OFFSET_POSITIONS = 2**9
"""Beyond this, float32 cannot show a grid that misses zero: differences of large values lose too many digits."""


@dataclass(frozen=True)
class RowFits:
    """What each row of a matrix shows; every field has one entry a row.

    fits: a uniform grid of at most the asked number of positions holds every value.
    spacing: the step s of the coarsest such grid (nan where nothing fits or only zero was seen).
    lowest, highest: the extreme relative codes q on that grid (0 where nothing fits).
    distinct: number of distinct values, zero included when it occurs.
    chance: the probability that unquantized values would have fitted as well; 1 is no evidence at all.
    """

    fits: NDArray[np.bool_]
    spacing: Array
    lowest: NDArray[np.int64]
    highest: NDArray[np.int64]
    distinct: NDArray[np.int64]
    chance: Array

    @property
    def positions(self) -> NDArray[np.int64]:
        return self.highest - self.lowest + 1


@dataclass(frozen=True)
class Grid:
    """One uniform grid: values offset + s q for integers q from lowest to highest; offset 0 means zero is on it."""

    spacing: float
    offset: float
    lowest: int
    highest: int
    distinct: int
    chance: float

    @property
    def positions(self) -> int:
        return self.highest - self.lowest + 1


def distinct_values(values: Array) -> Array:
    """Sorted distinct values [n]; values within float rounding of each other count once."""
    ordered = np.unique(np.asarray(values, dtype=np.float64))
    return ordered[_starts(ordered[None])[0]] if ordered.size else ordered


def _starts(ordered: Array) -> NDArray[np.bool_]:
    """True where a value of the sorted rows [R, K] lies apart from the one before it."""
    size = np.maximum(np.abs(ordered[:, 1:]), np.abs(ordered[:, :-1]))
    apart = np.diff(ordered, axis=1) > SAME_LEVEL * size
    return np.concatenate((np.ones((ordered.shape[0], 1), dtype=np.bool_), apart), axis=1)


def count_distinct(rows: Array) -> NDArray[np.int64]:
    """Distinct values in each row [R, K] -> [R].

    Values packed so densely that each is within rounding of the next are not one level: a run of them counts once
    for every four roundings of its width.
    """
    count, size = rows.shape
    if size == 0:
        return np.zeros(count, dtype=np.int64)
    ordered = np.sort(rows, axis=1)
    first = np.flatnonzero(_starts(ordered))
    last = np.append(first[1:], ordered.size) - 1
    flat = ordered.reshape(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        width = (flat[last] - flat[first]) / np.maximum(np.abs(flat[last]), np.abs(flat[first]))
    levels = 1 + np.floor(np.nan_to_num(width) / (4 * SAME_LEVEL))
    return np.asarray(np.bincount(first // size, weights=levels, minlength=count).astype(np.int64))


def fit_rows(rows: Array, positions: int) -> RowFits:
    """The coarsest grid through zero of at most `positions` positions, for each row of [R, K] on its own.

    Candidates for the step are m / n, where m is the smallest non-zero magnitude of the row: m itself is a multiple
    n s of the step, and a row that spans (max - min) / s <= positions - 1 steps bounds n. They are tried from
    coarse to fine; the survivor is refined by least squares over all values, s = sum(q v) / sum(q q).
    """
    rows = np.atleast_2d(np.asarray(rows, dtype=np.float64))
    count = rows.shape[0]
    distinct = count_distinct(rows)
    magnitude = np.abs(rows)
    smallest = np.min(np.where(magnitude > 0, magnitude, np.inf), axis=1, initial=np.inf)
    highest, lowest = rows.max(axis=1, initial=-np.inf), rows.min(axis=1, initial=np.inf)
    finite = np.isfinite(rows).all(axis=1)
    only_zero = ~np.isfinite(smallest) & finite
    fits = only_zero.copy()
    spacing = np.full(count, np.nan)
    codes_low, codes_high = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    chance = np.ones(count)

    span = np.maximum(highest - lowest, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        limit = np.where(span > 0, smallest * (positions - 1 + STEP_ERROR) * (1 + RATIO_ERROR) / span, 1.0)
    searched = finite & ~only_zero & (distinct <= positions) & (limit >= 1)
    tries = np.zeros(count, dtype=np.int64)
    tries[searched] = np.floor(np.minimum(limit[searched], positions)).astype(np.int64)
    active = np.flatnonzero(searched)
    sample = rows[:, _spread(rows.shape[1])]
    first = 1
    while active.size:
        divisors = np.arange(first, first + BLOCK)
        scaled = sample[active][:, None, :] * (divisors / smallest[active][:, None])[:, :, None]
        near = (np.abs(scaled - np.rint(scaled)) <= LOOSE).all(axis=2) & (divisors <= tries[active][:, None])
        for column in range(BLOCK):
            chosen = active[near[:, column] & ~fits[active]]
            if not chosen.size:
                continue
            found = _refine(rows[chosen], smallest[chosen] / divisors[column], positions)
            held = chosen[found.held]
            fits[held] = True
            spacing[held], codes_low[held], codes_high[held] = (
                part[found.held] for part in (found.step, found.lowest, found.highest)
            )
            log_chance = found.log_chance[found.held] + np.log(np.maximum(1, tries[held]))
            chance[held] = np.exp(np.minimum(0.0, log_chance))
        first += BLOCK
        active = active[(tries[active] >= first) & ~fits[active]]
    return RowFits(fits, spacing, codes_low, codes_high, distinct, chance)


def _spread(size: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, max(size - 1, 0), num=min(size, SAMPLE)).astype(np.int64))


@dataclass(frozen=True)
class _Refined:
    """A candidate step for each row: whether it holds, refined, the codes it gives, how surprising that is."""

    held: NDArray[np.bool_]
    step: Array
    lowest: NDArray[np.int64]
    highest: NDArray[np.int64]
    log_chance: Array


def _refine(rows: Array, step: Array, positions: int) -> _Refined:
    """Least squares s = sum(q v) / sum(q q) over the codes that the candidate steps give to each row of [R, K].

    The chance of a fit: the step is fitted, so one level is no surprise; each further level hits its place, give or
    take the error allowed, with twice that error, and each repetition of a value with one in a thousand.
    """
    ratio = rows / step[:, None]
    codes = np.rint(ratio)
    loose = np.abs(ratio - codes).max(axis=1) <= LOOSE
    step = np.where(loose, (codes * rows).sum(axis=1) / np.maximum((codes * codes).sum(axis=1), 1.0), step)
    allowed = STEP_ERROR + np.abs(codes) * RATIO_ERROR
    lowest, highest = codes.min(axis=1), codes.max(axis=1)
    held = loose & (np.abs(rows / step[:, None] - codes) <= allowed).all(axis=1) & (highest - lowest <= positions - 1)

    ordered = np.sort(codes, axis=1)
    level = np.concatenate((np.ones((len(rows), 1), dtype=np.bool_), np.diff(ordered, axis=1) > 0), axis=1)
    level &= ordered != 0
    surprise = np.log(np.minimum(1.0, 2 * (STEP_ERROR + np.abs(ordered) * RATIO_ERROR)))
    free = np.where(level, surprise, -np.inf).max(axis=1)
    repeats = (rows != 0).sum(axis=1) - level.sum(axis=1)
    log_chance = np.where(level, surprise, 0.0).sum(axis=1) - np.where(np.isfinite(free), free, 0.0)
    return _Refined(held, step, lowest.astype(np.int64), highest.astype(np.int64), log_chance + repeats * np.log(1e-3))


def fit(values: Array, positions: int = MAX_POSITIONS) -> Grid | None:
    """The coarsest grid of at most `positions` positions that holds every value, through zero if that is possible."""
    values = np.asarray(values, dtype=np.float64).reshape(-1)
    found = fit_rows(values[None], positions)
    if found.fits[0]:
        return _grid(found, offset=0.0)
    return _fit_with_offset(values, min(positions, OFFSET_POSITIONS))


def _fit_with_offset(values: Array, positions: int) -> Grid | None:
    """A grid that misses zero: the differences from the lowest value are multiples of the step."""
    if values.size < 3 or not np.isfinite(values).all():
        return None
    levels = distinct_values(values)
    if not 3 <= levels.size <= positions:
        return None
    found = fit_rows((levels - levels[0])[None], positions)
    if not found.fits[0] or np.isnan(found.spacing[0]):
        return None
    step = float(found.spacing[0])
    low = int(np.rint(levels[0] / step))
    offset = float(levels[0] - low * step)
    return Grid(step, offset, low, low + int(found.highest[0]), int(levels.size), float(found.chance[0]))


def _grid(found: RowFits, offset: float) -> Grid:
    return Grid(
        float(found.spacing[0]),
        offset,
        int(found.lowest[0]),
        int(found.highest[0]),
        int(found.distinct[0]),
        float(found.chance[0]),
    )
