"""Checkpoints: whole or absent, owned by one process, never another run's, and honest about time and data."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from suite.axes import Setting
from suite.errors import RecordError
from suite.harness import checkpoints as checkpoints_module
from suite.harness.checkpoints import Attempt, RunCheckpoints
from suite.harness.costs import Spent, Stopwatch
from suite.harness.meter import DataMeter
from suite.harness.streams import Streams
from suite.harness.watch import InputWatch
from suite.records.unfinished import UnfinishedFolder, find_unfinished
from suite.tasks import LabelledTensors
from suite.tasks.vault import Seal

RUN = "toy-digits-net-s0-0123456789"
TENSORS = {
    "weights": torch.arange(6, dtype=torch.float32).reshape(2, 3).t(),
    "mask": torch.tensor([True, False]),
    "half": torch.tensor([0.1], dtype=torch.bfloat16),
    "scalar": torch.tensor(7),
    "empty": torch.empty(0, 4),
}
FACTS = {"step": 12, "loss": 0.1, "done": False, "unit": "layer1.0", "best": float("inf")}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def attempt_of(examples: int = 20) -> Attempt:
    inputs = torch.rand(examples, 1, 2, 2, generator=torch.Generator().manual_seed(3))
    pool = LabelledTensors(inputs, torch.zeros(examples, dtype=torch.int64), torch.arange(examples))
    setting = Setting.default().replace(examples=examples, initialization_examples="all")
    return Attempt(Stopwatch(), DataMeter(pool, setting, Streams(0)), InputWatch((1, 2, 2)), Seal())


def begun(root: Path, attempt: Attempt | None = None, said: list[str] | None = None) -> RunCheckpoints:
    result = RunCheckpoints(UnfinishedFolder(root, RUN), (said if said is not None else []).append)
    result.begin(attempt or attempt_of())
    return result


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A store with one checkpoint of an attempt that is no more."""
    first = begun(tmp_path)
    first.save("block-4", TENSORS, FACTS)
    first.release()
    return tmp_path


def test_what_is_saved_is_loaded_bit_for_bit_by_the_next_attempt(kept: Path) -> None:
    found = begun(kept).load("block-4")
    assert found is not None
    assert found.facts == FACTS
    assert found.tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert found.tensors[name].dtype == value.dtype
        assert torch.equal(found.tensors[name], value)


def test_nothing_is_on_disk_before_something_is_saved(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    checkpoints = begun(root)
    assert checkpoints.load("block-4") is None
    checkpoints.finish()
    assert not root.exists()


def test_tensors_that_share_memory_are_saved_as_what_they_are(tmp_path: Path) -> None:
    whole = torch.arange(4.0)
    checkpoints = begun(tmp_path)
    checkpoints.save("shared", {"whole": whole, "part": whole[1:3], "again": whole})
    whole.zero_()
    found = checkpoints.load("shared")
    assert found is not None
    assert [found.tensors[name].tolist() for name in ("whole", "part")] == [[0, 1, 2, 3], [1, 2]]


@pytest.mark.parametrize(
    "name", ["../escape", "/etc/passwd", "a/b", "", ".hidden", "a..b", "x" * 200, "name\n", "ledger"]
)
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "runs"
    with pytest.raises(RecordError):
        begun(root).save(name, {})
    assert list(tmp_path.iterdir()) == []


def test_a_fact_that_is_no_scalar_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="fact 'losses' of checkpoint 'x' is a list"):
        begun(tmp_path).save("x", {}, {"losses": [1.0]})  # type: ignore[dict-item]


