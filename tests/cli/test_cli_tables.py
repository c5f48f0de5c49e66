"""Tables for people: within the terminal where prose can be wrapped, names whole, models of libraries told of."""

from __future__ import annotations

from pathlib import Path

import pytest

from suite.cards import new_card
from suite.cli.main import run
from suite.cli.output import columns

ROWS = [["one", "a sentence of some length that says what it is", "here"], ["two", "short", "there"]]


def test_prose_is_wrapped_and_the_other_columns_stay() -> None:
    assert columns(ROWS, ("id", "summary", "from"), 40).splitlines() == [
        "id   summary                       from",
        "───  ────────────────────────────  ─────",
        "one  a sentence of some length     here",
        "     that says what it is",
        "two  short                         there",
    ]


@pytest.mark.parametrize("width", [None, 60, 30])
def test_a_table_is_one_line_a_row_where_it_fits_or_would_be_too_narrow(width: int | None) -> None:
    assert len(columns(ROWS, ("id", "summary", "from"), width).splitlines()) == 4


def test_names_are_never_broken() -> None:
    rows = [["adaround-digits-digits-resnet-s0-0123456789", "completed"]]
    assert rows[0][0] in columns(rows, ("run", "status"), 48)


def test_models_of_libraries_are_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", "models"]) == 0
    shown = capsys.readouterr().out
    assert "timm:deit_tiny_patch16_224" in shown
    assert "transformers:causal-lm/opt" in shown


def test_a_study_shows_the_levels_that_its_size_keeps(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["study", "show", "post-training-resnet20", "--size", "smoke"]) == 0
    shown = capsys.readouterr().out
    assert "  bits: 4, 2\n" in shown
    assert "variant:" not in shown  # of a part without cells


def test_a_card_of_a_method_that_is_not_there_is_remarked_upon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "card.yaml"
    path.write_text(new_card("adaroundd"), encoding="utf-8")
    assert run(["card", "validate", str(path)]) == 0
    assert "did you mean 'adaround'?" in capsys.readouterr().err
