"""Claims: what a mapping must agree with: the claims it names exist, and so do the cells of the study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from suite.claims.claim import Kind
from suite.claims.library import Published
from suite.claims.mapping import Comparison, PaperMapping
from suite.claims.points import float_scores, points
from suite.errors import SuiteError
from suite.registry import suggestion
from suite.studies import Cell, Study, expand

Path = tuple[str | int, ...]
Complain = Callable[..., None]


def mapping_problems(found: Sequence[PaperMapping], published: Published, study: Study, complain: Complain) -> None:
    """Tell every disagreement with its place in the file."""
    cells = {size.name: expand(study, size.name) for size in study.sizes}
    for at, mapping in enumerate(found):
        place: Path = ("papers", at)
        if mapping.paper not in published.papers:
            hint = suggestion(mapping.paper, list(published.papers))
            complain((*place, "paper"), f"no paper is called '{mapping.paper}'", hint)
            continue
        for size in mapping.same_number_at:
            if size not in cells:
                complain(
                    (*place, "same_number", "sizes"), f"the study has no size '{size}'", f"it has {', '.join(cells)}"
                )
        for comparison in mapping.comparisons:
            where = (*place, "comparisons", comparison.number)
            _comparison(mapping, comparison, published, cells, complain, where)
        _statements(mapping, published, study, complain, place)


def _comparison(
    mapping: PaperMapping,
    comparison: Comparison,
    published: Published,
    cells: dict[str, tuple[Cell, ...]],
    complain: Complain,
    place: Path,
) -> None:
    table = published.papers[mapping.paper].table(comparison.table)
    if table is None or table.kind is not Kind.RESULTS:
        complain((*place, "tables"), f"{mapping.paper} has no table of results '{comparison.table}'")
        return
    rows = [row.id for row in comparison.rows]
    for key, ids in (("rows", rows), ("at", [at.id for at in comparison.at])):
        for id, count in Counter(ids).items():
            if count > 1:
                complain((*place, key), f"'{id}' is given {count} times")
    for contrast in comparison.contrasts:
        for id in (contrast.of, contrast.minus):
            if id and id not in rows:
                complain((*place, "contrasts"), f"no row is called '{id}'", suggestion(id, rows))
        if contrast.of == contrast.minus:
            complain((*place, "contrasts"), f"'{contrast.of}' is compared with itself")
    for row in comparison.rows:
        for level in comparison.at:
            for what, parts in (
                ("where", (comparison.where, level.where, row.where)),
                ("claims", (comparison.claims, level.claims, row.claims)),
            ):
                twice = [name for name, count in Counter(name for part in parts for name in part).items() if count > 1]
                if twice:
                    complain(place, f"{what} of {row.id} at {level.id} names {twice[0]} more than once")
    try:
        _points(mapping, comparison, published, cells, complain, place)
    except SuiteError as error:
        complain(place, error.message, error.hint)


def _points(
    mapping: PaperMapping,
    comparison: Comparison,
    published: Published,
    cells: dict[str, tuple[Cell, ...]],
    complain: Complain,
    place: Path,
) -> None:
    floats = float_scores(mapping, comparison, published)
    answered: set[tuple[str, str]] = set()
    for size, held in cells.items():
        for key, point in points(mapping, comparison, published, held).items():
            what = f"{key[0]} at {key[1]}"
            if not point.printed:
                complain(place, f"{what}: no claim of {comparison.table} is so")
                return
            lacking = [network for network in point.printed if network not in floats]
            if comparison.float_claims is not None and lacking:
                complain((*place, "float"), f"no float score is printed for {' '.join(lacking[0])}")
                return
            if point.group is not None:
                answered.add(key)
                if size in mapping.same_number_at and len(point.printed) > 1:
                    complain(place, f"{what} stands for several networks at the size '{size}', where one is meant")
    for row in comparison.rows:
        for at in comparison.at:
            if (row.id, at.id) not in answered:
                complain(place, f"{row.id} at {at.id}: the study has no such cell at any size")


def _statements(mapping: PaperMapping, published: Published, study: Study, complain: Complain, place: Path) -> None:
    known = [expectation.id for expectation in study.expectations]
    of_paper = published.of(mapping.paper)
    ids = {claim.id for claim in of_paper} | {f"{claim.paper}/{claim.table}" for claim in of_paper}
    for at, statement in enumerate(mapping.statements):
        if statement.expectation not in known:
            hint = suggestion(statement.expectation, known)
            complain((*place, "statements", at, "expectation"), f"the study expects no '{statement.expectation}'", hint)
        for id in statement.claims:
            if id not in ids:
                complain((*place, "statements", at, "claims"), f"no claim of this paper is called '{id}'")
