"""Files of published numbers that are wrong: refused in one line, with the file and the line, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from claim_samples import HEADER, PAPER, PROSE, TABLE1, sample_published, write

from suite.claims.library import read_published
from suite.claims.rows import LONGEST_CELL, MOST_ROWS
from suite.errors import ClaimError

ROW = "sample-paper,table1,ImageNet,Small,Good,,4,32,Top-1 (%),70.0,,"


def test_the_sample_is_right(tmp_path: Path) -> None:
    published = sample_published(tmp_path)
    assert [claim.id for claim in published.claims][-2:] == ["sample-paper/table2/1", "sample-paper/prose/1"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (ROW, ROW + ",more", "_table1.csv:4: expected 12 cells, found 13 (a cell with a comma needs quotes)"),
        (ROW, "sample-paper,table1", ":4: expected 12 cells, found 2"),
        (ROW, ROW.replace("70.0", "seventy"), ":4: 'Top-1 (%)' is measured in numbers, found 'seventy'"),
        (ROW, ROW.replace("70.0", ""), ":4: a claim has a metric and a value"),
        (ROW, ROW.replace("70.0,", "70.0,3"), ":4: two values, where 'Top-1 (%)' has one"),
        (ROW, ROW.replace("Top-1 (%)", "Top-1"), ":4: the metric 'Top-1' is no measure of sample-paper.yaml"),
        (ROW, ROW.replace("sample-paper", "sample"), ":4: paper: expected sample-paper, as the file is called"),
        (ROW, ROW.replace("table1", "table2"), ":4: table: expected table1"),
        (ROW, ROW.replace(",4,", ",0,"), ":4: w_bits: expected a number above 0, at most 64, or mixed, found '0'"),
        (ROW, ROW.replace(",4,", ",nan,"), ":4: w_bits: expected a number"),
        (ROW, ROW.replace(",4,", ",.inf,"), ":4: w_bits: expected a number"),
        (ROW, ROW.replace(",4,", ",999,"), ":4: w_bits: expected a number"),
        (ROW, ROW.replace("Good", " Good"), ":4: method: ' Good' has blanks at an end"),
        (ROW, ROW.replace("Good", "Go\tod"), "characters that do not print"),
        (ROW, ROW.replace("Good", "Go\u202eod"), "characters that do not print"),
        (ROW, ROW.replace("Good", "x" * (LONGEST_CELL + 1)), f":4: method: {LONGEST_CELL + 1} characters; at most"),
        (ROW, ROW.replace("Good", '"Go\nod"'), ":4: a cell runs over the end of its line"),
        (ROW, ROW.replace("Good", '"Go"od'), ":4: is not CSV"),
        (ROW, f"{ROW}\n{ROW}", ":5: says the same cell again as line 4"),
        (ROW, "", ":4: expected 12 cells, found 0"),
        ("w_bits", "bits", ":1: the first line is not the header of a table of claims"),
        (TABLE1, HEADER, ":1: holds no row"),
        (TABLE1, "", ":1: the first line is not the header"),
        (TABLE1, HEADER + f"{ROW}\n" * (MOST_ROWS + 2), f":{MOST_ROWS + 2}: more than {MOST_ROWS:,} rows"),
        (ROW, ROW.replace("Good", "Go\x00od"), ":4:38: control character 0x00"),
    ],
)  # fmt: skip
def test_a_wrong_table(old: str, new: str, expected: str, tmp_path: Path) -> None:
    assert old in TABLE1
    with pytest.raises(ClaimError) as error:
        sample_published(tmp_path, table1=TABLE1.replace(old, new, 1))
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("sample-paper,claim", "other,claim", "claims.csv:2: the paper 'other' has no file here"),
        ("claim: section", "section", "claims.csv:2: table: 'section 3' is no place in prose (write claim: section)"),
    ],
)
def test_wrong_prose(old: str, new: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(ClaimError) as error:
        sample_published(tmp_path, prose=PROSE.replace(old, new, 1))
    assert expected in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("published: 1", "published: 2", "sample-paper.yaml:1:12: published: expected"),
        ("title: A paper\n", "", "missing key 'title'"),
        ("title: A paper", "title: A paper\ntitel: A paper", ":4:1: unknown key 'titel' (did you mean 'title'?)"),
        ("id: sample-paper\n", "id: other\n", ":2:5: the paper 'other' stands in the file sample-paper.yaml"),
        ("kind: results", "kind: result", "expected one of results, configuration, card"),
        (", needs: [ImageNet]", "", "table1 has results, but not what they need (needs: [data, weights])"),
        ("setting: usual", "setting: unusual", "no setting is called 'unusual' (did you mean 'usual'?)"),
        ("weight_granularity: per-tensor", "weight_granularity: per-tenor", "expected one of"),
        ("weight_granularity: per-tensor", "weight_granularty: per-tensor", "did you mean 'weight_granularity'?"),
        ("sample-paper/table1/1]", "sample-paper/table7/1]", "'sample-paper/table7/1' is in no table of this paper"),
        ("sample-paper/table1/1]", "sample-paper/table1/99]", "a doubt speaks of 'sample-paper/table1/99'"),
        ("sample-paper/table1/1]", "../table1/1]", "expected the id of a claim or of a table"),
        ("{id: table2,", "{id: table1,", "'table1' is given 2 times"),
        ("{id: table2,", "{id: table3,", "table3 has no file sample-paper_table3.csv"),
        ("  - {id: table2, title: Settings, place: section 2, kind: configuration}\n", "",
         "sample-paper_table2.csv: this table is spoken of in no paper's file"),
        ("read_from: the paper", "read_from: &a the paper", "the anchor '&a' is not allowed in a paper"),
        ("better: lower", "better: smaller", "expected one of higher, lower"),
    ],
)  # fmt: skip
def test_a_wrong_provenance(old: str, new: str, expected: str, tmp_path: Path) -> None:
    assert old in PAPER
    with pytest.raises(ClaimError) as error:
        sample_published(tmp_path, paper=PAPER.replace(old, new, 1))
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_are_no_text_or_too_many(tmp_path: Path) -> None:
    descriptions, tables = write(tmp_path)
    (tmp_path / "sample-paper_table1.csv").write_bytes(b"paper\xff")
    with pytest.raises(ClaimError, match="not UTF-8"):
        read_published(descriptions, tables)
    (tmp_path / "sample-paper_table1.csv").write_bytes(b"x" * 2_000_000)
    with pytest.raises(ClaimError, match="bytes long"):
        read_published(descriptions, tables)
    with pytest.raises(ClaimError, match="more than 500 files"):
        read_published(descriptions * 501, tables)
