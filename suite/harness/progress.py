"""Laboratory, harness: progress of long work, on standard error: live on a terminal, plain lines elsewhere, or silent.

Displaying never touches numerics: figures are given as plain numbers, and nothing is drawn more often than a person
reads.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from typing import Protocol, TextIO


class Mode(StrEnum):
    """How progress is shown; `auto` means live on a terminal and plain elsewhere."""

    AUTO = "auto"
    LIVE = "live"
    PLAIN = "plain"
    SILENT = "silent"


class Bar(Protocol):
    """What a loop reports to (`suite.methods.api.Progress`)."""

    def advance(self, steps: int = 1, **figures: float) -> None: ...


class Reporter:
    """Makes a bar for each loop of a run."""

    def __init__(
        self,
        mode: Mode | str = Mode.AUTO,
        *,
        stream: TextIO | None = None,
        every_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        chosen = Mode(mode)
        if chosen is Mode.AUTO:
            chosen = Mode.LIVE if self._stream.isatty() else Mode.PLAIN
        self.mode = chosen
        self._every_seconds = every_seconds
        self._clock = clock

    def bar(self, total: int, label: str) -> AbstractContextManager[Bar]:
        """A display of `total` steps, for a `with` block; however the block ends, the terminal is left clean."""
        if self.mode is Mode.LIVE:
            return _live(total, label, self._stream)
        if self.mode is Mode.PLAIN:
            return _plain(total, label, self._stream, self._every_seconds, self._clock)
        return _silent()

    def say(self, message: str) -> None:
        """One line between loops."""
        if self.mode is not Mode.SILENT:
            print(message, file=self._stream, flush=True)


class _SilentBar:
    def advance(self, steps: int = 1, **figures: float) -> None:
        """Nobody is watching."""


@contextmanager
def _silent() -> Iterator[Bar]:
    yield _SilentBar()


class _PlainBar:
    def __init__(
        self, total: int, label: str, stream: TextIO, every_seconds: float, clock: Callable[[], float]
    ) -> None:
        self.total, self.label, self.stream = max(1, total), label, stream
        self.every_seconds, self.clock = every_seconds, clock
        self.started = self.last = clock()
        self.done = 0
        self.shown = -1
        self.figures: dict[str, float] = {}

    def advance(self, steps: int = 1, **figures: float) -> None:
        self.done += steps
        self.figures.update(figures)
        now = self.clock()
        if now - self.last >= self.every_seconds:
            self.last = now
            self.line(now)

    def line(self, now: float) -> None:
        elapsed = max(now - self.started, 1e-9)
        parts = [f"{self.label}: {self.done}/{self.total}", f"{self.done / elapsed:.3g} steps/s"]
        parts += describe(self.figures)
        if 0 < self.done < self.total:
            parts.append(f"{duration(elapsed / self.done * (self.total - self.done))} left")
        else:
            parts.append(f"took {duration(elapsed)}")
        self.shown = self.done
        print(", ".join(parts), file=self.stream, flush=True)


@contextmanager
def _plain(total: int, label: str, stream: TextIO, every_seconds: float, clock: Callable[[], float]) -> Iterator[Bar]:
    bar = _PlainBar(total, label, stream, every_seconds, clock)
    try:
        yield bar
    finally:
        # Work of less than one interval is not worth a line; longer work says how far it came, even when interrupted.
        if bar.done != bar.shown and clock() - bar.started >= every_seconds:
            bar.line(clock())


@contextmanager
def _live(total: int, label: str, stream: TextIO) -> Iterator[Bar]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
    )
    # Transient: a finished bar leaves no line, and an interrupted one restores the cursor on the way out.
    with RichProgress(*columns, console=Console(file=stream), transient=True, refresh_per_second=4) as display:
        task = display.add_task(label, total=max(1, total), figures="")
        seen: dict[str, float] = {}

        class LiveBar:
            def advance(self, steps: int = 1, **figures: float) -> None:
                seen.update(figures)
                display.update(task, advance=steps, figures=", ".join(describe(seen)))

        yield LiveBar()


def describe(figures: dict[str, float]) -> list[str]:
    """Each figure as "name value", with four digits."""
    return [f"{name} {value:.4g}" for name, value in figures.items()]


def duration(seconds: float) -> str:
    """Seconds as a person says them: 45 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
