"""`suite compare`: what it accepts, what it prints, what it writes, and that it refuses to rank."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pandas
import pytest

from suite.axes import AXES
from suite.cards import card_to_yaml, complete_card
from suite.cli.main import run
from suite.records import Record, Store, pack_outcomes

SAMPLES = runpy.run_path(str(Path(__file__).parents[1] / "reports" / "report_samples.py"))
CARDS = Path(__file__).parents[2] / "cards"


def keep(store: Store, name: str, score: float, **fields: Any) -> str:
    """Write a run with its outcomes and its completed card; returns its id."""
    record: Record = SAMPLES["make_record"](name, score=score, outcomes="outcomes.npz", **fields)
    outcomes = SAMPLES["make_outcomes"](score)
    results = {"status": "completed", "run_id": record.run_id, "score": score, "float_score": 0.975}
    card = complete_card(card_to_yaml(SAMPLES["make_card"](title=f"The card of {name}")), results)
    files = {"outcomes.npz": pack_outcomes(outcomes.float_correct, outcomes.correct), "card.yaml": card.encode()}
    store.write(record, files)
    return record.run_id


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUITE_RUNS", raising=False)
    held = Store(tmp_path / "runs")
    keep(held, "lsq", 0.945)
    keep(held, "rtn", 0.81)
    keep(held, "low", 0.5, changes={"weight_bits": 2})
    return held


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["compare", *arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert isinstance(printed, dict)
    return printed


WAYS = {
    "run id": lambda store, run_id: run_id,
    "beginning of a run id": lambda store, run_id: run_id[:5],
    "folder": lambda store, run_id: str(store.folder(run_id)),
    "record": lambda store, run_id: str(store.folder(run_id) / "record.json"),
    "completed card": lambda store, run_id: str(store.folder(run_id) / "card.yaml"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_may_be_named_in_five_ways(way: str, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    names = [WAYS[way](store, run_id) for run_id in store.run_ids() if not run_id.startswith("low")]
    found = answer(capsys, *names)
    assert found["comparable"] is True
    assert [entry["title"] for entry in found["entries"]] == ["The card of lsq", "The card of rtn"]
    (ranking,) = found["rankings"]
    assert [row["letter"] for row in ranking["rows"]] == ["A", "B"]
    lower = ranking["rows"][1]
    assert lower["difference_to_above"] == pytest.approx(-0.135)
    assert lower["interval_to_above"][0] < -0.135 < lower["interval_to_above"][1] < 0
    assert lower["resolved"] is True
    assert lower["mcnemar_p_to_above"] == pytest.approx(2 * 0.5**54)  # 54 of 400 examples, all one way
    assert ranking["rows"][0]["mcnemar_p_to_above"] is None
    assert ranking["pairs_resolved_together"] == 1


def test_the_exact_p_stands_beside_the_paired_difference_everywhere(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    near = keep(store, "near", 0.93)
    assert run(["compare", "lsq", near, "--to", "pages"]) == 0
    p_value = 2 * 0.5**6  # six examples differ, all one way
    assert "p = 0.031 resolved" in capsys.readouterr().out
    assert "p = 0.031" in (tmp_path / "pages/comparison.html").read_text(encoding="utf-8")
    assert "| p = 0.031 | resolved" in (tmp_path / "pages/comparison.md").read_text(encoding="utf-8")
    rows = pandas.read_csv(tmp_path / "pages/results.csv").set_index("letter")
    assert rows.loc["B", "above_mcnemar_p"] == pytest.approx(p_value)
    assert rows.loc["B", "resolved"] == "yes"


YOUNGER_AXES = {id: axis.before for id, axis in AXES.items() if axis.before is not None}


@pytest.mark.parametrize("axis", YOUNGER_AXES)
def test_a_run_of_a_time_before_an_axis_did_what_every_run_did_then(
    axis: str, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither its record nor the card beside it speaks of the axis; it is compared all the same."""
    run_id = keep(store, "old", 0.9)
    folder = store.folder(run_id)
    record = json.loads((folder / "record.json").read_text("utf-8"))
    del record["setting"][axis]
    del record["audit"]["axes"][axis]
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    lines = (folder / "card.yaml").read_text("utf-8").splitlines(keepends=True)
    card = "".join(line for line in lines if not line.startswith(f"  {axis}:"))
    assert len(card.splitlines()) == len(lines) - 1
    (folder / "card.yaml").write_text(card, encoding="utf-8")

    found = answer(capsys, "lsq", run_id)
    assert found["comparable"] is True
    assert found["differences"] == []
    other = keep(store, "other", 0.8, changes={"batch_norm": "float", axis: _another(axis)})
    changed = answer(capsys, other, run_id)["differences"]
    assert {row["axis"]: row["values"] for row in changed}[axis] == [_another(axis), YOUNGER_AXES[axis]]


def _another(axis: str) -> str:
    return next(word for word in AXES[axis].domain.words if word != YOUNGER_AXES[axis])


def test_different_axes_are_named_and_not_ranked(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "lsq", "low")
    assert found["comparable"] is False
    assert found["rankings"] == []
    assert found["differences"] == [{"axis": "weight_bits", "values": [8, 2], "forbids_ranking": True}]
    assert found["reasons"] == [
        {"obstacle": "axes", "sentence": "They differ in 1 axis: weight_bits.", "axes": ["weight_bits"]}
    ]


