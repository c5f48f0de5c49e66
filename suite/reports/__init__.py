"""Reading wing, reports: cards and records as HTML and Markdown pages that work offline. No torch."""

from suite.reports.card_pages import render_card_html, render_card_markdown
from suite.reports.comparability import Comparability, comparability
from suite.reports.comparison_pages import comparison_files
from suite.reports.entry import Entry, entry_of

__all__ = [
    "Comparability",
    "Entry",
    "comparability",
    "comparison_files",
    "entry_of",
    "render_card_html",
    "render_card_markdown",
]
