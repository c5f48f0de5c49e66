"""Reports: the pages of one card, of one record, or of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suite.reports.card_page import card_page
from suite.reports.entry import entry_of
from suite.reports.rendering import html_page, markdown_page

if TYPE_CHECKING:
    from suite.cards import Card
    from suite.records import Record


def render_card_html(card: Card | None, record: Record | None = None) -> str:
    """The page of one card, of one record, or of a card with the record of its run."""
    entry = entry_of(card, record)
    kind = "record" if record is not None else "card"
    return html_page(
        "card.html.j2",
        title=f"{entry.title} · quantization card",
        page=card_page(entry),
        embedded=entry.document,
        embedded_name=kind,
        embedded_id=kind,
    )


def render_card_markdown(card: Card | None, record: Record | None = None) -> str:
    """The same page as Markdown, for places that show nothing else."""
    return markdown_page("card.md.j2", page=card_page(entry_of(card, record)))
