"""Harness: progress is shown rarely, clearly, on the given stream, and the terminal is left clean."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import pytest

from suite.harness.progress import Mode, Reporter, duration


class Clock:
    """A clock that only moves when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_auto_is_live_on_a_terminal_and_plain_elsewhere() -> None:
    assert Reporter(stream=Terminal()).mode is Mode.LIVE
    assert Reporter(stream=io.StringIO()).mode is Mode.PLAIN


def test_plain_lines_come_at_most_every_few_seconds() -> None:
    stream, clock = io.StringIO(), Clock()
    reporter = Reporter("plain", stream=stream, every_seconds=5, clock=clock)
    with reporter.bar(100, "training") as bar:
        for _ in range(100):
            clock.now += 0.2
            bar.advance(loss=0.123456, rate=0.01)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[0] == "training: 25/100, 5 steps/s, loss 0.1235, rate 0.01, 15 s left"
    assert lines[-1] == "training: 100/100, 5 steps/s, loss 0.1235, rate 0.01, took 20 s"


def test_short_work_says_nothing() -> None:
    stream, clock = io.StringIO(), Clock()
    with Reporter("plain", stream=stream, clock=clock).bar(10, "quick") as bar:
        clock.now += 1
        bar.advance(10)
    assert stream.getvalue() == ""


def test_an_interrupted_loop_says_how_far_it_came() -> None:
    stream, clock = io.StringIO(), Clock()

    def interrupted() -> None:
        with Reporter("plain", stream=stream, clock=clock).bar(10, "slow") as bar:
            bar.advance(3)
            clock.now += 60
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert stream.getvalue() == "slow: 3/10, 0.05 steps/s, 2 min 20 s left\n"


def test_silent_is_silent() -> None:
    stream = io.StringIO()
    reporter = Reporter("silent", stream=stream)
    with reporter.bar(10, "x") as bar:
        bar.advance(10, loss=1.0)
    reporter.say("x")
    assert stream.getvalue() == ""


def test_live_shows_figures_and_gives_the_cursor_back() -> None:
    stream = Terminal()
    with Reporter("live", stream=stream).bar(4, "training [x]") as bar:
        bar.advance(2, loss=0.5)
        bar.advance(2, loss=0.25)
    text = stream.getvalue()
    assert "training [x]" in text, "labels are not markup"
    assert "4/4" in text
    assert "loss 0.25" in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") >= 0, "the cursor is shown again"


def test_live_gives_the_cursor_back_after_an_interrupt() -> None:
    stream = Terminal()
    with pytest.raises(KeyboardInterrupt), Reporter("live", stream=stream).bar(4, "x"):
        raise KeyboardInterrupt
    text = stream.getvalue()
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") >= 0


def test_nothing_goes_to_standard_output_and_rich_is_not_loaded_for_plain_lines() -> None:
    program = (
        "import sys\n"
        "from suite.harness.progress import Reporter\n"
        "r = Reporter(every_seconds=0.0)\n"
        "with r.bar(2, 'work') as bar:\n"
        "    bar.advance()\n"
        "    bar.advance()\n"
        "assert 'rich' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert re.match(r"work: 1/2, .* left\nwork: 2/2, .* took 0 s\n$", done.stderr)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")]
)
def test_durations_read_like_speech(seconds: float, text: str) -> None:
    assert duration(seconds) == text
