"""`suite card`: write, check, compare, render and migrate quantization cards, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from suite.cli.output import emit, json_option, note
from suite.errors import CardError, Place, SettingError, SuiteError

CARD = click.Path(path_type=Path)


@click.group(
    "card",
    no_args_is_help=False,  # a missing command is a mistake to be told in one line, not a page of help
    epilog="\b\nExamples:\n  suite card new --method lsq --out mine.yaml\n  suite card validate cards/*.yaml",
)
def command() -> None:
    """Write, check, compare, render and migrate quantization cards."""


@command.command(
    epilog="""\b
Examples:
  suite card new > mine.yaml
  suite card new --method lsq --set weight_bits=4 --set activation_bits=4 --out mine.yaml
"""
)
@click.option("--method", default="rtn", show_default=True, metavar="ID", help="The method the card is for.")
@click.option("--task", default="digits", show_default=True, metavar="ID")
@click.option(
    "--model", default="digits-resnet", show_default=True, metavar="ID", help="A baseline or an architecture."
)
@click.option("--title", metavar="TEXT", help="One line that says what the card is about.")
@click.option(
    "--set", "assignments", multiple=True, metavar="AXIS=VALUE", help="Give an axis another value than its default."
)
@click.option("--out", type=CARD, help="The file to write; standard output by default.")
@click.option("--force", is_flag=True, help="Write over an existing file.")
@json_option
def new(
    method: str,
    task: str,
    model: str,
    title: str | None,
    assignments: tuple[str, ...],
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write a new card in which a comment explains every axis.

    Axes start with what the method recommends, or with their defaults.
    """
    from suite.cards import new_card

    values = {**recommended(method), **assigned(assignments)}
    text = new_card(method, task, model, title=title, values=values)
    deliver(text, out, force, as_json, {"card": text})


@command.command(epilog="\b\nExamples:\n  suite card validate cards/*.yaml\n  suite card validate mine.yaml --json")
@click.argument("files", nargs=-1, required=True, type=CARD, metavar="CARD...")
@json_option
def validate(files: tuple[Path, ...], as_json: bool) -> int:
    """Check cards: one line for every problem, with file, line and column.

    Options belong to a method, which checks them when it runs. Exit code 0: all are valid; 2: at least one is not.
    """
    from suite.cards import examine_file

    lines: list[str] = []
    cards: list[dict[str, Any]] = []
    for path in files:
        card, problems = examine_file(path)
        lines.extend(str(problem) for problem in problems)
        if card is not None:
            silent = f", {len(card.unreported)} axes not reported" if card.unreported else ""
            lines.append(f"{path}: valid ({card.kind}{silent})")
            if card.kind == "run":
                recognize(path, card.method.id)
        cards.append(
            {
                "file": str(path),
                "valid": card is not None,
                "problems": [
                    {
                        "line": problem.place.line,
                        "column": problem.place.column,
                        "message": problem.message,
                        "hint": problem.hint,
                    }
                    for problem in problems
                ],
            }
        )
    valid = all(entry["valid"] for entry in cards)
    emit({"valid": valid, "cards": cards}, "\n".join(lines), as_json)
    return 0 if valid else 2


@command.command(epilog="\b\nExamples:\n  suite card diff cards/lsq.yaml cards/rtn.yaml")
@click.argument("left", type=CARD)
@click.argument("right", type=CARD)
@json_option
def diff(left: Path, right: Path, as_json: bool) -> int:
    """Compare what two cards declare: the same setting, or different in exactly these axes.

    Exit code 0: the same setting; 1: a different one, or axes that one side does not report.
    """
    from suite.axes import plain
    from suite.cards import diff_cards, load_card

    found = diff_cards(load_card(left), load_card(right))
    lines = [found.sentence()]
    lines.extend(f"  {difference}" for difference in found.differences)
    lines.extend(f"  {axis}: not reported on one side or both" for axis in found.unknown)
    if found.besides:
        lines.append("besides the setting:")
        lines.extend(f"  {besides}" for besides in found.besides)
    data = {
        "same": found.same,
        "differences": [
            {"axis": difference.axis, "left": plain(difference.left), "right": plain(difference.right)}
            for difference in found.differences
        ],
        "unknown": list(found.unknown),
        "besides": [{"name": entry.name, "left": entry.left, "right": entry.right} for entry in found.besides],
    }
    emit(data, "\n".join(lines), as_json)
    return 0 if found.same else 1


