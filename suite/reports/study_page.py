"""Reports: what the page of a study says, gathered before any template runs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from suite.axes import AXES
from suite.reports import numbers
from suite.reports.card_page import Banner
from suite.reports.study_charts import Panel
from suite.reports.study_figures import StudyFigure, study_figures
from suite.reports.study_tables import StudyTable, study_table
from suite.statistics import Interval, over_seeds
from suite.studies.cells import Cell
from suite.studies.evidence import Evidence, Measured
from suite.studies.expectations import Answer, Verdict
from suite.studies.matching import groups, selected
from suite.studies.needs import told_data, told_weights
from suite.studies.remarks import NO_REMARKS, Remarks
from suite.studies.states import CellResult, State
from suite.studies.study import Study

KINDS = {Verdict.HOLDS: "good", Verdict.FAILS: "bad", Verdict.OPEN: "doubtful"}

__all__ = ["Panel", "StudyPage", "study_page"]


@dataclass(frozen=True)
class ComparedRow:
    """One comparison that an expectation rests on."""

    what: str
    value: str
    interval: str
    says: str
    kind: str


@dataclass(frozen=True)
class ExpectationRow:
    """One expectation with its verdict."""

    id: str
    says: str
    verdict: str
    kind: str
    detail: str
    compared: tuple[ComparedRow, ...]
    remark: str


@dataclass(frozen=True)
class PartSection:
    """One part: its table and its figures."""

    id: str
    title: str
    table: StudyTable
    figures: tuple[StudyFigure, ...]


@dataclass(frozen=True)
class ReferenceRow:
    """Somebody else's scores beside ours."""

    says: str
    where: str
    reference: str
    measured: str
    difference: str
    interval: str


@dataclass(frozen=True)
class CostRow:
    """What the runs of one row of a table took."""

    name: str
    runs: int
    mean: str
    longest: str
    total: str
    labels: str


@dataclass(frozen=True)
class DifferingRow:
    """Something that is not the same in all cells, and what decides it."""

    name: str
    by: str
    values: str


@dataclass(frozen=True)
class CellRow:
    """One cell and where its run is."""

    id: str
    state: str
    kind: str
    score: str
    seconds: str
    run_id: str
    message: str


@dataclass(frozen=True)
class StudyPage:
    """Everything the templates `study.html.j2` and `study.md.j2` print."""

    id: str
    title: str
    question: str
    summary: str
    size: str
    says: str
    banner: Banner
    remark: str
    expectations: tuple[ExpectationRow, ...]
    parts: tuple[PartSection, ...]
    references: tuple[ReferenceRow, ...]
    costs: tuple[CostRow, ...]
    total_seconds: str
    differing: tuple[DifferingRow, ...]
    agreed: tuple[tuple[str, str], ...]
    unfinished: tuple[CellRow, ...]
    cells: tuple[CellRow, ...]
    needs: tuple[str, ...]
    machine: str
    command: str


def study_page(
    study: Study,
    size: str,
    results: Sequence[CellResult],
    evidence: Evidence,
    answers: Sequence[Answer],
    command: str,
    remarks: Remarks = NO_REMARKS,
) -> StudyPage:
    """Gather the page of a study at one size."""
    cells = [result.cell for result in results]
    chosen = study.size(size)
    rows = tuple(_cell_row(result) for result in results)
    differing, agreed = _what_differs(cells)
    seconds = [result.seconds for result in results if result.seconds is not None]
    needs = [*map(told_weights, chosen.weights), *map(told_data, chosen.data)]
    return StudyPage(
        id=study.id,
        title=study.title,
        question=study.question,
        summary=study.summary,
        size=size,
        says=chosen.says,
        banner=_banner(answers, results),
        remark=numbers.clean(remarks.whole),
        expectations=tuple(_expectation_row(held, remarks) for held in answers),
        parts=tuple(_part_sections(study, size, cells, evidence)),
        references=tuple(_reference_rows(study, size, cells, evidence)),
        costs=tuple(_cost_rows(study, results)),
        total_seconds=numbers.duration(sum(seconds)),
        differing=differing,
        agreed=agreed,
        unfinished=tuple(row for row in rows if row.kind != "good"),
        cells=rows,
        needs=tuple(needs),
        machine=_machine(results),
        command=command,
    )


