"""Reports: the geometry of a study's figures: scores against the levels of a factor, one line for each of some others.

Positions are percentages of width and height, as in `charts.py`, so one drawing fits a phone and a desk.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from suite.reports.charts import Tick, round_step
from suite.reports.numbers import NOTHING, percent

LEFT, RIGHT, TOP, BOTTOM = 3.0, 97.0, 4.0, 96.0
"""Where the plotted area lies. Labels stand outside the drawing, in margins of fixed width."""
MARGIN = 9.0
"""Room for the marks of all lines beside the first and the last place, in percent of the width."""
DODGE = 1.1
"""Percent of the width between the marks of two lines at one level, so that their whiskers stay apart."""


@dataclass(frozen=True)
class Score:
    """A score with its interval, to be drawn at a level of the horizontal factor, or at what was measured there."""

    level: str
    estimate: float
    low: float
    high: float
    at: float | None = None


@dataclass(frozen=True)
class LinePoint:
    """A mark with its whisker."""

    x: float
    y: float
    low: float
    high: float
    label: str


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
    """Whether something lies below what is in view, and is not drawn."""


def panel(
    title: str,
    levels: Sequence[str],
    lines: Sequence[tuple[str, int, Sequence[Score]]],
    float_score: float | None,
    bounds: tuple[float, float],
    across: MeasuredScale | None = None,
) -> Panel:
    """Draw one panel; `bounds` are the lowest and the highest score in view, the same for all panels of a figure.

    Scores stand at their levels, or with `across` at what was measured, on one scale for all panels.
    """
    places = x_places(levels)
    step = round_step((bounds[1] - bounds[0]) / 5.0)
    start, stop = _bounds(bounds, step)

    def height(score: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (score - start) / (stop - start), 3)

    def mark(name: str, score: Score, shift: float) -> LinePoint:
        x, told = places[score.level] + shift, ""
        if across is not None and score.at is not None:
            x, told = across.place(score.at), f" ({across.tell(score.at)})"
        return LinePoint(
            x=round(x, 3),
            y=height(score.estimate),
            low=min(100.0, height(score.low)),
            high=height(score.high),
            label=f"{name}, {score.level}{told}: {percent(score.estimate)}, "
            f"95 % interval {percent(score.low)} to {percent(score.high)}",
        )

    order = sorted(levels, key=lambda level: places[level])
    drawn, cut = [], False
    for index, (name, style, scores) in enumerate(lines):
        shift = DODGE * (index - (len(lines) - 1) / 2.0)
        marks = {score.level: mark(name, score, shift) for score in scores}
        # A level that was not measured leaves a gap, which no line bridges.
        pairs = [
            (marks[first], marks[second])
            for first, second in itertools.pairwise(order)
            if first in marks and second in marks
        ]
        segments = tuple(piece for first, second in pairs if (piece := _in_view(first, second)) is not None)
        shown = tuple(marks[level] for level in order if level in marks and marks[level].y <= BOTTOM + 1e-6)
        cut = cut or len(shown) < len(marks)
        drawn.append(Line(name, style, shown, segments))
    count = round((stop - start) / step)
    return Panel(
        title=title,
        x_ticks=tuple(Tick(places[level], level, "middle") for level in levels) if across is None else across.ticks,
        y_ticks=tuple(
            Tick(height(start + index * step), _percent_label(start + index * step, step), "end")
            for index in range(count + 1)
        ),
        lines=tuple(drawn),
        float_y=None if float_score is None or not start <= float_score <= stop else height(float_score),
        float_label=percent(float_score) if float_score is not None else NOTHING,
        cut=cut,
    )


@dataclass(frozen=True)
class MeasuredScale:
    """A horizontal axis of measured numbers: from the least to the greatest of them, with round ticks."""

    low: float
    high: float
    tell: Callable[[float], str]

    def place(self, value: float) -> float:
        """Where a value stands, in percent of the width."""
        part = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return LEFT + MARGIN + (RIGHT - LEFT - 2.0 * MARGIN) * part

    @property
    def ticks(self) -> tuple[Tick, ...]:
        if not self.high > self.low:
            return (Tick(self.place(self.low), self.tell(self.low), "middle"),)
        step = round_step((self.high - self.low) / 4.0)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return tuple(
            Tick(round(self.place(step * index), 3), self.tell(round(step * index, 12)), "middle")
            for index in range(first, last + 1)
        )


def x_places(levels: Sequence[str]) -> dict[str, float]:
    """Level -> position. Numbers stand where they belong, ascending; other levels evenly, in their order."""
    try:
        values = {level: float(level) for level in levels}
    except ValueError:
        values = {level: float(index) for index, level in enumerate(levels)}
    low, high = min(values.values()), max(values.values())
    width = RIGHT - LEFT - 2.0 * MARGIN
    return {
        level: round(LEFT + MARGIN + width * ((value - low) / (high - low) if high > low else 0.5), 3)
        for level, value in values.items()
    }


def _in_view(first: LinePoint, second: LinePoint) -> Segment | None:
    """The piece between two marks as far as it is above the lower edge of the drawing."""
    if first.y > BOTTOM and second.y > BOTTOM:
        return None
    if first.y > BOTTOM:
        return _reversed(_in_view(second, first))
    if second.y <= 100.0:
        return Segment(first.x, first.y, second.x, second.y)
    part = (100.0 - first.y) / (second.y - first.y)
    return Segment(first.x, first.y, round(first.x + part * (second.x - first.x), 3), 100.0)


def _reversed(piece: Segment | None) -> Segment | None:
    return None if piece is None else Segment(piece.x2, piece.y2, piece.x1, piece.y1)


def _bounds(bounds: tuple[float, float], step: float) -> tuple[float, float]:
    start, stop = math.floor(bounds[0] / step + 1e-9) * step, math.ceil(bounds[1] / step - 1e-9) * step
    return (start, stop) if stop > start else (start, start + step)


def _percent_label(score: float, step: float) -> str:
    decimals = max(0, -math.floor(math.log10(100.0 * step) + 1e-9))
    return f"{100.0 * score:.{decimals}f}"
