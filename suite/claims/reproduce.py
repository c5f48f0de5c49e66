"""Claims: reproducing a paper, or one of its tables, with the studies that come with the suite.

What to run is decided first (`plan`), then it is run like any study, then published and reproduced are put side by side
(`results`). Whatever is not answered is said with its reason and with what it needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from suite.claims.claim import Kind, Table
from suite.claims.compare import Line, Verdict, compare
from suite.claims.library import Published
from suite.claims.mapping import Comparison, PaperMapping, Statement
from suite.claims.points import points
from suite.studies import Cell, Study, expand, load_study
from suite.studies.evidence import Evidence
from suite.studies.expectations import Verdict as Answered
from suite.studies.expectations import answer
from suite.studies.matching import matched, selected
from suite.studies.study import Expectation, Number, Ordering

ANSWERS = {Answered.HOLDS: Verdict.HOLDS, Answered.FAILS: Verdict.FAILS, Answered.OPEN: Verdict.OPEN}


@dataclass(frozen=True)
class Part:
    """What one study has to run at a size to answer what is asked."""

    mapping: PaperMapping
    study: Study
    size: str
    comparisons: tuple[Comparison, ...]
    statements: tuple[Statement, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Unasked:
    """Claims that nothing answers: of one table, with the reason and what the paper's own numbers need."""

    table: str
    title: str
    claims: int
    why: str
    needs: tuple[str, ...]


@dataclass(frozen=True)
class Said:
    """A statement of the paper beside the verdict of the study's expectation."""

    statement: Statement
    says: str
    """What the study expects, in its own words: often less than the paper says."""
    verdict: Verdict
    detail: str


@dataclass(frozen=True)
class Answer:
    """What one part of the reproduction gives."""

    part: Part
    lines: tuple[Line, ...]
    said: tuple[Said, ...]


def plan(
    published: Published, mappings: Sequence[PaperMapping], scope: str, size: str
) -> tuple[tuple[Part, ...], Mapping[str, str]]:
    """The parts to run for `PAPER[/TABLE]`, and table -> why a study that asks the same cannot at this size."""
    paper, table = published.scope(scope)
    parts: list[Part] = []
    cannot: dict[str, str] = {}
    for mapping in mappings:
        comparisons = tuple(held for held in mapping.comparisons if table in ("", held.table))
        statements = tuple(held for held in mapping.statements if not table or _is_of(held, paper, table))
        if mapping.paper != paper or not (comparisons or statements):
            continue
        study = load_study(mapping.study)
        asked = {held.table for held in comparisons}
        if size not in [held.name for held in study.sizes]:
            sizes = ", ".join(held.name for held in study.sizes)
            cannot |= dict.fromkeys(asked, f"the study {study.id} has the sizes {sizes} alone")
            continue
        part = _part(mapping, study, size, comparisons, statements, published)
        cannot |= dict.fromkeys(
            asked - {held.table for held in part.comparisons},
            f"the study {study.id} has no such cells at the size {size}",
        )
        if part.cells:
            parts.append(part)
    return tuple(parts), cannot


def _is_of(statement: Statement, paper: str, table: str) -> bool:
    return any(id.split("/")[:2] == [paper, table] for id in statement.claims)


def _part(
    mapping: PaperMapping,
    study: Study,
    size: str,
    comparisons: Sequence[Comparison],
    statements: Sequence[Statement],
    published: Published,
) -> Part:
    """Only the cells that something is asked of; comparisons and statements without any are left out."""
    cells = expand(study, size)
    asked = {held.id for held in study.expectations_at(size)}
    wanted: set[str] = set()
    kept: list[Comparison] = []
    for comparison in comparisons:
        groups = [point.group for point in points(mapping, comparison, published, cells).values()]
        held = {cell.id for group in groups if group is not None for cell in group.cells}
        wanted |= held
        kept += [comparison] * bool(held)
    answered = tuple(held for held in statements if held.expectation in asked)
    for statement in answered:
        wanted |= cells_of(expectation_of(study, statement), cells)
    return Part(mapping, study, size, tuple(kept), answered, tuple(cell for cell in cells if cell.id in wanted))


def expectation_of(study: Study, statement: Statement) -> Expectation:
    return next(held for held in study.expectations if held.id == statement.expectation)


def cells_of(expectation: Expectation, cells: Sequence[Cell]) -> set[str]:
    """The ids of the cells that an expectation reads."""
    test = expectation.test
    if isinstance(test, Number):
        groups = selected(cells, test.where)
        return {cell.id for group in groups for cell in group.cells}
    first, second = (test.lower, test.higher) if isinstance(test, Ordering) else (test.first, test.second)
    pairs = matched(cells, test.where, first, second)
    return {cell.id for pair in pairs for group in (pair.first, pair.second) for cell in group.cells}


def results(part: Part, published: Published, evidence: Evidence) -> Answer:
    """Published and reproduced, side by side, from what has been measured."""
    lines = tuple(
        line
        for comparison in part.comparisons
        for line in compare(part.mapping, comparison, published, part.cells, part.size, evidence)
    )
    said = []
    for statement in part.statements:
        expectation = expectation_of(part.study, statement)
        found = answer(part.study, expectation, part.cells, evidence)
        said.append(Said(statement, expectation.says, ANSWERS[found.verdict], found.detail))
    return Answer(part, lines, tuple(said))


def unasked(
    published: Published, scope: str, answers: Sequence[Answer], cannot: Mapping[str, str]
) -> tuple[Unasked, ...]:
    """Tables of results whose numbers themselves are not reproduced, with the reason and what they need."""
    paper_id, wanted = published.scope(scope)
    paper = published.papers[paper_id]
    found = []
    for table in paper.tables:
        if wanted not in ("", table.id) or table.kind is not Kind.RESULTS:
            continue
        own = published.of(f"{paper_id}/{table.id}")
        reproduced = {
            id
            for answer in answers
            for line in answer.lines
            if line.verdict in (Verdict.REPRODUCED, Verdict.DIFFERS)
            for id in line.claims
        }
        left = [claim for claim in own if claim.id not in reproduced]
        if left:
            found.append(Unasked(table.id, table.title, len(left), _why(table, answers, cannot), table.needs))
    return tuple(found)


def _why(table: Table, answers: Sequence[Answer], cannot: Mapping[str, str]) -> str:
    lines = [line for answer in answers for line in answer.lines if line.table == table.id]
    if any(line.reproduced is not None for line in lines):
        return "the question is asked above, of another network"
    if lines:
        return lines[0].reason
    return cannot.get(table.id, "no study that comes with the suite asks this")
