"""`suite study`: many runs as one question. List, show, run, status, report. No torch: every run is its own process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from suite.cli.options import pages_option
from suite.cli.output import columns, emit, json_option
from suite.cli.study_answer import answers_of, as_data, as_text, contradicted
from suite.cli.study_running import run_with_display
from suite.cli.study_setup import (
    command_line,
    conditions_of,
    conditions_options,
    known,
    load,
    require_known,
    size_option,
    study_argument,
)
from suite.cli.writing import write_files


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
    from suite.studies.needs import told_data, told_weights

    study, size, cells = load(name, size)
    chosen = study.size(size)
    needs = [*map(told_weights, chosen.weights), *map(told_data, chosen.data)]
    lines = [click.style(study.title, bold=True), study.question]
    lines += [study.summary] * bool(study.summary)
    lines += ["", f"size {size}: {chosen.says}", *(f"needs {need}" for need in needs), ""]
    for part in study.parts:
        own = [cell.levels for cell in cells if cell.levels["part"] == part.id]
        lines.append(f"{part.id}: {part.title} ({len(own)} cells)")
        for factor in part.factors:  # a size may keep only some of its levels
            kept = [id for id in factor.ids if any(levels.get(factor.name) == id for levels in own)]
            lines += [f"  {factor.name}: {', '.join(kept)}"] * bool(kept)
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
@conditions_options
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
    study, size, cells = load(name, size)
    require_known(study, size, cells)
    conditions = conditions_of(study, size, weights, data, device, threads, runs)
    results = run_with_display(study, size, cells, conditions, jobs, quiet)
    answers = answers_of(study, size, results, runs)
    emit(as_data(study, size, results, answers), as_text(study, size, results, answers), as_json)
    return 1 if any(result.state == "failed" or contradicted(result) for result in results) else 0


@command.command("status", epilog="\b\nExamples:\n  suite study status post-training-resnet20 --size small --json")
@study_argument
@size_option
@conditions_options
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
    """Say how far a study is, without running anything; weights and data are taken to be those the study needs.

    A cell is running while the process that began it lives.
    """
    from suite.studies.display import MARKS, outcome_text
    from suite.studies.states import counts

    study, size, cells = load(name, size)
    results = known(study, size, cells, weights, data, device, threads, runs, running=True)
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
@conditions_options
@pages_option("The folder in which to write the page, its Markdown twin, and its tables; the study's own by default.")
@click.option(
    "--remarks",
    type=click.Path(path_type=Path),
    help="A YAML file with paragraphs about these results, which the page prints beside the verdicts.",
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
    remarks: Path | None,
    as_json: bool,
) -> None:
    """Write the page of a study from what is on record; cells that are missing are shown as missing."""
    from suite.records import Store
    from suite.reports.study_pages import PAGE, study_files
    from suite.studies.evidence import Evidence
    from suite.studies.remarks import NO_REMARKS, load_remarks
    from suite.studies.states import folder_of

    study, size, cells = load(name, size)
    told = NO_REMARKS if remarks is None else load_remarks(remarks, study, size)
    results = known(study, size, cells, weights, data, device, threads, runs)
    answers = answers_of(study, size, results, runs)
    command = command_line(study, name, size, threads, device)
    contents = study_files(study, size, results, Evidence(results, Store(runs)), answers, command, told)
    folder = target or folder_of(runs, study.id, size)
    files = [str(path) for path in write_files(folder, contents)]
    data_ = as_data(study, size, results, answers) | {"files": files}
    emit(data_, f"{len(files)} files: {folder / PAGE}", as_json)
