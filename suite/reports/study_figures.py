"""Reports: the figures of one part of a study: which groups become which line of which panel."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from suite.reports.numbers import percent
from suite.reports.study_charts import MeasuredScale, Panel, Score, panel
from suite.reports.study_tables import teller
from suite.statistics import Interval
from suite.studies.evidence import Evidence, Measured
from suite.studies.matching import Group
from suite.studies.measures import mean_of, measure
from suite.studies.study import FigureLayout, Part

STYLES = 8
"""How many colours and marks the style sheet knows; further lines begin anew."""


@dataclass(frozen=True)
class LegendEntry:
    """A line's name with the number of its colour and mark."""

    name: str
    style: int


@dataclass(frozen=True)
class StudyFigure:
    """Panels on one vertical scale, with a common legend."""

    title: str
    axis: str
    panels: tuple[Panel, ...]
    legend: tuple[LegendEntry, ...]
    note: str


def study_figures(
    part: Part, layouts: Sequence[FigureLayout], held: Sequence[Group], evidence: Evidence
) -> list[StudyFigure]:
    """Every figure of a part that has anything to draw."""
    figures = (_figure(part, layout, held, evidence) for layout in layouts)
    return [figure for figure in figures if figure is not None]


def _figure(part: Part, layout: FigureLayout, held: Sequence[Group], evidence: Evidence) -> StudyFigure | None:
    measured = {group.id: found for group in held if isinstance(found := evidence.of(group), Measured)}
    places = {id: mean_of(layout.at, one.records) for id, one in measured.items()} if layout.at else {}
    # What no record says leaves a gap, as a level does that was not measured.
    drawn = [group for group in held if group.id in measured and places.get(group.id, 0.0) is not None]
    if not drawn:
        return None
    known = [place for place in places.values() if place is not None]
    across = MeasuredScale(min(known), max(known), teller(layout.at)) if known else None
    scores = {group.id: measured[group.id].score() for group in drawn}
    floats = [float(found.float_outcomes.mean()) for found in measured.values()]
    least = layout.least
    lowest = min(interval.low for interval in scores.values()) if least is None else least
    highest = max([*floats, *(interval.high for interval in scores.values())])
    names = _combinations(part, layout.lines)
    panels = []
    for key in _combinations(part, layout.panels):
        within = [group for group in drawn if _key(group, layout.panels) == key]
        if not within:
            continue
        lines = [
            (
                _title(part, layout.lines, name),
                index % STYLES,
                [
                    _score(group, layout.x, scores[group.id], places.get(group.id))
                    for group in within
                    if _key(group, layout.lines) == name
                ],
            )
            for index, name in enumerate(names)
        ]
        levels = [id for id in part.factor(layout.x).ids if any(group.levels[layout.x] == id for group in within)]
        panels.append(
            panel(
                _title(part, layout.panels, key),
                levels,
                [line for line in lines if line[2]],
                floats[0] if len(set(floats)) == 1 else None,
                (lowest, highest),
                across,
            )
        )
    shown = {line.name for one in panels for line in one.lines}
    cut = any(one.cut for one in panels)
    note = f"What lies below {percent(least)} is not drawn." if cut and least is not None else ""
    return StudyFigure(
        title=f"Score against {_axis(part, layout)}",
        axis=_axis(part, layout),
        panels=tuple(panels),
        legend=tuple(
            LegendEntry(title, index % STYLES)
            for index, name in enumerate(names)
            if (title := _title(part, layout.lines, name)) in shown
        ),
        note=note,
    )


def _axis(part: Part, layout: FigureLayout) -> str:
    return measure(layout.at).title if layout.at else part.factor(layout.x).shown


def _score(group: Group, x: str, interval: Interval, at: float | None) -> Score:
    return Score(group.levels[x], interval.estimate, interval.low, interval.high, at)


def _combinations(part: Part, names: Sequence[str]) -> list[tuple[str, ...]]:
    return list(itertools.product(*(part.factor(name).ids for name in names)))


def _key(group: Group, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(group.levels[name] for name in names)


def _title(part: Part, names: Sequence[str], key: Sequence[str]) -> str:
    return ", ".join(part.factor(name).named(level) for name, level in zip(names, key, strict=True))
