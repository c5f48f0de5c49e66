"""Claims: reading a paper's provenance, a YAML file beside its tables. Problems carry file, line and column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from suite.cards.text import Node, parse, read_text
from suite.cards.walker import Problem, Walker
from suite.claims.claim import PROSE, Doubt, Kind, Measure, Paper, Statement, Table
from suite.claims.layout import PAPER
from suite.errors import CardError, ClaimError
from suite.registry import suggestion

Content = Mapping[str, Any]


class _Checker(Walker):
    error = ClaimError


def read_paper(path: Path) -> Paper:
    """The paper that a file describes; the first of its problems is a `ClaimError`."""
    root, content = read_document(path, _Checker(str(path), PAPER), "paper")
    checker = _Checker(str(path), PAPER)
    _rules(content, root, checker, path)
    raise_first(checker.in_order)
    return _paper(content, path)


def read_document(path: Path, walker: Walker, what: str) -> tuple[Node, Content]:
    """A document in the suite's strict YAML, walked by its layout."""
    try:
        root = parse(read_text(path, what), str(path), what)
    except CardError as error:
        raise ClaimError(error.message, place=error.place, hint=error.hint) from None
    content = walker.shape(walker.root, root, what)
    raise_first(walker.in_order)
    return root, content


def raise_first(problems: Sequence[Problem]) -> None:
    """The first problem as an error that counts the others."""
    if not problems:
        return
    first = problems[0].error()
    if len(problems) > 1:
        more = f"{len(problems) - 1} more"
        first.hint = f"{first.hint}; {more}" if first.hint else more
    raise first


def _rules(content: Content, root: Node, checker: Walker, path: Path) -> None:
    """What joins several keys: names that are given once, and names that exist."""

    def complain(key: str, at: int | None, message: str, hint: str | None = None) -> None:
        node = root.value[key]
        node = node if at is None else node.value[at]
        checker.report(node.line, node.column, message, hint)

    if content["id"] != path.stem:
        complain("id", None, f"the paper '{content['id']}' stands in the file {path.name}", f"call it {path.stem}")
    settings = {held["id"] for held in content.get("settings", ())}
    for key, name in (("measures", "metric"), ("settings", "id"), ("tables", "id")):
        for value, count in Counter(held[name] for held in content.get(key, ())).items():
            if count > 1:
                complain(key, None, f"'{value}' is given {count} times")
    tables = {held["id"] for held in content["tables"]}
    for at, table in enumerate(content["tables"]):
        wanted = table.get("setting")
        if wanted is not None and wanted not in settings:
            complain("tables", at, f"no setting is called '{wanted}'", suggestion(wanted, sorted(settings)))
        if table["kind"] == Kind.RESULTS and not table.get("needs"):
            complain("tables", at, f"{table['id']} has results, but not what they need", "needs: [data, weights]")
    for at, doubt in enumerate(content.get("doubts", ())):
        for id in doubt.get("claims", ()):
            paper, table = id.split("/")[:2]
            if paper != content["id"] or table not in {*tables, PROSE}:
                complain("doubts", at, f"'{id}' is in no table of this paper")


def _paper(content: Content, path: Path) -> Paper:
    settings = {held["id"]: held for held in content.get("settings", ())}
    return Paper(
        id=content["id"],
        title=content["title"],
        authors=content.get("authors", ""),
        year=content.get("year"),
        url=content.get("url", ""),
        read_from=content["read_from"],
        tables=tuple(_table(held, settings.get(held.get("setting"), {})) for held in content["tables"]),
        measures={
            held["metric"]: Measure(held["metric"], tuple(held["values"]), held.get("unit", ""), held["better"])
            for held in content["measures"]
        },
        prose_unstated=tuple(content.get("prose", {}).get("unstated", ())),
        doubts=tuple(
            Doubt(held["kind"], held["says"], tuple(held.get("claims", ()))) for held in content.get("doubts", ())
        ),
        file=path,
    )


def _table(held: Content, setting: Content) -> Table:
    return Table(
        id=held["id"],
        title=held["title"],
        place=held["place"],
        kind=Kind(held["kind"]),
        statement=Statement(setting.get("stated", {}), (*setting.get("unstated", ()), *held.get("unstated", ()))),
        needs=tuple(held.get("needs", ())),
        card=held.get("card", ""),
    )
