"""What every command prints with: one human text or exactly one JSON value on standard output."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


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


def columns(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    """Align rows under headers, two spaces between columns."""
    table = [list(headers), *[list(row) for row in rows]]
    widths = [max(len(row[index]) for row in table) for index in range(len(headers))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(lines)
