"""The page of published beside reproduced: it says what was planted, is whole, and survives hostile texts."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from pathlib import Path

import pytest
from claim_samples import MAPPING, PAPER
from test_claims_compare import Case, Scores, of

from suite.claims.reproduce import Reproduction, left_over, not_met
from suite.reports.collection.runs import Collection
from suite.reports.numbers import interval_points
from suite.reports.reproduction_page import reproduction_page
from suite.reports.reproduction_pages import PAGE, TWIN, reproduction_document, reproduction_files
from suite.reports.site.build import site_files
from suite.reports.site.catalogue import Catalogue

sys.path.insert(0, str(Path(__file__).parents[1] / "reports"))
from report_pages import Page

COMMAND = "suite reproduce sample-paper --size smoke --to FOLDER"
CLEAR = of(0.70, 0.50, 0.60, 0.30)


def reproduction(case: Case, scores: Scores = CLEAR) -> Reproduction:
    answers = (case.answer(scores),)
    left = left_over(case.published, "sample-paper", answers, ())
    return Reproduction("sample-paper", "smoke", answers, (), left)


def files_of(case: Case, scores: Scores = CLEAR) -> dict[str, str | bytes]:
    return reproduction_files(case.published, reproduction(case, scores))


def test_page_and_twin_put_published_and_reproduced_side_by_side(tmp_path: Path) -> None:
    case = Case(tmp_path)
    found = reproduction(case)
    files = reproduction_files(case.published, found)
    contrast = next(line for line in found.answers[0].lines if line.what == "Good \N{MINUS SIGN} Bad, 4 bits")
    assert contrast.reproduced is not None
    for text in (Page(str(files[PAGE])).text, str(files[TWIN]).replace("\\", "")):
        said = text.replace("\N{NO-BREAK SPACE}", " ")
        assert "70.00 %" in said
        assert "+5.00 points" in said  # published for one network; +15.00 for the other
        assert "+15.00 points" in said
        assert "+20.00 points" in said  # reproduced
        measured = (contrast.reproduced.low, contrast.reproduced.high)
        assert interval_points(measured).replace("\N{NO-BREAK SPACE}", " ") in said
        assert "same order" in said
        assert "no one order is published" in said  # of 2 bits the networks disagree
        assert "Good is good" in said
        assert "section 1, Table 1" in said
        assert "ImageNet" in said
        assert COMMAND in said


def test_a_statement_about_a_figure_needs_no_number(tmp_path: Path) -> None:
    case = Case(tmp_path, MAPPING.replace('Table 1", claims: sample-paper/table1', 'Figure 1"'))
    files = files_of(case)
    assert "section 1, Figure 1" in Page(str(files[PAGE])).text
    assert "section 1, Figure 1" in str(files[TWIN])
    (row,) = csv.DictReader(io.StringIO(str(files["statements.csv"])))
    assert (row["place"], row["claims"]) == ("section 1, Figure 1", "")


def test_the_files_have_one_row_for_every_published_value(tmp_path: Path) -> None:
    case = Case(tmp_path)
    found, files = reproduction(case), files_of(case)
    rows = list(csv.DictReader(io.StringIO(str(files["lines.csv"]))))
    lines = found.answers[0].lines
    assert len(rows) == sum(len(line.published) for line in lines)
    one = next(row for row in rows if row["kind"] == "difference of methods" and row["model"] == "Large")
    assert float(one["published"]) == pytest.approx(0.15)
    assert float(one["difference"]) == pytest.approx(float(one["reproduced"]) - 0.15)
    assert one["claims"] == "sample-paper/table1/4 sample-paper/table1/6"
    assert all(row["difference"] == "" for row in rows if row["kind"] == "score")
    assert len(json.loads(files["statements.json"])["data"]) == 1
    embedded = re.search(r'id="reproduction">(.*?)</script>', str(files[PAGE]), re.DOTALL)
    assert embedded is not None
    assert json.loads(embedded[1]) == json.loads(json.dumps(reproduction_document(found)))


@pytest.mark.parametrize(
    ("scores", "tone", "headline"),
    [
        (CLEAR, "good", "agree with the paper"),
        (of(0.50, 0.70, 0.30, 0.60), "bad", "agree with the paper"),
        (of(0.60, 0.60, 0.60, 0.60), "doubtful", "Nothing is resolved"),
    ],
)
def test_the_banner_is_no_better_than_the_worst_verdict(
    scores: Scores, tone: str, headline: str, tmp_path: Path
) -> None:
    case = Case(tmp_path)
    banner = reproduction_page(case.published, reproduction(case, scores)).banner
    assert banner.tone == tone
    assert headline in banner.headline


def test_what_was_not_run_says_why_and_judges_nothing(tmp_path: Path) -> None:
    case = Case(tmp_path)
    answered = case.answer(CLEAR)
    refused = (not_met(answered.part, "the study needs the weights somebody.pt"),)
    found = Reproduction("sample-paper", "smoke", (), refused, left_over(case.published, "sample-paper", (), refused))
    page = reproduction_page(case.published, found)
    assert page.banner.tone == "quiet"
    files = reproduction_files(case.published, found)
    assert "lines.csv" not in files
    for name in (PAGE, TWIN):
        assert "the study needs the weights somebody.pt" in str(files[name]).replace("\\", "")


def test_differences_are_drawn_where_their_numbers_are(tmp_path: Path) -> None:
    case = Case(tmp_path)
    (study,) = reproduction_page(case.published, reproduction(case)).studies
    (table,) = study.tables
    first = table.pictured[0]  # reproduced +20 points; published +5 and +15
    assert table.figure.zero is not None
    scale = (first.strip.x - table.figure.zero) / 20
    assert [(mark - table.figure.zero) / scale for mark in first.marks] == pytest.approx([5, 15], abs=0.01)
    assert "published +5.00" in first.label


def test_the_site_lists_what_was_reproduced_and_leads_there(tmp_path: Path) -> None:
    case = Case(tmp_path)
    catalogue = Catalogue((), (), (), case.published, (), ())
    files = site_files(catalogue, Collection(()), lambda run_id: {}, (reproduction(case),))
    address = f"reproduced/sample-paper-smoke/{PAGE}"
    assert 'href="../../index.html"' in str(files[address])
    assert "reproduced/sample-paper-smoke/lines.csv" in files
    rows = json.loads(files["reproduced.json"])
    assert rows["data"][0][rows["columns"].index("address")] == address
    assert "reproduced.html" in str(files["index.html"])
    without = site_files(catalogue, Collection(()), lambda run_id: {})
    assert "reproduced.html" not in without


HOSTILE = "<script>alert(1)</script> & [x](javascript:1) | **bold**"


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    def page(text: str, folder: Path) -> Page:
        folder.mkdir()
        mapping = MAPPING.replace("Another network on other data.", json.dumps(text))
        mapping = mapping.replace("title: Good,", f"title: {json.dumps(text)},")
        case = Case(folder, mapping, paper=PAPER.replace("title: A paper", f"title: {json.dumps(text)}"))
        files = files_of(case)
        assert "<script>" not in str(files[TWIN])
        return Page(str(files[PAGE]))

    plain, hostile = page("words", tmp_path / "one"), page(HOSTILE, tmp_path / "two")
    assert hostile.skeleton == plain.skeleton
    assert HOSTILE in hostile.text
