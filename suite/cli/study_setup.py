"""`suite study`: what stands before its commands do anything: the study, its size, its needs, what is on record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suite.cli.options import store_option
from suite.errors import StudyError, SuiteError

if TYPE_CHECKING:
    from suite.studies.cells import Cell
    from suite.studies.states import CellResult, Conditions
    from suite.studies.study import Study

study_argument = click.argument("name", metavar="STUDY")
size_option = click.option(
    "--size", metavar="SIZE", help="smoke, small or paper; small where the study has it, else its first size."
)


def conditions_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What decides the identity of the runs, and where they lie: the same for running, status and report."""
    for option in reversed(
        [
            click.option(
                "--weights",
                multiple=True,
                type=click.Path(path_type=Path),
                help="A weights file that the study needs, recognised by its hash; may be given several times.",
            ),
            click.option(
                "--data",
                type=click.Path(path_type=Path),
                envvar="SUITE_DATA",
                show_envvar=True,
                help="Where data sets are.",
            ),
            click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda", "auto"])),
            click.option(
                "--threads",
                default=1,
                show_default=True,
                type=click.IntRange(1, 1024),
                help="Threads of each run; part of its identity.",
            ),
            store_option,
        ]
    ):
        command = option(command)
    return command


def load(name: str, size: str | None) -> tuple[Study, str, tuple[Cell, ...]]:
    from suite.registry import suggestion
    from suite.studies import expand, load_study

    study = load_study(name)
    known = [held.name for held in study.sizes]
    if size is None:
        size = "small" if "small" in known else known[0]
    if size not in known:
        raise StudyError(f"the study '{study.id}' has no size '{size}'", hint=suggestion(size, known))
    return study, size, expand(study, size)


def require_known(study: Study, size: str, cells: Sequence[Cell]) -> None:
    """A misspelt method or task would fail in every one of its cells; say it once, before anything runs."""
    from suite.methods import METHODS
    from suite.studies.needs import told_data
    from suite.tasks import TASKS

    for need in study.size(size).data:
        if need.task not in TASKS:
            raise StudyError(
                f"the size '{size}' needs {told_data(need)}, and no task '{need.task}' is installed",
                hint="a distribution adds one through the entry-point group suite.tasks",
            )
    for cell in cells:
        METHODS.entry(cell.card.method.id)
        TASKS.entry(cell.card.task or "")


def conditions_of(
    study: Study,
    size: str,
    weights: Sequence[Path],
    data: Path | None,
    device: str,
    threads: int,
    runs: Path,
) -> Conditions:
    from suite.studies.needs import meet
    from suite.studies.states import Conditions

    met = meet(study.size(size), weights, lambda task: _data_identity(task, data))
    return Conditions(runs.absolute(), met, data, threads, device)


def known(
    study: Study,
    size: str,
    cells: Sequence[Cell],
    weights: Sequence[Path],
    data: Path | None,
    device: str,
    threads: int,
    runs: Path,
    *,
    running: bool = False,
) -> tuple[CellResult, ...]:
    """What is on record of every cell. The needs count as met: their hashes are what the records are looked up by.

    A hash that the study does not know is that of what is given here, else of what the study was last started with.
    With `running`, a cell that a living process is at is told as that, whatever is on record of it.
    """
    from suite.records import Store
    from suite.studies.journal import Journal
    from suite.studies.needs import assumed
    from suite.studies.states import Conditions, folder_of, known_results, with_running

    folder = folder_of(runs, study.id, size)
    journal = Journal(folder)
    met = assumed(study.size(size), weights, lambda task: _identity_at_hand(task, data), journal.last_start())
    conditions = Conditions(runs.absolute(), met, data, threads, device)
    results = known_results(cells, journal, Store(runs), conditions, present)
    if running:
        results = with_running(results, folder, journal, conditions)
    return tuple(results[cell.id] for cell in cells)


def present(cell: Cell) -> dict[str, object]:
    """The hash of the weights that come with the suite, where the cell's model is one of them."""
    from suite.models.baselines import shipped_baselines

    held = shipped_baselines().get(cell.card.model or "")
    given = cell.card.values["baseline_weights"] != "task-default"
    return {} if held is None or given else {"weights": held.weights_hash}


def _data_identity(task: str, data: Path | None) -> str:
    """The identity of a task's data, read in a process of its own, so that this one stays free of torch."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from suite.cli.study_data import task_identity

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(task_identity, task, data).result()


def _identity_at_hand(task: str, data: Path | None) -> str:
    """The identity of the data that lie where `data` says; empty where none do."""
    try:
        return _data_identity(task, data) if data is not None else ""
    except SuiteError:
        return ""


def command_line(study: Study, name: str, size: str, threads: int, device: str) -> str:
    shown = name if study.path is None or study.path.name != Path(name).name else study.path.name
    parts = [f"suite study run {shown} --size {size} --jobs 2"]
    parts += [f"--weights {need.name}" for need in study.size(size).weights]
    parts += ["--data DATA"] * bool(study.size(size).data)
    parts += [f"--threads {threads}"] * (threads != 1)
    parts += [f"--device {device}"] * (device != "cpu")
    return " ".join(parts)
