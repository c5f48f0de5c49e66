"""The page of a study: what it says is what was measured, it is whole, and nothing that people write breaks it."""

from __future__ import annotations

import io
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from report_pages import Page

from suite.records import Status, Store
from suite.reports.study_charts import BOTTOM, TOP, Score, panel, x_places
from suite.reports.study_pages import PAGE, TWIN, study_files
from suite.reports.study_tables import study_table
from suite.studies import Study, expand
from suite.studies.evidence import Evidence, Measured
from suite.studies.expectations import answers
from suite.studies.matching import Group, groups
from suite.studies.remarks import NO_REMARKS, Remarks

sys.path.insert(0, str(Path(__file__).parents[1] / "studies"))
from study_samples import FLOAT_SCORE, STUDY, evidence_of, sample

COMMAND = "suite study run sample.yaml --size smoke --jobs 2"
TABLES = {f"{name}.{kind}" for name in ("cells", "expectations", "scores") for kind in ("csv", "json", "parquet")}
REFERENCE = """references:
  - {id: theirs, says: somebody else, where: {method: good, bits: 4}, scores: [0.79, 0.81]}
expectations:"""


def scores(cell: Any) -> Any:
    if cell.id == "main.bad.2.s1":
        return {"status": Status.DIVERGED, "message": "the loss is not finite"}
    return {"good": 0.85, "bad": 0.7}[cell.levels["method"]] - (0.2 if cell.levels["bits"] == "2" else 0.0)


def files_of(study: Study, runs: Path, given: Any = scores, remarks: Remarks = NO_REMARKS) -> dict[str, str | bytes]:
    cells = expand(study, "smoke")
    results, evidence = evidence_of(cells, given, runs)
    found = answers(study, "smoke", cells, evidence)
    return study_files(study, "smoke", results, evidence, found, COMMAND, remarks)


def pages(study: Study, runs: Path, given: Any = scores, remarks: Remarks = NO_REMARKS) -> tuple[str, str]:
    files = files_of(study, runs, given, remarks)
    return str(files[PAGE]), str(files[TWIN])


@pytest.fixture
def both(tmp_path: Path) -> tuple[str, str]:
    return pages(sample(STUDY.replace("expectations:", REFERENCE)), tmp_path)


def test_both_pages_say_what_was_measured(both: tuple[str, str]) -> None:
    html = Page(both[0]).text
    markdown = both[1].replace("\\", "")
    for text in (html, markdown):
        assert "0 of 1 expectations hold; 1 not resolved at this number of seeds" in text
        assert "Of 6 cells: 5 completed, 1 diverged." in text
        assert "85.00 %" in text  # good at 4 bits
        assert "−5.00" in text  # its distance to the float model
        assert "+5.00 points" in text  # to what somebody else measured
        assert "one seed, none" in text
        assert f"{100 * FLOAT_SCORE:.2f} %" in text
        assert "main.bad.2.s1" in text
        assert "the loss is not finite" in text
        assert "somebody else" in text
        assert "79.00 %, 81.00 %" in text
        assert "+5.00 points" in text  # 85 here, 80 there
        assert COMMAND in text
        assert "weight_range" in text


NUMBER = """  - id: known
    says: It is known | in <b>numbers</b>.
    number: {where: {method: good}, value: 0.85, tolerance: 0.1}
shows:"""


def test_the_twin_holds_every_comparison_that_a_verdict_rests_on(tmp_path: Path) -> None:
    study = sample(STUDY.replace("shows:", NUMBER))
    html, markdown = pages(study, tmp_path)
    folds = re.findall(r"<details class=\"quiet-fold\">(.*?)</details>", html, re.DOTALL)
    twins = re.findall(r"^<details>(.*?)^</details>$", markdown, re.DOTALL | re.MULTILINE)
    assert len(folds) == len(twins) == 2
    for fold, twin in zip(folds, twins, strict=True):
        rows = [Page(row) for row in re.findall(r"<tr>.*?</tr>", fold.partition("<tbody>")[2], re.DOTALL)]
        lines = [line for line in twin.replace("\\", "").splitlines() if line.startswith("| ")][1:]
        assert len(rows) == len(lines) == int(twin.partition("<summary>")[2].split()[0])
        for row, line in zip(rows, lines, strict=True):
            assert line.split(" | ")[1:4] == [" ".join(text.split()) for text in row.texts[:3]]
            assert re.findall(r"[\d.]+", row.text) == re.findall(r"[\d.]+", line)
    assert any("[" in twin and "points" in twin for twin in twins)


