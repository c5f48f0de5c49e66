"""Cards: migration. Old layouts stay readable for ever: each version has one function that lifts it to the next.

A migration edits a round-trip document (ruamel.yaml), so that the order of the keys and the comments of the person who
wrote the card survive. To add version 2: write `_from_1`, enter it into `MIGRATIONS`, and check in a version 1 file.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from suite.axes import AXES, Section, axes_of, plain
from suite.axes.domains import is_integer, shown
from suite.cards.layout import VERSION
from suite.cards.load import parse_card
from suite.cards.text import Node, parse
from suite.errors import CardError, Place
from suite.registry import suggestion

Document = Any
"""A ruamel.yaml CommentedMap: a dict that remembers order and comments."""

# Version 0 had two shorter names and took the default of every axis that was left out.
RENAMED_SINCE_0 = {"calibration_examples": "examples", "granularity": "weight_granularity"}


def migrate_text(text: str, file: str = "card.yaml") -> str:
    """The same card in the current version; a card that is already there comes back untouched."""
    version = _version(parse(text, file), file)
    if version == VERSION:
        return text
    document = _load(text)
    for step in range(version, VERSION):
        MIGRATIONS[step](document, file)
    migrated = _dump(document)
    parse_card(migrated, f"{file} (migrated)")
    return migrated


def _version(root: Node, file: str) -> int:
    if not isinstance(root.value, dict):
        raise CardError("a card is a mapping of keys to values", place=Place(file, root.line, root.column))
    node = root.value.get("card")
    if node is None:
        # The first cards were written before there was a version to write.
        if "setting" in root.value:
            return 0
        raise CardError("missing key 'card', the version of the schema", place=Place(file, root.line, root.column))
    if not is_integer(node.value) or (node.value != VERSION and node.value not in MIGRATIONS):
        raise CardError(
            f"card: version {shown(node.plain())} cannot be migrated",
            place=Place(file, node.line, node.column),
            hint=f"this suite knows the versions {', '.join(str(known) for known in (*MIGRATIONS, VERSION))}",
        )
    return int(node.value)


def _from_0(document: Document, file: str) -> None:
    """Version 0: `name`, `method: id` beside `options`, all axes flat under `setting`, one text `notes`.

    Axes that a version 0 card left out meant their default; now they are written out, and a remark lists them.
    """
    from ruamel.yaml.comments import CommentedMap

    setting = document.get("setting")
    if not hasattr(setting, "items"):
        raise CardError("a card of version 0 has its axes under 'setting'", place=Place(file, 1, 1))
    flat: dict[str, tuple[Any, Any]] = {}
    for key, value in setting.items():
        id = RENAMED_SINCE_0.get(key, key)
        if id not in AXES:
            raise CardError(
                f"unknown axis {shown(key)}",
                place=Place(file, setting.lc.key(key)[0] + 1, setting.lc.key(key)[1] + 1),
                hint=suggestion(key, [*AXES, *RENAMED_SINCE_0]),
            )
        flat[id] = (value, setting.ca.items.get(key))
    if "name" in document:
        _rename(document, "name", "title")
    method = CommentedMap({"id": document.get("method"), "options": document.pop("options", {})})
    method.fa.set_flow_style()
    document["method"] = method
    remarks = [str(document.pop("notes"))] if document.get("notes") else []
    absent = [id for id in AXES if id not in flat]
    if absent:
        remarks.append(f"Version 0 left out {', '.join(absent)}; these are the defaults it meant.")
    position = list(document).index("setting")
    opening = _opening_comment(setting)
    first = RENAMED_SINCE_0.get(next(iter(setting), ""), next(iter(setting), ""))
    del document["setting"]
    for offset, section in enumerate(Section):
        held = CommentedMap()
        for axis in axes_of(section):
            value, comment = flat.get(axis.id, (plain(axis.default), None))
            held[axis.id] = value
            if comment is not None:
                held.ca.items[axis.id] = comment
            if opening and axis.id == first:
                held.yaml_set_comment_before_after_key(axis.id, before=opening, indent=2)
        document.insert(position + offset, section.value, held)
    document["remarks"] = remarks
    if "kind" not in document:
        document.insert(0, "kind", "run")
    document.pop("card", None)
    document.insert(0, "card", 1)


MIGRATIONS: dict[int, Callable[[Document, str], None]] = {0: _from_0}


def _opening_comment(mapping: Any) -> str:
    """Full-line comments between a key and the first line of its mapping; ruamel.yaml keeps them on the mapping."""
    tokens = (mapping.ca.comment or [None, None])[1] or []
    return "\n".join(token.value.strip().removeprefix("#").strip() for token in tokens)


def _rename(document: Document, old: str, new: str) -> None:
    position = list(document).index(old)
    comment = document.ca.items.pop(old, None)
    document.insert(position, new, document.pop(old))
    if comment is not None:
        document.ca.items[new] = comment


def _yaml() -> Any:
    # Imported here: it takes longer to import than a card to check, and only migration needs it.
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _load(text: str) -> Document:
    """Only for text that the strict parser has already accepted."""
    from ruamel.yaml.error import YAMLError

    try:
        return _yaml().load(text)
    except (YAMLError, ValueError) as error:
        raise CardError(f"is not YAML: {str(error).splitlines()[0]}") from None


def _dump(document: Document) -> str:
    stream = io.StringIO()
    _yaml().dump(document, stream)
    return stream.getvalue()
