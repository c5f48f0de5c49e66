"""Hostile text in every field of cards and records: the page keeps its elements and shows the text as text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from report_pages import Page, comparison_html
from report_samples import audit_of, make_card, make_entry, make_record, make_transcribed

from suite.axes import AXES, Setting
from suite.cards import Card, MethodChoice
from suite.errors import RecordError
from suite.records import Record, Status
from suite.reports import entry_of, render_card_html

PAYLOADS = [
    '"><script>alert(1)</script>',
    "</script></style></title><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)' x='",
    "<!-- {{ 7 * 7 }} {% raw %} <![CDATA[ &lt;b&gt;",
    "javascript:alert(1)//<svg/onload=alert(1)>",
]
PLAIN = "ordinary words"


def written_over(value: Any, text: str) -> Any:
    """`value` with every text in it, keys of mappings too, replaced by `text` and a number that keeps keys apart."""
    counter = iter(range(10_000))

    def walk(held: Any) -> Any:
        if isinstance(held, dict):
            return {key if key in KEPT else f"{text} {next(counter)}": walk(item) for key, item in held.items()}
        if isinstance(held, list | tuple):
            return [walk(item) for item in held]
        return text if isinstance(held, str) else held

    return walk(value)


# Keys that choose what is shown; a hostile key beside them is just not looked up.
KEPT = {
    *AXES, "axes", "verdict", "declared", "observed", "evidence", "site", "role", "shape", "elements", "spec", "reason",
    "tensor", "bits", "signed", "symmetric", "granularity", "range_rule", "weights", "data", "paper", "table", "url",
    "score", "float_score", "difference", "metric", "pointer", "run_id", "status", "seconds", "epoch_fraction",
}  # fmt: skip

RECORD_FIELDS = [
    "method", "task", "model", "metric", "options", "setting", "identity", "environment", "plan", "command",
    "started", "message",
]  # fmt: skip


def hostile_record(field: str, text: str) -> Record:
    content = {**vars(make_record()), "options": {"epochs": "three"}}
    if field == "message":
        content |= {"status": Status.FAILED, "message": "stopped"}
    return Record(**{**content, field: written_over(content[field], text)})


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("field", RECORD_FIELDS)
def test_every_text_of_a_record_is_shown_as_text(field: str, payload: str) -> None:
    expected = Page(render_card_html(None, hostile_record(field, PLAIN)))
    page = Page(render_card_html(None, hostile_record(field, payload)))
    assert page.skeleton == expected.skeleton
    assert page.comments == []
    assert " ".join(payload.split()) in page.text or field == "identity"
    assert "<" not in page.raw["script"]


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("part", ["declared", "observed", "evidence"])
def test_every_text_of_an_audit_is_shown_as_text(part: str, payload: str) -> None:
    def record(text: str) -> Record:
        audit = audit_of(Setting.default(), ("weight_bits",))
        for found in audit["axes"].values():
            found[part] = text
        return make_record(audit=audit)

    expected, page = (Page(render_card_html(make_card(), record(text))) for text in (PLAIN, payload))
    assert page.skeleton == expected.skeleton
    assert part == "declared" or " ".join(payload.split()) in page.text


def test_a_record_refuses_texts_where_it_knows_the_allowed_ones() -> None:
    for field in ("run_id", "outcomes", "status"):
        with pytest.raises(RecordError):
            hostile_record(field, PAYLOADS[0]) if field != "outcomes" else make_record(outcomes=PAYLOADS[0])


def hostile_card(field: str, text: str) -> Card:
    """A card as nobody could load it: the page must be safe even where the checker was not asked."""
    audited = dict.fromkeys(("declared", "observed", "verdict", "evidence"), text)
    card = make_transcribed() if field == "source" else make_card(results={"status": "completed", "score": 0.5})
    changes: dict[str, Any] = {
        "title": text,
        "task": text,
        "model": text,
        "method": MethodChoice(text, {text: text}),
        "values": dict.fromkeys(AXES, text),
        "remarks": (text, text),
        "source": {"paper": text, "url": text, text: text},
        "results": {"status": text, "metric": text, "run_id": text, "pointer": text, "score": 0.5, "float_score": 0.6},
        "audit": {"verdict": text, "axes": dict.fromkeys(AXES, audited)},
    }  # fmt: skip
    return replace(card, **{field: changes[field]})


CARD_FIELDS = ["title", "task", "model", "method", "values", "remarks", "source", "results", "audit"]


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("field", CARD_FIELDS)
def test_every_text_of_a_card_is_shown_as_text(field: str, payload: str) -> None:
    expected, page = (Page(render_card_html(hostile_card(field, text))) for text in (PLAIN, payload))
    assert page.skeleton == expected.skeleton
    assert page.comments == []
    assert " ".join(payload.split()) in page.text
    assert "<" not in page.raw["script"]


@pytest.mark.parametrize("rank_anyway", [False, True])
@pytest.mark.parametrize("field", dict.fromkeys([*CARD_FIELDS, *RECORD_FIELDS]))
def test_every_text_of_a_comparison_is_shown_as_text(field: str, rank_anyway: bool) -> None:
    def page(text: str) -> Page:
        card = field in CARD_FIELDS
        hostile = entry_of(hostile_card(field, text)) if card else entry_of(None, hostile_record(field, text))
        return Page(comparison_html([hostile, make_entry("rtn")], rank_anyway=rank_anyway))

    expected, found = page(PLAIN), page(" ".join(PAYLOADS))
    assert found.skeleton == expected.skeleton
    assert found.comments == []
    assert "<" not in found.raw["script"]


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("https://example.org/paper?a=1&b=2", True),
        ("http://example.org", True),
        ("javascript:alert(1)", False),
        ("JaVaScRiPt://x%0aalert(1)", False),
        ("data:text/html,x", False),
        ("https://", False),
        ("https://x' onclick='y", False),
        ("//example.org", False),
    ],
)
def test_only_plain_web_addresses_become_links(text: str, link: bool) -> None:
    page = Page(render_card_html(make_transcribed(source={"paper": "A paper", "url": text})))
    outside = [target for _, target in page.attributes("href") if not target.startswith("#")]
    assert outside == ([text] if link else [])
    assert text in page.text