def _banner(answers: Sequence[Answer], results: Sequence[CellResult]) -> Banner:
    verdicts = [held.verdict for held in answers]
    holds, fails = verdicts.count(Verdict.HOLDS), verdicts.count(Verdict.FAILS)
    states = [result.state for result in results]
    parts = [
        f"{states.count(state)} {state.value}"
        for state in (State.COMPLETED, State.DIVERGED, State.FAILED)
        if states.count(state) or state is State.COMPLETED
    ]
    missing = len(states) - sum(states.count(state) for state in (State.COMPLETED, State.DIVERGED, State.FAILED))
    parts += [f"{missing} not run yet"] * bool(missing)
    sentence = f"Of {len(states)} cells: {', '.join(parts)}."
    stale = [result for result in results if result.stale]
    if stale:
        sentence += f" {len(stale)} of them were measured with other code than today's ({stale[0].stale})."
    if missing == len(states):
        return Banner("quiet", "Nothing has been run yet", sentence)
    if not answers:
        return Banner("quiet", "Nothing was expected", sentence)
    open_ = len(verdicts) - holds - fails
    headline = f"{holds} of {len(verdicts)} expectations hold"
    more = [f"{fails} {'does' if fails == 1 else 'do'} not hold"] * bool(fails)
    more += [f"{open_} not resolved at this number of seeds"] * bool(open_)
    if more:
        headline += f"; {', '.join(more)}"
    broken = missing or any(state in (State.DIVERGED, State.FAILED) for state in states)
    return Banner("good" if not more and not broken else "doubtful", headline, sentence)


def _expectation_row(held: Answer, remarks: Remarks) -> ExpectationRow:
    return ExpectationRow(
        id=held.expectation.id,
        says=held.expectation.says,
        verdict=held.verdict.value,
        kind=KINDS[held.verdict],
        detail=held.detail,
        compared=tuple(
            ComparedRow(
                what=row.what,
                value=_value(row.interval, row.is_score),
                interval=_bounds(row.interval, row.is_score),
                says=row.says,
                kind=KINDS[row.verdict],
            )
            for row in held.compared
        ),
        remark=numbers.clean(remarks.expectations.get(held.expectation.id, "")),
    )


def _value(interval: Interval | None, is_score: bool) -> str:
    if interval is None:
        return numbers.NOTHING
    return numbers.percent(interval.estimate) if is_score else numbers.points(interval.estimate)


def _bounds(interval: Interval | None, is_score: bool) -> str:
    if interval is None or interval.low == interval.high:
        return numbers.NOTHING
    if is_score:
        return f"[{numbers.percent(interval.low)}, {numbers.percent(interval.high)}]"
    return numbers.interval_points((interval.low, interval.high))


def _less(interval: Interval | None, score: float) -> str:
    """The interval of a score, as that of its difference to a score that is taken as exact."""
    if interval is None:
        return "one seed, none"
    return numbers.interval_points((interval.low - score, interval.high - score))


def _part_sections(study: Study, size: str, cells: Sequence[Cell], evidence: Evidence) -> list[PartSection]:
    sections = []
    for show in study.shows:
        part = study.part(show.part)
        held = [group for group in groups(cells) if group.levels["part"] == show.part]
        if held:
            table = study_table(part, show.table, held, evidence, study.references_at(size))
            figures = study_figures(part, show.figures, held, evidence)
            sections.append(PartSection(part.id, part.title, table, tuple(figures)))
    return sections


def _reference_rows(study: Study, size: str, cells: Sequence[Cell], evidence: Evidence) -> list[ReferenceRow]:
    rows = []
    for reference in study.references_at(size):
        for group in selected(cells, reference.where):
            measured = evidence.of(group)
            ours = over_seeds(measured.scores) if isinstance(measured, Measured) else None
            scores = ", ".join(numbers.percent(score) for score in reference.scores)
            rows.append(
                ReferenceRow(
                    says=reference.says,
                    where=", ".join(
                        study.part(group.levels["part"]).factor(name).named(level)
                        for name, level in group.levels.items()
                        if name != "part"
                    ),
                    reference=scores,
                    measured="not measured" if ours is None else numbers.percent(ours.mean),
                    difference=numbers.NOTHING if ours is None else numbers.points(ours.mean - reference.mean),
                    interval=numbers.NOTHING if ours is None else _less(ours.interval, reference.mean),
                )
            )
    return rows


