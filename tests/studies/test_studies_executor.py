"""The local executor keeps the contract, and its jobs die with whoever started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from suite.studies.executor import Executor, Job, LocalExecutor
from suite.studies.executor_contract import ExecutorContract


class TestLocalExecutor(ExecutorContract):
    def make(self, slots: int) -> Executor:
        return LocalExecutor(slots, grace_seconds=5.0)


def test_no_slots_are_refused():
    with pytest.raises(ValueError, match="0 jobs"):
        LocalExecutor(0)


def test_more_jobs_than_slots_are_refused(tmp_path: Path):
    executor = LocalExecutor(1)
    first, second = (
        Job(id, ["--version"], tmp_path / f"{id}.out", tmp_path / f"{id}.log") for id in ("first", "second")
    )
    executor.submit(first)
    with pytest.raises(ValueError, match="slots"):
        executor.submit(second)
    executor.stop()


PARENT = """
import sys, time
from pathlib import Path
from suite.studies.executor import Job, LocalExecutor

folder = Path(sys.argv[1])
executor = LocalExecutor(1)
executor.submit(Job("endless", ["--version"], folder / "out", folder / "log", {"PYTHONPATH": str(folder)}))
while True:
    time.sleep(1)
"""


def test_a_job_dies_with_a_study_that_is_killed(tmp_path: Path):
    """The study is killed with a signal that nobody can catch; its job must not live on."""
    note = tmp_path / "process"
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, pathlib, sys\nif 'suite.studies.worker' in sys.orig_argv:\n"
        f"    pathlib.Path({str(note)!r}).write_text(str(os.getpid()))\n"
        # After the worker has begun to watch: in a thread of its own, so that the worker goes on.
        "    import threading, time\n"
        "    threading.Thread(target=lambda: [time.sleep(1) for _ in range(600)]).start()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stderr=subprocess.DEVNULL)
    try:
        job = _number_in(note)
        os.kill(job, 0)  # it lives
        parent.send_signal(signal.SIGKILL)
        parent.wait(timeout=30)
        assert _gone(job), "the job outlived its study"
    finally:
        parent.kill()


def _number_in(path: Path) -> int:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if path.exists() and path.read_text():
            return int(path.read_text())
        time.sleep(0.02)
    raise AssertionError("the job never began")


def _gone(process: int) -> bool:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        if _is_zombie(process):
            return True
        time.sleep(0.02)
    return False


def _is_zombie(process: int) -> bool:
    """Dead, and not yet collected by whoever adopted it."""
    try:
        return ") Z " in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
