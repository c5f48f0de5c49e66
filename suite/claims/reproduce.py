"""Claims: reproducing a paper, or one of its tables, with the studies that come with the suite.

What to run is decided first (`plan`), then it is run like any study, then published and reproduced are put side by side
(`results`). Whatever is not answered is said with its reason and with what it needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from suite.claims.claim import PROSE, Claim, Kind
from suite.claims.compare import Basis, Line, Verdict, compare
from suite.claims.library import Published
from suite.claims.mapping import Comparison, PaperMapping, Statement
from suite.claims.points import points
from suite.studies import Cell, Study, expand, load_study
from suite.studies.evidence import Evidence
from suite.studies.expectations import Verdict as Answered
from suite.studies.expectations import answer
from suite.studies.matching import matched, selected
from suite.studies.study import Expectation, Number, Ordering, Quantity

NOBODY = "no study that comes with the suite asks this"
ELSEWHERE = "the study that asks this does so at another size"
OTHER = "the question is asked above, of another network"
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
class Refused:
    """What a study asks and cannot answer here: at this size, or without its weights or data."""

    study: str
    why: str
    tables: tuple[str, ...]
    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class Left:
    """Claims whose numbers themselves are not judged: of one table, for one reason, with what they need."""

    table: str
    title: str
    claims: int
    why: str
    needs: tuple[str, ...] = ()


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


@dataclass(frozen=True)
class Reproduction:
    """A paper, or one of its tables, at one size: what was answered, what could not be run, what is not judged."""

    scope: str
    size: str
    answers: tuple[Answer, ...]
    refused: tuple[Refused, ...]
    left: tuple[Left, ...]


def plan(
    published: Published, mappings: Sequence[PaperMapping], scope: str, size: str
) -> tuple[tuple[Part, ...], tuple[Refused, ...]]:
    """What to run for `PAPER[/TABLE]`, and what no study can answer at this size though it asks the same."""
    paper, table = published.scope(scope)
    parts: list[Part] = []
    refused: list[Refused] = []
    for mapping in mappings:
        comparisons = tuple(held for held in mapping.comparisons if table in ("", held.table))
        statements = tuple(held for held in mapping.statements if not table or _is_of(held, paper, table))
        if mapping.paper != paper or not (comparisons or statements):
            continue
        study = load_study(mapping.study)
        if size not in [held.name for held in study.sizes]:
            sizes = ", ".join(held.name for held in study.sizes)
            refused.append(_refused(study, f"it has the sizes {sizes} alone", comparisons, statements))
            continue
        part = _part(mapping, study, size, comparisons, statements, published)
        answered = {held.table for held in part.comparisons}
        lost = [held for held in comparisons if held.table not in answered]
        unsaid = [held for held in statements if held not in part.statements]
        if lost or unsaid:
            refused.append(_refused(study, f"it has no such cells at the size {size}", lost, unsaid))
        if part.cells:
            parts.append(part)
    return tuple(parts), tuple(refused)


def not_met(part: Part, why: str) -> Refused:
    """A part whose weights or data are not at hand."""
    return _refused(part.study, why, part.comparisons, part.statements)


def _refused(study: Study, why: str, comparisons: Sequence[Comparison], statements: Sequence[Statement]) -> Refused:
    tables = tuple(dict.fromkeys(held.table for held in comparisons))
    return Refused(study.id, why, tables, tuple(statements))


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
        groups = [point.group for point in points(mapping, comparison, published, cells, size).values()]
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
    if isinstance(test, Number | Quantity):
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


def left_over(
    published: Published, scope: str, answers: Sequence[Answer], refused: Sequence[Refused]
) -> tuple[Left, ...]:
    """Tables of results, and sentences, whose numbers themselves are not judged, with the reason and what they need."""
    paper_id, wanted = published.scope(scope)
    paper = published.papers[paper_id]
    judged = {
        id
        for answer in answers
        for line in answer.lines
        if line.verdict in (Verdict.REPRODUCED, Verdict.DIFFERS)
        for id in line.claims
    }
    found = []
    for table in paper.tables:
        if wanted in ("", table.id) and table.kind is Kind.RESULTS:
            rest = [claim for claim in published.of(f"{paper_id}/{table.id}") if claim.id not in judged]
            reasons = Counter(_why(claim, answers, refused) for claim in rest)
            found += [Left(table.id, table.title, count, why, table.needs) for why, count in reasons.items()]
    if wanted in ("", PROSE):
        said = {id for answer in answers for held in answer.said for id in held.statement.claims}
        claims = [claim for claim in published.of(f"{paper_id}/{PROSE}") if claim.id not in said]
        if claims:
            found.append(Left(PROSE, "numbers in sentences", len(claims), f"{NOBODY}; many of them are settings"))
    return tuple(found)


def _why(claim: Claim, answers: Sequence[Answer], refused: Sequence[Refused]) -> str:
    """Why a number is not judged: it is asked of something else, not resolved, not run, or not asked at all."""
    table = [line for answer in answers for line in answer.lines if line.table == claim.table]
    own = [line for line in table if claim.id in line.claims]
    measured = [line for line in own if line.reproduced is not None]
    if measured:
        return _asked(measured)
    beside = [line for line in table if claim.id in line.others]
    if any(line.reproduced is not None for line in beside):
        return OTHER
    if own or beside:
        # One cell of the table stands for all that did not run.
        return next(line.reason for line in table if line.reproduced is None)
    if any(answer.part.mapping.compares(claim) for answer in answers):
        return ELSEWHERE
    return next((f"the study {held.study}: {held.why}" for held in refused if claim.table in held.tables), NOBODY)


def _asked(lines: Sequence[Line]) -> str:
    """On what basis, the surest of several, the question behind a number was asked."""
    basis = next(basis for basis in Basis if any(line.basis is basis for line in lines))
    if basis is Basis.NUMBER:
        return "it is asked above, and not resolved"
    if basis is Basis.QUESTION:
        return OTHER
    nearest = next(line for line in lines if line.basis is basis)
    return f"the question is asked above, of the {nearest.footing}"
