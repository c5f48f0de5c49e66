"""Reports: the geometry of the small figures, in percent of their width. The templates draw them as SVG.

Positions are percentages, so one drawing fits a phone and a desk without its letters shrinking.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from suite.reports.numbers import percent, points

EDGE = 4.0
"""Percent of the width kept free on both sides, so that a dot or a label at the end is not cut."""


@dataclass(frozen=True)
class Tick:
    """A labelled position on the scale."""

    x: float
    label: str
    anchor: str


@dataclass(frozen=True)
class Strip:
    """One row of a figure: a dot with its interval; None where there is nothing to draw."""

    x: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Figure:
    """Rows on one scale. `zero` is where the scale is 0, if it is in view."""

    ticks: tuple[Tick, ...]
    strips: tuple[Strip, ...]
    zero: float | None


def difference_figure(difference: float, interval: tuple[float, float] | None) -> Figure:
    """A difference and its interval beside zero, which is the float model."""
    low, high = interval or (difference, difference)
    return _figure([(difference, low, high)], include=(0.0,), as_points=True)


def differences_figure(rows: Sequence[tuple[float, float, float]]) -> Figure:
    """Differences with their intervals on one scale that has zero in view."""
    return _figure(rows, include=(0.0,), as_points=True)


def score_figure(rows: Sequence[tuple[float, float, float] | None]) -> Figure:
    """Scores with their intervals on one common scale."""
    return _figure(rows, include=(), as_points=False)


def _figure(
    rows: Sequence[tuple[float, float, float] | None], *, include: tuple[float, ...], as_points: bool
) -> Figure:
    held = [row for row in rows if row is not None]
    numbers = [*include, *(bound for row in held for bound in row)]
    if not numbers:
        return Figure((), tuple(Strip(None, None, None) for _ in rows), None)
    low, high = min(numbers), max(numbers)
    if high - low < 0.002:  # a scale finer than a fifth of a point would show noise as a landscape
        low, high = low - 0.001, high + 0.001
    step = round_step((high - low) / 4.0)
    start, stop = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step

    def place(value: float) -> float:
        return round(EDGE + (100.0 - 2.0 * EDGE) * (value - start) / (stop - start), 3)

    count = round((stop - start) / step)
    ticks = tuple(
        Tick(
            place(start + index * step),
            _label(start + index * step, step, as_points),
            "start" if index == 0 else "end" if index == count else "middle",
        )
        for index in range(count + 1)
    )
    strips = tuple(Strip(None, None, None) if row is None else Strip(*(place(bound) for bound in row)) for row in rows)
    return Figure(ticks, strips, place(0.0) if start <= 0.0 <= stop else None)


def round_step(rough: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * (1.0 - 1e-9))


def _label(value: float, step: float, as_points: bool) -> str:
    decimals = max(0, -math.floor(math.log10(100.0 * step) + 1e-9))
    rounded = round(value, decimals + 2)
    text = points(rounded, unit=False) if as_points else percent(rounded).split("\N{NO-BREAK SPACE}")[0]
    whole, _, fraction = text.partition(".")
    kept = fraction[:decimals]
    if as_points and rounded == 0.0:
        return "0"
    return f"{whole}.{kept}" if kept else whole
