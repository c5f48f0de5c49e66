"""Studies: running. Cells that are not on record become jobs; each job costs at most its own cell."""

from __future__ import annotations

import json
import math
import signal
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from suite.cards import card_to_yaml, write_whole
from suite.errors import RecordError, StudyError
from suite.records import Store
from suite.studies.cells import Cell
from suite.studies.executor import Ended, Executor, Job
from suite.studies.forecast import Forecast
from suite.studies.journal import Journal, Line
from suite.studies.needs import as_start
from suite.studies.states import (
    OVER,
    CellResult,
    Conditions,
    Present,
    State,
    folder_of,
    key_of,
    known_results,
    result_of,
)
from suite.studies.study import Study

WAIT_SECONDS = 0.5
"""How long one look at the jobs may last before the display is renewed."""
LARGEST_ANSWER_BYTES = 4_000_000
LONGEST_MESSAGE = 500


class Display(AbstractContextManager["Display"], Protocol):
    """Shows how far a study is."""

    def renew(self, results: Mapping[str, CellResult], forecast: Forecast) -> None:
        """Something may have changed; called about twice a second."""
        ...

    def ended(self, result: CellResult, results: Mapping[str, CellResult], forecast: Forecast) -> None:
        """A cell is over."""
        ...


def run_study(
    study: Study,
    size: str,
    cells: Sequence[Cell],
    conditions: Conditions,
    executor: Executor,
    display: Display,
    present: Present = lambda cell: {},
) -> tuple[CellResult, ...]:
    """Run every cell that is not on record, and return what is known of all of them, in their order.

    Whatever ends this (an interrupt too), no job is left behind, and everything that finished is in the journal.
    """
    folder = folder_of(conditions.runs, study.id, size)
    Journal(folder).begin(as_start(conditions.met))
    return run_cells(folder, cells, conditions, executor, display, present)


def run_cells(
    folder: Path,
    cells: Sequence[Cell],
    conditions: Conditions,
    executor: Executor,
    display: Display,
    present: Present = lambda cell: {},
    until: float = math.inf,
) -> tuple[CellResult, ...]:
    """The same for any cells, with their journal in `folder`.

    After `until`, on the clock of `time.monotonic`, no other cell is begun; those that were not stay waiting.
    """
    run = _Run(folder, cells, conditions, executor, display, present, until)
    with display:
        try:
            run.carry_out()
        finally:
            executor.stop()
    return tuple(run.results[cell.id] for cell in cells)


