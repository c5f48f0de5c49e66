"""Options that mean the same in many commands: `--runs` is where runs lie, `--to` the folder for pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

FOLDER = click.Path(path_type=Path, file_okay=False)


def store_option(command: Command) -> Command:
    """Where a command that makes runs puts them, and one that reads runs finds them."""
    decorate = click.option(
        "--runs",
        "--out",
        "runs",
        default="runs",
        show_default=True,
        envvar="SUITE_RUNS",
        show_envvar=True,
        type=FOLDER,
        help="The folder that holds one folder per run.",
    )
    return decorate(command)


def reading_option(**more: Any) -> Callable[[Command], Command]:
    """The same for commands that only read, and leave the default to the store."""
    help = "The folder that holds the runs; $SUITE_RUNS or ./runs by default."
    return click.option("--runs", "root", type=FOLDER, help=help, **more)


runs_option = reading_option()


def pages_option(help: str, *others: str, **more: Any) -> Callable[[Command], Command]:
    """The folder that pages are written into; `others` are names that it has beside `--to`."""
    return click.option("--to", *others, "target", type=FOLDER, help=help, **more)
