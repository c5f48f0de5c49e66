"""`suite card find`, `suite list hardware` and `suite show hardware` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from suite.cards import load_card
from suite.cli.main import run

CARDS = Path(__file__).parents[2] / "cards"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(capsys, *arguments: str):
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_command_that_is_told_writes_a_card_that_obeys(capsys, folder):
    found = told(capsys, "card", "find", "--hardware", "cmsis-nn")
    lsq = next(one for one in found["methods"] if one["id"] == "lsq")
    assert lsq["obeys"]
    (folder / "cards").mkdir()
    assert run([*lsq["command"].split()[1:], "--out", "cards/mine.yaml"]) == 0
    assert load_card("cards/mine.yaml").setting["network_output"] == "8-bit"
    capsys.readouterr()
    again = told(capsys, "card", "find", "--hardware", "cmsis-nn", "cards")
    assert [one["name"] for one in again["cards"] if one["obeys"]] == ["cards/mine.yaml"]


def test_a_card_that_does_not_obey_is_told_which_axis_and_what_would_do(capsys):
    found = told(capsys, "card", "find", "--hardware", "tensorrt-int8")
    lsq = next(one for one in found["cards"] if one["name"] == str(CARDS / "lsq.yaml"))
    told_of = {one["axis"]: (one["found"], one["instead"], one["source"]) for one in lsq["forbidden"]}
    assert told_of["weight_bits"] == (4, 8, "types")
    assert told_of["unsigned_activations"] == ("where-non-negative", "never", "types")
    assert not lsq["obeys"]


def test_text_for_people(capsys):
    assert run(["card", "find", "--hardware", "tensorrt-int8"]) == 0
    text = capsys.readouterr().out
    assert "learned_bits cannot obey" in text
    assert "weight_bits = 4: 8 would do" in text
    assert run(["show", "hardware", "ethos-u"]) == 0
    assert "https://docs.pytorch.org/executorch" in capsys.readouterr().out
    assert run(["list", "hardware"]) == 0
    assert "cmsis-nn" in capsys.readouterr().out


def test_damaged_cards_are_left_out_with_a_remark(capsys, folder):
    (folder / "bad.yaml").write_text("card: 1\n", encoding="utf-8")
    assert run(["card", "find", "--hardware", "cmsis-nn", "bad.yaml", "--json"]) == 0
    captured = capsys.readouterr()
    assert "left out" in captured.err
    assert "bad.yaml" not in captured.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--hardware", "tensorrt"], "did you mean 'tensorrt-int8'"),
        (["--hardware", "none.yaml"], "no hardware profile at"),
        (["--hardware", "cmsis-nn", "nowhere"], "no card and no folder"),
        ([], "--hardware"),
    ],
)
def test_wrong_requests_end_in_one_line(capsys, arguments, says):
    assert run(["card", "find", *arguments]) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.count("\n") == 1
