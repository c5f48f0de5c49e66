"""What every command prints with: one human text or exactly one JSON value on standard output."""

from __future__ import annotations

import inspect
import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_NARROWEST_COLUMN = 24


def json_option(command: Command) -> Command:
    """Give a command the `--json` switch every command has."""
    decorate = click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON value on standard output.")
    return decorate(command)


def emit(data: Any, human: str, as_json: bool) -> None:
    """Print `data` as JSON or `human` as text."""
    click.echo(json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False) if as_json else human)


def note(message: str) -> None:
    """A remark for the person at the terminal; never on standard output."""
    click.echo(message, err=True)


def columns(rows: Sequence[Sequence[str]], headers: Sequence[str], width: int | None = None) -> str:
    """Align rows under headers, two spaces between columns.

    At a terminal, or within `width`, the widest column is wrapped where a row would not fit.
    """
    table = [list(headers), *[list(row) for row in rows]]
    widths = [max(len(row[index]) for row in table) for index in range(len(headers))]
    if width is None and sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
    excess = 0 if width is None else sum(widths) + 2 * (len(widths) - 1) - width
    widest = max(range(len(widths)), key=widths.__getitem__)
    words = max((len(word) for row in table for word in row[widest].split()), default=0)  # names are never broken
    if 0 < excess <= widths[widest] - max(_NARROWEST_COLUMN, words):
        widths[widest] -= excess
        table = [line for row in table for line in _wrapped(row, widest, widths[widest])]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(lines)


def paragraphs(docstring: str) -> Iterator[tuple[str, bool]]:
    """The paragraphs of a docstring, and whether each keeps its lines: formulas that are indented do."""
    for block in inspect.cleandoc(docstring).split("\n\n"):
        if block.strip():
            yield block, any(line.startswith("  ") for line in block.splitlines())


def _wrapped(row: Sequence[str], index: int, width: int) -> list[list[str]]:
    """A row as several lines, with the cell at `index` wrapped and the others in the first line."""
    parts = textwrap.wrap(row[index], width, break_on_hyphens=False) or [""]
    rest = ["" for _ in row]
    return [
        [*(row if line == 0 else rest)[:index], part, *(row if line == 0 else rest)[index + 1 :]]
        for line, part in enumerate(parts)
    ]
