"""Cards: strict YAML. Text in, a tree with line and column out; everything that surprises a reader is refused.

The tree is built from parser events, so that a hostile file is stopped at the first forbidden event and no
constructor of any YAML library ever runs. What is refused, and why:

* anchors and aliases (a few lines could expand to gigabytes), tags (they name types), directives, several documents;
* a key given twice (the reader sees one of them, the loader takes the other);
* nesting deeper than `DEEPEST`, files larger than `LARGEST_BYTES`, bytes that are not UTF-8, control characters.

Plain words are read by `suite.axes.domains.read_scalar` (YAML 1.2 core), not by the parser's YAML 1.1 rules.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from suite.axes.domains import read_scalar, shown
from suite.errors import CardError, Place

LARGEST_BYTES = 1_000_000
DEEPEST = 20
MOST_NODES = 20_000

# The C parser is about ten times faster; it is missing where PyYAML was built without libyaml.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")


@dataclass(slots=True)
class Node:
    """One value with the place where it starts (counted from 1) and the line on which it ends.

    `value` is a scalar, a list of nodes, or a dict from key to node; `keys` are the places of the keys of a dict.
    """

    value: Any
    line: int
    column: int
    last_line: int
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)
    flow: bool = False

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def read_text(path: Path, what: str = "card") -> str:
    """The text of a file that may be anything: checked for kind, size and encoding before it is used.

    `what` is what messages call the document: other documents than cards are written in this YAML too.
    """
    place = Place(str(path))
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise CardError("is not a file", place=place)
        if status.st_size > LARGEST_BYTES:
            raise CardError(
                f"is {status.st_size:,} bytes long; a {what} has at most {LARGEST_BYTES:,}",
                place=place,
                hint="is this the right file?",
            )
        with path.open("rb") as stream:
            data = stream.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise CardError("no such file", place=place, hint=_start_from(what)) from None
    except (OSError, ValueError) as error:
        raise CardError(f"cannot be read: {getattr(error, 'strerror', None) or error}", place=place) from None
    if len(data) > LARGEST_BYTES:
        raise CardError(f"has grown past {LARGEST_BYTES:,} bytes while it was read", place=place)
    return decode(data, str(path), what)


def decode(data: bytes, file: str, what: str = "card") -> str:
    """UTF-8 text without control characters."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise CardError(
            f"byte 0x{data[error.start]:02x} is not UTF-8 text",
            place=Place(file, line, column),
            hint=f"a {what} is a YAML text file in UTF-8",
        ) from None
    found = UNPRINTABLE.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - (text.rfind("\n", 0, found.start()) + 1) + 1
        raise CardError(
            f"control character 0x{ord(found.group()):02x} in the text",
            place=Place(file, line, column),
            hint=f"a {what} is a YAML text file in UTF-8",
        )
    return text


def parse(text: str, file: str, what: str = "card") -> Node:
    """The one document of a text, as a tree of nodes."""
    try:
        root = _Builder(text, file, what).build()
    except yaml.YAMLError as error:
        raise _syntax_error(error, text, file) from None
    if root is None:
        raise CardError("is empty", place=Place(file, 1, 1), hint=_start_from(what))
    return root


def _start_from(what: str) -> str | None:
    return "suite card new writes a card to start from" if what == "card" else None


def _syntax_error(error: yaml.YAMLError, text: str, file: str) -> CardError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be parsed")
    if mark is None:
        return CardError(f"is not YAML: {problem}", place=Place(file))
    lines = text.splitlines()
    # The parser notices a tab late: the line it complains about, or the one before, holds it.
    for number in (mark.line, mark.line - 1):
        indentation = re.match(r"[ \t]*", lines[number]) if 0 <= number < len(lines) else None
        if indentation and "\t" in indentation.group():
            column = indentation.group().index("\t") + 1
            return CardError(
                "a tab cannot indent YAML", place=Place(file, number + 1, column), hint="use two spaces for each level"
            )
    if mark.line < len(lines) and lines[mark.line][mark.column : mark.column + 1] == "\t":
        return CardError(
            "a tab cannot separate values here", place=Place(file, mark.line + 1, mark.column + 1), hint="use a space"
        )
    return CardError(f"is not YAML: {problem}", place=Place(file, mark.line + 1, mark.column + 1))


