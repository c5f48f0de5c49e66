"""Cards: walking a layout and a tree side by side. What is wrong is collected with its place; nothing stops the walk.

Cards are checked by it, and so is every other document that is written in the same strict YAML.
"""

from __future__ import annotations

import math
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Any, ClassVar

from suite.axes import Section
from suite.axes.axis import nearest_word
from suite.axes.domains import Choice, Domain, shown
from suite.cards.layout import EVIDENCE, AnyScalar, Object, Scalar, SectionShape, Sequence, Shape, Table
from suite.cards.text import Node
from suite.errors import CardError, Place, SuiteError
from suite.registry import suggestion


class _Missing:
    """What a node that cannot be read stands for; it has been reported and takes part in nothing further."""


MISSING = _Missing()


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a document, and where."""

    place: Place
    message: str
    hint: str | None = None
    kind: type[SuiteError] = CardError

    def error(self) -> SuiteError:
        return self.kind(self.message, place=self.place, hint=self.hint)

    def __str__(self) -> str:
        return str(self.error())


class Walker:
    """Reads a tree by a layout and collects problems instead of stopping at the first."""

    error: ClassVar[type[SuiteError]] = CardError

    def __init__(self, file: str, root: Object) -> None:
        self.file = file
        self.root = root
        self.problems: list[Problem] = []

    def report(self, line: int, column: int, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(Place(self.file, line, column), message, hint, self.error))

    @property
    def in_order(self) -> tuple[Problem, ...]:
        """Every problem, in the order of the file."""
        return tuple(sorted(self.problems, key=lambda problem: (problem.place.line or 0, problem.place.column or 0)))

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
                return self.section(section, node, path)
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
        if shape.one and not isinstance(node.value, list):
            item = self.shape(shape.item, node, path)
            return MISSING if item is MISSING else [item]
        if not isinstance(node.value, list) or not bounds[0] <= len(node.value) <= bounds[1]:
            self.expected(path, wanted, node)
            return MISSING
        items = [self.shape(shape.item, item, path) for item in node.value]
        return MISSING if any(item is MISSING for item in items) else items

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
                held[key] = self.shape(shape.fields[key], inner, key if shape is self.root else f"{path}.{key}")
            else:
                self.unknown_key(key, tuple(shape.fields), node)
        for key in shape.required:
            if key not in node.value:
                within = "" if shape is self.root else f" in {path}"
                self.report(node.line, node.column, f"missing key '{key}'{within}")
        return held

    def section(self, section: Section, node: Node, path: str) -> Any:
        """A section of axes; only the checker of cards knows any."""
        raise NotImplementedError(f"{type(self).__name__} reads no sections")

    def unknown_key(self, key: str, known: SequenceOf[str], node: Node) -> None:
        self.report(*node.keys[key], f"unknown key {shown(key)}", self.hint_for(key, known))

    def hint_for(self, key: str, known: SequenceOf[str]) -> str:
        """What to say about a key that the layout does not have."""
        return suggestion(key, list(known))


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return EVIDENCE.accepts(value)
    return isinstance(value, bool) or (isinstance(value, int | float) and math.isfinite(value))
