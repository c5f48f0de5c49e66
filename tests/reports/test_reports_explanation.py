"""The page of an explained gap: it says what was measured, adds up, is whole, and survives hostile titles."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import pandas
import pytest
from report_pages import Page

from suite.axes import NOT_REPORTED, Setting
from suite.reports.explanation_page import explanation_page
from suite.reports.explanation_pages import PAGE, TWIN, explanation_document, explanation_files
from suite.reports.explanation_words import sentences
from suite.reports.waterfall import waterfall
from suite.studies.explaining.completing import completed
from suite.studies.explaining.legality import Legality, Limits
from suite.studies.explaining.run import Explanation, Laboratory, explain
from suite.studies.explaining.sides import Declared, Side
from suite.studies.explaining.spans import Span, span_of
from suite.studies.states import Conditions

sys.path.insert(0, str(Path(__file__).parents[1] / "studies"))
from study_samples import FakeExecutor, Silent

COMMAND = "suite explain one.yaml other.yaml --seed 0"
ANYTHING = Limits({}, {}, labels=False, examples=False)
HOSTILE = "<script>alert(1)</script> | **bold** `x`"


def score(card: Any) -> float:
    """10 points from bits, 4 from the method, 6 more of which only both together are worth; nothing from the norm."""
    bits, method = card.values["weight_bits"] == 8, card.method.id == "mse"
    return 0.6 + 0.1 * bits + 0.04 * method + 0.06 * (bits and method)


def explanation(runs: Path, first_title: str = "four bits", seeds: tuple[int, ...] = (0,)) -> Explanation:
    values = Setting.default()
    first = Declared("rtn", {}, values.replace(weight_bits=4, batch_norm="float").values)
    second = Declared("mse", {"steps": 5}, values.replace(weight_range="mse").values)
    legality = Legality({"rtn": ANYTHING, "mse": ANYTHING}, lambda every: [None for _ in every])
    laboratory = Laboratory(
        runs / "studies" / "x", Conditions(runs), FakeExecutor(runs, score), Silent, lambda cell: {}, math.inf
    )
    sides = [Side(title, one, "digits", "digits-resnet") for title, one in ((first_title, first), ("eight", second))]
    return explain(sides[0], sides[1], seeds, legality, laboratory)


def pages(found: Explanation) -> tuple[str, str]:
    page = explanation_page(found, COMMAND)
    files = explanation_files(found, page)
    return str(files[PAGE]), str(files[TWIN])


def test_both_pages_and_the_terminal_say_what_was_planted(tmp_path):
    found = explanation(tmp_path)
    html, markdown = pages(found)
    for text in (Page(html).text, markdown.replace("\\", "")):
        assert "B − A = +20.00 points" in text
        assert "2 of 3 shares are resolved: weight_bits, method." in text
        assert "+13.00 points" in text  # 10, and half of what only both are worth
        assert "+7.00 points" in text
        assert "together give 6.00 points more than each by itself" in text
        assert "60.00 %" in text
        assert "80.00 %" in text
        assert COMMAND in text
        assert "A with method of B" in text
    said = [sentence.replace("\N{NO-BREAK SPACE}", " ") for sentence in sentences(found)]
    assert said[0].startswith("B is 20.00 points above A [")
    assert "come from weight_bits (4 → 8)." in said[1]
    assert "come from the method (rtn → mse; weight_range min-max → mse)." in said[2]
    assert said[3].endswith("come from batch_norm (float → folded) (not resolved).")


def test_the_document_adds_up_and_names_every_run(tmp_path):
    found = explanation(tmp_path, seeds=(0, 1))
    held = json.loads(json.dumps(explanation_document(found), allow_nan=False))
    assert list(held)[:4] == ["gap", "gap_interval", "shares", "runs"]
    assert sum(one["share"] for one in held["shares"]) == pytest.approx(held["gap"])
    assert held["gap_interval"][0] < held["gap"] < held["gap_interval"][1]
    assert {one["of"]: one["verdict"] for one in held["shares"]} == {
        "method": "resolved",
        "weight_bits": "resolved",
        "batch_norm": "not resolved",
    }
    assert len(held["runs"]) == len(set(held["runs"])) == 16
    assert len(held["mixtures"]) == 8
    assert all((tmp_path / id).is_dir() for id in held["runs"])
    assert held["not_reported"] is None


def test_tables_lie_beside_the_page_and_say_the_same(tmp_path):
    found = explanation(tmp_path)
    files = explanation_files(found, explanation_page(found, COMMAND))
    linked = {value for _, value in Page(str(files[PAGE])).attributes("href") if not value.startswith("#")}
    assert linked == set(files) - {PAGE, TWIN}
    shares = pandas.read_csv(io.StringIO(files["shares.csv"])).set_index("of")
    assert shares.loc["weight_bits", "share"] == pytest.approx(0.13)
    assert shares.loc["weight_bits", "low"] < 0.13 < shares.loc["weight_bits", "high"]
    assert shares.loc["weight_bits", "switched"] == "weight_bits: 4 → 8"
    mixtures = pandas.read_json(io.StringIO(files["mixtures.json"]), orient="split")
    assert mixtures["score"].tolist()[0] == pytest.approx(0.6)
    assert len(mixtures) == 8


def test_the_page_is_whole_and_says_its_figure_aloud(tmp_path):
    html, _ = pages(explanation(tmp_path))
    page = Page(html)
    assert page.open == []
    assert page.attributes("src") == []
    tables = {
        f"{name}.{kind}" for name in ("shares", "interactions", "mixtures") for kind in ("csv", "json", "parquet")
    }
    assert all(value.startswith("#") or value in tables for _, value in page.attributes("href"))
    ids = [value for _, value in page.attributes("id")]
    assert len(ids) == len(set(ids))
    labels = [value for tag, value in page.attributes("aria-label") if tag == "svg"]
    assert len(labels) == 5  # A, three shares, B
    assert any(re.fullmatch(r"weight_bits: \+13\.00\spoints, 95 % interval \[.*\], resolved", one) for one in labels)
    assert json.loads(page.raw["script"])["shares"][0]["of"] == "method"


def test_nothing_that_people_write_becomes_part_of_a_page(tmp_path):
    plain, _ = pages(explanation(tmp_path / "plain"))
    html, markdown = pages(explanation(tmp_path / "hostile", HOSTILE))
    assert Page(html).skeleton == Page(plain).skeleton
    assert "<script>alert" not in html
    assert "<script>alert" not in markdown
    assert "**bold**" not in markdown


def test_a_span_is_told_with_its_ends(tmp_path):
    found = explanation(tmp_path)
    runs = tmp_path / "papers"
    paper = Declared("rtn", {}, {**Setting.default().values, "weight_bits": NOT_REPORTED, "grid": NOT_REPORTED})
    legality = Legality({"rtn": ANYTHING, "mse": ANYTHING}, lambda every: [None for _ in every])
    side = completed("a paper", paper, found.second, ANYTHING, legality)
    laboratory = Laboratory(
        runs / "studies" / "x", Conditions(runs), FakeExecutor(runs, score), Silent, lambda cell: {}, math.inf
    )
    span = span_of("A", side, (0,), legality, laboratory)
    html, markdown = pages(dataclasses.replace(found, span=span, first=side))
    for text in (Page(html).text, markdown.replace("\\", "")):
        assert "2 axes are not reported for A." in text
        assert f"Over all {len(span.tried)} other choices" in text
        assert "moves by −10.00 points [−" in text
        assert "] to 0.00 points" in text
        assert "anything from +20.00 to +30.00 points" in text
        assert "No other value was tried of grid" in text
        assert "Not reported, and taken to be: grid uniform, weight_bits 8." in text
    document = explanation_document(dataclasses.replace(found, span=span))["not_reported"]
    assert (document["of"], document["high"], document["high_interval"]) == ("A", 0.0, None)
    assert document["low"] == pytest.approx(-0.1)
    assert document["tried"][0]["values"] == {"weight_bits": 4}
    some = dataclasses.replace(span, asked=span.asked + 3)
    html, markdown = pages(dataclasses.replace(found, span=some, first=side))
    for text in (Page(html).text, markdown.replace("\\", "")):
        assert f"Over {len(span.tried)} of {span.asked + 3} other choices" in text
        assert "those not measured could widen this" in text


def test_a_span_of_which_nothing_was_measured_has_no_ends(tmp_path):
    found = explanation(tmp_path)
    side = dataclasses.replace(found.first, assumed={"weight_bits": 8})
    for asked, low, said in ((4, None, "None of 4 other choices was measured"), (0, 0.0, "None has another value")):
        span = Span("A", side, (), asked, (), ("taken.s0: not run yet",), ())
        html, markdown = pages(dataclasses.replace(found, span=span, first=side))
        for text in (Page(html).text, markdown.replace("\\", "")):
            assert "1 axis is not reported for A." in text
            assert said in text
            assert "could have been" not in text
        document = explanation_document(dataclasses.replace(found, span=span))["not_reported"]
        assert (document["low"], document["high"], document["asked"]) == (low, low, asked)


def test_a_waterfall_goes_from_the_first_score_to_the_last_one_step_after_the_other():
    figure = waterfall((0.6, 0.58, 0.62), [(0.3, 0.25, 0.35), (-0.1, -0.12, -0.08)], (0.8, 0.79, 0.81))
    first, second = figure.steps
    assert first.left == pytest.approx(figure.first.end, abs=2e-3)
    assert first.end == pytest.approx(first.left + first.width, abs=2e-3)
    assert second.left == pytest.approx(second.end, abs=2e-3)  # it goes down
    assert second.left + second.width == pytest.approx(first.end, abs=2e-3)
    assert second.end == pytest.approx(figure.last.end, abs=2e-3)
    for bar in (figure.first, *figure.steps, figure.last):
        assert bar.low < bar.end < bar.high
        assert bar.low >= 0.0
        assert bar.high <= 100.0
    assert [float(tick.label) for tick in figure.ticks] == sorted(float(tick.label) for tick in figure.ticks)


def test_a_waterfall_without_a_gap_can_be_drawn():
    figure = waterfall((0.5, 0.5, 0.5), [(0.0, 0.0, 0.0)], (0.5, 0.5, 0.5))
    assert all(math.isfinite(tick.x) for tick in figure.ticks)
    assert figure.steps[0].width == 0.0