class _Run:
    """The state of a study while it is run."""

    def __init__(
        self,
        folder: Path,
        cells: Sequence[Cell],
        conditions: Conditions,
        executor: Executor,
        display: Display,
        present: Present,
        until: float,
    ) -> None:
        self.until = until
        self.folder, self.conditions, self.executor, self.display = folder, conditions, executor, display
        self.store, self.journal = Store(conditions.runs), Journal(folder)
        self.cells = {cell.id: cell for cell in cells}
        self.results = known_results(cells, self.journal, self.store, conditions, present)
        self.waiting = deque(id for id, result in self.results.items() if result.state not in OVER or result.stale)
        self.running: set[str] = set()
        self.forecast = Forecast(self.journal.lines())

    def carry_out(self) -> None:
        for id in self.waiting:
            self.results[id] = CellResult(self.cells[id], State.WAITING)
        self.renew()
        while self.waiting or self.running:
            if time.monotonic() >= self.until:
                self.waiting.clear()
            while len(self.running) < self.executor.slots and (cell := self.next()) is not None:
                self.start(cell)
            for ended in self.executor.ended(WAIT_SECONDS):
                self.finish(ended)
            self.renew()

    def renew(self) -> None:
        self.forecast.look(self.results.values(), self.executor.slots)
        self.display.renew(self.results, self.forecast)

    def next(self) -> Cell | None:
        """The first waiting cell whose very run is not being computed for another cell; later it finds that record."""
        computed = {key_of(self.cells[id], self.conditions) for id in self.running}
        for id in self.waiting:
            if key_of(self.cells[id], self.conditions) not in computed:
                self.waiting.remove(id)
                return self.cells[id]
        return None

    def start(self, cell: Cell) -> None:
        job = self.job(cell)
        self.journal.append(Line("started", cell.id, key_of(cell, self.conditions), method=cell.card.method.id))
        self.executor.submit(job)
        self.running.add(cell.id)
        self.results[cell.id] = CellResult(cell, State.RUNNING)
        self.forecast.started(cell.id)

    def job(self, cell: Cell) -> Job:
        """`suite evaluate` with the cell's own complete card: the very same run can be had without the study."""
        card = self.folder / "cards" / f"{cell.id}.yaml"
        try:
            card.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StudyError(f"{card.parent} cannot be made: {error.strerror or error}") from error
        write_whole(card, card_to_yaml(cell.card))
        log = self.folder / "logs" / f"{cell.id}.log"
        threads = str(self.conditions.threads)
        return Job(
            id=cell.id,
            arguments=[*evaluate_arguments(cell, self.conditions, card), "--runs", str(self.conditions.runs), "--json"],
            output=log.with_suffix(".json"),
            log=log,
            environment={
                # As many threads as the run declares, in every library, from its first import on.
                **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads),
                "TORCHINDUCTOR_COMPILE_THREADS": threads,
            },
        )

    def finish(self, ended: Ended) -> None:
        cell = self.cells[ended.id]
        result = self.read(cell, ended)
        self.running.discard(cell.id)
        self.results[cell.id] = result
        self.journal.append(
            Line(
                "ended",
                cell.id,
                key_of(cell, self.conditions),
                outcome=result.state.value,
                run_id=result.record.run_id if result.record is not None else "",
                message=result.message,
                seconds=round(ended.seconds, 3),
                method=cell.card.method.id,
            )
        )
        self.forecast.ended(cell, ended.seconds)
        self.forecast.look(self.results.values(), self.executor.slots)
        self.display.ended(result, self.results, self.forecast)

    def read(self, cell: Cell, ended: Ended) -> CellResult:
        """What a job left behind: a record, or the reason why there is none."""
        job_log = self.folder / "logs" / f"{cell.id}.log"
        run_id = _answered_run_id(job_log.with_suffix(".json"))
        if run_id is not None:
            try:
                return result_of(cell, self.store.load(run_id))
            except RecordError as error:
                return CellResult(cell, State.FAILED, message=str(error)[:LONGEST_MESSAGE])
        return CellResult(cell, State.FAILED, message=why_no_record(ended.exit_code, job_log))


def evaluate_arguments(cell: Cell, conditions: Conditions, card: Path) -> list[str]:
    """The arguments of `suite evaluate` for a cell, save where the record goes to."""
    given = conditions.met.weights_of(cell.card)
    parts = ["evaluate", "--card", str(card), "--threads", str(conditions.threads), "--device", conditions.device]
    if given is not None:
        parts += ["--weights", str(given.path)]
    if conditions.data is not None:
        parts += ["--data", str(conditions.data)]
    return parts


def why_no_record(exit_code: int, log: Path) -> str:
    """One line: the signal that ended the job, or the last thing it said."""
    last = _last_line(log)
    if exit_code < 0:
        try:
            name = signal.Signals(-exit_code).name
        except ValueError:
            name = f"signal {-exit_code}"
        memory = "; is there enough memory?" if name == "SIGKILL" else ""
        return f"the process was ended by {name}{memory}"
    if exit_code == 2 and last:
        return last.removeprefix("suite: ")
    return f"the process ended with code {exit_code} and left no record{f': {last}' if last else ''}"


def _answered_run_id(path: Path) -> str | None:
    """The run id in the one JSON object that `suite evaluate --json` prints; None where it printed none."""
    try:
        if path.stat().st_size > LARGEST_ANSWER_BYTES:
            return None
        answer: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    run_id = answer.get("run_id") if isinstance(answer, dict) else None
    return run_id if isinstance(run_id, str) else None


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    said = [" ".join(line.split()) for line in lines if line.strip()]
    text = said[-1] if said else ""
    return "".join(character if character.isprintable() else "?" for character in text)[:LONGEST_MESSAGE]