def test_tables_lie_beside_the_page_and_say_the_same(tmp_path: Path) -> None:
    study = sample(STUDY)
    files = files_of(study, tmp_path)
    linked = {value for _, value in Page(str(files[PAGE])).attributes("href") if not value.startswith("#")}
    assert linked == set(files) - {PAGE, TWIN}
    tables = {name: pandas.read_csv(io.StringIO(str(files[f"{name}.csv"]))) for name in ("cells", "scores")}
    cells, means = tables["cells"].set_index("cell"), tables["scores"].set_index("group")
    assert list(cells.index) == [cell.id for cell in expand(study, "smoke")]
    assert cells.loc["main.bad.2.s1", "message"] == "the loss is not finite"
    assert cells.loc["main.bad.2.s1", "state"] == "diverged"
    assert cells.loc["main.good.4.s0", "level.method"] == "good"
    assert means.loc["main.good.4", "score"] == pytest.approx(0.85)
    low, high = (means.loc["main.good.4", f"difference_{end}"] for end in ("low", "high"))
    assert low < means.loc["main.good.4", "difference"] < high
    assert "diverged" in means.loc["main.bad.2", "missing"]
    assert math.isnan(means.loc["main.bad.2", "score"])
    compared = pandas.read_json(io.StringIO(str(files["expectations.json"])), orient="split")
    assert set(compared["verdict"]) == {"unresolved at this number of seeds"}
    assert compared["estimate"].notna().any()
    assert set(compared["kind"]) == {"difference"}


def test_the_page_is_whole(both: tuple[str, str]) -> None:
    html = both[0]
    page = Page(html)
    assert page.open == []
    assert page.attributes("src") == []
    assert all(value.startswith("#") or value in TABLES for _, value in page.attributes("href"))
    ids = [value for _, value in page.attributes("id")]
    assert len(ids) == len(set(ids))
    targets = {value[1:] for _, value in page.attributes("href") if value.startswith("#")}
    assert targets <= set(ids)
    embedded = json.loads(page.raw["script"])
    assert embedded["text"].startswith("study: 1")
    assert embedded["cells"][0]["cell"] == "main.good.4.s0"
    assert embedded["expectations"][0]["verdict"] == "unresolved at this number of seeds"


def test_the_best_of_a_column_is_rarely_told_among_equals() -> None:
    """Seven equal scores: by their own intervals, some pair of 21 is told apart in about half of all columns."""
    text = STUDY.replace("axis: weight_bits, values: [4, 2]", "axis: weight_bits, values: [8, 7, 6, 5, 4, 3, 2]")
    text = text.replace("table: {rows: method, columns: bits}", "table: {rows: bits, columns: method}")
    text = text.replace("    adjust:\n      - {where: {bits: 2}, seeds: [0, 1]}\n", "").replace("figures: ", "# ")
    study = sample(text)
    held = groups([cell for cell in expand(study, "smoke") if cell.levels["method"] == "good"])
    generator, told = np.random.default_rng(21), 0
    for _ in range(30):
        rows = {group.id: generator.random(400) < 0.8 for group in held}
        drawn = Drawn(rows)
        table = study_table(study.parts[0], study.shows[0].table, held, drawn, ())
        told += not all(cell.best for row in table.rows for cell in row.cells if cell is not None)
    assert len(held) == 7
    assert told <= 3


class Drawn(Evidence):
    """Evidence of outcomes that were drawn and not read."""

    def __init__(self, rows: dict[str, np.ndarray]) -> None:
        super().__init__((), Store())
        self._rows = rows

    def of(self, group: Group) -> Measured:
        row = self._rows[group.id]
        return Measured((row,), row, (0,), (float(row.mean()),), (), "drawn")


