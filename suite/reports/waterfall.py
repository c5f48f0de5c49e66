"""Reports: the geometry of a waterfall, from one score to another by steps. Positions in percent of the width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from suite.reports.charts import EDGE, Figure, Strip, Tick, round_step
from suite.reports.numbers import percent

__all__ = ["Bar", "Figure", "Strip", "Tick", "Waterfall", "waterfall"]


@dataclass(frozen=True)
class Bar:
    """One step: its two ends, and the interval of the end it leads to."""

    left: float
    width: float
    end: float
    low: float
    high: float


@dataclass(frozen=True)
class Waterfall:
    """The score it begins with, its steps, the score it ends with, on one scale."""

    ticks: tuple[Tick, ...]
    first: Bar
    steps: tuple[Bar, ...]
    last: Bar


def waterfall(
    first: tuple[float, float, float],
    steps: Sequence[tuple[float, float, float]],
    last: tuple[float, float, float],
) -> Waterfall:
    """Bars of two scores and the steps between them; each is (estimate, low, high), steps as differences.

    A step's interval stands around the level it leads to, as if the steps before it were known: it is the interval of
    this step alone.
    """
    levels = [first[0]]
    for estimate, _, _ in steps:
        levels.append(levels[-1] + estimate)
    reached = [*levels, *first, *last]
    for before, (_, low, high) in zip(levels, steps, strict=False):
        reached += [before + low, before + high]
    low, high = min(reached), max(reached)
    if high - low < 0.002:
        low, high = low - 0.001, high + 0.001
    unit = round_step((high - low) / 5.0)
    start, stop = math.floor(low / unit + 1e-9) * unit, math.ceil(high / unit - 1e-9) * unit

    def place(value: float) -> float:
        return round(EDGE + (100.0 - 2.0 * EDGE) * (value - start) / (stop - start), 3)

    def bar(begin: float, end: float, low: float, high: float) -> Bar:
        left, right = sorted((place(begin), place(end)))
        return Bar(left, round(right - left, 3), place(end), place(low), place(high))

    decimals = max(0, -math.floor(math.log10(100.0 * unit) + 1e-9))
    count = round((stop - start) / unit)
    values = [start + index * unit for index in range(count + 1)]
    return Waterfall(
        ticks=tuple(Tick(place(value), _label(value, decimals), "middle") for value in values),
        first=bar(start, *first),
        steps=tuple(
            bar(before, before + estimate, before + low, before + high)
            for before, (estimate, low, high) in zip(levels, steps, strict=False)
        ),
        last=bar(start, *last),
    )


def _label(value: float, decimals: int) -> str:
    whole, _, fraction = percent(round(value, decimals + 2)).split("\N{NO-BREAK SPACE}")[0].partition(".")
    return f"{whole}.{fraction[:decimals]}" if decimals and fraction else whole
