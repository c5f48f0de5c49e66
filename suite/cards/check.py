"""Cards: checking. A tree of nodes in; a card or every problem with its line and column out."""

from __future__ import annotations

import math
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.axes import AXES, NOT_REPORTED, axes_of, contradictions, plain
from suite.axes.axis import Axis, nearest_word
from suite.axes.domains import Choice, Domain, is_integer, shown
from suite.cards.card import Card, MethodChoice
from suite.cards.layout import (
    CARD,
    EVIDENCE,
    MISPLACED,
    ONLY_RUN,
    ONLY_TRANSCRIBED,
    VERSION,
    AnyScalar,
    Object,
    Scalar,
    SectionShape,
    Sequence,
    Shape,
    Table,
)
from suite.cards.text import Node
from suite.errors import CardError, Place
from suite.registry import suggestion


class _Missing:
    """What a node that cannot be read stands for; it has been reported and takes part in nothing further."""


MISSING = _Missing()


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a card, and where."""

    place: Place
    message: str
    hint: str | None = None

    def error(self) -> CardError:
        return CardError(self.message, place=self.place, hint=self.hint)

    def __str__(self) -> str:
        return str(self.error())


def check_card(root: Node, file: str, text: str = "") -> tuple[Card | None, tuple[Problem, ...]]:
    """The card that a tree describes, or None with every problem in the order of the file."""
    checker = _Checker(file)
    content = checker.card(root)
    problems = tuple(sorted(checker.problems, key=lambda problem: (problem.place.line or 0, problem.place.column or 0)))
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


class _Checker:
    """Walks the layout and the tree side by side and collects problems instead of stopping at the first."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.values: dict[str, Any] = {}
        self.places: dict[str, tuple[int, int]] = {}
        self.transcribed = False

    def report(self, line: int, column: int, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(Place(self.file, line, column), message, hint))

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

    def shape(self, shape: Shape, node: Node, path: str) -> Any:
        match shape:
            case Scalar(domain):
                return self.scalar(domain, node, path)
            case AnyScalar():
                return self.any_scalar(shape, node, path)
            case Sequence():
                return self.sequence(shape, node, path)
            case Table():
                return self.table(shape, node, path)
            case SectionShape(section):
                return self.section(axes_of(section), node, path)
            case Object():
                return self.object(shape, node, path)

    def scalar(self, domain: Domain, node: Node, path: str) -> Any:
        value = node.plain()
        if domain.accepts(value):
            return domain.normalise(value)
        self.expected(path, domain.describe(), node, nearest_word(value, domain))
        return MISSING

    def expected(self, path: str, what: str, node: Node, hint: str | None = None) -> None:
        value = node.plain()
        if value is None:
            found = "nothing"
        elif isinstance(value, str) and len(value) > 300:
            found = f"a text of {len(value):,} characters"
        else:
            found = shown(value)
        self.report(node.line, node.column, f"{path}: expected {what}, found {found}", hint)

    def any_scalar(self, shape: AnyScalar, node: Node, path: str) -> Any:
        value = node.plain()
        items = value if isinstance(value, list) and shape.lists and len(value) <= 200 else [value]
        if (value is None and shape.empty) or all(_is_scalar(item) for item in items):
            return value
        self.expected(path, "a text, a number, true or false", node)
        return MISSING

    def sequence(self, shape: Sequence, node: Node, path: str) -> Any:
        wanted = (
            f"a list of {shape.length} items" if shape.length is not None else f"a list of at most {shape.most} items"
        )
        bounds = (shape.length, shape.length) if shape.length is not None else (0, shape.most)
        if not isinstance(node.value, list) or not bounds[0] <= len(node.value) <= bounds[1]:
            self.expected(path, wanted, node)
            return MISSING
        items = [self.scalar(shape.item.domain, item, path) for item in node.value]
        return MISSING if MISSING in items else items

    def table(self, shape: Table, node: Node, path: str) -> Any:
        if not isinstance(node.value, dict) or len(node.value) > shape.most:
            self.expected(path, f"a mapping of at most {shape.most} keys", node)
            return MISSING
        held: dict[str, Any] = {}
        for key, inner in node.value.items():
            if shape.key.accepts(key):
                held[key] = self.shape(shape.value, inner, f"{path}.{key}")
            elif isinstance(shape.key, Choice):
                self.unknown_key(key, shape.key.words, node)
            else:
                self.report(
                    *node.keys[key], f"{path}: {shown(key)} cannot be the name of an option", "small letters and '_'"
                )
        return held

    def object(self, shape: Object, node: Node, path: str) -> Any:
        if not isinstance(node.value, dict):
            self.expected(path, f"a mapping with {', '.join(list(shape.fields)[:4])} …", node)
            return MISSING
        held: dict[str, Any] = {}
        for key, inner in node.value.items():
            if key in shape.fields:
                held[key] = self.shape(shape.fields[key], inner, key if shape is CARD else f"{path}.{key}")
            else:
                self.unknown_key(key, tuple(shape.fields), node)
        for key in shape.required:
            if key not in node.value:
                within = "" if shape is CARD else f" in {path}"
                self.report(node.line, node.column, f"missing key '{key}'{within}")
        return held

    def section(self, axes: SequenceOf[Axis], node: Node, path: str) -> Any:
        """Every axis of a section, checked into `values`; the section itself needs no other form."""
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

    def unknown_key(self, key: str, known: SequenceOf[str], node: Node) -> None:
        if key in MISPLACED:
            hint = MISPLACED[key]
        elif key in AXES:
            hint = f"it belongs in the section {AXES[key].section}"
        else:
            hint = suggestion(key, list(known))
            elsewhere = suggestion(key, [*AXES, *CARD.fields])
            if not hint.startswith("did you mean") and elsewhere.startswith("did you mean"):
                hint = elsewhere
        self.report(*node.keys[key], f"unknown key {shown(key)}", hint)


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return EVIDENCE.accepts(value)
    return isinstance(value, bool) or (isinstance(value, int | float) and math.isfinite(value))
