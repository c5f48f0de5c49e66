"""Studies: how fast a study advances, and how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from suite.studies.cells import Cell
from suite.studies.journal import Line
from suite.studies.states import OVER, CellResult, State


class Forecast:
    """Rate and time left, from what cells of the same method took: methods differ a hundredfold."""

    def __init__(self, lines: Sequence[Line] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._started: dict[str, float] = {}
        self._seconds: dict[str, list[float]] = {}
        self._finished = 0
        self.seconds_left: float | None = None
        for line in lines:
            if line.event == "ended" and line.outcome == State.COMPLETED:
                self._seconds.setdefault(line.method, []).append(line.seconds)

    @property
    def cells_per_minute(self) -> float | None:
        """Cells that ended since this start, a minute."""
        elapsed = self._clock() - self._begun
        return 60.0 * self._finished / elapsed if self._finished and elapsed > 0.0 else None

    def running_seconds(self, id: str) -> float:
        return self._clock() - self._started.get(id, self._clock())

    def started(self, id: str) -> None:
        self._started[id] = self._clock()

    def ended(self, cell: Cell, seconds: float) -> None:
        self._finished += 1
        self._seconds.setdefault(cell.card.method.id, []).append(seconds)

    def look(self, results: Iterable[CellResult], slots: int) -> None:
        """Sum what is expected of every cell that is not over, spread over the slots."""
        every = [seconds for held in self._seconds.values() for seconds in held]
        if not every:
            self.seconds_left = None
            return
        overall = sum(every) / len(every)
        left, longest = 0.0, 0.0
        for result in results:
            if result.state in OVER or result.state is State.FAILED:
                continue
            held = self._seconds.get(result.cell.card.method.id)
            expected = sum(held) / len(held) if held else overall
            if result.state is State.RUNNING:
                expected = max(0.0, expected - self.running_seconds(result.cell.id))
            left, longest = left + expected, max(longest, expected)
        self.seconds_left = max(longest, left / slots)
