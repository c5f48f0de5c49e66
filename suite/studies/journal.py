"""Studies: the journal, an append-only file that says which cells were started and how they ended.

Every start of a study says first what it was given. Each line is one JSON object, flushed to the disk before the study
goes on, so that a study that is killed at any moment knows afterwards what it had finished. A line that was torn by the
kill is not read. The journal only remembers run ids: the results themselves are the records of the runs, and where they
disagree the records are right.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from suite.errors import StudyError

FILE, LOCK = "journal.jsonl", "lock"
BEGUN = "begun"
LARGEST_LINE_BYTES = 65_536
LOOK_SECONDS = 0.1
"""Whoever asks whether a folder is held holds it for a moment; a start waits that long and tries once more."""


@dataclass(frozen=True)
class Line:
    """One event of one cell."""

    event: str
    """`started` or `ended`."""
    cell: str
    key: str
    """Hash of what decides the cell's run; a changed study has other keys under the same cell ids."""
    outcome: str = ""
    run_id: str = ""
    message: str = ""
    seconds: float = 0.0
    method: str = ""
    at: str = ""


@dataclass(frozen=True)
class Start:
    """A start of the study, and the hashes of what it was given: the cells are looked up under them."""

    weights: Mapping[str, str] = field(default_factory=dict)
    """`MODEL/FILE` -> hash of the file."""
    data: Mapping[str, str] = field(default_factory=dict)
    """Task -> hash of its data."""


NOTHING_GIVEN = Start()


class Journal:
    """The journal of one study at one size."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def begin(self, start: Start) -> None:
        """Say that the study is started, and with what; cells that are open before this line are run by nobody."""
        self._write({"event": BEGUN, **asdict(start)})

    def append(self, line: Line) -> None:
        """Add a line and wait until it is on the disk."""
        self._write(asdict(line))

    def lines(self) -> tuple[Line, ...]:
        """Every whole line about a cell, in order; what is no line of a journal is passed over."""
        return tuple(held for held in self._entries() if isinstance(held, Line))

    def last_ended(self) -> dict[str, Line]:
        """Key -> the last line that says how that cell ended."""
        return {line.key: line for line in self.lines() if line.event == "ended"}

    def last_start(self) -> Start:
        """What the study was given when it was last started; nothing where that is not on record."""
        return next((held for held in reversed(self._entries()) if isinstance(held, Start)), NOTHING_GIVEN)

    def left_open(self) -> dict[str, str]:
        """Cell -> key of every cell that the last start of the study began and has not ended."""
        found: dict[str, str] = {}
        for held in self._entries():
            if isinstance(held, Start):
                found.clear()
            elif held.event == "started":
                found[held.cell] = held.key
            elif held.event == "ended":
                found.pop(held.cell, None)
        return found

    def _entries(self) -> tuple[Line | Start, ...]:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StudyError(f"{self.path} cannot be read: {error.strerror or error}") from error
        found = (_read(text) for text in content.split(b"\n"))
        return tuple(held for held in found if held is not None)

    def _write(self, line: Mapping[str, Any]) -> None:
        held = {**line, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        content = (json.dumps(held, ensure_ascii=False, allow_nan=False) + "\n").encode()
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                if _is_torn(descriptor):  # end the torn line, or the new one would be lost with it
                    content = b"\n" + content
                os.write(descriptor, content)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StudyError(f"{self.path} cannot be written: {error.strerror or error}") from error


@contextmanager
def locked(folder: Path, study: str) -> Iterator[None]:
    """Hold the study's folder for this process; the system lets go of it when the process ends, however it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("ab")
    except OSError as error:
        raise StudyError(f"{folder} cannot be used: {error.strerror or error}") from error
    with file:
        taken = _taken(file, fcntl.LOCK_EX)
        if not taken:
            time.sleep(LOOK_SECONDS)
            taken = _taken(file, fcntl.LOCK_EX)
        if not taken:
            raise StudyError(
                f"another process is running the study '{study}' here",
                hint="`suite study status` shows how far it is; use another --runs to run it beside",
            )
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)


def is_held(folder: Path) -> bool:
    """Whether a living process holds a study's folder."""
    try:
        with (folder / LOCK).open("rb") as file:
            return not _taken(file, fcntl.LOCK_SH)
    except OSError:
        return False


def _taken(file: IO[bytes], kind: int) -> bool:
    """Take a lock if nobody else has it; closing the file lets go of it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return False
    return True


def _is_torn(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"


def _read(text: bytes) -> Line | Start | None:
    if not text.strip() or len(text) > LARGEST_LINE_BYTES:
        return None
    try:
        held: Any = json.loads(text)
        if not isinstance(held, dict):
            return None
        if held.get("event") == BEGUN:
            start = Start(held.get("weights", {}), held.get("data", {}))
            return start if _hashes(start.weights) and _hashes(start.data) else None
        return Line(**held) if _typed(held) else None
    except (ValueError, TypeError, RecursionError):
        return None


def _hashes(held: object) -> bool:
    return isinstance(held, dict) and all(isinstance(value, str) for value in held.values())


def _typed(held: dict[str, Any]) -> bool:
    numbers = isinstance(held.get("seconds", 0.0), int | float)
    return numbers and all(isinstance(value, str) for name, value in held.items() if name != "seconds")
