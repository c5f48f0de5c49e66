"""Reports: the public functions. An entry goes in, a whole page comes out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from suite import __version__
from suite.reports.card_page import card_page
from suite.reports.comparison_page import comparison_page
from suite.reports.entry import Entry, entry_of
from suite.reports.rendering import Markdown, escape_markdown, html_engine, markdown_engine

if TYPE_CHECKING:
    from suite.cards import Card
    from suite.records import Record

SIGNS = {
    "good": Markdown("✅"),
    "bad": Markdown("❌"),
    "doubtful": Markdown("⚠️"),
    "quiet": Markdown("◯"),
}


def render_card_html(card: Card | None, record: Record | None = None) -> str:
    """The page of one card, of one record, or of a card with the record of its run."""
    entry = entry_of(card, record)
    return (
        html_engine()
        .get_template("card.html.j2")
        .render(
            title=f"{entry.title} · quantization card",
            page=card_page(entry),
            version=__version__,
            embedded_name="record" if record is not None else "card",
            embedded_id="record" if record is not None else "card",
            embedded=entry.document,
        )
    )


def render_card_markdown(card: Card | None, record: Record | None = None) -> str:
    """The same page as Markdown, for places that show nothing else."""
    return _markdown("card.md.j2", page=card_page(entry_of(card, record)))


def render_comparison_html(entries: Sequence[Entry], *, rank_anyway: bool = False) -> str:
    """The page that compares two or more entries; it ranks only what is comparable, unless told to rank anyway."""
    return (
        html_engine()
        .get_template("comparison.html.j2")
        .render(
            title=comparison_title(entries),
            page=comparison_page(entries, rank_anyway=rank_anyway),
            version=__version__,
            embedded_name="records",
            embedded_id="records",
            embedded=[entry.document for entry in entries],
        )
    )


def render_comparison_markdown(entries: Sequence[Entry], *, rank_anyway: bool = False) -> str:
    """The same comparison as Markdown."""
    return _markdown(
        "comparison.md.j2", page=comparison_page(entries, rank_anyway=rank_anyway), title=comparison_title(entries)
    )


def comparison_title(entries: Sequence[Entry]) -> str:
    """The titles themselves where they are few and short."""
    joined = " · ".join(entry.title for entry in entries)
    return joined if len(entries) <= 3 and len(joined) <= 90 else f"{len(entries)} cards compared"


def _markdown(template: str, **context: object) -> str:
    text = (
        markdown_engine()
        .get_template(template)
        .render(
            sign=SIGNS,
            verdicts=SIGNS,
            strong=lambda text: Markdown(f"**{escape_markdown(text)}**"),
            emphasis=lambda text: Markdown(f"*{escape_markdown(text)}*"),
            flag=lambda table: Markdown("" if table.comparable or not table.ranked else " *not comparable*"),
            **context,
        )
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
