"""Reports: the geometry of a study's figures: scores against the levels of a factor, one line for each of some others.

Positions are percentages of width and height, as in `charts.py`, so one drawing fits a phone and a desk.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from suite.reports.charts import Tick, round_step
from suite.reports.numbers import NOTHING, percent

LEFT, RIGHT, TOP, BOTTOM = 3.0, 97.0, 4.0, 96.0
"""Where the plotted area lies. Labels stand outside the drawing, in margins of fixed width."""
DODGE = 1.1
"""Percent of the width between the marks of two lines at one level, so that their whiskers stay apart."""


@dataclass(frozen=True)
class Score:
    """A score with its interval, to be drawn at a level of the horizontal factor."""

    level: str
    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class LinePoint:
    """A mark with its whisker; `cut` when it lies below what is in view."""

    x: float
    y: float
    low: float
    high: float
    label: str
    cut: bool = False


@dataclass(frozen=True)
class Segment:
    """A piece of a line between two marks."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Line:
    """One line: its name, the number that chooses colour and mark, its marks and the pieces between them."""

    name: str
    style: int
    points: tuple[LinePoint, ...]
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Panel:
    """One drawing. Vertical ticks use `x` for their height."""

    title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    float_y: float | None
    float_label: str
    cut: bool
    """Whether a mark lies below what is in view."""


def panel(
    title: str,
    levels: Sequence[str],
    lines: Sequence[tuple[str, int, Sequence[Score]]],
    float_score: float | None,
    bounds: tuple[float, float],
) -> Panel:
    """Draw one panel; `bounds` are the lowest and the highest score in view, the same for all panels of a figure."""
    places = x_places(levels)
    step = round_step((bounds[1] - bounds[0]) / 5.0)
    start, stop = _bounds(bounds, step)

    def height(score: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (score - start) / (stop - start), 3)

    drawn = []
    for index, (name, style, scores) in enumerate(lines):
        shift = DODGE * (index - (len(lines) - 1) / 2.0)
        points = tuple(
            LinePoint(
                x=round(places[score.level] + shift, 3),
                y=height(max(start, score.estimate)),
                low=height(max(start, score.low)),
                high=height(max(start, score.high)),
                label=f"{name}, {score.level}: {percent(score.estimate)}, "
                f"95 % interval {percent(score.low)} to {percent(score.high)}",
                cut=score.estimate < start,
            )
            for score in sorted(scores, key=lambda score: places[score.level])
        )
        segments = tuple(Segment(first.x, first.y, second.x, second.y) for first, second in itertools.pairwise(points))
        drawn.append(Line(name, style, points, segments))
    count = round((stop - start) / step)
    return Panel(
        title=title,
        x_ticks=tuple(Tick(places[level], level, "middle") for level in levels),
        y_ticks=tuple(
            Tick(height(start + index * step), _percent_label(start + index * step, step), "end")
            for index in range(count + 1)
        ),
        lines=tuple(drawn),
        float_y=None if float_score is None or not start <= float_score <= stop else height(float_score),
        float_label=percent(float_score) if float_score is not None else NOTHING,
        cut=any(point.cut for line in drawn for point in line.points),
    )


def x_places(levels: Sequence[str]) -> dict[str, float]:
    """Level -> position. Numbers stand where they belong, ascending; other levels evenly, in their order."""
    try:
        values = {level: float(level) for level in levels}
    except ValueError:
        values = {level: float(index) for index, level in enumerate(levels)}
    low, high = min(values.values()), max(values.values())
    margin = 9.0  # room for the marks of all lines beside the first and the last level
    width = RIGHT - LEFT - 2.0 * margin
    return {
        level: round(LEFT + margin + width * ((value - low) / (high - low) if high > low else 0.5), 3)
        for level, value in values.items()
    }


def _bounds(bounds: tuple[float, float], step: float) -> tuple[float, float]:
    start, stop = math.floor(bounds[0] / step + 1e-9) * step, math.ceil(bounds[1] / step - 1e-9) * step
    return (start, stop) if stop > start else (start, start + step)


def _percent_label(score: float, step: float) -> str:
    decimals = max(0, -math.floor(math.log10(100.0 * step) + 1e-9))
    return f"{100.0 * score:.{decimals}f}"