def test_the_best_of_a_column_is_told_only_among_what_is_resolved(tmp_path: Path) -> None:
    given = {("good", "4"): 0.85, ("bad", "4"): 0.7, ("good", "2"): 0.700, ("bad", "2"): 0.7025}
    html, markdown = pages(sample(), tmp_path, lambda cell: given[cell.levels["method"], cell.levels["bits"]])
    assert html.count('class="best"') == 3  # one at 4 bits, both at 2
    rows = [line for line in markdown.splitlines() if line.startswith(("| good", "| bad"))]
    assert "**85.00 %**" in rows[0]
    assert "**70.00 %**" not in rows[1]
    assert all("**70." in row.split("|")[3] for row in rows)


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "a | b `c` *d* <b>", "</script><img src=x>", "{{ 7 * 7 }}"]
)
def test_nothing_that_people_write_becomes_markup(text: str, tmp_path: Path) -> None:
    quoted = json.dumps(text)
    hostile = STUDY.replace("title: A sample", f"title: {quoted}").replace(
        "question: Does it matter?", f"question: {quoted}"
    )
    hostile = hostile.replace("says: Good is better.", f"says: {quoted}").replace(
        "says: Everything.", f"says: {quoted}"
    )
    hostile = hostile.replace("{id: bad, method: rtn}", f"{{id: bad, title: {quoted}, method: rtn}}")
    hostile = hostile.replace("title: The only part", f"title: {quoted}")
    plain_html, plain = pages(sample(), tmp_path / "plain")
    html, markdown = pages(sample(hostile), tmp_path / "hostile")
    assert Page(html).skeleton == Page(plain_html).skeleton
    assert Page(html).text.count(text) >= 6
    assert len(markdown.splitlines()) == len(plain.splitlines())
    assert [line.count("|") - line.count("\\|") for line in markdown.splitlines() if line.startswith("|")] == [
        line.count("|") for line in plain.splitlines() if line.startswith("|")
    ]


@pytest.mark.parametrize("text", ["It is the clip.", "<script>alert(1)</script>", "a | b\n\n# `c` *d* \x1b[31m"])
def test_remarks_stand_beside_what_they_are_about(text: str, tmp_path: Path) -> None:
    html, markdown = pages(sample(), tmp_path, remarks=Remarks(f"All: {text}", {"good-is-better": f"One: {text}"}))
    shown = " ".join(text.replace("\x1b", "\N{REPLACEMENT CHARACTER}").split())
    assert Page(html).text.count(f"All: {shown}") == Page(html).text.count(f"One: {shown}") == 1
    plain = Page(pages(sample(), tmp_path / "plain", remarks=Remarks("All", {"good-is-better": "One"}))[0])
    assert Page(html).skeleton == plain.skeleton
    (line,) = [line for line in markdown.splitlines() if "Found here, on" in line]
    assert "good-is-better" in line
    assert not [line for line in markdown.splitlines() if line.startswith("# ") and "c" in line[:6]]
    assert "Found here" not in "".join(pages(sample(), tmp_path / "none"))


def test_a_study_without_any_result_is_a_page_too(tmp_path: Path) -> None:
    html, markdown = pages(sample(), tmp_path, lambda cell: None)
    assert "Nothing has been run yet" in Page(html).text
    assert "Of 6 cells: 0 completed, 6 not run yet." in Page(html).text
    assert "not run yet" in markdown
    assert "<figure" not in html


def test_what_differs_names_the_factor_that_decides_it(both: tuple[str, str]) -> None:
    rows = [line for line in both[1].splitlines() if line.startswith("| `")]
    assert rows == ["| `weight_range` | method | mse (good); min-max (bad) |", "| `weight_bits` | bits | 4; 2 |"]


MEASURED = STUDY.replace(
    "table: {rows: method, columns: bits}", "table: {rows: method, columns: bits, measures: [model_bytes, weight_bits]}"
).replace("lines: method}", "lines: method, at: weight_bits}")


def costly(cell: Any) -> Any:
    """At nominally 4 bits the bad method really has 3."""
    bits = 3.0 if cell.id == "main.bad.4.s0" else float(cell.levels["bits"])
    return {"score": scores(cell), "model_bytes": round(12_000 * bits), "average_weight_bits": bits, "message": ""}


