"""`suite study`: real runs of a tiny study, the one object it ends with, and that a kill loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from suite.cli.main import run
from suite.records import Store

STUDY = """\
study: 1
id: tiny
title: Two ways to round
question: Does the range matter at 2 bits?
fixed:
  method: rtn
  task: digits
  model: digits-resnet
  axes: {activation_bits: 32, weight_granularity: per-tensor, time_limit: 1000, examples: 16}
parts:
  - id: main
    title: Weights
    varies:
      - {factor: range, axis: weight_range, values: [min-max, mse]}
      - {factor: bits, axis: weight_bits, values: [2]}
sizes:
  smoke: {says: The embedded digits.}
expectations:
  - id: they-differ
    says: One of the two is far ahead.
    equality: {first: {range: min-max}, second: {range: mse}, margin: 0.001}
shows:
  - part: main
    table: {rows: range, columns: bits}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUITE_RUNS", raising=False)
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert run(["study", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_study_from_its_file_to_its_page(file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    before = answer(capsys, "status", "tiny.yaml")
    assert before["counts"] == {"waiting": 2, "running": 0, "completed": 0, "diverged": 0, "failed": 0}

    found = answer(capsys, "run", "tiny.yaml", "--jobs", "2")
    assert list(found) == ["study", "size", "cells", "expectations"]
    assert (found["study"], found["size"]) == ("tiny", "smoke")
    assert found["cells"] == {"completed": 2, "diverged": 0, "failed": 0}
    (expectation,) = found["expectations"]
    assert list(expectation) == ["id", "verdict", "detail"]
    assert expectation["verdict"] in ("holds", "does not hold", "unresolved at this number of seeds")

    runs = sorted(Store(tmp_path / "runs").run_ids())
    stamps = [(tmp_path / "runs" / id / "record.json").stat().st_mtime_ns for id in runs]
    assert answer(capsys, "run", "tiny.yaml") == found
    assert [(tmp_path / "runs" / id / "record.json").stat().st_mtime_ns for id in runs] == stamps

    status = answer(capsys, "status", "tiny.yaml")
    assert status["counts"]["completed"] == 2
    assert sorted(cell["run_id"] for cell in status["cells"]) == runs

    page = answer(capsys, "report", "tiny.yaml", "--to", "page")
    assert page["expectations"] == found["expectations"]
    html = Path("page/study.html").read_text(encoding="utf-8")
    for cell in status["cells"]:
        assert f"{100 * cell['score']:.2f}" in html
        assert cell["run_id"] in html
        assert f"{100 * cell['score']:.2f}" in Path("page/study.md").read_text(encoding="utf-8")

    remarks = tmp_path / "remarks.yaml"
    told = "remarks: 1\nstudy: tiny\nsize: smoke\nexpectations: {they-differ: Few images.}\n"
    remarks.write_text(told, encoding="utf-8")
    answer(capsys, "report", "tiny.yaml", "--to", "page", "--remarks", str(remarks))
    assert "Few images." in Path("page/study.html").read_text(encoding="utf-8")

    # The card of a cell, run alone, is the very same run.
    alone = sorted((tmp_path / "runs" / "studies" / "tiny-smoke" / "cards").glob("*.yaml"))[0]
    assert run(["evaluate", "--card", str(alone), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["found"] is True


@pytest.mark.slow
def test_what_a_study_knows_by_no_hash_is_found_again(
    file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With the data and the weights at hand as without them: the study was last started with them."""
    from suite.models.baselines import shipped_baselines

    shipped = shipped_baselines()["digits-resnet"].weights
    assert shipped is not None
    (tmp_path / "given").mkdir()
    shutil.copy(shipped, tmp_path / "given" / "mine.pt")
    needs = "weights: [{model: digits-resnet, name: mine.pt}], data: [{task: digits}]"
    file.write_text(STUDY.replace("says: The embedded digits.", f"says: x, {needs}"), encoding="utf-8")
    assert answer(capsys, "status", "tiny.yaml")["counts"]["waiting"] == 2
    found = answer(capsys, "run", "tiny.yaml", "--weights", "given/mine.pt")
    assert found["cells"]["completed"] == 2
    for given in ([], ["--data", "."], ["--weights", "given/mine.pt"]):
        status = answer(capsys, "status", "tiny.yaml", *given)
        assert status["counts"]["completed"] == 2, given
        assert [cell["stale"] for cell in status["cells"]] == ["", ""]
        page = answer(capsys, "report", "tiny.yaml", "--to", "page", *given)
        assert page["cells"] == found["cells"]
        assert page["expectations"] == found["expectations"]
    (tmp_path / "given" / "mine.pt").write_bytes(b"others")
    assert answer(capsys, "status", "tiny.yaml", "--weights", "given/mine.pt")["counts"]["waiting"] == 2


@pytest.mark.slow
def test_a_study_that_is_killed_continues_with_what_it_had(file: Path, tmp_path: Path) -> None:
    """Killed with a signal that nobody can catch, after its first cell: that cell is kept, and no job lives on."""
    arguments = [sys.executable, "-m", "suite", "study", "run", "tiny.yaml", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    journal = tmp_path / "runs" / "studies" / "tiny-smoke" / "journal.jsonl"
    try:
        _until(lambda: journal.exists() and journal.read_text().count('"event": "started"') == 2)
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    kept = [json.loads(line)["run_id"] for line in journal.read_text().splitlines() if '"event": "ended"' in line]
    assert len(kept) == 1
    before = (tmp_path / "runs" / kept[0] / "record.json").read_bytes()
    again = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["cells"]["completed"] == 2
    assert (tmp_path / "runs" / kept[0] / "record.json").read_bytes() == before
    started = [json.loads(line)["cell"] for line in journal.read_text().splitlines() if '"event": "started"' in line]
    assert started[1] == started[2]
    assert len(list(Store(tmp_path / "runs").run_ids())) == 2


@pytest.mark.slow
def test_an_interrupted_study_says_how_to_go_on(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [sys.executable, "-m", "suite", "study", "run", "tiny.yaml"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "runs" / "studies" / "tiny-smoke" / "journal.jsonl"
    try:
        _until(lambda: answer(capsys, "status", "tiny.yaml")["counts"]["running"] == 1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "the same command continues" in said
    assert "Traceback" not in said
    assert "interrupted" in (journal.parent / "progress.log").read_text()
    assert answer(capsys, "status", "tiny.yaml")["counts"]["running"] == 0


@pytest.mark.slow
def test_of_two_processes_that_start_at_once_one_runs_the_study(file: Path, tmp_path: Path) -> None:
    """The other is refused before it runs anything, and every cell is run once."""
    arguments = [sys.executable, "-m", "suite", "study", "run", "tiny.yaml", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    both = [subprocess.Popen(arguments, env=environment, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    try:
        said = [process.communicate(timeout=300) for process in both]
    finally:
        for process in both:
            process.kill()
    found = {process.returncode: words for process, words in zip(both, said, strict=True)}
    assert sorted(found) == [0, 2], said
    (out, _), (refused, why) = found[0], found[2]
    assert json.loads(out)["cells"] == {"completed": 2, "diverged": 0, "failed": 0}
    assert refused == ""
    assert "another process is running the study 'tiny' here" in why
    assert "suite study status" in why
    assert len(why.strip().splitlines()) == 1

    folder = tmp_path / "runs" / "studies" / "tiny-smoke"
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["begun", "started", "ended", "started", "ended"]
    assert len({line["cell"] for line in lines[1:]}) == len(list(Store(tmp_path / "runs").run_ids())) == 2
    again = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert (again.returncode, again.stdout) == (0, out)  # the lock is gone with its holder


def test_a_study_that_is_held_is_not_run(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from suite.studies.journal import locked

    with locked(tmp_path / "runs" / "studies" / "tiny-smoke", "tiny"):
        assert run(["study", "run", "tiny.yaml"]) == 2
    assert "another process is running the study 'tiny' here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "arguments", "expected"),
    [
        ("method: rtn", "method: rtm", [], "no method is called 'rtm' (did you mean 'rtn'?)"),
        ("task: digits", "task: digit", [], "no task is called 'digit' (did you mean 'digits'?)"),
        ("", "", ["--size", "smol"], "the study 'tiny' has no size 'smol' (did you mean 'smoke'?)"),
        ("", "", ["--weights", "none.pt"], "none.pt cannot be read: No such file or directory"),
        ("says: The embedded digits.", "says: x, weights: [{model: digits-resnet, name: a.pt, sha256: "
         + "a" * 64 + "}]", [], "the study needs the weights a.pt for digits-resnet"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_one_line_before_anything_runs(
    old: str,
    new: str,
    arguments: list[str],
    expected: str,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    file.write_text(STUDY.replace(old, new, 1) if old else STUDY, encoding="utf-8")
    assert run(["study", "run", "tiny.yaml", *arguments]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_cell_that_the_method_refuses_fails_alone(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(STUDY.replace("values: [min-max, mse]", "values: [min-max, learned-rounding]").replace(
        "first: {range: min-max}, second: {range: mse}", "first: {range: min-max}, second: {range: learned-rounding}"
    ).replace("time_limit: 1000", "time_limit: 1000, gradient_mask: round-then-clip"), encoding="utf-8")  # fmt: skip
    found = answer(capsys, "run", "tiny.yaml", code=1)
    assert found["cells"] == {"completed": 0, "diverged": 0, "failed": 2}
    status = answer(capsys, "status", "tiny.yaml")
    assert all("rtn" in cell["message"] and "support" in cell["message"] for cell in status["cells"])


def test_shipped_studies_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    rows = answer(capsys, "list")
    shipped = {row["id"]: row for row in rows}
    assert "post-training-resnet20" in shipped
    shown = answer(capsys, "show", "post-training-resnet20", "--size", "small")
    assert len(shown["cells"]) == shipped["post-training-resnet20"]["cells"]["small"]
    assert [need["name"] for need in shown["weights"]] == ["resnet20_cifar10_40k.pt"]
    assert run(["study", "show", "post-training-resnet20"]) == 0
    assert "How much accuracy" in capsys.readouterr().out


def _until(ready: Any) -> None:
    until = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < until, "it never came so far"
        time.sleep(0.02)
