"""Records: the store keeps whole runs or none, whatever dies or races, and notices every changed byte."""

from __future__ import annotations

import errno
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from suite.errors import RecordError
from suite.records import Record, Store, default_root
from suite.records import leftovers as leftovers_module
from suite.records import store as store_module

Files = dict[str, bytes]


def test_what_is_written_is_found(tmp_path: Path, record: Record, files: Files) -> None:
    store = Store(tmp_path / "runs")
    assert store.find(record.run_id) is None
    assert not store.root.exists(), "reading creates nothing"
    folder = store.write(record, files)
    assert folder == tmp_path / "runs" / record.run_id
    assert store.find(record.run_id) == record
    assert sorted(path.name for path in folder.iterdir()) == [
        "card.yaml",
        "manifest.json",
        "outcomes.npz",
        "record.json",
    ]
    assert [path.name for path in store.root.iterdir()] == [record.run_id], "nothing temporary is left"
    outcomes = store.outcomes(record.run_id)
    assert outcomes is not None
    assert int(outcomes.correct.sum()) == 7


def test_the_default_root_is_the_variable_or_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUITE_RUNS", raising=False)
    assert default_root() == Path("runs")
    monkeypatch.setenv("SUITE_RUNS", "elsewhere")
    assert Store().root == Path("elsewhere")


def test_the_first_wins_unless_replaced(tmp_path: Path, build: Callable[..., Record], files: Files) -> None:
    store = Store(tmp_path)
    store.write(build(score=0.7), files)
    store.write(build(score=0.5), files)
    assert store.load(build().run_id).score == 0.7
    store.write(build(score=0.5), files, replace=True)
    assert store.load(build().run_id).score == 0.5
    assert len(list(tmp_path.iterdir())) == 1
    assert store.verify(build().run_id).sound


def _write_many(root: str, record: Record, files: Files, barrier: object, rounds: int) -> None:
    for number in range(rounds):
        barrier.wait()  # type: ignore[attr-defined]
        fields = {name: getattr(record, name) for name in record.__dataclass_fields__}
        raced = Record(**{**fields, "run_id": f"{record.run_id[:-3]}{number:03d}", "message": f"by {os.getpid()}"})
        Store(root).write(raced, {**files, "who.txt": str(os.getpid()).encode()})


def test_two_processes_writing_one_run_leave_one_whole_run(tmp_path: Path, record: Record, files: Files) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    rounds = 25
    writers = [
        context.Process(target=_write_many, args=(str(tmp_path), record, files, barrier, rounds)) for _ in range(2)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    store = Store(tmp_path)
    assert len(store.list().records) == rounds
    for run in store.list().records:
        assert store.verify(run.run_id).sound
        assert run.message == f"by {(store.folder(run.run_id) / 'who.txt').read_text()}", "files of one writer only"
    assert len(list(tmp_path.iterdir())) == rounds


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, record: Record, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []

    def full(descriptor: int) -> None:
        flushed.append(descriptor)
        if len(flushed) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordError, match="No space left on device"):
        Store(tmp_path).write(record, files)
    assert list(tmp_path.iterdir()) == []


def test_everything_is_flushed_before_it_is_named(
    tmp_path: Path, record: Record, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(descriptor: int) -> None:
        events.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name.split("-")[0])
        real_fsync(descriptor)

    def rename(source: Path, target: Path) -> None:
        events.append("rename")
        real_rename(source, target)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc to see which file is flushed")
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    Store(tmp_path).write(record, files)
    before = events[: events.index("rename")]
    assert set(before) == {"record.json", "manifest.json", "outcomes.npz", "card.yaml", ".writing"}
    assert before[-1] == ".writing", "the folder's names are flushed after its files"
    assert events[events.index("rename") + 1 :] == [tmp_path.name.split("-")[0]]


