"""Reading wing, records: hidden folders that writers leave when they die, and how to tell the dead from the living.

A temporary folder is called `.<kind>-<run id>-<machine>-<process>-<birth>-<token>`. The machine is a hash (a store may
be shared over a network, and names of machines do not belong into it), `birth` is when the process started, so that a
process number that has been given to somebody else is not mistaken for the writer.
"""

from __future__ import annotations

import hashlib
import platform
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from suite.records.ids import is_run_id

FOREIGN_AGE_SECONDS = 86_400.0
"""A process of another machine cannot be asked whether it lives; after a day without a change it counts as dead."""

_NAME = re.compile(
    r"\.(?P<kind>writing|replaced|discarded)-(?P<run_id>.+)-(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-(?P<birth>\d+)-[0-9a-f]{8}"
)


@dataclass(frozen=True)
class Leftover:
    """A temporary folder whose writer is gone."""

    name: str
    run_id: str
    age_seconds: float
    bytes: int
    restores: str | None
    """The run that gets its name back, when its replacement was never finished."""


def temporary_name(kind: str, run_id: str) -> str:
    """A new name for a temporary folder of this process; `kind` is "writing", "replaced" or "discarded"."""
    process = psutil.Process()
    birth = int(process.create_time())
    return f".{kind}-{run_id}-{_machine()}-{process.pid}-{birth}-{secrets.token_hex(4)}"


def find_leftovers(root: Path, minimum_age_seconds: float) -> tuple[Leftover, ...]:
    """Temporary folders of dead processes, oldest name first; other files are nobody's business here."""
    found: list[Leftover] = []
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match is None or not is_run_id(match["run_id"]) or path.is_symlink() or not path.is_dir():
            continue
        age = _age_seconds(path)
        foreign = match["machine"] != _machine()
        alive = not foreign and _alive(int(match["process"]), int(match["birth"]))
        if alive or age < minimum_age_seconds or (foreign and age < FOREIGN_AGE_SECONDS):
            continue
        orphan = match["kind"] == "replaced" and not (root / match["run_id"]).exists()
        size = sum(item.stat().st_size for item in path.rglob("*") if item.is_file() and not item.is_symlink())
        found.append(Leftover(path.name, match["run_id"], age, size, match["run_id"] if orphan else None))
    return tuple(found)


def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _alive(process: int, birth: int) -> bool:
    try:
        # One second of slack: the start time is derived from a clock that may be corrected meanwhile.
        return abs(int(psutil.Process(process).create_time()) - birth) <= 1
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def _age_seconds(path: Path) -> float:
    """Seconds since the last change of the folder or of anything in it."""
    newest = max([path.stat().st_mtime, *(item.lstat().st_mtime for item in path.iterdir())])
    return max(0.0, time.time() - newest)
