"""Cards: checking. A tree of nodes in; a card or every problem with its line and column out."""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import Any

from suite.axes import AXES, NOT_REPORTED, Section, axes_of, contradictions, plain
from suite.axes.axis import Axis
from suite.axes.domains import is_integer, shown
from suite.cards.card import Card, MethodChoice
from suite.cards.layout import CARD, MISPLACED, ONLY_RUN, ONLY_TRANSCRIBED, VERSION
from suite.cards.text import Node
from suite.cards.walker import MISSING, Problem, Walker
from suite.registry import suggestion


def check_card(root: Node, file: str, text: str = "") -> tuple[Card | None, tuple[Problem, ...]]:
    """The card that a tree describes, or None with every problem in the order of the file."""
    checker = _Checker(file)
    content = checker.card(root)
    problems = checker.in_order
    if problems or content is None:
        return None, problems
    method = content["method"]
    return (
        Card(
            kind=content["kind"],
            title=content["title"],
            method=MethodChoice(method["id"], method.get("options", {})),
            values=checker.values,
            task=content.get("task"),
            model=content.get("model"),
            seed=content.get("seed", 0),
            remarks=tuple(content.get("remarks", ())),
            source=content.get("source"),
            results=content.get("results"),
            audit=content.get("audit"),
            path=Path(file),
            text=text,
        ),
        (),
    )


class _Checker(Walker):
    """Walks the layout of a card; what only a card has are its version, its kinds and the axes of its sections."""

    def __init__(self, file: str) -> None:
        super().__init__(file, CARD)
        self.values: dict[str, Any] = {}
        self.places: dict[str, tuple[int, int]] = {}
        self.transcribed = False

    def card(self, root: Node) -> dict[str, Any] | None:
        if not isinstance(root.value, dict):
            self.report(root.line, root.column, "a card is a mapping of keys to values", "suite card new writes one")
            return None
        if not self.version(root):
            return None
        kind = root.value.get("kind")
        self.transcribed = kind is not None and kind.value == "transcribed"
        kind_known = kind is not None and kind.value in ("run", "transcribed")
        if kind_known:
            self.keys_of_kind(root)
        content = self.shape(CARD, root, "card")
        for contradiction in contradictions(self.values):
            line, column = max(self.places[axis] for axis in contradiction.axes)
            self.report(line, column, f"contradiction in {contradiction}")
        # A section with a problem left holes; put the axes into the order of the catalogue.
        self.values = {id: self.values[id] for id in AXES if id in self.values}
        return content if isinstance(content, dict) else None

    def version(self, root: Node) -> bool:
        """Whether this is the version that this checker knows; nothing else is worth saying if it is not."""
        node = root.value.get("card")
        migrate = f"suite card migrate {self.file} brings it up to date"
        if node is None:
            if "setting" in root.value:
                self.report(root.line, root.column, "the version of the card is missing", migrate)
            else:
                self.report(
                    root.line, root.column, "missing key 'card', the version of the schema", f"write card: {VERSION}"
                )
            return False
        if not is_integer(node.value):
            self.report(node.line, node.column, f"card: expected the version {VERSION}, found {shown(node.plain())}")
        elif node.value > VERSION:
            self.report(
                node.line,
                node.column,
                f"card: version {shown(node.value)} is newer than this suite, which reads version {VERSION}",
                "update the suite",
            )
        elif 0 <= node.value < VERSION:
            self.report(node.line, node.column, f"card: version {shown(node.value)} is old, this is {VERSION}", migrate)
        elif node.value != VERSION:
            self.report(node.line, node.column, f"card: there never was a version {shown(node.value)}")
        return bool(is_integer(node.value) and node.value == VERSION)

    def keys_of_kind(self, root: Node) -> None:
        if self.transcribed:
            wrong, why = ONLY_RUN, "a transcribed card has no '{}': nothing was run"
            if "source" not in root.value:
                self.report(root.line, root.column, "missing key 'source': a transcribed card names its paper")
        else:
            wrong, why = ONLY_TRANSCRIBED, "only a transcribed card has a '{}'"
        for key in wrong:
            if key in root.value:
                self.report(*root.keys[key], why.format(key))

    def section(self, section: Section, node: Node, path: str) -> Any:
        """Every axis of a section, checked into `values`; the section itself needs no other form."""
        axes = axes_of(section)
        if not isinstance(node.value, dict):
            self.expected(path, f"a mapping with the axes {', '.join(axis.id for axis in axes[:3])} …", node)
            return MISSING
        known = {axis.id: axis for axis in axes}
        for key, inner in node.value.items():
            if key in known:
                self.axis(known[key], inner, node.keys[key])
            elif key in AXES:
                self.report(
                    *node.keys[key], f"the axis '{key}' belongs in the section {AXES[key].section}, not in {path}"
                )
            else:
                self.unknown_key(key, tuple(known), node)
        for axis in axes:
            if axis.id not in node.value:
                silent = f", or '{NOT_REPORTED}'" if self.transcribed else ""
                self.report(
                    node.line,
                    node.column,
                    f"missing axis '{axis.id}' in {path}",
                    f"its default is {plain(axis.default)}{silent}",
                )
        return None

    def axis(self, axis: Axis, node: Node, place: tuple[int, int]) -> None:
        if node.value == NOT_REPORTED:
            if self.transcribed:
                self.values[axis.id] = NOT_REPORTED
                self.places[axis.id] = place
            else:
                self.report(
                    node.line,
                    node.column,
                    f"{axis.id}: a card of kind run gives every axis a value, found '{NOT_REPORTED}'",
                    f"its default is {plain(axis.default)}",
                )
            return
        value = self.scalar(axis.domain, node, axis.id)
        if value is not MISSING:
            self.values[axis.id] = value
            self.places[axis.id] = place

    def hint_for(self, key: str, known: SequenceOf[str]) -> str:
        if key in MISPLACED:
            return MISPLACED[key]
        if key in AXES:
            return f"it belongs in the section {AXES[key].section}"
        hint = super().hint_for(key, known)
        elsewhere = suggestion(key, [*AXES, *CARD.fields])
        return elsewhere if not hint.startswith("did you mean") and elsewhere.startswith("did you mean") else hint