def test_a_failed_replacement_keeps_the_old_run(
    tmp_path: Path, build: Callable[..., Record], files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    folder = store.write(build(), files)
    real = os.rename

    def broken(source: Path, target: Path) -> None:
        if Path(source).name.startswith(".writing"):
            raise OSError(errno.EIO, "Input/output error")
        real(source, target)

    monkeypatch.setattr(os, "rename", broken)
    with pytest.raises(RecordError, match="Input/output"):
        store.write(build(score=0.1), files, replace=True)
    assert store.load(folder.name).score == 0.7
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_an_interrupted_replacement_keeps_the_old_run(
    tmp_path: Path, build: Callable[..., Record], files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    folder = store.write(build(), files)
    real = os.rename

    def interrupted(source: Path, target: Path) -> None:
        if Path(source).name.startswith(".writing"):
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.write(build(score=0.1), files, replace=True)
    assert store.load(folder.name).score == 0.7
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_a_root_that_is_a_file_is_one_clear_error(tmp_path: Path, record: Record, files: Files) -> None:
    root = tmp_path / "runs"
    root.write_text("not a folder")
    with pytest.raises(RecordError, match="cannot be written into"):
        Store(root).write(record, files)
    assert Store(root).list().records == ()


def test_a_killed_writer_leaves_no_run_and_gc_sweeps(tmp_path: Path, record: Record, files: Files) -> None:
    program = f"""
import os, signal
from suite.records import Store
from suite.records import store as module
from suite.records.record import Record
record = Record.from_json(open({str(tmp_path / "source.json")!r}, "rb").read())
module._flush_folder = lambda folder: os.kill(os.getpid(), signal.SIGKILL)
Store({str(tmp_path / "runs")!r}).write(record, {{"outcomes.npz": b"x"}})
"""
    (tmp_path / "source.json").write_text(record.to_json())
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert done.returncode == -9
    store = Store(tmp_path / "runs")
    assert store.find(record.run_id) is None
    assert store.list().records == ()
    assert store.gc(minimum_age_seconds=3600) == (), "too young"
    (found,) = store.gc(dry_run=True)
    assert (found.run_id, found.restores) == (record.run_id, None)
    assert found.bytes > 100
    assert (store.root / found.name).is_dir(), "a dry run removes nothing"
    assert len(store.gc()) == 1
    assert list(store.root.iterdir()) == []


def test_gc_leaves_the_living_the_foreign_and_the_finished(tmp_path: Path, record: Record, files: Files) -> None:
    store = Store(tmp_path)
    store.write(record, files)
    own = leftovers_module.temporary_name("writing", record.run_id)
    process = psutil.Process()
    birth = int(process.create_time())
    foreign = f".writing-{record.run_id}-00000000-1-{birth}-00000000"
    reused = f".writing-{record.run_id}-{leftovers_module._machine()}-{process.pid}-{birth - 5000}-00000000"
    for name in (own, foreign, reused, ".epoch-seconds", "notes"):
        (tmp_path / name).mkdir()
    assert [item.name for item in store.gc()] == [reused], "a process number given to somebody else is not the writer"
    old = time.time() - 2 * leftovers_module.FOREIGN_AGE_SECONDS
    os.utime(tmp_path / foreign, (old, old))
    assert [item.name for item in store.gc()] == [foreign]
    assert {path.name for path in tmp_path.iterdir()} == {record.run_id, own, ".epoch-seconds", "notes"}


def test_gc_gives_a_replaced_run_its_name_back(tmp_path: Path, record: Record, files: Files) -> None:
    store = Store(tmp_path)
    folder = store.write(record, files)
    folder.rename(tmp_path / f".replaced-{record.run_id}-{leftovers_module._machine()}-999999999-1-00000000")
    assert store.find(record.run_id) is None
    (found,) = store.gc()
    assert found.restores == record.run_id
    assert store.find(record.run_id) == record


def test_a_damaged_run_is_reported_and_stops_nothing(
    tmp_path: Path, build: Callable[..., Record], files: Files
) -> None:
    store = Store(tmp_path)
    ids = [f"rtn-digits-digits-resnet-s0-000000000{number}" for number in range(5)]
    folders = [store.write(build(run_id=run_id), files) for run_id in ids]
    (folders[0] / "record.json").write_text("{")
    (folders[1] / "record.json").unlink()
    (folders[2] / "record.json").write_bytes((folders[3] / "record.json").read_bytes())
    (tmp_path / "rtn-x-y-s0-0000000009").write_text("a file, not a folder")
    listing = store.list()
    assert [record.run_id for record in listing.records] == ids[3:]
    problems = {damaged.run_id: damaged.problem for damaged in listing.damaged}
    assert list(problems) == ids[:3]
    assert "not JSON" in problems[ids[0]]
    assert "missing" in problems[ids[1]]
    assert "another run" in problems[ids[2]]
    with pytest.raises(RecordError, match="not JSON"):
        store.find(ids[0])


def test_links_are_not_followed_out_of_the_store(tmp_path: Path, record: Record, files: Files) -> None:
    elsewhere = Store(tmp_path / "elsewhere").write(record, files)
    store = Store(tmp_path / "runs")
    store.root.mkdir()
    store.folder(record.run_id).symlink_to(elsewhere, target_is_directory=True)
    with pytest.raises(RecordError, match="is a link"):
        store.find(record.run_id)


@pytest.mark.parametrize("run_id", ["../x-y-z-s0-0123456789", "/etc/passwd", "..", "x"])
def test_ids_from_outside_never_reach_the_disk(tmp_path: Path, run_id: str) -> None:
    store = Store(tmp_path)
    for ask in (store.find, store.load, store.verify, store.outcomes, store.folder):
        with pytest.raises(RecordError, match="not a run id"):
            ask(run_id)


@pytest.mark.parametrize("name", ["../escape", "record.json", "manifest.json", "a/b", ""])
def test_file_names_are_checked_and_nothing_is_left(tmp_path: Path, record: Record, files: Files, name: str) -> None:
    with pytest.raises(RecordError):
        Store(tmp_path / "runs").write(record, {**files, name: b"x"})
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_names_outcomes_comes_with_them(tmp_path: Path, record: Record) -> None:
    with pytest.raises(RecordError, match=r"outcomes\.npz, which is not among the files"):
        Store(tmp_path).write(record, {})


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "card.yaml").write_text("card: 2\n"), "card.yaml has been changed"),
        (lambda folder: (folder / "card.yaml").write_text("card"), "card.yaml has 4 bytes, was written with 8"),
        (lambda folder: (folder / "card.yaml").unlink(), "card.yaml is missing"),
        (lambda folder: (folder / "extra").write_text("x"), "extra was added"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "is not a manifest"),
        (lambda folder: (folder / "outcomes.npz").write_bytes(b"x"), "cannot be read as outcomes"),
        (lambda folder: (folder / "record.json").write_text("[]"), "not a record"),
    ],
)
def test_verify_names_what_changed(
    tmp_path: Path, record: Record, files: Files, damage: Callable[[Path], object], says: str
) -> None:
    store = Store(tmp_path)
    folder = store.write(record, files)
    assert store.verify(record.run_id).problems == ()
    damage(folder)
    found = store.verify(record.run_id)
    assert not found.sound
    assert says in "; ".join(found.problems)


