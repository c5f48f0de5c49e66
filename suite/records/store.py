"""Reading wing, records: the store, one folder a run.

A run is written to a hidden sibling folder, every byte is flushed to the disk, and only then the folder gets its name.
So a folder with a run's name is always whole: a crash, a full disk or a second process leaves at worst a hidden
leftover that `gc` removes. Two processes that finish the same run at the same moment: the first keeps the name, the
other finds it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from suite.errors import RecordError
from suite.records.ids import check_file_name, check_run_id, is_run_id
from suite.records.leftovers import Leftover, find_leftovers, temporary_name
from suite.records.outcomes import Outcomes, unpack_outcomes
from suite.records.plain import MAXIMUM_JSON_BYTES, parse_json, pretty_json
from suite.records.record import Record
from suite.records.unfinished import Unfinished, UnfinishedFolder, find_unfinished
from suite.registry import suggestion

RECORD = "record.json"
MANIFEST = "manifest.json"
MAXIMUM_FILE_BYTES = 2**30

__all__ = ["Damaged", "Leftover", "Listing", "Store", "Unfinished", "Verification", "default_root"]


def default_root() -> Path:
    """Where runs are kept unless told otherwise: `$SUITE_RUNS`, or `runs` in the working directory."""
    return Path(os.environ.get("SUITE_RUNS") or "runs")


@dataclass(frozen=True)
class Damaged:
    """A folder with a run's name whose record cannot be read."""

    run_id: str
    problem: str


@dataclass(frozen=True)
class Listing:
    """All runs of a store: the readable ones, by id, and the damaged ones."""

    records: tuple[Record, ...]
    damaged: tuple[Damaged, ...]


@dataclass(frozen=True)
class Verification:
    """What `verify` found on one run; no problem means that every byte is as it was written."""

    run_id: str
    problems: tuple[str, ...]

    @property
    def sound(self) -> bool:
        return not self.problems


