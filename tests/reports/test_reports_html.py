"""The HTML pages: whole in one file, well formed, small, and honest in what they say."""

from __future__ import annotations

import json
import re

import pytest
from report_pages import PAGES, Page, comparison_html, contradicted_page, diverged_page, many_entries
from report_samples import PLAN, make_card, make_entry, make_record, make_transcribed

from suite.axes import AXES
from suite.reports import render_card_html
from suite.reports.card_page import is_web_address


def is_table(target: str) -> bool:
    """A file that lies beside the page."""
    return re.fullmatch(r"(results|axes)\.(csv|json|parquet)", target) is not None


@pytest.fixture(params=PAGES)
def html(request: pytest.FixtureRequest) -> str:
    return PAGES[request.param]()


def test_nothing_is_loaded_from_anywhere(html: str) -> None:
    page = Page(html)
    loading = {"src", "srcset", "poster", "data", "action", "formaction", "background", "xlink:href", "ping", "style"}
    used = {name for _, attributes in page.elements for name, _ in attributes}
    assert not used & loading
    assert not {name for name in used if name.startswith("on")}
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"link", "base", "iframe", "img", "image", "object", "embed", "form", "video", "audio", "use"}
    style = page.raw["style"].lower()
    assert not re.search(r"url\(|@import|@font-face|expression|//", re.sub(r"/\*.*?\*/", "", style, flags=re.S))
    assert page.attributes("type") == [("script", "application/json")]
    assert any(value.startswith("default-src 'none'") for _, value in page.attributes("content"))
    for tag, target in page.attributes("href"):
        assert tag == "a"
        assert target.startswith("#") or is_web_address(target) or is_table(target)


def test_links_out_carry_no_opener(html: str) -> None:
    for tag, attributes in Page(html).elements:
        held = dict(attributes)
        if tag == "a" and not (held["href"] or "").startswith("#") and not is_table(held["href"] or ""):
            assert held["rel"] == "noopener noreferrer"


def test_links_inside_lead_somewhere_and_ids_are_unique(html: str) -> None:
    page = Page(html)
    ids = [value for _, value in page.attributes("id")]
    assert len(set(ids)) == len(ids)
    targets = [target[1:] for _, target in page.attributes("href") if target.startswith("#")]
    labels = [label for _, value in page.attributes("aria-labelledby") for label in value.split()]
    assert set(targets) | set(labels) <= set(ids)


def test_pages_have_landmarks_headings_and_headed_tables(html: str) -> None:
    page = Page(html)
    tags = [tag for tag, _ in page.elements]
    assert [tags.count(tag) for tag in ("main", "h1", "header", "footer")] == [1] * 4
    assert tags[: tags.index("body")].count("title") == 1  # those of drawings are in the body
    assert dict(page.elements[0][1]) == {"lang": "en"}
    assert all("scope" in dict(attributes) for tag, attributes in page.elements if tag == "th")
    drawings = [dict(attributes) for tag, attributes in page.elements if tag == "svg"]
    assert all("aria-label" in held or held.get("aria-hidden") == "true" for held in drawings)
    assert all("tabindex" in dict(held) for _, held in page.elements if "scroller" in (dict(held).get("class") or ""))


def test_pages_are_small(html: str) -> None:
    assert len(html.encode()) < 150_000


def test_a_page_of_a_large_model_stays_under_a_few_hundred_kilobytes() -> None:
    rows = [{**PLAN[index % 2], "site": f"layer{index}.0.conv:weight"} for index in range(400)]
    html = render_card_html(make_card(), make_record(plan=rows))
    assert html.count("layer") > 400
    assert len(html.encode()) < 500_000


def test_the_record_is_embedded_whole() -> None:
    record = make_record()
    page = Page(render_card_html(make_card(), record))
    assert json.loads(page.raw["script"]) == json.loads(record.to_json())


