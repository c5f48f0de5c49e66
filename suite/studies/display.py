"""Studies: what a person sees while a study runs: a live table on a terminal, plain lines elsewhere, a log always."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from suite.records.words import points_interval
from suite.studies.forecast import Forecast
from suite.studies.states import OVER, CellResult, State, counts

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

MARKS = {State.COMPLETED: "✓", State.DIVERGED: "↯", State.FAILED: "✕", State.RUNNING: "▶", State.WAITING: "·"}
COLOURS = {State.COMPLETED: "green", State.DIVERGED: "yellow", State.FAILED: "red", State.RUNNING: "cyan"}
LATEST = 6
STILL_SECONDS = 60.0
"""Plain output says something at least this often, so that nobody wonders whether the study still lives."""


class PlainDisplay:
    """A line for every cell that ends, into a log file and, where one is given, a stream."""

    def __init__(self, log: Path, stream: TextIO | None) -> None:
        self.log, self.stream = log, stream
        self._said = time.monotonic()
        self._begun = False

    def __enter__(self) -> Self:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, KeyboardInterrupt):
            self.say("interrupted")

    def renew(self, results: Mapping[str, CellResult], forecast: Forecast) -> None:
        if not self._begun:
            self._begun = True
            held = counts(results.values())
            on_record = sum(held[state] for state in OVER)
            self.say(f"{len(results)} cells: {on_record} on record, {len(results) - on_record} to run")
        elif time.monotonic() - self._said >= STILL_SECONDS:
            running = [
                f"{id} for {duration(forecast.running_seconds(id))}"
                for id, result in results.items()
                if result.state is State.RUNNING
            ]
            self.say(f"running: {', '.join(running)}; {summary(results, forecast)}")

    def ended(self, result: CellResult, results: Mapping[str, CellResult], forecast: Forecast) -> None:
        self.say(f"{MARKS[result.state]} {result.cell.id}: {outcome_text(result)}; {summary(results, forecast)}")

    def say(self, text: str) -> None:
        """One line; the file has the time of day before it."""
        self._said = time.monotonic()
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
        if self.stream is not None:
            print(text, file=self.stream, flush=True)


class LiveDisplay(PlainDisplay):
    """A table that renews itself, and the same log beside it."""

    def __init__(self, log: Path, stream: TextIO, title: str) -> None:
        super().__init__(log, None)
        self._terminal = stream
        self._title = title
        self._latest: deque[CellResult] = deque(maxlen=LATEST)
        self._live: Live | None = None

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.live import Live

        super().__enter__()
        self._live = Live(console=Console(file=self._terminal), refresh_per_second=2, transient=True)
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)
        super().__exit__(kind, error, trace)

    def renew(self, results: Mapping[str, CellResult], forecast: Forecast) -> None:
        super().renew(results, forecast)
        if self._live is not None:
            self._live.update(self._table(results, forecast))

    def ended(self, result: CellResult, results: Mapping[str, CellResult], forecast: Forecast) -> None:
        super().ended(result, results, forecast)
        self._latest.append(result)

    def _table(self, results: Mapping[str, CellResult], forecast: Forecast) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self._title, caption=summary(results, forecast), title_justify="left", expand=True)
        for name in ("", "cell", "outcome"):
            table.add_column(name, overflow="fold")
        running = [result for result in results.values() if result.state is State.RUNNING]
        for result in [*self._latest, *running]:
            style = COLOURS.get(result.state, "")
            told = (
                duration(forecast.running_seconds(result.cell.id))
                if result.state is State.RUNNING
                else outcome_text(result)
            )
            table.add_row(Text(MARKS[result.state], style=style), Text(result.cell.id), Text(told, style=style))
        return table


def outcome_text(result: CellResult) -> str:
    """How a cell ended, on one line; the difference with its 95 % interval."""
    record = result.record
    if result.state is State.COMPLETED and record is not None and record.score is not None:
        took = f" in {duration(result.seconds)}" if result.seconds is not None else ""
        known = f" {points_interval(record.difference_interval)}" if record.difference_interval is not None else ""
        return f"{record.score:.2%} ({100 * (record.difference or 0.0):+.2f}{known} points to float){took}"
    return f"{result.state.value}: {result.message}" if result.message else result.state.value


def summary(results: Mapping[str, CellResult], forecast: Forecast) -> str:
    """Done, running, failed, rate, time left."""
    held = counts(results.values())
    parts = [f"{sum(held[state] for state in OVER)}/{len(results)} done", f"{held[State.RUNNING]} running"]
    parts += [f"{held[state]} {state.value}" for state in (State.DIVERGED, State.FAILED) if held[state]]
    if forecast.cells_per_minute is not None:
        parts.append(f"{forecast.cells_per_minute:.2g} cells/min")
    if forecast.seconds_left is not None and held[State.WAITING] + held[State.RUNNING]:
        parts.append(f"about {duration(forecast.seconds_left)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as a person says them: 45 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
