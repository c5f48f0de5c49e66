"""Studies: what every executor must keep, as tests that anybody can run on theirs.

    class TestMyExecutor(ExecutorContract):
        def make(self, slots):
            return MyExecutor(slots)

pytest collects the inherited tests; nothing here imports it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from suite.studies.executor import Ended, Executor, Job

PATIENCE_SECONDS = 60.0


class ExecutorContract:
    """Inherit, and say how an executor is made."""

    def make(self, slots: int) -> Executor:
        """A new executor with so many slots."""
        raise NotImplementedError

    def test_a_job_is_told_once_with_its_exit_code(self, tmp_path: Path) -> None:
        executor = self.make(1)
        executor.submit(_job(tmp_path, "good"))
        (ended,) = _wait(executor, 1)
        assert (ended.id, ended.exit_code) == ("good", 0)
        assert ended.seconds > 0.0
        assert executor.ended(0.0) == ()

    def test_output_and_log_are_the_files_of_the_job(self, tmp_path: Path) -> None:
        executor = self.make(1)
        executor.submit(_job(tmp_path, "speaks", prelude="import sys; print('to the log', file=sys.stderr)"))
        _wait(executor, 1)
        assert (tmp_path / "speaks.out").read_text().startswith("suite, version ")
        assert "to the log" in (tmp_path / "speaks.log").read_text()

    def test_the_log_is_continued_and_the_output_written_anew(self, tmp_path: Path) -> None:
        executor = self.make(1)
        for word in ("first", "second"):
            executor.submit(_job(tmp_path, "again", prelude=f"import sys; print('{word}', file=sys.stderr)"))
            _wait(executor, 1)
        log = (tmp_path / "again.log").read_text()
        assert "first" in log
        assert "second" in log
        assert (tmp_path / "again.out").read_text().count("suite, version") == 1

    def test_a_job_that_fails_costs_itself_alone(self, tmp_path: Path) -> None:
        executor = self.make(2)
        executor.submit(_job(tmp_path, "wrong", "no-such-command"))
        executor.submit(_job(tmp_path, "right"))
        codes = {ended.id: ended.exit_code for ended in _wait(executor, 2)}
        assert codes == {"wrong": 2, "right": 0}

    def test_a_job_that_is_killed_says_by_which_signal(self, tmp_path: Path) -> None:
        executor = self.make(1)
        executor.submit(_job(tmp_path, "killed", prelude="import os; os.kill(os.getpid(), 9)"))
        (ended,) = _wait(executor, 1)
        assert ended.exit_code == -9

    def test_as_many_jobs_run_at_once_as_there_are_slots(self, tmp_path: Path) -> None:
        executor = self.make(2)
        assert executor.slots == 2
        # Each waits for the other's file: with one slot, neither would end.
        for mine, other in (("a", "b"), ("b", "a")):
            wait = (
                "import pathlib, time\n"
                f"pathlib.Path({str(tmp_path / mine)!r}).touch()\n"
                f"while not pathlib.Path({str(tmp_path / other)!r}).exists(): time.sleep(0.01)\n"
            )
            executor.submit(_job(tmp_path, mine, prelude=wait))
        assert {ended.exit_code for ended in _wait(executor, 2)} == {0}

    def test_the_environment_of_the_job_is_added_to_ours(self, tmp_path: Path) -> None:
        executor = self.make(1)
        prelude = "import os, sys; print(os.environ['GIVEN'], os.environ['PATH'], file=sys.stderr)"
        executor.submit(_job(tmp_path, "told", prelude=prelude, GIVEN="a word"))
        _wait(executor, 1)
        assert f"a word {os.environ['PATH']}" in (tmp_path / "told.log").read_text()

    def test_looking_for_ended_jobs_takes_no_longer_than_asked(self, tmp_path: Path) -> None:
        executor = self.make(1)
        executor.submit(_job(tmp_path, "endless", prelude=_ENDLESS))
        begun = time.monotonic()
        assert executor.ended(0.3) == ()
        assert 0.25 <= time.monotonic() - begun < 5.0
        executor.stop()

    def test_stopping_ends_every_job_and_may_be_repeated(self, tmp_path: Path) -> None:
        executor = self.make(2)
        for id in ("one", "two"):
            prelude = f"import os, pathlib; pathlib.Path({str(tmp_path / id)!r}).write_text(str(os.getpid()))\n"
            executor.submit(_job(tmp_path, id, prelude=prelude + _ENDLESS))
        processes = [_process(tmp_path / id) for id in ("one", "two")]
        executor.stop()
        executor.stop()
        assert not any(_lives(process) for process in processes)
        assert executor.ended(0.0) == ()


_ENDLESS = "import time\nwhile True: time.sleep(1)\n"


def _job(folder: Path, id: str, argument: str = "--version", *, prelude: str = "", **environment: str) -> Job:
    """A short command of the suite; `prelude` is Python that runs before it, by way of `sitecustomize`."""
    place = folder / f"prelude-{id}"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(prelude, encoding="utf-8")
    paths = [str(place), *filter(None, [os.environ.get("PYTHONPATH")])]
    return Job(
        id=id,
        arguments=[argument],
        output=folder / f"{id}.out",
        log=folder / f"{id}.log",
        environment={**environment, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"},
    )


def _wait(executor: Executor, count: int) -> list[Ended]:
    """The next `count` jobs that end."""
    found: list[Ended] = []
    until = time.monotonic() + PATIENCE_SECONDS
    while len(found) < count:
        assert time.monotonic() < until, f"only {len(found)} of {count} jobs ended within {PATIENCE_SECONDS:.0f} s"
        found.extend(executor.ended(0.5))
    return found


def _process(path: Path) -> int:
    """The process id that a job writes when it begins."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if path.exists() and path.read_text():
            return int(path.read_text())
        time.sleep(0.01)
    raise AssertionError(f"no job wrote {path.name}")


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
