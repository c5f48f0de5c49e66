"""Reading wing, reports: cards and records as HTML and Markdown pages that work offline. No torch."""

from suite.reports.comparability import Comparability, comparability
from suite.reports.entry import Entry, entry_of
from suite.reports.pages import (
    render_card_html,
    render_card_markdown,
    render_comparison_html,
    render_comparison_markdown,
)

__all__ = [
    "Comparability",
    "Entry",
    "comparability",
    "entry_of",
    "render_card_html",
    "render_card_markdown",
    "render_comparison_html",
    "render_comparison_markdown",
]
