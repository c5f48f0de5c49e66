"""The Markdown twins: the same facts as the HTML pages, and no text of a card that becomes markup."""

from __future__ import annotations

from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from report_pages import comparison_markdown, many_entries
from report_samples import audit_of, make_card, make_entry, make_record, make_transcribed

from suite.axes import AXES, Setting
from suite.cards import MethodChoice
from suite.records import Record
from suite.reports import entry_of, render_card_markdown
from suite.reports.rendering import code, escape_markdown

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

PAYLOADS = [
    "<script>alert(1)</script>",
    "![picture](https://example.org/x.png) [link](javascript:alert(1))",
    "a | b || c",
    "`code` ``more`` \\` \\",
    "**bold** __bold__ *it* _it_ ~~gone~~",
    "# heading",
    "- item",
    "1. item",
    "+ item",
    "<https://example.org> &amp; &#60;b&#62;",
]


def shape(markdown: str) -> list[str]:
    """Every token of the document, inline ones too, without its words: what must not depend on what people write."""
    found = []
    for token in PARSER.parse(markdown):
        found.append(token.type)
        found += [
            child.type for child in token.children or [] if child.type not in ("text", "softbreak", "text_special")
        ]
    return found


def words(markdown: str) -> str:
    """All text a reader sees."""
    children = [child for token in PARSER.parse(markdown) for child in token.children or []]
    return " ".join(
        "".join(child.content for child in children if child.type in ("text", "code_inline", "text_special")).split()
    )


@pytest.mark.parametrize("payload", PAYLOADS)
def test_escaped_text_is_read_back_as_itself(payload: str) -> None:
    assert shape(escape_markdown(payload)) == ["paragraph_open", "inline", "paragraph_close"]
    assert words(escape_markdown(payload)) == payload


@pytest.mark.parametrize("payload", [held for held in PAYLOADS if "|" not in held])
def test_code_is_read_back_as_itself(payload: str) -> None:
    (paragraph,) = [token for token in PARSER.parse(f"x {code(payload)} x") if token.type == "inline"]
    assert [child.content for child in paragraph.children or [] if child.type == "code_inline"] == [payload]


def card_page(text: str) -> str:
    card = make_card(title=text, method=MethodChoice("lsq", {text: text}), remarks=(text,), task=text, model=text)
    audit = audit_of(Setting.default(), ("weight_bits",))
    for found in audit["axes"].values():
        found |= {"observed": text, "evidence": text}
    record = make_record(audit=audit, environment={text: text}, metric=text, command=text)
    return render_card_markdown(card, Record(**{**vars(record), "task": text, "model": text}))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_every_text_of_a_card_stays_text(payload: str) -> None:
    assert shape(card_page(payload)) == shape(card_page("ordinary words"))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_every_text_of_a_comparison_stays_text(payload: str) -> None:
    def page(text: str) -> str:
        hostile = replace(make_entry("lsq"), title=text, task=text, model=text, command=text, message=text)
        silent = entry_of(make_transcribed(title=text, values={**make_transcribed().values, "baseline_weights": text}))
        return comparison_markdown([hostile, make_entry("rtn"), silent], rank_anyway=True)

    assert shape(page(payload)) == shape(page("ordinary words"))


def test_a_card_page_says_what_the_html_page_says() -> None:
    text = words(render_card_markdown(make_card(), make_record(contradicted=("weight_bits",))))
    for said in (
        "The audit contradicts this card",
        "layer1.0.conv1.weight has 17 levels, not 16",
        "97.50 %",
        "92.50 %",
        "−5.00 points",
    ):
        assert said in text.replace("\N{NO-BREAK SPACE}", " ")
    for axis in AXES.values():
        assert axis.id in text
        assert " ".join(axis.cost(axis.default).sentence.split()) in text


def test_a_transcribed_card_shows_what_is_not_reported() -> None:
    card = make_transcribed()
    assert render_card_markdown(card).count("*not reported*") == len(card.unreported)


def test_what_is_not_comparable_is_not_ranked_unless_asked() -> None:
    refused = comparison_markdown(many_entries())
    assert "| rank |" not in refused
    assert "Not comparable, so not ranked" in refused
    asked = comparison_markdown(many_entries(), rank_anyway=True)
    rows = [line for line in asked.splitlines() if line.startswith(("| 1", "| 2", "| 3"))]
    assert len(rows) == 3
    for row in rows:
        numbers = [
            cell for cell in row.split("|")[1:] if "points" in cell or " %" in cell.replace("\N{NO-BREAK SPACE}", " ")
        ]
        assert numbers
        assert all("*not comparable*" in cell for cell in numbers)


def test_comparable_entries_are_ranked_with_their_intervals() -> None:
    page = comparison_markdown([make_entry("a", score=0.945), make_entry("b", score=0.94)])
    assert "not resolved" in page
    assert page.count("1–2") == 2
    assert "not comparable" not in page


TWINS = {
    "verified": lambda: render_card_markdown(make_card(), make_record()),
    "transcribed": lambda: render_card_markdown(make_transcribed()),
    "comparable": lambda: comparison_markdown([make_entry("a"), make_entry("b")]),
    "not comparable": lambda: comparison_markdown(many_entries()),
    "ranked anyway": lambda: comparison_markdown(many_entries(), rank_anyway=True),
}


@pytest.mark.parametrize("name", TWINS)
def test_tables_are_whole(name: str) -> None:
    """Every row of a table has as many cells as its head; a stray pipe would break that."""
    width = None
    for line in TWINS[name]().splitlines():
        cells = line.replace("\\|", "").count("|") if line.startswith("|") else None
        assert cells is None or width is None or cells == width, line
        width = cells