def test_the_terminal_shows_no_rank_unless_asked(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", "lsq", "low"]) == 0
    refused = capsys.readouterr().out
    assert "Not comparable, so not ranked" in refused
    assert "rank " not in refused
    assert "≠ 2" in refused
    assert run(["compare", "lsq", "low", "--rank-anyway"]) == 0
    asked = capsys.readouterr().out
    assert "Ranked although not comparable" in asked
    rows = [line for line in asked.splitlines() if "The card of" in line]
    assert len(rows) == 2
    assert [line.count("(not comparable)") for line in rows] == [3, 4]


def test_ranked_anyway_says_so_in_json(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    (ranking,) = answer(capsys, "low", "lsq", "--rank-anyway")["rankings"]
    assert ranking["comparable"] is False
    assert [row["letter"] for row in ranking["rows"]] == ["B", "A"]
    assert ranking["rows"][1]["not_comparable_to_above"] == ["axes"]


def test_out_writes_both_pages_whole(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "lsq", "rtn", "--to", "new/folder")
    written = sorted(path.name for path in (tmp_path / "new/folder").iterdir())
    assert {"comparison.html", "comparison.md", "results.csv", "results.json", "axes.csv"} <= set(written)
    assert sorted(found["files"]) == [f"new/folder/{name}" for name in written]
    results = pandas.read_csv(tmp_path / "new/folder/results.csv").set_index("letter")
    assert list(results["method"]) == [entry["method"] for entry in found["entries"]]
    axes = pandas.read_csv(tmp_path / "new/folder/axes.csv").set_index("axis")
    assert sorted(axes.index[axes["differs"] == "yes"]) == sorted(row["axis"] for row in found["differences"])
    html = (tmp_path / "new/folder/comparison.html").read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert html.endswith("</html>")
    assert "The card of rtn" in (tmp_path / "new/folder/comparison.md").read_text(encoding="utf-8")


def test_cards_that_were_not_run_can_be_compared(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, str(CARDS / "lsq.yaml"), str(CARDS / "rtn.yaml"))
    assert {reason["obstacle"] for reason in found["reasons"]} == {"not run", "axes"}
    assert "weight_bits" in {row["axis"] for row in found["differences"]}
    assert [entry["score"] for entry in found["entries"]] == [None, None]


def test_a_record_with_escape_sequences_cannot_reach_the_terminal(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = SAMPLES["make_record"]("bad", score=0.4, task="\x1b]0;owned\x07digits\x1b[2J")
    store.write(hostile, {})
    assert run(["compare", "bad", "lsq"]) == 0
    captured = capsys.readouterr()
    assert "owned" in captured.out
    assert "\x1b]" not in captured.out
    assert "\x1b[2J" not in captured.out


def test_a_folder_without_outcomes_is_compared_without_intervals(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("lsq", "rtn"):
        (tmp_path / f"{name}.json").write_bytes((store.folder(store.resolve(name)) / "record.json").read_bytes())
    (ranking,) = answer(capsys, "lsq.json", "rtn.json")["rankings"]
    assert ranking["rows"][1]["interval_to_above"] is None
    assert ranking["rows"][1]["resolved"] is False
    assert [row["rank"] for row in ranking["rows"]] == [[1, 2], [1, 2]]


def broken_record(store: Store, tmp_path: Path) -> str:
    (tmp_path / "broken.json").write_text('{"schema": 1, "score": NaN}', encoding="utf-8")
    return "broken.json"


def empty_folder(store: Store, tmp_path: Path) -> str:
    (tmp_path / "empty").mkdir()
    return "empty"


def broken_outcomes(store: Store, tmp_path: Path) -> str:
    (store.folder(store.resolve("rtn")) / "outcomes.npz").write_bytes(b"PK not a zip")
    return "rtn"


def broken_card(store: Store, tmp_path: Path) -> str:
    (tmp_path / "broken.yaml").write_text("card: 1\nkind: run\nkind: run\n", encoding="utf-8")
    return "broken.yaml"


MISTAKES: dict[str, Any] = {
    "unknown run": (lambda store, tmp_path: "lsqq", "no run is called 'lsqq'"),
    "missing file": (lambda store, tmp_path: "no/such/card.yaml", "there is no such file or folder"),
    "missing card": (lambda store, tmp_path: "card.yaml", "there is no such file or folder"),
    "path out of the store": (lambda store, tmp_path: "../../etc/passwd-s0", "there is no such file or folder"),
    "broken record": (broken_record, "holds NaN"),
    "empty folder": (empty_folder, "holds no record.json"),
    "broken outcomes": (broken_outcomes, "outcomes.npz"),
    "broken card": (broken_card, "broken.yaml:3:1"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_end_in_one_line_and_write_nothing(
    mistake: str, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, message = MISTAKES[mistake]
    assert run(["compare", "lsq", make(store, tmp_path), "--to", "pages"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not (tmp_path / "pages").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lsq"], "at least two"),
        ([], "Missing argument"),
        (["lsq"] * 41, "more than the 40"),
        (["lsq", "rtn", "--rank"], "No such option"),
        (["lsq", "rtn", "--to", "taken"], "taken"),
        (["lsq", "rtn", "--to", "taken/inside"], "cannot be made"),
    ],
)
def test_wrong_command_lines_are_refused(
    arguments: list[str], message: str, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    assert run(["compare", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
