"""Cards: writing back. A whole card, or the results and the audit of a run put into the text that a person wrote."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suite.axes import AXES, Section, axes_of, plain
from suite.cards.card import Card
from suite.cards.emit import block, flow_mapping
from suite.cards.layout import AUDIT, RESULTS, VERSION
from suite.cards.load import parse_card
from suite.cards.text import parse
from suite.errors import CardError, Place

LONGEST_EVIDENCE = 1000


def card_to_yaml(card: Card) -> str:
    """The canonical text of a card: every key in the order of the layout, no comments."""
    lines = [f"card: {VERSION}", f"kind: {card.kind}", *block("title", card.title)]
    lines.append(f"method: {flow_mapping({'id': card.method.id, 'options': dict(card.method.options)})}")
    for key, value in (("task", card.task), ("model", card.model)):
        if value is not None:
            lines.extend(block(key, value))
    if card.kind == "run":
        lines.append(f"seed: {card.seed}")
    for section in Section:
        held = {axis.id: plain(card.values[axis.id]) for axis in axes_of(section)}
        lines.extend(["", *block(section.value, held)])
    lines.append("")
    lines.extend(block("remarks", list(card.remarks)))
    if card.source:
        lines.extend(block("source", card.source))
    for key, part in (("results", card.results), ("audit", card.audit)):
        if part is not None:
            lines.extend(["", *block(key, part)])
    return "\n".join(lines) + "\n"


def complete_card(original: str, results: Mapping[str, Any] | None, audit: Mapping[str, Any] | None = None) -> str:
    """The text of a card with `results` and `audit` put in, everything else byte for byte as it was.

    Results and audit of an earlier run are replaced where they stand; otherwise both go to the end. Keys that a card
    has no place for are left out, and so are values that do not exist (None). Passing None takes a part out.
    """
    text = original
    parts = (("results", _for_card(results)), ("audit", None if audit is None else _audit_for_card(audit)))
    for key, part in parts:
        text = _put(text, key, part)
    parse_card(text, "the completed card")  # what the suite writes, the suite can read
    return text


def _for_card(results: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if results is None:
        return None
    return {key: plain(results[key]) for key in RESULTS.fields if results.get(key) is not None}


def _audit_for_card(audit: Mapping[str, Any]) -> dict[str, Any]:
    axes: dict[str, dict[str, Any]] = {}
    for id in (id for id in AXES if id in audit["axes"]):
        entry = {key: plain(value) for key, value in audit["axes"][id].items() if value is not None and value != ""}
        if len(str(entry.get("evidence", ""))) > LONGEST_EVIDENCE:
            entry["evidence"] = str(entry["evidence"])[: LONGEST_EVIDENCE - 1] + "…"
        axes[id] = entry
    return {key: {"verdict": audit["verdict"], "axes": axes}[key] for key in AUDIT.fields}


def _put(text: str, key: str, part: Mapping[str, Any] | None) -> str:
    """Replace, append or remove one top-level key of a card in block style."""
    root = parse(text, "card.yaml")
    if not isinstance(root.value, dict):
        raise CardError("a card is a mapping of keys to values")
    if root.flow:
        raise CardError(
            "the card is written in braces, so nothing can be added to it",
            place=Place("card.yaml", root.line, root.column),
            hint="write one key a line",
        )
    lines = text.splitlines(keepends=True)
    newline = "\r\n" if "\r\n" in text else "\n"
    margin = root.column - 1
    written = [line + newline for line in block(key, part, margin)] if part is not None else []
    if key in root.value:
        first, last = root.keys[key][0] - 1, max(root.keys[key][0], root.value[key].last_line)
        # Blank lines and comments after a block belong to what follows.
        while last > first + 1 and (not lines[last - 1].strip() or lines[last - 1].lstrip().startswith("#")):
            last -= 1
        return "".join([*lines[:first], *written, *lines[last:]])
    if not written:
        return text
    if lines and not lines[-1].endswith(("\n", "\r")):
        lines[-1] += newline
    while lines and lines[-1].strip() in ("...", ""):
        lines.pop()
    return "".join([*lines, newline, *written])


def write_card(path: Path | str, card: Card) -> None:
    """Write a card whole or not at all."""
    write_whole(Path(path), card_to_yaml(card))


def write_whole(path: Path, content: str | bytes) -> None:
    """Write to a temporary name beside `path`, flush it to the disk, then rename: never half a file."""
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content.encode("utf-8") if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files that only their owner can read; a card is for everybody.
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise CardError(f"cannot be written: {error.strerror or error}", place=Place(str(path))) from None
