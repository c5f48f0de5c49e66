"""`suite study`: many runs as one question. List, show, run, status, report. No torch: every run is its own process."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suite.cli.output import columns, emit, json_option, note
from suite.errors import StudyError

if TYPE_CHECKING:
    from suite.studies.cells import Cell
    from suite.studies.expectations import Answer
    from suite.studies.states import CellResult, Conditions
    from suite.studies.study import Study

PAGE, TWIN = "study.html", "study.md"
COLOURS = {"holds": "green", "does not hold": "red"}


@click.group(
    "study",
    epilog="""\b
Examples:
  suite study list
  suite study run post-training-resnet20 --size smoke --jobs 2
  suite study report post-training-resnet20 --size smoke --to reports/post-training
""",
)
def command() -> None:
    """Run many cells as one question: what varies, what is fixed, what is expected.

    STUDY is the name of a study that comes with the suite, or a YAML file.
    """


study_argument = click.argument("name", metavar="STUDY")
size_option = click.option(
    "--size", metavar="SIZE", help="smoke, small or paper; small where the study has it, else its first size."
)


def _conditions_options(command: Callable[..., Any]) -> Callable[..., Any]:
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
            click.option(
                "--out",
                "runs",
                default="runs",
                show_default=True,
                envvar="SUITE_RUNS",
                show_envvar=True,
                type=click.Path(path_type=Path, file_okay=False),
                help="The folder that holds one folder per run.",
            ),
        ]
    ):
        command = option(command)
    return command


@command.command("list", epilog="\b\nExamples:\n  suite study list\n  suite study list --json")
@json_option
def list_(as_json: bool) -> None:
    """List the studies that come with the suite."""
    from suite.studies import expand, load_study, shipped_studies

    rows: list[dict[str, Any]] = []
    for id in shipped_studies():
        study = load_study(id)
        sizes = {size.name: len(expand(study, size.name)) for size in study.sizes}
        rows.append({"id": id, "title": study.title, "cells": sizes})
    table = columns(
        [
            [row["id"], ", ".join(f"{size} {count}" for size, count in row["cells"].items()), row["title"]]
            for row in rows
        ],
        ("id", "cells", "title"),
    )
    emit(rows, table if rows else "no studies come with this suite", as_json)


@command.command("show", epilog="\b\nExamples:\n  suite study show post-training-resnet20 --size small")
@study_argument
@size_option
@json_option
def show(name: str, size: str | None, as_json: bool) -> None:
    """Explain a study: its question, what it needs, its cells and what it expects."""
    study, size, cells = _load(name, size)
    chosen = study.size(size)
    needs = [f"weights {held.name} for {held.model}, sha256 {held.sha256[:12]}…" for held in chosen.weights]
    needs += [f"data of {held.task}, hash {held.sha256[:12]}…" for held in chosen.data]
    lines = [click.style(study.title, bold=True), study.question]
    lines += [study.summary] * bool(study.summary)
    lines += ["", f"size {size}: {chosen.says}", *(f"needs {need}" for need in needs), ""]
    for part in study.parts:
        count = sum(cell.levels["part"] == part.id for cell in cells)
        lines.append(f"{part.id}: {part.title} ({count} cells)")
        lines += [f"  {factor.name}: {', '.join(factor.ids)}" for factor in part.factors]
    lines += ["", "expects:", *(f"  {held.id}: {held.says}" for held in study.expectations_at(size))]
    data = {
        "study": study.id,
        "title": study.title,
        "question": study.question,
        "size": size,
        "says": chosen.says,
        "sizes": [held.name for held in study.sizes],
        "weights": [{"model": held.model, "name": held.name, "sha256": held.sha256} for held in chosen.weights],
        "data": [{"task": held.task, "sha256": held.sha256} for held in chosen.data],
        "cells": [{"cell": cell.id, "levels": dict(cell.levels), "seed": cell.seed} for cell in cells],
        "expectations": [{"id": held.id, "says": held.says} for held in study.expectations_at(size)],
    }
    emit(data, "\n".join(lines), as_json)


@command.command(
    "run",
    epilog="""\b
Examples:
  suite study run post-training-resnet20 --size smoke --jobs 2
  suite study run post-training-resnet20 --size small --jobs 2 --weights resnet20_cifar10_40k.pt --data DATA
  suite study run my-study.yaml --json
