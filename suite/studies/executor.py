"""Studies: where jobs run. A small protocol for any engine, and the engine that every machine has: local processes.

A job is one command of the suite in a process of its own, so that a crash, a divergence or a kill costs that job alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

POLL_SECONDS = 0.05
GRACE_SECONDS = 10.0
"""How long a job that was asked to end may take before it is killed."""


@dataclass(frozen=True)
class Job:
    """One command: its arguments after `suite`, what is added to its environment, and the files it writes to."""

    id: str
    arguments: Sequence[str]
    output: Path
    """Standard output, written anew."""
    log: Path
    """Standard error, appended."""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """A job that is over; a negative exit code is the number of the signal that ended it."""

    id: str
    exit_code: int
    seconds: float


class Executor(Protocol):
    """An engine that runs jobs. `suite.studies.executor_contract` holds what every engine must keep."""

    @property
    def slots(self) -> int:
        """How many jobs may run at once; `submit` is called only while fewer do."""
        ...

    def submit(self, job: Job) -> None:
        """Start a job and return at once."""
        ...

    def ended(self, timeout_seconds: float) -> tuple[Ended, ...]:
        """The jobs that ended since the last call, each told once; waits at most so long for the first of them."""
        ...

    def stop(self) -> None:
        """End every running job and wait until it is gone; may be called at any time, and twice."""
        ...


@dataclass
class _Running:
    process: subprocess.Popen[bytes]
    started: float


class LocalExecutor:
    """Jobs as processes of this machine. A job dies with the process that started it, however that one dies."""

    def __init__(self, slots: int, *, grace_seconds: float = GRACE_SECONDS) -> None:
        if slots < 1:
            raise ValueError(f"{slots} jobs at once are none")
        self._slots = slots
        self._grace_seconds = grace_seconds
        self._running: dict[str, _Running] = {}

    @property
    def slots(self) -> int:
        return self._slots

    def submit(self, job: Job) -> None:
        if job.id in self._running:
            raise ValueError(f"the job {job.id} is running already")
        if len(self._running) >= self._slots:
            raise ValueError(f"all {self._slots} slots are taken")
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(_opened(job.output, "wb"))
            log = stack.enter_context(_opened(job.log, "ab"))
            process = subprocess.Popen(
                [sys.executable, "-m", "suite.studies.worker", *job.arguments],
                # The worker ends when this pipe closes, which even a kill of this process does.
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=log,
                env={**os.environ, **job.environment},
                # A session of its own: Ctrl-C reaches the study, which then decides about its jobs.
                start_new_session=True,
            )
        self._running[job.id] = _Running(process, time.monotonic())

    def ended(self, timeout_seconds: float) -> tuple[Ended, ...]:
        until = time.monotonic() + timeout_seconds
        while True:
            found = self._collect()
            if found or not self._running or time.monotonic() >= until:
                return found
            time.sleep(min(POLL_SECONDS, max(0.0, until - time.monotonic())))

    def stop(self) -> None:
        for running in self._running.values():
            _signal_group(running.process, signal.SIGTERM)
        until = time.monotonic() + self._grace_seconds
        for running in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.process.wait(max(0.0, until - time.monotonic()))
            # The group again: a job's own children may have outlived it.
            _signal_group(running.process, signal.SIGKILL)
            running.process.wait()
            _close(running.process)
        self._running.clear()

    def _collect(self) -> tuple[Ended, ...]:
        found = []
        for id, running in list(self._running.items()):
            code = running.process.poll()
            if code is not None:
                _close(running.process)
                del self._running[id]
                found.append(Ended(id, code, time.monotonic() - running.started))
        return tuple(found)


def _opened(path: Path, mode: str) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open(mode)


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
