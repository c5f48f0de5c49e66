"""`suite explain`: why is B above A? The gap of two runs, split into axes and method, with intervals. No torch."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suite.cli.options import pages_option, store_option
from suite.cli.output import columns, emit, json_option, note

if TYPE_CHECKING:
    from suite.cli.explain_setup import Asked
    from suite.reports.explanation_page import ExplanationPage
    from suite.studies.explaining.run import Explanation


@click.command(
    "explain",
    epilog="""\b
Examples:
  suite explain cards/rtn.yaml cards/mse.yaml
  suite explain runs/RUN_A runs/RUN_B --seed 0 --seed 1 --seed 2 --jobs 2 --to explanation
  suite explain cards/adaround.yaml cards/flexround.yaml --budget 120
  suite explain cards/published/confounding-tradeoffs-table3.yaml cards/percentile.yaml
  suite explain RUN_A RUN_B --json
""",
)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option(
    "--budget",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0.0, min_open=True),
    metavar="MINUTES",
    help="After so many minutes no other cell is begun; the same command goes on where this one stopped.",
)
@click.option(
    "--seed",
    "seeds",
    multiple=True,
    type=click.IntRange(min=0, max=2**31 - 1),
    help="A seed that every cell is run with; may be given several times. Those of A and B by default.",
)
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1, 1024), help="Cells that run at once.")
@click.option(
    "--weights", type=click.Path(path_type=Path), help="Weights of the model, where it is not the task's own."
)
@click.option(
    "--data", type=click.Path(path_type=Path), envvar="SUITE_DATA", show_envvar=True, help="Where data sets are."
)
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda", "auto"]))
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1, 1024), help="Threads of each run.")
@store_option
@pages_option("The folder in which to write the page, its Markdown twin, and its tables.")
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
@json_option
def command(
    first: str,
    second: str,
    budget: float,
    seeds: tuple[int, ...],
    jobs: int,
    weights: Path | None,
    data: Path | None,
    device: str,
    threads: int,
    runs: Path,
    target: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Say what the gap between A and B is made of: how much each axis is worth, and how much the method.

    A and B are cards, or runs (a folder, a record.json, an id) of one model on one task. Every difference is switched
    by itself, in all combinations or in drawn orders, in runs that are on record or are made now; the gap is split into
    Shapley shares with 95 % intervals. Differences that cannot be switched one by one are one share. Where a card is
    copied from a paper, what it does not report is taken from the other side, and its range is measured.
    """
    from suite.cli.explain_setup import Asked, explained
    from suite.records import Store
    from suite.reports.explanation_page import explanation_page
    from suite.reports.sources import find_entry

    store = Store(runs)
    entries = find_entry(first, store), find_entry(second, store)
    asked = Asked(tuple(dict.fromkeys(seeds)), budget, jobs, weights, data, device, threads, runs, quiet)
    explanation = explained(entries, asked)
    page = explanation_page(explanation, _command_line(first, second, explanation.seeds, asked))
    files = [] if target is None else _write(explanation, page, target)
    emit(as_data(explanation, files), as_text(page), as_json)
    if files:
        note(f"{len(files)} files: {files[0]}")


def as_data(explanation: Explanation, files: Sequence[Path] = ()) -> dict[str, Any]:
    """The one JSON object of `--json`; scores and their differences are fractions."""
    from suite.reports.explanation_pages import explanation_document

    return explanation_document(explanation) | {"files": [str(path) for path in files]}


def as_text(page: ExplanationPage) -> str:
    """The explanation a person reads on a terminal."""
    rows = [(row.of, row.share, row.interval, row.verdict) for row in page.shares]
    lines = [click.style(page.banner.headline, bold=True), f"  {page.subject}"]
    lines += [f"  {side.letter}  {side.score} {side.interval}  {side.title}" for side in page.sides]
    lines += [f"      {remark}" for side in page.sides for remark in side.remarks]
    lines += ["", *page.sentences, "", columns(rows, ("share of", "points", "95 % interval", "verdict"))]
    if page.span is not None:
        tried = [(row.axis, row.taken, row.tried, row.difference, row.interval) for row in page.span.rows]
        lines += ["", page.span.sentence, columns(tried, ("axis", "taken", "tried", "points", "95 % interval"))]
        lines += page.span.notes
    return "\n".join([*lines, "", page.method])


def _write(explanation: Explanation, page: ExplanationPage, target: Path) -> list[Path]:
    from suite.cli.writing import write_files
    from suite.reports.explanation_pages import explanation_files

    return write_files(target, explanation_files(explanation, page))


def _command_line(first: str, second: str, seeds: Sequence[int], asked: Asked) -> str:
    """The command that gives this explanation again; paths as they were written."""
    parts = ["suite", "explain", first, second, *(part for seed in seeds for part in ("--seed", str(seed)))]
    parts += ["--weights", asked.weights.name] if asked.weights is not None else []
    parts += ["--threads", str(asked.threads)] if asked.threads != 1 else []
    parts += ["--device", asked.device] if asked.device != "cpu" else []
    return shlex.join(parts)
