"""Reading wing, records: folders of unfinished runs, where a killed run leaves what it can continue from.

Such a folder is called `.unfinished-<run id>` and lies beside the finished runs. Whoever works on the run holds a lock
in it. The system drops the lock when that process dies, however it dies, so a folder that can be locked has no owner;
two processes that work on one run at the same time cannot both write into it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from suite.errors import RecordError
from suite.records.ids import check_file_name, check_run_id, is_run_id
from suite.records.leftovers import Leftover, temporary_name

try:
    import fcntl
except ImportError:  # pragma: no cover - a system without such locks: runs work there, and always start anew
    fcntl = None  # type: ignore[assignment]

PREFIX = ".unfinished-"
LOCK = "lock"
PART = ".part"
LOCK_ATTEMPTS, LOCK_PAUSE_SECONDS = 4, 0.05


@dataclass(frozen=True)
class Unfinished:
    """A run that was begun and has no record yet, or whose folder outlived its record."""

    run_id: str
    age_seconds: float
    """Seconds since something was last saved."""
    bytes: int
    live: bool
    """Whether a process is at work on it."""
    recorded: bool
    """Whether the run has a record, so that nobody will ever continue this."""

    def as_leftover(self) -> Leftover:
        """The same as something that is swept away."""
        return Leftover(f"{PREFIX}{self.run_id}", self.run_id, self.age_seconds, self.bytes, None)


class UnfinishedFolder:
    """The unfinished folder of one run. Nothing is created before `claim` is asked to."""

    def __init__(self, root: Path, run_id: str) -> None:
        self.root = root
        self.run_id = check_run_id(run_id)
        self.path = root / f"{PREFIX}{run_id}"
        self._lock: int | None = None

    @property
    def claimed(self) -> bool:
        return self._lock is not None

    def claim(self, *, create: bool) -> bool:
        """Take the folder for this process, making it where `create` says so; False where another process has it."""
        if self.claimed:
            return True
        if fcntl is None or self.path.is_symlink() or not (create or self.path.is_dir()):
            return False
        while True:
            if create:
                self.path.mkdir(parents=True, exist_ok=True)
            try:
                lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
            except FileNotFoundError:
                if create:
                    continue  # its last owner removed it between the two lines
                return False
            if not _locked(lock):
                os.close(lock)
                return False
            if self._is_current(lock):
                self._lock = lock
                return True
            os.close(lock)  # locked a folder that its last owner removed meanwhile

    def _is_current(self, lock: int) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(lock), os.stat(self.path / LOCK))
        return False

    def release(self) -> None:
        """Let other processes have it; what is in it stays."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def remove(self) -> bool:
        """Delete it, and let go; False where another process is at work in it."""
        if not self.path.is_dir() or not self.claim(create=False):
            self.release()
            return not self.path.is_dir()
        # Renamed first: a process that starts now makes a folder of its own, and nothing of it is deleted here.
        aside = self.root / temporary_name("discarded", self.run_id)
        try:
            os.rename(self.path, aside)
        except OSError as error:
            raise RecordError(f"{self.path} cannot be removed: {error.strerror}") from error
        finally:
            self.release()
        shutil.rmtree(aside, ignore_errors=True)
        return True

    def file(self, name: str) -> Path:
        """Where the file `name` of this folder lies; a name that leaves the folder is refused."""
        if check_file_name(name) == LOCK or name.endswith(PART):
            raise RecordError(f"'{name}' is used by the store itself")
        return self.path / name

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A path to write to; when the block ends well, its content replaces the file `name`, flushed and whole."""
        if not self.claimed:
            raise RecordError(f"{self.run_id} is not claimed by this process")
        final = self.file(name)
        part = final.with_name(final.name + PART)
        try:
            yield part
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(part, final)
        finally:
            part.unlink(missing_ok=True)

    def bytes(self) -> int:
        """What its files occupy."""
        with contextlib.suppress(FileNotFoundError):
            return sum(item.lstat().st_size for item in self.path.iterdir())
        return 0


def _locked(lock: int) -> bool:
    """Try for a moment: somebody who only lists the store holds a lock too, for as long as it takes to look."""
    for attempt in range(LOCK_ATTEMPTS):
        if attempt:
            time.sleep(LOCK_PAUSE_SECONDS)
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def find_unfinished(root: Path) -> tuple[Unfinished, ...]:
    """All unfinished folders of a store, by run id."""
    found: list[Unfinished] = []
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        run_id = path.name.removeprefix(PREFIX)
        if run_id == path.name or not is_run_id(run_id) or path.is_symlink() or not path.is_dir():
            continue
        folder = UnfinishedFolder(root, run_id)
        live = not folder.claim(create=False)
        folder.release()
        with contextlib.suppress(FileNotFoundError):  # finished and removed while it is looked at
            newest = max(item.lstat().st_mtime for item in (path, *path.iterdir()))
            age = max(0.0, time.time() - newest)
            found.append(Unfinished(run_id, age, folder.bytes(), live, (root / run_id).is_dir()))
    return tuple(found)