""",
)
@study_argument
@size_option
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1, 1024), help="Cells that run at once.")
@_conditions_options
@click.option("--quiet", is_flag=True, help="No progress on standard error; the log in the study's folder stays.")
@json_option
def run(
    name: str,
    size: str | None,
    jobs: int,
    weights: tuple[Path, ...],
    data: Path | None,
    device: str,
    threads: int,
    runs: Path,
    quiet: bool,
    as_json: bool,
) -> int:
    """Run every cell that is not on record, each in its own process; the same command again continues.

    Exit code 1: a cell failed, or its run is contradicted by its audit. What is expected and does not hold is a result,
    not a failure.
    """
    from suite.studies.display import LiveDisplay, PlainDisplay
    from suite.studies.executor import LocalExecutor
    from suite.studies.journal import locked
    from suite.studies.run import run_study
    from suite.studies.states import folder_of

    study, size, cells = _load(name, size)
    _require_known(study, cells)
    conditions = _conditions(study, size, weights, data, device, threads, runs)
    folder = folder_of(runs, study.id, size)
    log = folder / "progress.log"
    live = sys.stderr.isatty() and not quiet
    title = f"{study.id}, {size}, {jobs} at once"
    display = LiveDisplay(log, sys.stderr, title) if live else PlainDisplay(log, None if quiet else sys.stderr)
    try:
        with locked(folder, study.id), _termination_interrupts():
            results = run_study(study, size, cells, conditions, LocalExecutor(jobs), display, _present)
    except KeyboardInterrupt:
        note(f"suite: interrupted; what finished is on record ({log}), and the same command continues")
        return 130
    answers = _answers(study, size, results, runs)
    emit(as_data(study, size, results, answers), as_text(study, size, results, answers), as_json)
    return 1 if any(result.state == "failed" or _contradicted(result) for result in results) else 0


@command.command("status", epilog="\b\nExamples:\n  suite study status post-training-resnet20 --size small --json")
@study_argument
@size_option
@_conditions_options
@json_option
def status(
    name: str,
    size: str | None,
    weights: tuple[Path, ...],
    data: Path | None,
    device: str,
    threads: int,
    runs: Path,
    as_json: bool,
) -> None:
    """Say how far a study is, without running anything; weights and data are taken to be those the study needs."""
    from suite.studies.display import MARKS, outcome_text
    from suite.studies.states import counts

    study, size, cells = _load(name, size)
    results = _known(study, size, cells, weights, data, device, threads, runs)
    held = counts(results)
    rows = [
        (
            f"{MARKS[result.state]} {result.cell.id}",
            f"{outcome_text(result)}{f' (not of today: {result.stale})' if result.stale else ''}",
        )
        for result in results
    ]
    total = ", ".join(f"{count} {state.value}" for state, count in held.items() if count)
    data_ = {
        "study": study.id,
        "size": size,
        "counts": {state.value: count for state, count in held.items()},
        "cells": [
            {
                "cell": result.cell.id,
                "state": result.state.value,
                "run_id": result.record.run_id if result.record else None,
                "score": result.record.score if result.record else None,
                "message": result.message,
                "stale": result.stale,
            }
            for result in results
        ],
    }
    emit(data_, f"{columns(rows, ('cell', 'state'))}\n{total} of {len(results)} cells", as_json)


@command.command(
    "report",
    epilog="\b\nExamples:\n  suite study report post-training-resnet20 --size small --to reports/post-training",
)
@study_argument
@size_option
@_conditions_options
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"The folder in which to write {PAGE} and {TWIN}; the study's own by default.",
)
@json_option
def report(
    name: str,
    size: str | None,
    weights: tuple[Path, ...],
    data: Path | None,
    device: str,
    threads: int,
    runs: Path,
    target: Path | None,
    as_json: bool,
) -> None:
    """Write the page of a study from what is on record; cells that are missing are shown as missing."""
    from suite.cards import write_whole
    from suite.records import Store
    from suite.reports.study_pages import render_study_html, render_study_markdown
    from suite.studies.evidence import Evidence
    from suite.studies.states import folder_of

    study, size, cells = _load(name, size)
    results = _known(study, size, cells, weights, data, device, threads, runs)
    answers = _answers(study, size, results, runs)
    evidence = Evidence(results, Store(runs))
    command = _command_line(study, name, size, threads, device)
    folder = target or folder_of(runs, study.id, size)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(f"{folder} cannot be made: {error.strerror or error}") from None
    contents = {
        PAGE: render_study_html(study, size, results, evidence, answers, command),
        TWIN: render_study_markdown(study, size, results, evidence, answers, command),
    }
    for file, content in contents.items():
        write_whole(folder / file, content)
    files = [str(folder / file) for file in contents]
    data_ = as_data(study, size, results, answers) | {"files": files}
    emit(data_, "\n".join(f"wrote {file}" for file in files), as_json)


def as_data(study: Study, size: str, results: Sequence[CellResult], answers: Sequence[Answer]) -> dict[str, Any]:
    """The one JSON object that a study ends with."""
    states = [result.state.value for result in results]
    return {
        "study": study.id,
        "size": size,
        "cells": {state: states.count(state) for state in ("completed", "diverged", "failed")},
        "expectations": [
            {"id": held.expectation.id, "verdict": held.verdict.value, "detail": held.detail} for held in answers
        ],
    }


def as_text(study: Study, size: str, results: Sequence[CellResult], answers: Sequence[Answer]) -> str:
    """The compact end of a study that a person reads."""
    data = as_data(study, size, results, answers)
    lines = [click.style(f"{study.title} ({size})", bold=True)]
    lines.append("  " + ", ".join(f"{count} {state}" for state, count in data["cells"].items()))
    for result in results:
        if result.state.value in ("failed", "diverged"):
            lines.append(click.style(f"  {result.cell.id} {result.state.value}: {result.message}", fg="red"))
        elif _contradicted(result):
            lines.append(click.style(f"  {result.cell.id}: its audit contradicts its card", fg="red"))
    for held in answers:
        verdict = click.style(held.verdict.value, fg=COLOURS.get(held.verdict.value, "yellow"), bold=True)
        lines += [f"  {held.expectation.says} {verdict}", f"      {held.detail}"]
    return "\n".join(lines)


def _load(name: str, size: str | None) -> tuple[Study, str, tuple[Cell, ...]]:
    from suite.registry import suggestion
    from suite.studies import expand, load_study

    study = load_study(name)
    known = [held.name for held in study.sizes]
    if size is None:
        size = "small" if "small" in known else known[0]
    if size not in known:
        raise StudyError(f"the study '{study.id}' has no size '{size}'", hint=suggestion(size, known))
    return study, size, expand(study, size)


def _require_known(study: Study, cells: Sequence[Cell]) -> None:
    """A misspelt method or task would fail in every one of its cells; say it once, before anything runs."""
    from suite.methods import METHODS
    from suite.tasks import TASKS

    for cell in cells:
        METHODS.entry(cell.card.method.id)
        TASKS.entry(cell.card.task or "")


def _conditions(
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


def _known(
    study: Study,
    size: str,
    cells: Sequence[Cell],
    weights: Sequence[Path],
    data: Path | None,
    device: str,
    threads: int,
    runs: Path,
) -> tuple[CellResult, ...]:
    """What is on record of every cell. The needs count as met: their hashes are what the records are looked up by."""
    from suite.records import Store
    from suite.studies.journal import Journal
    from suite.studies.needs import assumed
    from suite.studies.states import Conditions, folder_of, known_results

    conditions = Conditions(runs.absolute(), assumed(study.size(size), weights), data, threads, device)
    journal = Journal(folder_of(runs, study.id, size))
    results = known_results(cells, journal, Store(runs), conditions, _present)
    return tuple(results[cell.id] for cell in cells)


def _answers(study: Study, size: str, results: Sequence[CellResult], runs: Path) -> tuple[Answer, ...]:
    from suite.records import Store
    from suite.studies.evidence import Evidence
    from suite.studies.expectations import answers

    return answers(study, size, [result.cell for result in results], Evidence(results, Store(runs)))


def _present(cell: Cell) -> dict[str, object]:
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


def _contradicted(result: CellResult) -> bool:
    record = result.record
    return record is not None and record.audit is not None and record.audit["verdict"] == "contradicted"


def _command_line(study: Study, name: str, size: str, threads: int, device: str) -> str:
    shown = name if study.path is None or study.path.name != Path(name).name else study.path.name
    parts = [f"suite study run {shown} --size {size} --jobs 2"]
    parts += [f"--weights {need.name}" for need in study.size(size).weights]
    parts += ["--data DATA"] * bool(study.size(size).data)
    parts += [f"--threads {threads}"] * (threads != 1)
    parts += [f"--device {device}"] * (device != "cpu")
    return " ".join(parts)


@contextlib.contextmanager
def _termination_interrupts() -> Iterator[None]:
    """SIGTERM ends a study as Ctrl-C does: its jobs are ended, and what finished is on record."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: whoever runs us there handles signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
