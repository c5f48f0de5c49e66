"""Cards: revising. Another method, task, model, seed or axis value put into the text a person wrote, comments kept."""

from __future__ import annotations

import dataclasses
import re

from suite.axes import AXES, plain
from suite.cards.card import Card
from suite.cards.emit import flow_mapping, scalar
from suite.cards.load import parse_card
from suite.cards.write import card_to_yaml
from suite.errors import CardError

# A key with its value on one line. A '#' inside quotes makes the pattern miss, and the canonical text is written.
LINE = re.compile(r"(?P<head>\s*{key}\s*:)(?P<value>[^#\n]*?)(?P<tail>\s+#.*|\s*)")


def declares_the_same(left: Card, right: Card) -> bool:
    """Whether two cards ask for the same run."""
    names = ("kind", "method", "task", "model", "seed", "values")
    return all(getattr(left, name) == getattr(right, name) for name in names)


def revise_card(card: Card) -> str:
    """The text `card` was loaded from, changed where the card now declares something else.

    Only the lines of changed values change. Where a value cannot be replaced on its line (a card written in braces, a
    value over several lines), the canonical text of the card is given instead.
    """
    bare = dataclasses.replace(card, results=None, audit=None)
    if not card.text:
        return card_to_yaml(bare)
    written = parse_card(card.text)
    changes = {id: scalar(plain(value)) for id, value in card.values.items() if written.values[id] != value}
    if written.method != card.method:
        changes["method"] = flow_mapping({"id": card.method.id, "options": dict(card.method.options)})
    changes |= {
        key: scalar(getattr(card, key))
        for key in ("task", "model", "seed")
        if getattr(written, key) != getattr(card, key)
    }
    text = card.text
    for key, value in changes.items():
        text = _replace(text, key, value)
    try:
        good = declares_the_same(parse_card(text), card)
    except CardError:
        good = False
    return text if good else card_to_yaml(bare)


def _replace(text: str, key: str, value: str) -> str:
    """Put `value` on the first line that gives `key` one; axes stand indented, the other keys do not."""
    pattern = re.compile(LINE.pattern.replace("{key}", re.escape(key)))
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        body = line.rstrip("\r\n")
        found = pattern.fullmatch(body)
        if found and body[:1].isspace() == (key in AXES):
            lines[number] = f"{found['head']} {value}{found['tail'].rstrip()}{line[len(body) :]}"
            break
    return "".join(lines)
