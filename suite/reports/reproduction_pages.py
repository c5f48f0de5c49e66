"""Reports: published beside reproduced as an HTML page, as Markdown, as the files beside both, and as one document."""

from __future__ import annotations

from typing import Any

from suite.claims import Published
from suite.claims.compare import Line
from suite.claims.reproduce import Answer, Reproduction, Said
from suite.reports.rendering import html_page, markdown_page
from suite.reports.reproduction_page import reproduction_page
from suite.reports.table import Cell, Table, columns_of_files, files_of

PAGE, TWIN = "reproduction.html", "reproduction.md"

LINES = columns_of_files(
    "study", "table", "kind", "what", "basis", "but", "dataset", "model", "claims", "published", "reproduced", "low",
    "high", "difference", "verdict", "reason",
)  # fmt: skip
SAID = columns_of_files("study", "says", "place", "claims", "expectation", "expected", "verdict", "detail")
NEEDS = columns_of_files("table", "title", "claims", "why", "needs")


def reproduction_files(published: Published, found: Reproduction, *, home: str = "") -> dict[str, str | bytes]:
    """File name -> content: the page, its twin, and its tables. `home` is where the page leads back to."""
    page = reproduction_page(published, found)
    files = files_of(_tables(found))
    names = sorted(files)
    html = html_page(
        "reproduction.html.j2",
        title=f"{page.scope} · published and reproduced",
        page=page,
        files=names,
        home=home,
        embedded=reproduction_document(found),
        embedded_name="reproduction",
        embedded_id="reproduction",
    )
    return {PAGE: html, TWIN: markdown_page("reproduction.md.j2", page=page, files=names)} | files


def reproduction_document(found: Reproduction) -> dict[str, Any]:
    """Every line with its claims, every statement, and what is not answered. Scores are shares."""
    return {
        "scope": found.scope,
        "size": found.size,
        "studies": [
            {
                "study": answer.part.study.id,
                "cells": len(answer.part.cells),
                "differs": answer.part.mapping.told(found.size),
                "says": answer.part.study.size(answer.part.size).says,
            }
            for answer in found.answers
        ],
        "lines": [_line(line) | {"study": _id(answer)} for answer in found.answers for line in answer.lines],
        "statements": [_said(said) | {"study": _id(answer)} for answer in found.answers for said in answer.said],
        "not_run": [
            {
                "study": held.study,
                "why": held.why,
                "tables": list(held.tables),
                "statements": [statement.says for statement in held.statements],
            }
            for held in found.refused
        ],
        "not_reproduced": [
            {
                "table": held.table,
                "title": held.title,
                "claims": held.claims,
                "why": held.why,
                "needs": list(held.needs),
            }
            for held in found.left
        ],
    }


def _id(answer: Answer) -> str:
    return answer.part.study.id


def _line(line: Line) -> dict[str, Any]:
    return {
        "table": line.table,
        "kind": line.kind.value,
        "what": line.what,
        "basis": line.basis.value,
        "but": line.but or None,
        "published": [
            {"dataset": held.network[0], "model": held.network[1], "value": held.share, "claims": list(held.claims)}
            for held in line.published
        ],
        "reproduced": None if line.reproduced is None else line.reproduced.estimate,
        "interval": None if line.reproduced is None else [line.reproduced.low, line.reproduced.high],
        "differences": list(line.differences),
        "verdict": line.verdict.value,
        "reason": line.reason or None,
    }


def _said(said: Said) -> dict[str, Any]:
    return {
        "says": said.statement.says,
        "place": said.statement.place,
        "claims": list(said.statement.claims),
        "expectation": said.statement.expectation,
        "expected": said.says,
        "verdict": said.verdict.value,
        "detail": said.detail,
    }


def _tables(found: Reproduction) -> tuple[Table, ...]:
    """One row for every published value, for every statement, and for every table whose numbers are not judged."""
    lines: list[tuple[Cell, ...]] = []
    for answer in found.answers:
        for line in answer.lines:
            differences = line.differences or (None,) * len(line.published)
            one = line.reproduced
            measured = (None, None, None) if one is None else (one.estimate, one.low, one.high)
            lines += [
                (
                    _id(answer), line.table, line.kind.value, line.what, line.basis.value, line.but,
                    *value.network, " ".join(value.claims), value.share, *measured, difference, line.verdict.value,
                    line.reason,
                )
                for value, difference in zip(line.published, differences, strict=True)
            ]  # fmt: skip
    said: list[tuple[Cell, ...]] = [
        (
            _id(answer), one.statement.says, one.statement.place, " ".join(one.statement.claims),
            one.statement.expectation, one.says, one.verdict.value, one.detail,
        )
        for answer in found.answers
        for one in answer.said
    ]  # fmt: skip
    left: list[tuple[Cell, ...]] = [
        (held.table, held.title, held.claims, held.why, "; ".join(held.needs)) for held in found.left
    ]
    return (
        Table.of_rows("lines", "Published and reproduced", "lines", LINES, lines),
        Table.of_rows("statements", "In words", "statements", SAID, said),
        Table.of_rows("not-reproduced", "Numbers that are not reproduced", "tables", NEEDS, left),
    )
