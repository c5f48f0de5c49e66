"""Tasks: the vault that keeps test images out of reach while a method runs.

The seal belongs to the process, not to a thread or a task object: loading the task anew, or asking from another thread,
does not get around it. Attempts are counted even when the method swallows the error, so the harness can report them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from suite.errors import DataAccessError


@dataclass
class Seal:
    """One closed period of the vault, and the tasks whose test split was asked for while it lasted."""

    attempts: list[str] = field(default_factory=list)


_lock = threading.Lock()
_seals: list[Seal] = []


@contextmanager
def sealed() -> Iterator[Seal]:
    """Close every test split of the process until the end of the block; seals nest."""
    seal = Seal()
    with _lock:
        _seals.append(seal)
    try:
        yield seal
    finally:
        with _lock:
            # By identity: seals compare equal by their attempts.
            _seals[:] = [other for other in _seals if other is not seal]


def is_sealed() -> bool:
    """Whether a method is running, so that no test example may be read."""
    return bool(_seals)


def require_open(task: str) -> None:
    """Refuse, and write the attempt down, when the test split of `task` is asked for under a seal."""
    with _lock:
        for seal in _seals:
            seal.attempts.append(task)
        closed = bool(_seals)
    if closed:
        raise DataAccessError(
            f"the test split of '{task}' is sealed while a method runs",
            axis="checkpoint",
            hint="a method may look at the data its workbench hands out, and at nothing else",
        )
