"""Markdown: complete, and text of a card never becomes markup."""

from __future__ import annotations

import re
from pathlib import Path

from suite.axes import AXES
from suite.cards import complete_card, load_card, new_card, parse_card, render_card_markdown
from suite.cards.render import escape

CARDS = Path(__file__).parents[2] / "cards"
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) | `code` **bold** https://evil.example a@b.c ![i](x)"


def test_every_axis_stands_in_the_page_with_its_value():
    page = render_card_markdown(load_card(CARDS / "lsq.yaml"))
    rows = {cells[3].strip(): cells[2].strip() for line in page.splitlines() if len(cells := line.split("|")) == 5}
    assert {axis.replace("_", "\\_") for axis in AXES} <= set(rows)
    assert rows["weight\\_bits"] == "4"
    assert rows["weight\\_range"] == "learned-step"


def test_a_transcribed_card_says_its_source_and_its_silence():
    page = render_card_markdown(load_card(CARDS / "published" / "confounding-tradeoffs-table3.yaml"))
    assert "| source: table | Table 3 |" in page
    assert "29 of 53 axes" in page
    assert "| pointer | Figure 5 |" in page


def test_results_and_audit_are_shown():
    audit = {
        "verdict": "contradicted",
        "axes": {"grid": {"declared": "uniform", "verdict": "contradicted", "evidence": "5 levels"}},
    }
    page = render_card_markdown(parse_card(complete_card(new_card(), {"model_bytes": 1234567, "score": 0.5}, audit)))
    assert "| model bytes | 1,234,567 |" in page
    assert "## Audit: contradicted" in page
    assert "| grid | uniform |  | contradicted | 5 levels |" in page


def test_hostile_text_stays_text_everywhere():
    text = (
        new_card(title=HOSTILE)
        .replace("remarks: []", f'remarks: ["{HOSTILE}"]')
        .replace("options: {}", f'options: {{a: "{HOSTILE}"}}')
    )
    page = render_card_markdown(parse_card(text))
    assert "<script" not in page
    assert "](" not in page.replace("\\](", "")
    assert "https://" not in page
    # Unescaped pipes are the table's own: every row of a table has as many cells as its header.
    for block in page.split("\n\n"):
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines() if line.startswith("|")}
        assert len(counts) <= 1


def test_escaping_keeps_one_line():
    assert escape("a\nb") == "a b"
    assert escape([1, "x_y"]) == "1, x\\_y"
    assert escape(True) == "yes"
