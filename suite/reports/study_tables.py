"""Reports: the table of one part of a study: factors down and across, a score with its interval in each place."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from suite.reports import numbers
from suite.statistics import Side, rank_ranges, sides
from suite.studies.evidence import Evidence, Measured, Missing
from suite.studies.matching import Group
from suite.studies.measures import mean_of, measure
from suite.studies.study import Part, Reference, TableLayout, satisfies

Place = tuple[tuple[str, ...], tuple[str, ...]]
"""The levels of a row, and those of a column."""


@dataclass(frozen=True)
class HeaderCell:
    """A heading over one or more columns."""

    text: str
    span: int


@dataclass(frozen=True)
class ReferenceMark:
    """Somebody else's score for the same place."""

    text: str
    says: str


@dataclass(frozen=True)
class TableCell:
    """One place of a table; `best` when no score of its column is known to be higher."""

    score: str
    difference: str = ""
    interval: str = ""
    seeds: str = ""
    best: bool = False
    missing: str = ""
    references: tuple[ReferenceMark, ...] = ()
    measures: tuple[str, ...] = ()
    """What was measured beside the score, in the order in which the table names it."""


@dataclass(frozen=True)
class TableRow:
    """One row: its heading, and a place for every column."""

    title: str
    cells: tuple[TableCell | None, ...]


@dataclass(frozen=True)
class StudyTable:
    """The table of one part. `headers` are the heading rows, outermost first; `labels` name each column in full."""

    corner: str
    headers: tuple[tuple[HeaderCell, ...], ...]
    labels: tuple[str, ...]
    rows: tuple[TableRow, ...]
    float_score: str
    has_references: bool
    measures: tuple[str, ...] = ()
    """What stands below the differences, in order."""


def study_table(
    part: Part, layout: TableLayout, held: Sequence[Group], evidence: Evidence, references: Sequence[Reference]
) -> StudyTable:
    """Arrange the groups of one part; rows and columns without any group are left out."""
    by_place = {(_key(group, layout.rows), _key(group, layout.columns)): group for group in held}
    rows = [key for key in _keys(part, layout.rows) if any(row == key for row, _ in by_place)]
    columns = [key for key in _keys(part, layout.columns) if any(column == key for _, column in by_place)]
    measured = {place: evidence.of(group) for place, group in by_place.items()}
    best: dict[Place, bool] = {}
    for column in columns:
        best |= _best_of_column(column, rows, measured, evidence)
    made = []
    for row in rows:
        cells: list[TableCell | None] = []
        for column in columns:
            group = by_place.get((row, column))
            if group is None:
                cells.append(None)
                continue
            held_here = measured[row, column]
            cells.append(_cell(group, held_here, best.get((row, column), False), references, layout.measures))
        made.append(TableRow(_title(part, layout.rows, row), tuple(cells)))
    floats = {float(held.float_outcomes.mean()) for held in measured.values() if isinstance(held, Measured)}
    return StudyTable(
        corner=", ".join(part.factor(name).shown for name in layout.rows),
        headers=_headers(part, layout.columns, columns),
        labels=tuple(_title(part, layout.columns, column) for column in columns),
        rows=tuple(made),
        float_score=" or ".join(numbers.percent(score) for score in sorted(floats)) or numbers.NOTHING,
        has_references=any(cell is not None and cell.references for row in made for cell in row.cells),
        measures=tuple(measure(name).title for name in layout.measures),
    )


def teller(name: str) -> Callable[[float], str]:
    """How a measure is printed: bytes with their unit, bits and other numbers plainly."""
    unit = measure(name).unit
    if unit == "bytes":
        return numbers.byte_size
    return lambda value: f"{numbers.number(value)}{f' {unit}' if unit else ''}"


def _cell(
    group: Group, measured: Measured | Missing, best: bool, references: Sequence[Reference], measures: Sequence[str]
) -> TableCell:
    marks = tuple(
        # The mean, because a place is small; every score stands in the table of references.
        ReferenceMark(numbers.percent(reference.mean), reference.says)
        for reference in references
        if satisfies(reference.where, group.levels)
    )
    if isinstance(measured, Missing):
        return TableCell(numbers.NOTHING, missing=measured.why, references=marks)
    loss = measured.loss()
    count = len(measured.seeds)
    return TableCell(
        score=numbers.percent(measured.score().estimate),
        difference=numbers.points(loss.estimate, unit=False),
        interval=numbers.interval_points((loss.low, loss.high)),
        seeds=f"{count} seeds" if count > 1 else "",
        best=best,
        references=marks,
        measures=tuple(
            numbers.NOTHING if (mean := mean_of(name, measured.records)) is None else teller(name)(mean)
            for name in measures
        ),
    )


def _best_of_column(
    column: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    measured: Mapping[Place, Measured | Missing],
    evidence: Evidence,
) -> dict[Place, bool]:
    """Which places of a column may hold its highest score: those that no other is known to exceed.

    All pairs of the column are resolved together (Holm): of many equal scores some pair would look different by chance.
    """
    held = [(row, found) for row in rows if isinstance(found := measured.get((row, column)), Measured)]
    if len(held) < 2:
        return {}
    scores = [found.score().estimate for _, found in held]
    between = {
        (first, second): at
        for first, second in itertools.combinations(range(len(held)), 2)
        if (at := evidence.between(held[first][1], held[second][1])) is not None
    }
    known = dict(zip(between, sides(list(between.values())), strict=True))

    def resolved(higher: int, lower: int) -> bool:
        return known.get((lower, higher)) is Side.ABOVE or known.get((higher, lower)) is Side.BELOW

    ranks = rank_ranges(scores, resolved)
    return {(row, column): rank.first == 1 for (row, _), rank in zip(held, ranks, strict=True)}


def _keys(part: Part, names: Sequence[str]) -> list[tuple[str, ...]]:
    return list(itertools.product(*(part.factor(name).ids for name in names)))


def _key(group: Group, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(group.levels[name] for name in names)


def _title(part: Part, names: Sequence[str], key: Sequence[str]) -> str:
    return ", ".join(part.factor(name).named(level) for name, level in zip(names, key, strict=True))


def _headers(
    part: Part, names: Sequence[str], columns: Sequence[tuple[str, ...]]
) -> tuple[tuple[HeaderCell, ...], ...]:
    """One row of headings a factor; neighbours under the same outer headings are joined."""
    rows = []
    for depth, name in enumerate(names):
        cells: list[HeaderCell] = []
        for _, run in itertools.groupby(columns, key=lambda column: column[: depth + 1]):
            held = list(run)
            cells.append(HeaderCell(part.factor(name).named(held[0][depth]), len(held)))
        rows.append(tuple(cells))
    return tuple(rows)
