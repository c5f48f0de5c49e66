"""`suite reproduce`: the answer as the tables that a person reads on a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from suite.cli.output import columns

if TYPE_CHECKING:
    from suite.claims import Published
    from suite.claims.compare import Line
    from suite.claims.reproduce import Reproduction, Said

COLOURS = {
    "reproduced": "green", "same order": "green", "holds": "green",
    "differs": "red", "other order": "red", "does not hold": "red",
}  # fmt: skip
WIDTH = 100
MOST_SHOWN = 4
"""Published values shown one by one; more are shown as their range."""


def as_text(published: Published, found: Reproduction) -> str:
    """Tables side by side, then what the paper says in words, then what was not reproduced and what that needs."""
    paper = published.papers[published.scope(found.scope)[0]]
    lines = [click.style(f"{paper.title} ({found.size})", bold=True)]
    for answer in found.answers:
        if answer.lines or answer.said:
            lines += ["", f"asked by the study {answer.part.study.id}, {len(answer.part.cells)} cells"]
            told = (
                f"{answer.part.mapping.told(found.size)} Size {found.size}: {answer.part.study.size(found.size).says}"
            )
            lines += _told(told, 2)
        for id in dict.fromkeys(line.table for line in answer.lines):
            table = paper.table(id)
            heading = f"{id}: {table.title}" if table is not None else id
            lines += [
                "",
                click.style(heading, bold=True),
                *_tables([held for held in answer.lines if held.table == id]),
            ]
        lines += _statements(answer.said)
    if found.refused:
        lines += ["", click.style("Not run", bold=True)]
    for held in found.refused:
        lines += _told(f"the study {held.study}: {held.why}", 2)
        lines += _told("; ".join([*held.tables, *(statement.says for statement in held.statements)]), 6)
    if found.left:
        lines += ["", click.style("Numbers that are not reproduced", bold=True)]
    for rest in found.left:
        lines += _told(f"{rest.table}, {rest.claims} claims: {rest.why}", 2)
        lines += _told(f"needs {'; '.join(rest.needs)}", 6) if rest.needs else []
    if not found.answers and not found.left:
        lines += ["", "it states settings, no results: nothing here can be measured"]
    return "\n".join(lines)


def _told(text: str, indent: int) -> list[str]:
    blank = " " * indent
    return textwrap.wrap(text, WIDTH, initial_indent=blank, subsequent_indent=blank, break_on_hyphens=False)


def _tables(lines: Sequence[Line]) -> list[str]:
    """One table for all lines that print values of the same networks."""
    text: list[str] = []
    for networks in dict.fromkeys(tuple(value.network for value in line.published) for line in lines):
        own = [line for line in lines if tuple(value.network for value in line.published) == networks]
        names = [model or dataset for dataset, model in networks]
        head = f"published ({' / '.join(names)})" if len(names) <= MOST_SHOWN else f"published ({len(names)} networks)"
        rows = [
            (
                line.what,
                _several([value.share for value in line.published], line.kind != "score"),
                "-" if line.reproduced is None else _points(line.reproduced.estimate, line.kind != "score"),
                "-"
                if line.reproduced is None
                else f"[{_points(line.reproduced.low)}, {_points(line.reproduced.high)}]",
                _several(line.differences, True),
                _verdict(line),
            )
            for line in own
        ]
        text.append(columns(rows, ("%", head, "reproduced", "95 % interval", "difference", "verdict")))
    return text


def _several(shares: Sequence[float], signed: bool) -> str:
    if len(shares) > MOST_SHOWN:
        return f"{_points(min(shares), signed)} … {_points(max(shares), signed)}"
    return " / ".join(_points(share, signed) for share in shares) or "-"


def _points(share: float, signed: bool = False) -> str:
    # Rounding first keeps "-0.00" away.
    return f"{round(100 * share, 2) + 0.0:{'+' if signed else ''}.2f}"


def _verdict(line: Line) -> str:
    shown = f"{line.footing}: {line.verdict.value}" if line.reproduced is not None else line.verdict.value
    return f"{shown} ({line.reason})" if line.reason else shown


def _statements(said: Sequence[Said]) -> list[str]:
    lines = ["", click.style("In words", bold=True)] if said else []
    for held in said:
        verdict = click.style(held.verdict.value, fg=COLOURS.get(held.verdict.value, "yellow"), bold=True)
        lines += [
            f"  {held.statement.says} ({held.statement.place})",
            f"      asked as: {held.says.rstrip('.')}: {verdict}",
            f"      {held.detail}",
        ]
    return lines
