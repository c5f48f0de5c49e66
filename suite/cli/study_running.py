"""`suite study`: running the cells of a study, with a display, a lock, and a word on what an interruption keeps."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from suite.cli.stopping import terminable
from suite.cli.study_setup import present

if TYPE_CHECKING:
    from suite.studies import Cell, Study
    from suite.studies.states import CellResult, Conditions


def run_with_display(
    study: Study, size: str, cells: Sequence[Cell], conditions: Conditions, jobs: int, quiet: bool
) -> tuple[CellResult, ...]:
    """Run what is not on record, so many at once; the same call again continues."""
    from suite.studies.display import LiveDisplay, PlainDisplay
    from suite.studies.executor import LocalExecutor
    from suite.studies.journal import locked
    from suite.studies.run import run_study
    from suite.studies.states import folder_of

    folder = folder_of(conditions.runs, study.id, size)
    log = folder / "progress.log"
    live = sys.stderr.isatty() and not quiet
    title = f"{study.id}, {size}, {jobs} at once"
    display = LiveDisplay(log, sys.stderr, title) if live else PlainDisplay(log, None if quiet else sys.stderr)
    try:
        with locked(folder, study.id), terminable():
            return run_study(study, size, cells, conditions, LocalExecutor(jobs), display, present)
    except KeyboardInterrupt as stop:
        stop.add_note(f"what finished is on record (see {log}), and the same command continues")
        raise