class _Builder:
    """Builds the tree from events with a stack of its own, so that depth is a number and not a crash."""

    def __init__(self, text: str, file: str, what: str) -> None:
        self.file = file
        self.what = what
        self.events = yaml.parse(text, Loader=LOADER)
        self.root: Node | None = None
        self.open: list[Node] = []
        self.pending: list[tuple[str, int, int] | None] = []
        self.documents = 0
        self.nodes = 0

    def build(self) -> Node | None:
        event: Any
        for event in self.events:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self.refuse_decorations(event)
                self.scalar(event)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self.refuse_decorations(event)
                self.start(event, {} if kind is yaml.MappingStartEvent else [])
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self.end(event)
            elif kind is yaml.AliasEvent:
                raise self.error(
                    event, f"the alias '*{event.anchor}' is not allowed in a {self.what}", "repeat the value"
                )
            elif kind is yaml.DocumentStartEvent:
                self.documents += 1
                if self.documents > 1:
                    raise self.error(event, "a second YAML document starts here", f"one file holds one {self.what}")
                if event.version or event.tags:
                    raise self.error(
                        event, f"YAML directives are not allowed in a {self.what}", "remove the line with '%'"
                    )
        return self.root

    def error(self, event: Any, message: str, hint: str | None = None) -> CardError:
        mark = event.start_mark
        return CardError(message, place=Place(self.file, mark.line + 1, mark.column + 1), hint=hint)

    def refuse_decorations(self, event: Any) -> None:
        if event.anchor is not None:
            raise self.error(event, f"the anchor '&{event.anchor}' is not allowed in a {self.what}", "repeat the value")
        if event.tag is not None:
            raise self.error(
                event, f"the tag {shown(event.tag)} is not allowed in a {self.what}", "write the plain value"
            )
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise self.error(event, f"more than {MOST_NODES:,} values", f"is this a {self.what}?")

    def scalar(self, event: Any) -> None:
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        if self.awaits_key():
            self.key(event, event.value, line, column)
            return
        value = read_scalar(event.value) if event.style is None or event.style == "" else event.value
        # A block scalar ends where the next token starts, so its end mark lies one line too far.
        last_line = event.end_mark.line + (0 if event.style in ("|", ">") else 1)
        self.add(Node(value, line, column, max(line, last_line)))

    def start(self, event: Any, value: Any) -> None:
        mark = event.start_mark
        if self.awaits_key():
            raise self.error(event, "a key must be a word, not a list or a mapping")
        if len(self.open) >= DEEPEST:
            raise self.error(event, f"nested more than {DEEPEST} levels deep", "a few levels are enough")
        node = Node(value, mark.line + 1, mark.column + 1, mark.line + 1, flow=bool(event.flow_style))
        self.add(node)
        self.open.append(node)
        self.pending.append(None)

    def end(self, event: Any) -> None:
        node = self.open.pop()
        self.pending.pop()
        if node.flow:
            node.last_line = event.end_mark.line + 1
        if self.open:
            self.open[-1].last_line = max(self.open[-1].last_line, node.last_line)

    def awaits_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1].value, dict) and self.pending[-1] is None

    def key(self, event: Any, name: str, line: int, column: int) -> None:
        mapping = self.open[-1]
        if name in mapping.value:
            raise self.error(
                event,
                f"the key {shown(name)} is given twice, first on line {mapping.keys[name][0]}",
                "keep one of them",
            )
        mapping.keys[name] = (line, column)
        self.pending[-1] = (name, line, column)

    def add(self, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        parent.last_line = max(parent.last_line, node.last_line)
        if isinstance(parent.value, list):
            parent.value.append(node)
            return
        pending = self.pending[-1]
        if pending is None:  # awaits_key() has already routed keys elsewhere
            raise AssertionError("a value without a key")
        parent.value[pending[0]] = node
        self.pending[-1] = None
