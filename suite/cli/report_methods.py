"""`suite report build`: methods as the site shows them, read from their sources. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from suite.cli.output import paragraphs

if TYPE_CHECKING:
    from suite.registry import Entry
    from suite.reports.site.catalogue import MethodPage


def method_pages() -> list[MethodPage]:
    """Every method that can be found, other people's among them."""
    from suite.methods import METHODS

    return [_method_page(entry) for entry in METHODS]


def _method_page(entry: Entry) -> MethodPage:
    from suite.methods.api.declared import read_told
    from suite.reports.card_page import is_web_address
    from suite.reports.numbers import clean
    from suite.reports.site.catalogue import MethodNote, MethodPage

    told = read_told(entry)
    paper = told.paper
    named = (str(paper.authors), str(paper.title), str(paper.year)) if paper is not None else ()
    return MethodPage(
        id=entry.id,
        summary=clean(_summary(entry)),
        origin=clean(entry.origin),
        title=clean(told.title),
        description=tuple(_paragraphs(told.description)),
        paper=clean(", ".join(filter(None, named))),
        url=str(paper.url) if paper is not None and is_web_address(str(paper.url)) else "",
        notes=tuple(
            MethodNote(*(clean(str(text)) for text in (note.about, note.ours, note.paper, note.code)))
            for note in told.notes
        ),
    )


def _summary(entry: Entry) -> str:
    try:
        return entry.summary()
    except (ImportError, OSError, SyntaxError, ValueError) as error:
        return f"its file cannot be read: {error}"


def _paragraphs(text: str) -> Iterator[str]:
    """A docstring's; lines that are indented stay as they are, others run together."""
    from suite.reports.numbers import clean

    for block, kept in paragraphs(text):
        lines = block.splitlines()
        yield (
            "\n".join(" " * (len(line) - len(line.lstrip())) + clean(line) for line in lines) if kept else clean(block)
        )
