"""`suite runs`: every command over a small store, with its JSON, its exit code and without torch."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from suite.cli.main import run
from suite.records import Record, Store
from suite.records.export import export_text, flat_row
from suite.records.identity import Identity, torch_version

Files = dict[str, bytes]
FIRST, SECOND = "rtn-digits-digits-resnet-s0-aaaaaaaaaa", "lsq-digits-digits-resnet-s1-bbbbbbbbbb"


@pytest.fixture
def root(tmp_path: Path, build: Callable[..., Record], files: Files, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a completed and a diverged run, and a damaged one."""
    store = Store(tmp_path / "runs")
    version = torch_version()
    identity = Identity.of(
        method="rtn",
        options={},
        setting={"weight_bits": 4},
        task="digits",
        model="some-model",
        seed=0,
        modules=["suite.registry"],
        data="d" * 64,
        weights="w" * 64,
        torch=str(version),
        device="cpu",
        batch_size=128,
        dtype="float32",
        threads=1,
    ).to_dict()
    store.write(build(run_id=FIRST, model="some-model", identity=identity), files)
    store.write(
        build(
            run_id=SECOND,
            method="lsq",
            seed=1,
            status="diverged",
            message="=loss is nan",
            score=None,
            difference=None,
            difference_interval=None,
            audit=None,
            outcomes=None,
        ),
    )
    damaged = store.folder("rtn-digits-digits-resnet-s0-cccccccccc")
    damaged.mkdir()
    monkeypatch.setenv("SUITE_RUNS", str(store.root))
    return store.root


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(["runs", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_list_shows_runs_and_names_the_damaged(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = answer(capsys, "list")
    assert code == 0
    assert f"{FIRST}  completed  80.00%  70.00%  verified" in out
    assert f"{SECOND}  " in out
    assert "damaged: rtn-digits-digits-resnet-s0-cccccccccc" in err
    code, out, _ = answer(capsys, "list", "--json", "--status", "diverged")
    rows = json.loads(out)
    assert [(row["id"], row["status"], row["score"]) for row in rows] == [(SECOND, "diverged", None)]


def test_where_no_run_is_such_a_one_it_says_how_many_there_are(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = answer(capsys, "list", "--method", "nosuch")
    assert code == 0
    assert out.startswith("none of the 2 runs in ")


def test_the_folder_may_stand_before_the_command_and_after_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SUITE_RUNS")
    before = answer(capsys, "--runs", str(root), "list", "--json")
    after = answer(capsys, "list", "--json", "--runs", str(root))
    both = answer(capsys, "--runs", str(root.parent / "none"), "list", "--json", "--runs", str(root))
    assert before == after == both
    assert len(json.loads(after[1])) == 2


def test_list_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = answer(capsys, "--runs", str(tmp_path / "none"), "list")
    assert (code, out.startswith("no runs in")) == (0, True)
    code, out, _ = answer(capsys, "--runs", str(tmp_path / "none"), "list", "--json")
    assert json.loads(out) == []
    assert not (tmp_path / "none").exists()


def test_show_takes_a_hash(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = answer(capsys, "show", "aaaaaaaaaa")
    assert code == 0
    assert out.startswith(FIRST)
    assert "-10.00 points, 95 % interval [-30.00, +10.00]" in out
    code, out, _ = answer(capsys, "show", "aaaaaaaaaa", "--json")
    assert json.loads(out) == Store(root).load(FIRST).to_dict()


@pytest.mark.parametrize("arguments", [["show", "nothing"], ["why-stale", "../etc"], ["verify", "nothing"]])
def test_an_unknown_run_is_one_line_and_code_2(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    code, out, err = answer(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "no run is called" in err
    assert len(err.splitlines()) == 1


def test_why_stale_is_quiet_then_names_the_part(
    root: Path, build: Callable[..., Record], files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = answer(capsys, "why-stale", FIRST)
    assert (code, out.splitlines()[0]) == (0, f"{FIRST}: up to date")
    assert "not looked at: data, weights" in out
    record = Store(root).load(FIRST)
    sources = {**record.identity["sources"], "suite/registry.py": "0" * 64}
    changed = build(run_id=FIRST, model="some-model", identity={**record.identity, "sources": sources})
    Store(root).write(changed, files, replace=True)
    code, out, _ = answer(capsys, "why-stale", FIRST)
    assert code == 1
    assert "source changed: suite/registry.py" in out
    code, out, _ = answer(capsys, "why-stale", FIRST, "--json")
    document = json.loads(out)
    assert (code, document["stale"], document["changes"][0]["part"]) == (1, True, "sources.suite/registry.py")


def test_export_is_a_table_that_reads_back(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = answer(capsys, "export")
    rows = {row["run_id"]: row for row in csv.DictReader(io.StringIO(out))}
    assert code == 0
    assert set(rows) == {FIRST, SECOND}
    assert rows[FIRST]["score"] == "0.7"
    assert rows[FIRST]["model_bytes"] == "5000"
    assert rows[FIRST]["setting.allowed_bit_widths"] == "[2,4]"
    assert rows[FIRST]["difference_low"] == "-0.3"
    assert rows[SECOND]["score"] == ""
    assert rows[SECOND]["message"] == "'=loss is nan", "a spreadsheet must not run it"
    target = tmp_path / "runs.json"
    code, out, _ = answer(capsys, "export", "--format", "json", "--out", str(target), "--json")
    assert json.loads(out)["runs"] == 2
    assert json.loads(target.read_text())[1]["setting.weight_bits"] == 4


def test_export_into_nowhere_is_one_line(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = answer(capsys, "export", "--out", str(tmp_path / "no" / "such" / "folder.csv"))
    assert (code, out) == (2, "")
    assert "cannot be written: No such file or directory" in err


def test_export_of_nothing_is_empty() -> None:
    assert export_text([], "json") == "[]\n"
    assert export_text([], "csv").strip() == ""


def test_flat_rows_hold_every_axis(record: Record) -> None:
    row = flat_row(record)
    assert {f"setting.{axis}" for axis in record.setting} <= set(row)
    assert row["costs.examples"] == 1024


def test_verify_says_which_run_was_changed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = answer(capsys, "verify", FIRST, SECOND)
    assert code == 0
    assert "2 of 2 runs are as they were written" in out
    (root / FIRST / "card.yaml").write_text("card: 9\n")
    code, out, _ = answer(capsys, "verify", "--json")
    found = {row["run_id"]: row for row in json.loads(out)}
    assert code == 1
    assert found[FIRST]["problems"] == ["card.yaml has been changed since it was written"]
    assert found[SECOND]["sound"]


def test_gc_reports_and_removes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from suite.records.leftovers import _machine

    left = root / f".writing-{FIRST}-{_machine()}-999999999-1-00000000"
    left.mkdir()
    (left / "record.json").write_text("half")
    code, out, _ = answer(capsys, "gc", "--dry-run")
    assert (code, "would be removed, 4 bytes" in out, left.exists()) == (0, True, True)
    code, out, _ = answer(capsys, "gc", "--json")
    assert [row["run_id"] for row in json.loads(out)] == [FIRST]
    assert not left.exists()
    assert answer(capsys, "gc")[1] == "nothing is left over\n"
    assert (root / FIRST).exists()


@pytest.mark.parametrize("name", ["list", "show", "why-stale", "export", "verify", "gc"])
def test_every_command_has_examples_and_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = answer(capsys, name, "--help")
    assert code == 0
    assert "Examples:" in out
    assert "--json" in out


def test_all_of_it_without_torch(root: Path) -> None:
    program = (
        "import sys\n"
        "from suite.cli.main import run\n"
        "for words in ('list', 'show RUN', 'why-stale RUN', 'export', 'verify RUN', 'gc'):\n"
        f"    assert run(['runs', *words.replace('RUN', {FIRST!r}).split()]) == 0, words\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=dict(os.environ), timeout=60
    )
    assert done.returncode == 0, done.stderr