def test_a_contradicted_card_says_so_in_red_with_declared_observed_and_evidence() -> None:
    html = contradicted_page()
    page = Page(html)
    assert 'class="banner bad"' in html
    banner = html[html.index('class="banner bad"') : html.index("</section>")]
    for said in ("weight_bits", "examples", "something else", "layer1.0.conv1.weight has 17 levels, not 16"):
        assert said in banner
    assert "The audit contradicts this card" in page.text
    assert html.count('<tr id="axis-') - html.count('class="contradicted">') == len(AXES) - 2


def test_a_verified_card_is_green_and_says_how_much_was_seen() -> None:
    page = Page(render_card_html(make_card(), make_record()))
    assert ("section", "banner good") in page.attributes("class")
    assert f"as declared: {len(AXES) - len(AXES) // 4} axes" in page.text


@pytest.mark.parametrize(("name", "tone"), [("diverged", "bad"), ("declared", "quiet"), ("transcribed", "quiet")])
def test_other_ends_have_their_own_banner(name: str, tone: str) -> None:
    assert ("section", f"banner {tone}") in Page(PAGES[name]()).attributes("class")


def test_a_diverged_run_says_why() -> None:
    text = Page(diverged_page()).text
    assert "This run diverged" in text
    assert "not finite at step 12" in text


def test_the_card_page_shows_every_axis_with_question_value_and_cost() -> None:
    page = Page(render_card_html(make_card()))
    for axis in AXES.values():
        assert axis.id in page.text
        assert " ".join(axis.question.split()) in page.text
        assert " ".join(axis.cost(axis.default).sentence.split()) in page.text


def test_a_transcribed_card_shows_what_is_not_reported() -> None:
    card = make_transcribed()
    page = Page(render_card_html(card))
    assert page.text.count("not reported") >= len(card.unreported)
    assert f"{len(card.unreported)} of {len(AXES)} axes are not reported" in page.text
    assert "76.00 %" in page.text.replace("\N{NO-BREAK SPACE}", " ")


def test_every_difference_stands_beside_its_interval() -> None:
    record = make_record()
    low, high = record.difference_interval
    page = Page(render_card_html(make_card(), record))
    assert (
        f"[−{abs(low) * 100:.2f},\N{NO-BREAK SPACE}−{abs(high) * 100:.2f}]".replace("\N{NO-BREAK SPACE}", " ")
        in page.text
    )
    entries = [make_entry("a", score=0.93), make_entry("b", score=0.925), make_entry("c", score=0.9)]
    comparison = Page(comparison_html(entries))
    differences = re.findall(r"[−+]?\d+\.\d\d points", comparison.text)
    intervals = re.findall(r"points \[[−+]?\d+\.\d\d, [−+]?\d+\.\d\d\]", comparison.text)
    assert len(differences) == len(intervals) == 5
    assert "not resolved" in comparison.text


def test_what_is_not_comparable_is_not_ranked() -> None:
    page = Page(comparison_html(many_entries()))
    assert "Not comparable, so not ranked" in page.text
    assert "Rank" not in [text.strip() for text in page.texts]
    assert "to the row above" not in page.text
    assert "different in 1 axis" not in page.text.lower() or "weight_bits" in page.text


def test_ranked_anyway_says_not_comparable_beside_every_number() -> None:
    html = comparison_html(many_entries(), rank_anyway=True)
    table = html[html.index('<table class="results">') : html.index("</table>")]
    rows = table.split("<tr>")[2:]
    assert len(rows) == 3
    for index, row in enumerate(rows):
        cells = [cell for cell in row.split("<td")[1:] if "%" in cell or "points" in cell or 'class="rank"' in cell]
        assert len(cells) == (3 if index == 0 else 4)
        assert all("not comparable" in cell for cell in cells)
    assert "Ranked although not comparable" in html


def test_the_grid_marks_exactly_the_cells_that_differ() -> None:
    entries = [make_entry("a"), make_entry("b"), make_entry("c", changes={"weight_bits": 4})]
    html = comparison_html(entries)
    assert html.count('class="other"') == 1
    assert "Different in 1 of" in html