def _cost_rows(study: Study, results: Sequence[CellResult]) -> list[CostRow]:
    """Seconds by row of the tables: what is in a row took about the same time in every column."""
    shown = {show.part: show.table.rows for show in study.shows}
    gathered: dict[str, list[CellResult]] = {}
    for result in results:
        levels = result.cell.levels
        part = study.part(levels["part"])
        names = shown.get(part.id, tuple(factor.name for factor in part.factors[:1]))
        title = ", ".join(part.factor(name).named(levels[name]) for name in names)
        gathered.setdefault(f"{part.title}: {title}", []).append(result)
    rows = []
    for name, held in gathered.items():
        seconds = [result.seconds for result in held if result.seconds is not None]
        if not seconds:
            continue
        costs = next(result.record.costs for result in held if result.record is not None)
        rows.append(
            CostRow(
                name=name,
                runs=len(seconds),
                mean=numbers.duration(sum(seconds) / len(seconds)),
                longest=numbers.duration(max(seconds)),
                total=numbers.duration(sum(seconds)),
                labels="used" if costs.get("labels") else "not used",
            )
        )
    return rows


def _what_differs(cells: Sequence[Cell]) -> tuple[tuple[DifferingRow, ...], tuple[tuple[str, str], ...]]:
    """What is not the same in all cells, with the factor that decides it; and what is the same in all of them."""
    declared = [(cell, _declared(cell)) for cell in cells]
    names = dict.fromkeys(itertools.chain.from_iterable(held for _, held in declared))
    differing, agreed = [], []
    for name in names:
        values = [held.get(name, numbers.NOTHING) for _, held in declared]
        if len(set(values)) == 1:
            agreed.append((name, values[0]))
            continue
        by, told = _decided_by(cells, values)
        differing.append(DifferingRow(name, by, told))
    return tuple(differing), tuple(agreed)


def _declared(cell: Cell) -> dict[str, str]:
    card = cell.card
    held: dict[str, Any] = {"method": card.method.id, "task": card.task, "model": card.model}
    held |= {f"option {name}": value for name, value in card.method.options.items()}
    held |= {axis: card.values[axis] for axis in AXES}
    return {name: numbers.value_text(value) for name, value in held.items()}


def _decided_by(cells: Sequence[Cell], values: Sequence[str]) -> tuple[str, str]:
    """The one factor whose level decides a value, with the value at each of its levels; or all values."""
    names = dict.fromkeys(itertools.chain.from_iterable(cell.levels for cell in cells))
    for name in names:
        found: dict[str, set[str]] = {}
        for cell, value in zip(cells, values, strict=True):
            found.setdefault(cell.levels.get(name, numbers.NOTHING), set()).add(value)
        if all(len(held) == 1 for held in found.values()):
            return name, _told({level: next(iter(held)) for level, held in found.items()})
    return "several factors", ", ".join(dict.fromkeys(values))


def _told(by_level: Mapping[str, str]) -> str:
    """`min-max: rtn; mse: mse, brecq`, each value once."""
    levels: dict[str, list[str]] = {}
    for level, value in by_level.items():
        levels.setdefault(value, []).append(level)
    return "; ".join(value if [value] == held else f"{value} ({', '.join(held)})" for value, held in levels.items())


def _cell_row(result: CellResult) -> CellRow:
    record = result.record
    contradicted = record is not None and record.audit is not None and record.audit["verdict"] == "contradicted"
    kinds = {State.COMPLETED: "good", State.DIVERGED: "bad", State.FAILED: "bad"}
    message = result.message
    if contradicted and record is not None and record.audit is not None:
        axes = [axis for axis, held in record.audit["axes"].items() if held["verdict"] == "contradicted"]
        message = f"the audit contradicts {', '.join(axes)}"
    return CellRow(
        id=result.cell.id,
        state="contradicted" if contradicted else result.state.value,
        kind="bad" if contradicted else kinds.get(result.state, "quiet"),
        score=numbers.percent(record.score) if record is not None else numbers.NOTHING,
        seconds=numbers.duration(result.seconds),
        run_id=record.run_id if record is not None else "",
        message=numbers.clean(message),
    )


def _machine(results: Sequence[CellResult]) -> str:
    """Where the runs ran, if all of them ran on machines of one kind."""
    found = {
        numbers.value_text(processor)
        for result in results
        if result.record is not None and (processor := result.record.environment.get("processor")) is not None
    }
    return found.pop() if len(found) == 1 else ""
