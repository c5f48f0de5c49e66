"""The command line, stopped from outside: Ctrl-C and a polite kill end work in order and say what is left of it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM), by a scheduler or by a person elsewhere."""


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the block like Ctrl-C does: through every `finally`, with a word at the end."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may hear signals
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def last_words(stop: BaseException) -> tuple[str, int]:
    """What to print when work was stopped, and the exit code: 128 and the number of the signal, as shells have it.

    Whoever did the work may have left a note on the exception about what is kept of it.
    """
    cause = stop.__cause__ if isinstance(stop.__cause__, KeyboardInterrupt) else stop
    kept = "; ".join(getattr(cause, "__notes__", ())) or "nothing was recorded for the unfinished work"
    if isinstance(cause, Terminated):
        return f"terminated; {kept}", 128 + signal.SIGTERM
    return f"interrupted; {kept}", 128 + signal.SIGINT
