"""Cards: rendering to Markdown. Text of a card is text: nothing in it becomes markup."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from typing import Any

from suite.axes import NOT_REPORTED, Section, axes_of, plain
from suite.cards.card import Card

SPECIAL = re.compile(r"([\\`*_\[\]{}<>#|~!])")


def escape(value: Any) -> str:
    """A value as Markdown text: one line, no markup, no HTML."""
    if isinstance(value, list | tuple):
        return ", ".join(escape(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = " ".join(str(value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A bare address becomes a link in some readers; the escaped colon keeps it text.
    return SPECIAL.sub(r"\\\1", text).replace("://", ":&#47;&#47;").replace("@", "&#64;")


def _table(headers: tuple[str, ...], rows: SequenceOf[tuple[Any, ...]]) -> list[str]:
    lines = [f"| {' | '.join(headers)} |", f"|{'|'.join(' --- ' for _ in headers)}|"]
    lines.extend(f"| {' | '.join(escape(cell) for cell in row)} |" for row in rows)
    return lines


def render_card_markdown(card: Card) -> str:
    """A card as one Markdown page: what was declared, what came out, what the audit saw."""
    lines = [f"# {escape(card.title)}", "", *_table(("", ""), _head(card)), ""]
    for section in Section:
        rows = [(axis.question, plain(card.values[axis.id]), axis.id) for axis in axes_of(section)]
        lines.extend([f"## {section.heading}", "", *_table(("Question", "Value", "Axis"), rows), ""])
    if card.remarks:
        lines.extend(["## Remarks", "", *(f"* {escape(remark)}" for remark in card.remarks), ""])
    if card.results:
        figures = [(name.replace("_", " "), _figure(name, value)) for name, value in card.results.items()]
        lines.extend(["## Results", "", *_table(("", ""), figures), ""])
    if card.audit:
        lines.extend(_audit(card.audit))
    return "\n".join(lines)


def _head(card: Card) -> list[tuple[Any, ...]]:
    options = ", ".join(f"{name} = {value}" for name, value in card.method.options.items())
    head: list[tuple[Any, ...]] = [("method", f"{card.method.id} ({options})" if options else card.method.id)]
    head.extend((name, value) for name, value in (("task", card.task), ("model", card.model)) if value is not None)
    if card.kind == "run":
        head.append(("seed", card.seed))
    if card.source:
        head.extend((f"source: {name}", value) for name, value in card.source.items())
    if card.unreported:
        head.append((NOT_REPORTED, f"{len(card.unreported)} of {len(card.values)} axes"))
    return head


def _figure(name: str, value: Any) -> Any:
    if name.endswith("bytes"):
        return f"{value:,}"
    if name in ("average_weight_bits", "average_activation_bits", "seconds", "epoch_fraction"):
        return f"{value:.3g}"
    return value


def _audit(audit: Mapping[str, Any]) -> list[str]:
    rows = [
        (axis, entry.get("declared", ""), entry.get("observed", ""), entry["verdict"], entry.get("evidence", ""))
        for axis, entry in audit["axes"].items()
    ]
    table = _table(("Axis", "Declared", "Observed", "Verdict", "Evidence"), rows)
    return [f"## Audit: {escape(audit['verdict'])}", "", *table, ""]
