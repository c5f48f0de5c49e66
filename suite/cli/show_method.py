"""`suite show method`: what a method is, where it comes from, what can be chosen, and where its sources disagree."""

from __future__ import annotations

import inspect
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import click

from suite.axes import AXES, plain
from suite.cli.output import paragraphs
from suite.errors import SuiteError
from suite.methods import METHODS
from suite.methods.api import Method, OptionField, Options

NARROWEST, WIDEST = 60, 100


def method_data(id: str) -> dict[str, Any]:
    """Everything that is known of a method, as JSON data."""
    entry, method = METHODS.entry(id), METHODS.get(id)
    paper, needs = method.paper, method.needs
    return {
        "id": method.id,
        "title": method.title,
        "summary": entry.summary(),
        "description": inspect.cleandoc(method.__doc__ or ""),
        "origin": entry.origin,
        "paper": {"title": paper.title, "authors": paper.authors, "year": paper.year, "url": paper.url},
        "needs": {"gradients": needs.gradients, "labels": needs.labels, "examples": needs.examples},
        "options": {name: _option(field) for name, field in method.Options.fields().items()},
        "derived": derived(method.Options),
        "notes": [
            {"about": note.about, "paper": note.paper, "code": note.code, "ours": note.ours} for note in method.notes
        ],
        "recommended": {axis: plain(value) for axis, value in _recommended(method)},  # type: ignore[arg-type]
        "supports": {axis: [plain(value) for value in values] for axis, values in method.supports.items()},  # type: ignore[arg-type]
    }


def _option(field: OptionField) -> dict[str, Any]:
    return {
        "type": field.kind.__name__,
        "default": field.default,
        "doc": field.doc,
        "expected": field.expectation(),
        "choices": list(field.choices),
        "minimum": field.minimum,
        "maximum": field.maximum,
        "optional": field.optional,
    }


def derived(options: type[Options]) -> dict[str, Any]:
    """What options left out become, and which choices change that: a preset decides many of them at once."""
    fields = options.fields()
    usual = options()
    left_out = {name: getattr(usual, name) for name, field in fields.items() if field.default is None}
    choices: dict[str, dict[str, Any]] = {}
    for name, field in fields.items():
        for choice in field.choices:
            if choice == field.default:
                continue
            try:
                chosen = options(**{name: choice})
            except SuiteError:  # a choice that asks for another one beside it
                continue
            changed = {
                other: getattr(chosen, other)
                for other in left_out
                if other != name and getattr(chosen, other) != left_out[other]
            }
            if changed:
                choices[f"{name}={choice}"] = changed
    return {"left_out": {name: value for name, value in left_out.items() if value is not None}, "choices": choices}


def _recommended(method: type[Method]) -> Iterator[tuple[str, object]]:
    """What a new card of the method says otherwise than the axes' defaults, in the order of a card."""
    for axis in AXES.values():
        value = method.recommended.get(axis.id, axis.default)
        if value != axis.default:
            yield axis.id, value


def method_text(data: dict[str, Any], width: int | None = None) -> str:
    """The same for a person, wrapped to the terminal."""
    width = min(WIDEST, max(NARROWEST, width or shutil.get_terminal_size().columns))
    page = _Page(width)
    page.line(click.style(f"{data['id']}: {data['title']}", bold=True))
    page.wrap(str(data["summary"]))
    if data["description"]:
        page.gap()
        page.paragraphs(data["description"])
    page.gap()
    paper = data["paper"]
    page.entry("paper", f"{paper['authors']}: “{paper['title']}”, {paper['year']}, {paper['url']}")
    needs = [name for name, needed in data["needs"].items() if needed]
    page.entry(
        "needs", ", ".join(needs) or "nothing but the model, and examples where ranges of activations are observed"
    )
    page.entry("from", data["origin"])
    _options(page, data["options"], data["derived"])
    _notes(page, data["notes"])
    _axes(page, data)
    return "\n".join(page.lines)


def _options(page: _Page, options: dict[str, dict[str, Any]], derived: dict[str, Any]) -> None:
    page.heading("Options (--option NAME=VALUE, or on the card)" if options else "No options")
    for name, option in options.items():
        becomes = f", which gives {_word(derived['left_out'][name])}" if name in derived["left_out"] else ""
        page.wrap(
            f"{click.style(name, bold=True)} = {_word(option['default'])}{becomes}: {option['expected']}", indent=2
        )
        page.wrap(option["doc"], indent=6)
    if derived["choices"]:
        page.heading("Choices that decide other options, where those are none")
        for choice, changed in derived["choices"].items():
            page.wrap(click.style(choice, bold=True), indent=2)
            page.wrap(", ".join(f"{name} = {_word(value)}" for name, value in changed.items()), indent=6)


def _notes(page: _Page, notes: Sequence[dict[str, str]]) -> None:
    if not notes:
        return
    page.heading("Where the paper, public code and this file differ, or are silent")
    for note in notes:
        page.wrap(click.style(note["about"], bold=True), indent=2)
        if note["paper"] or note["code"]:
            page.entry("paper", note["paper"] or "silent", indent=6)
            page.entry("code", note["code"] or "silent", indent=6)
        else:
            page.entry("paper", "silent, and so is the code", indent=6)
        page.entry("here", note["ours"], indent=6)


def _axes(page: _Page, data: dict[str, Any]) -> None:
    recommended, supports = data["recommended"], data["supports"]
    label = max(map(len, [*recommended, *supports]), default=0)
    if recommended:
        page.heading("Recommended, where it is not the axis's default ('suite card new' writes it)")
        for axis, value in recommended.items():
            page.entry(axis, _word(value), indent=2, label=label)
    if supports:
        page.heading("Supported values (of every other axis: all)")
        for axis, values in supports.items():
            page.entry(axis, ", ".join(map(_word, values)), indent=2, label=label)


def _word(value: object) -> str:
    """A value as a card and the command line write it."""
    return {"True": "true", "False": "false", "None": "none"}.get(str(value), str(value))


class _Page:
    """Lines of a fixed width."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def gap(self) -> None:
        self.lines.append("")

    def heading(self, text: str) -> None:
        self.gap()
        self.line(click.style(text, bold=True))

    def wrap(self, text: str, *, indent: int = 0, first: str | None = None) -> None:
        """One paragraph; `first` replaces the indentation of its first line."""
        margin = " " * indent
        # Styled words are counted without their invisible characters: wrap plain text, then style it again.
        visible = click.unstyle(text)
        wrapped = textwrap.wrap(
            visible, self.width, initial_indent=margin if first is None else first, subsequent_indent=margin,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        if visible != text and wrapped:
            styled, _, _ = text.partition("\x1b[0m")
            word = click.unstyle(styled)
            wrapped[0] = wrapped[0].replace(word, f"{styled}\x1b[0m", 1)
        self.lines.extend(wrapped)

    def entry(self, name: str, text: str, *, indent: int = 0, label: int = 6) -> None:
        """A name with its text beside it, the text aligned."""
        self.wrap(text, indent=indent + label + 2, first=" " * indent + name.ljust(label) + "  ")

    def paragraphs(self, text: str) -> None:
        """Text of a docstring: paragraphs are wrapped anew, indented formulas stay as they are."""
        for block, kept in paragraphs(text):
            if kept:
                self.lines.extend(block.splitlines())
            else:
                self.wrap(block)
            self.gap()
        self.lines.pop()
