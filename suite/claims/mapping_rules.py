"""Claims: what a mapping must agree with: the claims it names exist, and so do the cells of the study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence

from suite.claims.claim import Kind
from suite.claims.library import Published
from suite.claims.mapping import Comparison, PaperMapping, Same
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
        _differs(mapping, cells, complain, place)
        met: dict[int, list[Same]] = {}
        for comparison in mapping.comparisons:
            where = (*place, "comparisons", comparison.number)
            met.setdefault(comparison.number, []).extend(
                _comparison(mapping, comparison, published, cells, complain, where)
            )
        for comparison in {held.number: held for held in mapping.comparisons}.values():
            _same(comparison, met[comparison.number], cells, complain, (*place, "comparisons", comparison.number))
        _statements(mapping, published, study, complain, place)


def _differs(mapping: PaperMapping, cells: Collection[str], complain: Complain, place: Path) -> None:
    for size in mapping.differs_at:
        if size not in cells:
            complain((*place, "differs_at", size), f"the study has no size '{size}'", f"it has {', '.join(cells)}")
    for size in cells:
        if not mapping.told(size):
            complain(place, f"how the size '{size}' differs from the paper is not said", "differs, or differs_at")


def _same(comparison: Comparison, met: Sequence[Same], cells: Collection[str], complain: Complain, place: Path) -> None:
    """Where the network is the paper's, one of the comparison's tables has to print it beside cells of these sizes."""
    for same in comparison.same:
        key = "same_network" if same.but else "same_number"
        for size in same.sizes:
            if size not in cells:
                complain((*place, key), f"the study has no size '{size}'", f"it has {', '.join(cells)}")
        if same not in met and set(same.sizes) <= set(cells):
            complain((*place, key), "no claim that it speaks of stands beside a cell of the study at these sizes")


def _comparison(
    mapping: PaperMapping,
    comparison: Comparison,
    published: Published,
    cells: dict[str, tuple[Cell, ...]],
    complain: Complain,
    place: Path,
) -> list[Same]:
    """What of `same` a claim meets; all of it where something else is wrong, so that no more is told of it."""
    table = published.papers[mapping.paper].table(comparison.table)
    if table is None or table.kind is not Kind.RESULTS:
        complain((*place, "tables"), f"{mapping.paper} has no table of results '{comparison.table}'")
        return list(comparison.same)
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
        return _points(mapping, comparison, published, cells, complain, place)
    except SuiteError as error:
        complain(place, error.message, error.hint)
        return list(comparison.same)


def _points(
    mapping: PaperMapping,
    comparison: Comparison,
    published: Published,
    cells: dict[str, tuple[Cell, ...]],
    complain: Complain,
    place: Path,
) -> list[Same]:
    floats = float_scores(mapping, comparison, published)
    answered: set[tuple[str, str]] = set()
    met: list[Same] = []
    for size, held in cells.items():
        for key, point in points(mapping, comparison, published, held, size).items():
            what = f"{key[0]} at {key[1]}"
            if not point.printed:
                complain(place, f"{what}: no claim of {comparison.table} is so")
                return list(comparison.same)
            lacking = [network for network in point.printed if network not in floats]
            if comparison.float_claims is not None and lacking:
                complain((*place, "float"), f"no float score is printed for {' '.join(lacking[0])}")
                return list(comparison.same)
            if point.group is not None:
                answered.add(key)
                met += [point.same] if point.same is not None else []
                if point.same is not None and len(point.printed) > 1:
                    complain(place, f"{what} stands for several networks at the size '{size}', where one is meant")
    for row in comparison.rows:
        for at in comparison.at:
            if (row.id, at.id) not in answered:
                complain(place, f"{row.id} at {at.id}: the study has no such cell at any size")
    return met


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