class Store:
    """The runs under one folder. Reading never creates anything; the folder appears with the first run."""

    def __init__(self, root: Path | str | None = None) -> None:
        self.root = Path(root) if root is not None else default_root()

    def folder(self, run_id: str) -> Path:
        return self.root / check_run_id(run_id)

    def find(self, run_id: str) -> Record | None:
        """The record of a run, or None when there is none. A record that cannot be read is an error, not a miss."""
        folder = self.folder(run_id)
        if not folder.is_dir():
            return None
        record = Record.from_json(read_bounded(folder / RECORD, MAXIMUM_JSON_BYTES), f"{run_id}/{RECORD}")
        if record.run_id != run_id:
            raise RecordError(f"{run_id}/{RECORD} is the record of another run, {record.run_id}")
        return record

    def load(self, run_id: str) -> Record:
        """The record of a run that must exist."""
        record = self.find(run_id)
        if record is None:
            raise RecordError(f"no run is called '{run_id}'", hint=suggestion(run_id, list(self.run_ids())))
        return record

    def resolve(self, text: str) -> str:
        """The run id that `text` means: the whole id, its unique beginning, or its hash."""
        known = list(self.run_ids())
        if text in known:
            return text
        near = [run_id for run_id in known if text and (run_id.startswith(text) or run_id.rpartition("-")[2] == text)]
        if len(near) == 1:
            return near[0]
        if near:
            raise RecordError(f"'{text[:80]}' may mean {len(near)} runs", hint=f"for example {near[0]} or {near[1]}")
        hint = suggestion(text, known) if known else f"there are no runs in {self.root}"
        raise RecordError(f"no run is called '{text[:80]}'", hint=hint)

    def run_ids(self) -> Iterator[str]:
        """The ids of all folders that bear a run's name, sorted."""
        try:
            entries = sorted(self.root.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise RecordError(f"{self.root} cannot be read: {error.strerror}") from error
        yield from (entry.name for entry in entries if is_run_id(entry.name) and entry.is_dir())

    def list(self) -> Listing:
        """Every run. A damaged one is reported beside the others and stops nothing."""
        records: list[Record] = []
        damaged: list[Damaged] = []
        for run_id in self.run_ids():
            try:
                records.append(self.load(run_id))
            except RecordError as error:
                damaged.append(Damaged(run_id, str(error)))
        return Listing(tuple(records), tuple(damaged))

    def outcomes(self, run_id: str) -> Outcomes | None:
        """The per-example outcomes of a run, or None when it left none."""
        record = self.load(run_id)
        if record.outcomes is None:
            return None
        path = self.folder(run_id) / record.outcomes
        if not path.is_file() or path.is_symlink():
            raise RecordError(f"{run_id} has lost its file {record.outcomes}")
        return unpack_outcomes(path)

    def write(self, record: Record, files: Mapping[str, bytes] | None = None, *, replace: bool = False) -> Path:
        """Keep a run and its files, all or nothing; returns its folder.

        If the run is there already, it stays as it is (the first wins) unless `replace` is given.
        """
        folder = self.folder(record.run_id)
        contents = {RECORD: record.to_json().encode("utf-8")}
        for name, content in (files or {}).items():
            if check_file_name(name) in (RECORD, MANIFEST):
                raise RecordError(f"'{name}' is written by the store itself")
            contents[name] = content
        if record.outcomes is not None and record.outcomes not in contents:
            raise RecordError(f"the record names {record.outcomes}, which is not among the files")
        if folder.exists() and not replace:
            return folder
        contents[MANIFEST] = _manifest(contents)
        temporary = self.root / temporary_name("writing", record.run_id)
        try:
            temporary.mkdir(parents=True)
            for name, content in contents.items():
                _write_durably(temporary / name, content)
            _flush_folder(temporary)
            self._give_name(temporary, folder, record.run_id, replace)
        except OSError as error:
            raise RecordError(
                f"the run cannot be written into {self.root}: {error.strerror}",
                hint="free the disk or choose another folder",
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return folder

    def _give_name(self, temporary: Path, folder: Path, run_id: str, replace: bool) -> None:
        """Rename, with the old run moved aside first when it is replaced; `gc` brings back one whose writer died."""
        aside = self.root / temporary_name("replaced", run_id)
        if replace:
            with contextlib.suppress(FileNotFoundError):
                os.rename(folder, aside)
        try:
            os.rename(temporary, folder)
        except BaseException as error:
            if not folder.exists() and aside.exists():
                os.rename(aside, folder)
            another_was_first = isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST)
            if not another_was_first:
                raise
        _flush_folder(self.root)
        shutil.rmtree(aside, ignore_errors=True)

    def verify(self, run_id: str) -> Verification:
        """Check a run against its manifest: nothing missing, nothing changed, nothing added, everything readable."""
        folder = self.folder(run_id)
        problems: list[str] = []
        try:
            self.load(run_id)
            expected = _read_manifest(folder / MANIFEST, run_id)
        except RecordError as error:
            return Verification(run_id, (str(error),))
        for name, (size, digest) in expected.items():
            path = folder / name
            if path.is_symlink() or not path.is_file():
                problems.append(f"{name} is missing")
            elif path.stat().st_size != size:
                problems.append(f"{name} has {path.stat().st_size} bytes, was written with {size}")
            elif _file_digest(path) != digest:
                problems.append(f"{name} has been changed since it was written")
        extra = {entry.name for entry in folder.iterdir()} - set(expected) - {MANIFEST}
        problems += [f"{name} was added after the run was written" for name in sorted(extra)]
        try:
            self.outcomes(run_id)
        except RecordError as error:
            problems.append(str(error))
        return Verification(run_id, tuple(problems))

    def unfinished(self) -> tuple[Unfinished, ...]:
        """Runs that were begun and can be continued, those that somebody works on right now among them."""
        return tuple(item for item in find_unfinished(self.root) if not item.recorded or item.live)

    def gc(
        self, *, minimum_age_seconds: float = 0.0, dry_run: bool = False, unfinished: bool = False
    ) -> tuple[Leftover, ...]:
        """Remove what dead processes left half-written; a replaced run whose successor never came gets its name back.

        Folders of living processes, and young ones of other machines, are left alone and not reported. So are
        checkpoints that a run could continue from, unless `unfinished` gives them up too.
        """
        leftovers = find_leftovers(self.root, minimum_age_seconds)
        abandoned = [
            item
            for item in find_unfinished(self.root)
            if not item.live and (unfinished or item.recorded) and item.age_seconds >= minimum_age_seconds
        ]
        if not dry_run:
            abandoned = [item for item in abandoned if UnfinishedFolder(self.root, item.run_id).remove()]
        for leftover in leftovers if not dry_run else ():
            path = self.root / leftover.name
            if leftover.restores is not None:
                with contextlib.suppress(OSError):
                    os.rename(path, self.root / leftover.restores)
            shutil.rmtree(path, ignore_errors=True)
        return (*leftovers, *(item.as_leftover() for item in abandoned))


def _manifest(contents: Mapping[str, bytes]) -> bytes:
    files = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
    }
    return pretty_json({"manifest": 1, "files": files}, MANIFEST).encode("utf-8")


def _read_manifest(path: Path, run_id: str) -> dict[str, tuple[int, str]]:
    where = f"{run_id}/{MANIFEST}"
    document = parse_json(read_bounded(path, MAXIMUM_JSON_BYTES), where)
    files = document.get("files") if isinstance(document, dict) and document.get("manifest") == 1 else None
    if not isinstance(files, dict) or RECORD not in files:
        raise RecordError(f"{where} is not a manifest")
    result: dict[str, tuple[int, str]] = {}
    for name, entry in files.items():
        size, digest = (entry.get("bytes"), entry.get("sha256")) if isinstance(entry, dict) else (None, None)
        if not isinstance(size, int) or not isinstance(digest, str):
            raise RecordError(f"{where} does not say size and hash of {name}")
        result[check_file_name(name)] = (size, digest)
    return result


def read_bounded(path: Path, limit: int) -> bytes:
    """The content of a regular file of bounded size, opened without following a link out of the store."""
    where = f"{path.parent.name}/{path.name}"
    try:
        if path.is_symlink() or path.parent.is_symlink():
            raise RecordError(f"{where} is a link; a store holds files")
        if path.stat().st_size > limit:
            raise RecordError(f"{where} has {path.stat().st_size} bytes, more than the {limit} allowed")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise RecordError(f"{where} is missing") from error
    except OSError as error:
        raise RecordError(f"{where} cannot be read: {error.strerror}") from error


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make the names in a folder durable. Some systems cannot open folders; there the rename alone must do."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
