"""The sample pages, and a parser that says what a browser would make of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from typing import Any

from bits_samples import ASYMMETRIC_FIRST, FLOAT_FIRST, per_layer, per_weight
from report_samples import make_card, make_entry, make_record, make_transcribed

from suite.records import Status
from suite.reports import Entry, comparison_files, entry_of, render_card_html

VOID = {"meta", "br", "line", "circle", "rect"}


class Page(HTMLParser):
    """What a parser sees: elements with their attributes, the text of the body, and the content of raw elements."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.raw: dict[str, str] = {}
        self.comments: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.raw[self.open[-1]] = self.raw.get(self.open[-1], "") + data
        else:
            self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    @property
    def skeleton(self) -> list[tuple[str, tuple[str, ...]]]:
        """Elements and the names of their attributes: what must not depend on what people write."""
        return [(tag, tuple(name for name, _ in attributes)) for tag, attributes in self.elements]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def attributes(self, name: str) -> list[tuple[str, str]]:
        return [(tag, value or "") for tag, held in self.elements for key, value in held if key == name]


def contradicted_page() -> str:
    return render_card_html(make_card(), make_record(contradicted=("weight_bits", "examples")))


def diverged_page() -> str:
    nothing = {"score": None, "difference": None, "difference_interval": None, "audit": None}
    return render_card_html(None, make_record(status=Status.DIVERGED, message="not finite at step 12", **nothing))


def many_entries() -> list[Any]:
    return [
        make_entry("lsq", score=0.945),
        make_entry("rtn", score=0.94, changes={"weight_bits": 4}),
        make_entry("bad", contradicted=("skip_connection",)),
        entry_of(make_transcribed()),
        entry_of(make_card()),
    ]


def comparison_html(entries: Sequence[Entry], *, rank_anyway: bool = False) -> str:
    return str(comparison_files(entries, rank_anyway=rank_anyway)["comparison.html"])


def comparison_markdown(entries: Sequence[Entry], *, rank_anyway: bool = False) -> str:
    return str(comparison_files(entries, rank_anyway=rank_anyway)["comparison.md"])


PAGES: dict[str, Callable[[], str]] = {
    "verified": lambda: render_card_html(make_card(), make_record()),
    "contradicted": contradicted_page,
    "diverged": diverged_page,
    "declared": lambda: render_card_html(make_card()),
    "transcribed": lambda: render_card_html(make_transcribed()),
    "bits that vary": lambda: render_card_html(None, make_record(bits=per_weight(first=FLOAT_FIRST).to_dict())),
    "bits of layers": lambda: render_card_html(make_card(), make_record(bits=per_layer().to_dict())),
    "bits of many": lambda: render_card_html(None, make_record(bits=per_weight(60, first=ASYMMETRIC_FIRST).to_dict())),
    "record alone": lambda: render_card_html(None, make_record()),
    "comparable": lambda: comparison_html([make_entry("lsq"), make_entry("rtn", score=0.8)]),
    "not comparable": lambda: comparison_html(many_entries()),
    "ranked anyway": lambda: comparison_html(many_entries(), rank_anyway=True),
}