def test_what_was_measured_beside_the_score_stands_below_it(tmp_path: Path) -> None:
    study = sample(MEASURED.replace("seeds: [0, 1]", "seeds: [0]"))
    html, markdown = pages(study, tmp_path, costly)
    for text in (Page(html).text, markdown.replace("\\", "")):
        assert "Then: size of the model, bits of a weight on average." in text
        assert "48.0 kB" in text
        assert "36.0 kB" in text
        assert "3 bits" in text
    plain, _ = pages(sample(), tmp_path / "plain")
    assert "Then:" not in plain


def test_marks_stand_at_what_was_measured(tmp_path: Path) -> None:
    html, _ = pages(sample(MEASURED.replace("seeds: [0, 1]", "seeds: [0]")), tmp_path, costly)
    assert "Score against bits of a weight on average" in Page(html).text
    places = {
        label.partition(":")[0]: float(re.search(r'<svg x="([\d.]+)%"[^>]*aria-label="' + re.escape(label), html)[1])  # type: ignore[index]
        for label in re.findall(r'aria-label="((?:good|bad), \d \([^"]*)"', html)
    }
    assert set(places) == {"good, 4 (4 bits)", "good, 2 (2 bits)", "bad, 4 (3 bits)", "bad, 2 (2 bits)"}
    assert places["good, 2 (2 bits)"] == places["bad, 2 (2 bits)"]
    middle = (places["good, 2 (2 bits)"] + places["good, 4 (4 bits)"]) / 2
    assert places["bad, 4 (3 bits)"] == pytest.approx(middle, abs=0.01)


def test_a_figure_of_what_no_record_has_is_left_out(tmp_path: Path) -> None:
    html, markdown = pages(sample(MEASURED), tmp_path)
    assert "<figure" not in html
    assert "–" in markdown


def line_of(name: str, *scores: tuple[str, float]) -> tuple[str, int, list[Score]]:
    return name, 0, [Score(level, score, score - 0.01, score + 0.01) for level, score in scores]


def test_numbers_stand_where_they_belong_and_words_in_their_order() -> None:
    places = x_places(["8", "4", "2"])
    assert places["2"] < places["4"] < places["8"]
    assert places["8"] - places["4"] == pytest.approx(2 * (places["4"] - places["2"]), abs=0.01)
    words = x_places(["W4A4", "W3A3", "W2A2"])
    assert words["W4A4"] < words["W3A3"] < words["W2A2"]
    assert x_places(["4"]) == {"4": 50.0}


def test_a_higher_score_stands_higher_and_whiskers_enclose_it() -> None:
    drawn = panel("", ["2", "4"], [line_of("a", ("2", 0.5), ("4", 0.9))], 0.92, (0.49, 0.92))
    low, high = drawn.lines[0].points
    assert low.x < high.x
    assert TOP <= high.y < low.y <= BOTTOM
    assert high.high < high.y < high.low
    assert drawn.float_y is not None
    assert drawn.float_y < high.y
    (piece,) = drawn.lines[0].segments
    assert (piece.x1, piece.y1, piece.x2, piece.y2) == (low.x, low.y, high.x, high.y)


def test_what_lies_below_the_view_is_cut_off_at_its_edge() -> None:
    drawn = panel("", ["2", "3", "4"], [line_of("a", ("2", 0.1), ("3", 0.2), ("4", 0.9))], None, (0.8, 0.92))
    (line,) = drawn.lines
    assert drawn.cut
    assert [point.label.split(",")[1].split(":")[0].strip() for point in line.points] == ["4"]
    (piece,) = line.segments
    assert max(piece.y1, piece.y2) == 100.0
    assert x_places(["2", "3", "4"])["3"] < min(piece.x1, piece.x2)


def test_no_line_bridges_a_level_that_was_not_measured() -> None:
    drawn = panel("", ["2", "3", "4"], [line_of("a", ("2", 0.7), ("4", 0.9))], None, (0.6, 0.92))
    assert len(drawn.lines[0].points) == 2
    assert drawn.lines[0].segments == ()
