"""Records: folders of unfinished runs are no runs, are never taken from the living, and go when they are of no use."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from suite.cli.main import run
from suite.errors import RecordError
from suite.records import Record, Store
from suite.records import unfinished as unfinished_module
from suite.records.unfinished import UnfinishedFolder, find_unfinished

RUN = "rtn-digits-net-s0-0123456789"


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A store with the checkpoint of a process that is gone."""
    folder = UnfinishedFolder(tmp_path, RUN)
    assert folder.claim(create=True)
    with folder.writing("block.safetensors") as part:
        part.write_bytes(b"12345")
    folder.release()
    return tmp_path


def test_it_is_no_run(left: Path) -> None:
    store = Store(left)
    assert list(store.run_ids()) == []
    assert store.find(RUN) is None
    assert store.list().records == ()
    assert [(item.run_id, item.bytes, item.live) for item in store.unfinished()] == [(RUN, 5, False)]


def test_gc_keeps_what_can_be_continued_unless_it_is_given_up(left: Path) -> None:
    store = Store(left)
    assert store.gc() == ()
    assert store.gc(unfinished=True, minimum_age_seconds=3600) == ()
    (found,) = store.gc(unfinished=True, dry_run=True)
    assert (found.run_id, found.bytes, found.restores) == (RUN, 5, None)
    assert len(find_unfinished(left)) == 1
    assert len(store.gc(unfinished=True)) == 1
    assert list(left.iterdir()) == []


def test_gc_sweeps_what_outlived_its_record(left: Path, record: Record, files: dict[str, bytes]) -> None:
    folder = UnfinishedFolder(left, record.run_id)
    folder.claim(create=True)
    folder.release()
    store = Store(left)
    store.write(record, files)
    assert [item.run_id for item in store.unfinished()] == [RUN]
    assert [item.run_id for item in store.gc()] == [record.run_id]
    assert store.find(record.run_id) == record


def test_gc_leaves_the_living_alone(left: Path) -> None:
    owner = UnfinishedFolder(left, RUN)
    assert owner.claim(create=False)
    assert Store(left).gc(unfinished=True) == ()
    assert [item.live for item in find_unfinished(left)] == [True]
    assert UnfinishedFolder(left, RUN).remove() is False
    owner.release()
    assert UnfinishedFolder(left, RUN).remove() is True


def test_somebody_who_only_looks_does_not_keep_the_owner_out(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looker = UnfinishedFolder(left, RUN)
    assert looker.claim(create=False)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        looker.release()

    monkeypatch.setattr(unfinished_module.time, "sleep", pause)
    assert UnfinishedFolder(left, RUN).claim(create=False)
    assert len(pauses) == 1


def test_a_folder_removed_under_a_waiting_process_is_made_anew(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock of a removed folder must not count: two owners would meet in the next one."""
    first, second = UnfinishedFolder(left, RUN), UnfinishedFolder(left, RUN)
    assert first.claim(create=False)
    monkeypatch.setattr(unfinished_module.time, "sleep", lambda seconds: first.remove())
    assert second.claim(create=True)
    assert [path.name for path in second.path.iterdir()] == ["lock"]
    assert not first.claimed
    monkeypatch.setattr(unfinished_module.time, "sleep", lambda seconds: None)
    assert UnfinishedFolder(left, RUN).claim(create=True) is False


def test_many_claim_and_one_gets_it(tmp_path: Path) -> None:
    folders = [UnfinishedFolder(tmp_path, RUN) for _ in range(8)]
    barrier = threading.Barrier(len(folders))
    got: list[bool] = []

    def claim(folder: UnfinishedFolder) -> None:
        barrier.wait()
        got.append(folder.claim(create=True))

    threads = [threading.Thread(target=claim, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 7 + [True]


@pytest.mark.parametrize("run_id", ["../rtn-digits-net-s0-0123456789", "x", "a/b-s0-0123456789", ""])
def test_ids_from_outside_never_reach_the_disk(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(RecordError):
        UnfinishedFolder(tmp_path, run_id)


@pytest.mark.parametrize("name", ["lock", "x.part", "../x", "a/b"])
def test_file_names_are_checked(left: Path, name: str) -> None:
    with pytest.raises(RecordError):
        UnfinishedFolder(left, RUN).file(name)


def test_nobody_writes_without_a_claim(left: Path) -> None:
    with pytest.raises(RecordError, match="not claimed"), UnfinishedFolder(left, RUN).writing("x.safetensors"):
        pass


def test_links_are_neither_followed_nor_removed(left: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "precious").write_text("stays")
    run_id = "rtn-digits-net-s1-0123456789"
    os.symlink(elsewhere, left / f".unfinished-{run_id}")
    assert [item.run_id for item in find_unfinished(left)] == [RUN]
    assert UnfinishedFolder(left, run_id).claim(create=True) is False
    Store(left).gc(unfinished=True)
    assert (elsewhere / "precious").read_text() == "stays"


def test_the_commands_speak_of_it(left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "--runs", str(left), "list", "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "[]\n"
    assert printed.err == f"unfinished: {RUN}: continues when its command is given again\n"
    assert run(["runs", "--runs", str(left), "gc"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "nothing is left over\n"
    assert printed.err == f"kept: {RUN}: 5 bytes of checkpoints: its command continues it; --unfinished removes it\n"
    assert run(["runs", "--runs", str(left), "gc", "--unfinished"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{RUN}: removed, 5 bytes")
    assert printed.err == ""
    assert list(left.iterdir()) == []