def damaged(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "torn":
        path.write_bytes(content[: len(content) // 2])
    elif how == "one bit":
        content[-1] ^= 1
        path.write_bytes(content)
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "noise":
        path.write_bytes(os.urandom(500))
    elif how == "huge header":
        path.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    elif how == "other writer":
        save_file({"weights": torch.zeros(2)}, path)
    elif how == "link":
        target = path.with_suffix(".elsewhere")
        path.rename(target)
        path.symlink_to(target)
    elif how == "other facts":
        tensors = load_file(path)
        save_file(tensors, path, {"facts": json.dumps({"step": 13}), "sha256": "0" * 64})


DAMAGES = ["torn", "one bit", "empty", "noise", "huge header", "other writer", "link", "other facts"]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_checkpoint_is_ignored_and_the_others_stay(
    kept: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = begun(kept)
    first.save("block-5", TENSORS)
    first.release()
    damaged(kept / f".unfinished-{RUN}" / "block-5.safetensors", how)
    next_attempt = begun(kept)
    assert next_attempt.load("block-5") is None
    assert next_attempt.load("block-4") is not None
    assert how == "link" or "'block-5' is damaged and ignored" in caplog.text


@pytest.mark.parametrize("how", [*DAMAGES, "missing"])
def test_without_a_sound_ledger_everything_starts_anew(kept: Path, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """A checkpoint whose cost is not known would make the run look cheaper than it was."""
    path = kept / f".unfinished-{RUN}" / "ledger.safetensors"
    path.unlink() if how == "missing" else damaged(path, how)
    next_attempt = begun(kept)
    assert next_attempt.load("block-4") is None
    assert "cannot be continued" in caplog.text
    next_attempt.save("block-1", TENSORS)
    assert next_attempt.load("block-1") is not None
    assert next_attempt.load("block-4") is None


def test_a_write_that_dies_half_way_keeps_the_checkpoint_before(
    kept: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    checkpoints = begun(kept)
    monkeypatch.setattr(os, "fsync", full)
    checkpoints.save("block-4", {"weights": torch.zeros(1)})
    monkeypatch.undo()
    assert "No space left on device" in caplog.text
    found = checkpoints.load("block-4")
    assert found is not None
    assert found.facts == FACTS
    names = sorted(path.name for path in (kept / f".unfinished-{RUN}").iterdir())
    assert names == ["block-4.safetensors", "ledger.safetensors", "lock"]
    assert "kept" in checkpoints.interrupted()


def test_everything_is_flushed_before_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: order.append("flush"))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: (order.append("name"), replace(*paths)))
    begun(tmp_path).save("x", TENSORS)
    assert order == ["flush", "name"] * 2


def test_more_than_the_bound_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoints_module, "MAXIMUM_BYTES", 20_000)
    checkpoints = begun(tmp_path)
    checkpoints.save("small", {"x": torch.zeros(1000)})
    checkpoints.save("large", {"x": torch.zeros(100_000)})
    assert checkpoints.load("small") is not None
    assert checkpoints.load("large") is None
    assert "more than 20,000 bytes" in caplog.text


def test_a_folder_that_cannot_be_written_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    checkpoints = begun(tmp_path / "file")
    checkpoints.save("x", TENSORS)
    assert checkpoints.load("x") is None
    assert "no checkpoint of this run can be kept" in caplog.text
    assert not checkpoints.due()


def test_time_of_killed_attempts_adds_up_and_peaks_do_not(tmp_path: Path) -> None:
    for seconds in (100.0, 20.0):
        attempt = attempt_of()
        checkpoints = begun(tmp_path, attempt)
        attempt.spent.started -= seconds
        attempt.spent.worked -= 2 * seconds
        checkpoints.save("x", {})
        checkpoints.release()
    last = attempt_of()
    said: list[str] = []
    begun(tmp_path, last, said)
    assert last.total().seconds == pytest.approx(120.0, abs=2.0)
    assert last.total().processor_seconds == pytest.approx(240.0, abs=4.0)
    assert said == ["continues a run that was interrupted after 2 min 00 s"]
    assert Spent(1.0, 500, 2.0).plus(Spent(3.0, 400, 5.0)) == Spent(4.0, 500, 7.0)


def test_what_an_interrupted_attempt_took_since_its_checkpoint_counts(kept: Path) -> None:
    attempt = attempt_of()
    checkpoints = begun(kept, attempt)
    attempt.spent.started -= 1000.0
    assert checkpoints.interrupted() == "its checkpoint is kept: the same command continues from there"
    checkpoints.release()
    last = attempt_of()
    begun(kept, last)
    assert last.earlier.seconds == pytest.approx(1000.0, abs=2.0)


def test_data_seen_by_a_killed_attempt_stays_seen(tmp_path: Path) -> None:
    first = attempt_of()
    checkpoints = begun(tmp_path, first)
    for batch in first.meter.door.batches(5):
        first.watch.look(torch.nn.Identity(), (batch.inputs,), {})
    with pytest.raises(Exception, match="labels"):
        next(first.meter.door.batches(5, labels=True))
    first.seal.attempts.append("digits")
    checkpoints.save("x", {})
    checkpoints.release()

    last = attempt_of()
    begun(tmp_path, last)
    last.meter.door.fixed(3)
    report = last.meter.report()
    assert (report.distinct_examples, report.examples_presented, report.passes) == (20, 20, 1)
    assert report.refused == ("labels",)
    assert last.watch.report().distinct_inputs == 20
    assert last.watch.report().inputs == 20
    assert last.knocks() == ("digits",)


def test_an_attempt_that_repeats_the_requests_counts_like_an_unbroken_one(tmp_path: Path) -> None:
    reports = []
    for passes in (2, 3):
        attempt = attempt_of()
        checkpoints = begun(tmp_path, attempt)
        list(attempt.meter.door.batches(5, passes=passes))
        checkpoints.save("x", {})
        checkpoints.release()
        reports.append(attempt.meter.report())
    unbroken = attempt_of()
    list(unbroken.meter.door.batches(5, passes=3))
    assert reports[1] == unbroken.meter.report()


def test_a_ledger_of_another_budget_is_not_taken_over(kept: Path, caplog: pytest.LogCaptureFixture) -> None:
    attempt = attempt_of(examples=10)
    assert begun(kept, attempt).load("block-4") is None
    assert attempt.earlier == Spent()
    assert attempt.meter.report().distinct_examples == 0
    assert "cannot be continued" in caplog.text


def test_loops_save_seldom_and_for_a_hundredth_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    checkpoints = RunCheckpoints(UnfinishedFolder(tmp_path, RUN), print, clock=clock)
    checkpoints.begin(attempt_of())
    assert not checkpoints.due()
    clock.now = checkpoints_module.LEAST_SECONDS
    assert checkpoints.due()
    write = RunCheckpoints._write

    def slow(self: RunCheckpoints, *arguments: object) -> None:
        clock.now += 0.5
        write(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(RunCheckpoints, "_write", slow)  # ledger and checkpoint: one second together
    checkpoints.save("x", {})
    saved = clock.now
    clock.now = saved + 99
    assert not checkpoints.due()
    clock.now = saved + 100
    assert checkpoints.due()


HOLD = """
import sys
from pathlib import Path
from suite.records.unfinished import UnfinishedFolder
folder = UnfinishedFolder(Path(sys.argv[1]), sys.argv[2])
print(folder.claim(create=True), flush=True)
sys.stdin.read()
"""


def test_two_processes_at_one_run_do_not_meet_and_a_killed_one_blocks_nobody(
    kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(kept), RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        said: list[str] = []
        second = begun(kept, said=said)
        assert said == ["another process is at work on this run; this one starts anew and keeps no checkpoints"]
        assert second.load("block-4") is None
        second.save("block-9", TENSORS)
        second.finish()
        assert (kept / f".unfinished-{RUN}" / "block-4.safetensors").is_file()
        assert not (kept / f".unfinished-{RUN}" / "block-9.safetensors").exists()
        (unfinished,) = find_unfinished(kept)
        assert unfinished.live
        assert UnfinishedFolder(kept, RUN).remove() is False
    finally:
        other.kill()
        other.wait()
    assert begun(kept).load("block-4") is not None


def test_a_folder_that_appears_later_belongs_to_whoever_locked_it(kept: Path, caplog: pytest.LogCaptureFixture) -> None:
    late = RunCheckpoints(UnfinishedFolder(kept / "new", RUN), print)
    late.begin(attempt_of())
    early = begun(kept / "new")
    early.save("x", TENSORS)
    late.save("x", {})
    assert "another process is at work on the same run" in caplog.text
    found = early.load("x")
    assert found is not None
    assert found.tensors.keys() == TENSORS.keys()


def test_finishing_leaves_nothing(kept: Path) -> None:
    checkpoints = begun(kept)
    checkpoints.finish()
    assert list(kept.iterdir()) == []
    assert checkpoints.load("block-4") is None
