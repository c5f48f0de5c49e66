"""Remarks about the results of a study: read from a file that has to be about these results."""

from __future__ import annotations

from pathlib import Path

import pytest
from study_samples import sample

from suite.errors import StudyError
from suite.studies.remarks import load_remarks

GOOD = """remarks: 1
study: sample
size: smoke
whole: |
  All of it,
  in two lines.
expectations:
  good-is-better: It is.
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "remarks.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_remarks_are_read(tmp_path: Path) -> None:
    told = load_remarks(written(tmp_path, GOOD), sample(), "smoke")
    assert told.whole == "All of it, in two lines."
    assert told.expectations == {"good-is-better": "It is."}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("remarks: 1", "remarks: 2", r":1:10: remarks: version 2 is not the version 1"),
        (
            "study: sample",
            "study: other",
            r":2:8: .* about the study 'other', and the page is of 'sample'",
        ),
        ("size: smoke", "size: small", r":3:7: .* about the size 'small', and the page is of 'smoke'"),
        ("good-is-better", "good-is-bett", r":8:\d+: at the size 'smoke' no expectation is called 'good-is-bett'"),
        ("whole:", "hole:", r"unknown|hole"),
        ("good-is-better: It is.", "good-is-better: [It, is]", r"expected a text"),
        (GOOD, "- a\n- b\n", r":1:1: remarks are a mapping"),
        (GOOD, "a: [\n", r"remarks\.yaml"),
        (GOOD, "!!python/object:os.system {}\n", r"remarks\.yaml"),
        ("remarks: 1\n", "", r"missing key 'remarks'|remarks"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(old: str, new: str, says: str, tmp_path: Path) -> None:
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(StudyError, match=says) as caught:
        load_remarks(path, sample(), "smoke")
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="remarks"):
        load_remarks(tmp_path / "remarks.yaml", sample(), "smoke")