@command.command(
    epilog="""\b
Examples:
  suite card render cards/lsq.yaml
  suite card render cards/lsq.yaml --format html --out lsq.html
"""
)
@click.argument("file", type=CARD, metavar="CARD")
@click.option("--format", "form", type=click.Choice(["markdown", "html"]), default="markdown", show_default=True)
@click.option("--out", type=CARD, help="The file to write; standard output by default.")
@click.option("--force", is_flag=True, help="Write over an existing file.")
@json_option
def render(file: Path, form: str, out: Path | None, force: bool, as_json: bool) -> None:
    """Turn a card into a page to read."""
    from suite.cards import load_card
    from suite.reports import render_card_html, render_card_markdown

    text = (render_card_html if form == "html" else render_card_markdown)(load_card(file))
    deliver(text, out, force, as_json, {"format": form, "text": text})


@command.command(
    epilog="\b\nExamples:\n  suite card migrate old.yaml --out new.yaml\n  suite card migrate old.yaml --in-place"
)
@click.argument("file", type=CARD, metavar="CARD")
@click.option("--out", type=CARD, help="The file to write; standard output by default.")
@click.option("--in-place", is_flag=True, help="Replace the file itself.")
@click.option("--force", is_flag=True, help="Write over an existing file.")
@json_option
def migrate(file: Path, out: Path | None, in_place: bool, force: bool, as_json: bool) -> None:
    """Lift a card of an older version to the current one; comments and order are kept."""
    from suite.cards.migrate import migrate_text
    from suite.cards.text import read_text

    if in_place and out is not None:
        raise click.UsageError("--in-place and --out exclude each other")
    original = read_text(file)
    text = migrate_text(original, str(file))
    if in_place:
        out, force = file, True
    deliver(text, out, force, as_json, {"changed": text != original, "card": text})


@command.command(
    epilog="""\b
Examples:
  suite card find --hardware tensorrt-int8
  suite card find --hardware mine.yaml my-cards --runs runs --json
"""
)
@click.option("--hardware", required=True, metavar="NAME|FILE", help="A profile of 'suite list hardware', or a file.")
@click.argument("places", nargs=-1, type=CARD, metavar="[CARD|FOLDER]...")
@click.option("--runs", type=click.Path(path_type=Path, file_okay=False), help="A folder of runs, held to it too.")
@json_option
def find(hardware: str, places: tuple[Path, ...], runs: Path | None, as_json: bool) -> None:
    """Which methods, cards and runs obey what a piece of hardware can run, ranked, and what forbids the others.

    The cards that come with the suite are asked, and those given. Settings that obey are ordered by the accuracy they
    lost where it was measured on the same task and model, else by distance: the number of axes that have to change.
    """
    from suite.cli.hardware import find_data, found_json, found_text

    found = find_data(hardware, places, runs)
    emit(found_json(found), found_text(found), as_json)


def assigned(assignments: tuple[str, ...]) -> dict[str, Any]:
    """The axes given on the command line; the same axis twice is a slip, not an override."""
    from suite.axes import parse_assignment

    values: dict[str, Any] = {}
    for assignment in assignments:
        axis, value = parse_assignment(assignment)
        if axis in values:
            raise SettingError(f"--set {axis} is given twice", axes=(axis,), hint="keep one of them")
        values[axis] = value
    return values


def recognize(path: Path, method: str) -> None:
    """Remark upon a method that is not there: its card is valid, and cannot be run here."""
    from suite.methods import METHODS

    try:
        METHODS.entry(method)
    except SuiteError as error:
        note(f"note: {path}: {error}")


def recommended(method: str) -> dict[str, Any]:
    """The axis values a method recommends, read from its source: running it would import torch.

    A card may be written before its method exists, so an unknown method is only remarked upon.
    """
    from suite.methods import METHODS
    from suite.methods.api.declared import read_declared

    try:
        entry = METHODS.entry(method)
    except SuiteError as error:
        note(f"note: {error}")
        return {}
    try:
        return dict(read_declared(entry).recommended)
    except SuiteError:  # computed, not written down: only running the method would tell
        note(f"note: {method} computes its recommended values; the card has the defaults")
        return {}


def deliver(text: str, out: Path | None, force: bool, as_json: bool, data: dict[str, Any]) -> None:
    """Write a text to a file, whole or not at all, or print it."""
    if out is None:
        emit(data, text.rstrip("\n"), as_json)
        return
    from suite.cards import write_whole

    if out.exists() and not force:
        raise CardError("exists already", place=Place(str(out)), hint="--force writes over it")
    write_whole(out, text)
    emit({"file": str(out), **{key: value for key, value in data.items() if key == "changed"}}, f"wrote {out}", as_json)
