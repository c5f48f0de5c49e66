"""Cards: loading. From a path or a text to a checked card, or to the problems."""

from __future__ import annotations

from pathlib import Path

from suite.cards.card import Card
from suite.cards.check import check_card
from suite.cards.text import parse, read_text
from suite.cards.walker import Problem
from suite.errors import CardError, Place


def examine_text(text: str, file: str = "card.yaml") -> tuple[Card | None, tuple[Problem, ...]]:
    """A card or all its problems; broken YAML counts as one problem."""
    try:
        return check_card(parse(text, file), file, text)
    except CardError as error:
        return None, (Problem(error.place or Place(file), error.message, error.hint),)


def examine_file(path: Path) -> tuple[Card | None, tuple[Problem, ...]]:
    """As `examine_text`; an unreadable file counts as one problem."""
    try:
        text = read_text(path)
    except CardError as error:
        return None, (Problem(error.place or Place(str(path)), error.message, error.hint),)
    return examine_text(text, str(path))


def _card_or_error(examined: tuple[Card | None, tuple[Problem, ...]], file: str) -> Card:
    card, problems = examined
    if card is not None:
        return card
    first = problems[0]
    if len(problems) == 1:
        raise first.error()
    more = f"{len(problems) - 1} more: suite card validate {file} lists them"
    raise CardError(first.message, place=first.place, hint=f"{first.hint}; {more}" if first.hint else more)


def load_card(path: Path | str) -> Card:
    """The checked card in a file; otherwise a `CardError` with the first problem, its place and its remedy."""
    return _card_or_error(examine_file(Path(path)), str(path))


def parse_card(text: str, file: str = "card.yaml") -> Card:
    """The checked card in a text; `file` is what error messages call it."""
    return _card_or_error(examine_text(text, file), file)