def test_an_edited_score_is_noticed(tmp_path: Path, record: Record, files: Files) -> None:
    store = Store(tmp_path)
    path = store.write(record, files) / "record.json"
    path.write_text(path.read_text().replace('"score": 0.7', '"score": 0.9'))
    assert store.load(record.run_id).score == 0.9
    assert store.verify(record.run_id).problems == ("record.json has been changed since it was written",)


def test_resolve_takes_an_id_its_beginning_or_its_hash(
    tmp_path: Path, build: Callable[..., Record], files: Files
) -> None:
    store = Store(tmp_path)
    one, two = "lsq-digits-m-s0-aaaaaaaaaa", "lsq-digits-m-s1-bbbbbbbbbb"
    for run_id in (one, two):
        store.write(build(run_id=run_id), files)
    assert store.resolve(one) == one
    assert store.resolve("lsq-digits-m-s1") == two
    assert store.resolve("aaaaaaaaaa") == one
    with pytest.raises(RecordError, match="may mean 2 runs"):
        store.resolve("lsq")
    with pytest.raises(RecordError, match="did you mean"):
        store.load("lsq-digits-m-s1-bbbbbbbbbc")
    with pytest.raises(RecordError, match="no run is called"):
        store.resolve("")


def test_a_huge_record_is_not_read(
    tmp_path: Path, record: Record, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.write(record, files)
    monkeypatch.setattr(store_module, "MAXIMUM_JSON_BYTES", 100)
    with pytest.raises(RecordError, match="more than the 100 allowed"):
        store.find(record.run_id)


def test_outcomes_read_back_are_what_was_written(tmp_path: Path, record: Record, files: Files) -> None:
    store = Store(tmp_path)
    store.write(record, files)
    outcomes = store.outcomes(record.run_id)
    assert outcomes is not None
    assert np.array_equal(outcomes.float_correct, [1, 1, 1, 0, 1, 1, 0, 1, 1, 1])
    assert np.array_equal(outcomes.correct, [1, 0, 1, 0, 1, 1, 1, 1, 0, 1])
