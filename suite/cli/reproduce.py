"""`suite reproduce`: run what asks a paper's questions again, and put published and reproduced side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suite.cli.options import pages_option
from suite.cli.output import emit, json_option, note
from suite.cli.study_running import run_with_display
from suite.cli.study_setup import conditions_of, conditions_options, known, require_known
from suite.errors import DataMissing, StudyError

if TYPE_CHECKING:
    from suite.claims import Published
    from suite.claims.reproduce import Answer, Part, Reproduction
    from suite.studies.states import CellResult


@click.command(
    "reproduce",
    epilog="""\b
Examples:
  suite reproduce flexround/table2 --size smoke --jobs 2
  suite reproduce flexround --size small --weights resnet20_cifar10_40k.pt --data DATA
  suite reproduce fixedpoint-vit --recorded --json
  suite reproduce smol --size small --recorded --to reports/smol-reproduced
""",
)
@click.argument("scope", metavar="PAPER[/TABLE]")
@click.option(
    "--size",
    type=click.Choice(("smoke", "small", "paper")),
    default="smoke",
    show_default=True,
    help="The size of the studies that ask the paper's questions; smoke takes minutes and needs nothing.",
)
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1, 1024), help="Runs at once.")
@click.option("--recorded", is_flag=True, help="Run nothing: compare what is on record.")
@conditions_options
@pages_option("The folder in which to write the page, its Markdown twin, and its tables.")
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
@json_option
def command(
    scope: str,
    size: str,
    jobs: int,
    recorded: bool,
    weights: tuple[Path, ...],
    data: Path | None,
    device: str,
    threads: int,
    runs: Path,
    target: Path | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Put the claims of a paper, or of one of its tables, beside what the suite's own studies measure.

    A score of another network, on other data or in another setting is never taken for a reproduction of the printed
    number: then the order of methods is compared. What cannot be run here is listed with what it needs.

    Exit code 1: a run failed, or its audit contradicts its card; an order that is not reproduced is a result.
    """
    from suite.claims import load_published
    from suite.claims.mapping import load_mappings
    from suite.claims.reproduce import Reproduction, left_over, not_met, plan, results
    from suite.cli.reproduce_answer import as_text
    from suite.cli.study_answer import contradicted
    from suite.records import Store
    from suite.reports.reproduction_pages import reproduction_document
    from suite.studies.evidence import Evidence

    published = load_published()
    parts, beforehand = plan(published, load_mappings(), scope, size)
    files = _given(parts, weights)
    refused = list(beforehand)
    answers: list[Answer] = []
    measured: list[CellResult] = []
    for part, own in zip(parts, files, strict=True):
        if recorded:
            cells = known(part.study, size, part.cells, own, data, device, threads, runs)
        else:
            try:
                require_known(part.study, part.size, part.cells)
                conditions = conditions_of(part.study, size, own, data, device, threads, runs)
            except (StudyError, DataMissing) as error:
                refused.append(not_met(part, str(error)))
                continue
            cells = run_with_display(part.study, size, part.cells, conditions, jobs, quiet)
        measured += cells
        answers.append(results(part, published, Evidence(cells, Store(runs))))
    left = left_over(published, scope, answers, refused)
    found = Reproduction(scope, size, tuple(answers), tuple(refused), left)
    data_ = reproduction_document(found)
    if target is not None:
        data_ |= {"files": _write(published, found, target)}
    emit(data_, as_text(published, found), as_json)
    return 1 if any(result.state == "failed" or contradicted(result) for result in measured) else 0


def _write(published: Published, found: Reproduction, target: Path) -> list[str]:
    from suite.cli.writing import write_files
    from suite.reports.reproduction_pages import reproduction_files

    written = [str(path) for path in write_files(target, reproduction_files(published, found))]
    note(f"{len(written)} files: {written[0]}")
    return written


def _given(parts: Sequence[Part], weights: Sequence[Path]) -> list[tuple[Path, ...]]:
    """The weights files for each part, by their hashes; a file that nothing asks for is a mistake."""
    from suite.studies.needs import asked_for

    files = [asked_for(part.study.size(part.size), weights) for part in parts]
    strange = [path for path in weights if not any(path in own for own in files)]
    if strange:
        needs = [need.name for part in parts for need in part.study.size(part.size).weights]
        raise StudyError(
            f"{strange[0]} is not a weights file that is asked for here",
            hint=f"asked for: {', '.join(needs) or 'none'}",
        )
    return files
