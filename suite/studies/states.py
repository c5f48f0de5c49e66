"""Studies: how far a study is. Which cells are on record, which diverged or failed, which are still to be run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from suite.errors import RecordError
from suite.records import Record, Status, Store
from suite.records.identity import why_stale
from suite.records.plain import digest_of
from suite.studies.cells import Cell
from suite.studies.journal import Journal, is_held
from suite.studies.needs import Met


class State(StrEnum):
    """Where a cell stands."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    DIVERGED = "diverged"
    FAILED = "failed"


OVER = (State.COMPLETED, State.DIVERGED)
"""States that a later start of the study leaves as they are; a failed cell is tried again."""


@dataclass(frozen=True)
class Conditions:
    """Under which conditions the cells are run: where to, with what, and on what."""

    runs: Path
    met: Met = field(default_factory=Met)
    data: Path | None = None
    threads: int = 1
    device: str = "cpu"


@dataclass(frozen=True)
class CellResult:
    """A cell and what is known of its run."""

    cell: Cell
    state: State
    record: Record | None = None
    message: str = ""
    stale: str = ""
    """What has changed since the run, if anything: the record is of other code, data or weights than today's."""

    @property
    def seconds(self) -> float | None:
        """What the method took, as the record says."""
        held = self.record.costs.get("seconds") if self.record is not None else None
        return float(held) if isinstance(held, int | float) else None


Present = Callable[[Cell], Mapping[str, object]]
"""The parts of a cell's identity that are at hand without running anything, such as the hash of shipped weights."""


def folder_of(runs: Path, study: str, size: str) -> Path:
    """Where a study keeps its journal, its cards and its logs: beside the runs, in a folder that no run can have."""
    return runs / "studies" / f"{study}-{size}"


def key_of(cell: Cell, conditions: Conditions) -> str:
    """Hash of what is asked for: the cell's card, and the conditions that are part of a run's identity."""
    given = conditions.met.weights_of(cell.card)
    return digest_of(
        {
            "card": cell.digest,
            "weights": given.sha256 if given is not None else None,
            "data": conditions.met.data.get(cell.card.task or ""),
            "threads": conditions.threads,
            "device": conditions.device,
        }
    )


def known_results(
    cells: Sequence[Cell], journal: Journal, store: Store, conditions: Conditions, present: Present
) -> dict[str, CellResult]:
    """Cell id -> what is on record of it; cells that were never finished are waiting.

    A record of other code than today's is told, with what has changed: a report may show it, a run measures it again.
    """
    ended = journal.last_ended()
    results = {}
    for cell in cells:
        line = ended.get(key_of(cell, conditions))
        result = CellResult(cell, State.WAITING)
        if line is not None and line.run_id:
            result = _from_record(cell, store, line.run_id, {**_parts(cell, conditions), **present(cell)})
        if result.state is State.WAITING and line is not None and line.outcome == State.FAILED:
            result = CellResult(cell, State.FAILED, result.record, line.message)
        results[cell.id] = result
    return results


def with_running(
    results: Mapping[str, CellResult], folder: Path, journal: Journal, conditions: Conditions
) -> dict[str, CellResult]:
    """The same, with those cells as running that a living process is at: it began them, and they have not ended."""
    begun = journal.left_open() if is_held(folder) else {}
    return {
        id: CellResult(held.cell, State.RUNNING) if begun.get(id) == key_of(held.cell, conditions) else held
        for id, held in results.items()
    }


def result_of(cell: Cell, record: Record) -> CellResult:
    """The result that a record stands for."""
    states = {Status.COMPLETED: State.COMPLETED, Status.DIVERGED: State.DIVERGED, Status.FAILED: State.FAILED}
    return CellResult(cell, states[record.status], record, record.message)


def counts(results: Iterable[CellResult]) -> dict[State, int]:
    """How many cells are in each state."""
    held = [result.state for result in results]
    return {state: held.count(state) for state in State}


def _from_record(cell: Cell, store: Store, run_id: str, present: Mapping[str, object]) -> CellResult:
    try:
        record = store.find(run_id)
    except RecordError as error:
        return CellResult(cell, State.WAITING, message=str(error))
    if record is None:
        return CellResult(cell, State.WAITING)
    changes = why_stale(record, present).changes
    more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
    return dataclasses.replace(result_of(cell, record), stale=f"{changes[0]}{more}" if changes else "")


def _parts(cell: Cell, conditions: Conditions) -> dict[str, object]:
    parts: dict[str, object] = {"threads": conditions.threads}
    if conditions.device in ("cpu", "cuda"):
        parts["device"] = conditions.device
    given = conditions.met.weights_of(cell.card)
    if given is not None:
        parts["weights"] = given.sha256
    identity = conditions.met.data.get(cell.card.task or "")
    if identity is not None:
        parts["data"] = identity
    return parts
