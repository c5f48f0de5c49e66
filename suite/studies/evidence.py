"""Studies: what the records of a study say, gathered for comparing: outcomes of every cell that may be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from suite.errors import RecordError
from suite.records import Record, Store
from suite.statistics import Interval, IntervalAt, combined_difference, combined_score
from suite.studies.matching import Group
from suite.studies.states import CellResult, State


@dataclass(frozen=True, eq=False)
class Measured:
    """A group whose cells all completed and were not contradicted: outcomes (one row a seed) on the same examples."""

    outcomes: tuple[NDArray[np.bool_], ...]
    float_outcomes: NDArray[np.bool_]
    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    records: tuple[Record, ...]
    data: str

    def score(self, confidence: float = 0.95) -> Interval:
        return combined_score(self.outcomes, confidence)

    def loss(self, confidence: float = 0.95) -> Interval:
        """Mean score − score of the float model."""
        if len(self.seeds) == 1:
            return combined_difference([self.float_outcomes], self.outcomes, paired_seeds=False, confidence=confidence)
        floats = [self.float_outcomes] * len(self.seeds)
        return combined_difference(floats, self.outcomes, paired_seeds=True, confidence=confidence)


@dataclass(frozen=True)
class Missing:
    """A group that cannot be compared: the cell that stands against it, and why."""

    cell: str
    why: str

    @property
    def reason(self) -> str:
        return f"{self.cell}: {self.why}"


class Evidence:
    """Everything measured so far, by group; outcomes are read once."""

    def __init__(self, results: Sequence[CellResult], store: Store) -> None:
        self._results: Mapping[str, CellResult] = {result.cell.id: result for result in results}
        self._store = store
        self.measured = cache(self._measured)

    def results_of(self, group: Group) -> list[CellResult]:
        return [self._results[cell.id] for cell in group.cells if cell.id in self._results]

    def _measured(self, group_id: str, seeds: tuple[int, ...]) -> Measured | Missing:
        held = [self._results.get(f"{group_id}.s{seed}") for seed in seeds]
        outcomes, floats, records = [], [], []
        for seed, result in zip(seeds, held, strict=True):
            if result is None or result.state is not State.COMPLETED or result.record is None:
                state = State.WAITING if result is None else result.state
                told = {State.WAITING: "not run yet", State.RUNNING: "still running"}.get(state, state.value)
                return Missing(f"{group_id}.s{seed}", told)
            record = result.record
            if record.audit is not None and record.audit["verdict"] == "contradicted":
                return Missing(f"{group_id}.s{seed}", "the audit contradicts its card")
            try:
                found = self._store.outcomes(record.run_id)
            except RecordError as error:
                return Missing(f"{group_id}.s{seed}", str(error))
            if found is None or len(found) == 0 or record.score is None:
                return Missing(f"{group_id}.s{seed}", "its record holds no outcomes")
            outcomes.append(found.correct)
            floats.append(found.float_correct)
            records.append(record)
        data = {f"{record.task} {record.identity.get('data')}" for record in records}
        if len(data) != 1 or len({row.size for row in outcomes}) != 1:
            return Missing(group_id, "its seeds answered different examples")
        scores = tuple(float(row.mean()) for row in outcomes)
        return Measured(tuple(outcomes), floats[0], seeds, scores, tuple(records), data.pop())

    def of(self, group: Group) -> Measured | Missing:
        return self.measured(group.id, tuple(cell.seed for cell in group.cells))

    def difference(self, first: Measured, second: Measured, confidence: float = 0.95) -> Interval | None:
        """score(second) − score(first); None where they did not answer the same examples."""
        at = self.between(first, second)
        return None if at is None else at(confidence)

    def between(self, first: Measured, second: Measured) -> IntervalAt | None:
        """The same difference at any confidence, each of them computed once."""
        if first.data != second.data or first.float_outcomes.size != second.float_outcomes.size:
            return None

        @cache
        def at(confidence: float) -> Interval:
            # The same seeds draw the same calibration examples, so what a seed does to both sides cancels.
            return combined_difference(
                first.outcomes, second.outcomes, paired_seeds=first.seeds == second.seeds, confidence=confidence
            )

        return at
