"""What a study says while it runs: a difference never stands without its interval, and a line stays a line."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest
from study_samples import record_of, sample

from suite.studies import expand
from suite.studies.display import LiveDisplay, PlainDisplay, outcome_text
from suite.studies.forecast import Forecast
from suite.studies.states import CellResult, State, result_of

CELL = expand(sample(), "smoke")[0]
SAID = "85.00% (-5.00 [-7.43, -2.85] points to float) in 2 s"


def ended(**fields: Any) -> CellResult:
    record, _ = record_of(CELL.card, 0.85, difference_interval=(-0.07431, -0.0285))
    return result_of(CELL, dataclasses.replace(record, **fields))


def test_a_difference_stands_with_its_interval():
    assert outcome_text(ended()) == SAID
    assert outcome_text(ended(difference_interval=None)) == "85.00% (-5.00 points to float) in 2 s"
    assert outcome_text(CellResult(CELL, State.FAILED, message="no good")) == "failed: no good"


def test_the_longest_outcome_leaves_room_for_its_cell():
    longest = ended(score=1.0, difference=-1.0, difference_interval=(-1.0, -1.0), costs={"seconds": 3599.0})
    assert len(outcome_text(longest)) < 70


@pytest.mark.parametrize("live", [True, False])
def test_every_display_says_it(live: bool, tmp_path: Path):
    log, stream, results = tmp_path / "progress.log", io.StringIO(), {CELL.id: ended()}
    with LiveDisplay(log, stream, "sample") if live else PlainDisplay(log, stream) as display:
        display.ended(results[CELL.id], results, Forecast())
        display.renew(results, Forecast())
        if isinstance(display, LiveDisplay):
            outcomes = display._table(results, Forecast()).columns[2].cells
            assert [str(text) for text in outcomes] == [SAID]
    assert f"{CELL.id}: {SAID}; 1/1 done" in log.read_text(encoding="utf-8")
    assert live or SAID in stream.getvalue()
