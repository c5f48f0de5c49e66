"""`suite report`: many runs as one page, and the site of everything. No torch."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suite.cli.options import pages_option, runs_option
from suite.cli.output import emit, json_option, note
from suite.cli.writing import write_files
from suite.errors import SuiteError

if TYPE_CHECKING:
    from suite.reports.collection.runs import Collection


@click.group(
    "report",
    epilog="""\b
Examples:
  suite report runs --to my-report
  suite report effects runs/studies/observation-*-small --to my-effects
  suite report build --to reports/site
""",
)
def command() -> None:
    """Write pages that work offline: any set of runs compared, or the site of everything."""


@command.command(
    "runs",
    epilog="""\b
Examples:
  suite report runs --to my-report
  suite report runs runs/RUN_A runs/RUN_B other-runs/ --to my-report
""",
)
@click.argument("texts", nargs=-1, metavar="[RUN|FOLDER]...")
@pages_option("The folder in which to write the page, its Markdown twin, and its tables.", required=True)
@runs_option
@json_option
def runs(texts: tuple[str, ...], target: Path, root: Path | None, as_json: bool) -> None:
    """Compare any number of runs on one page: table, matched pairs, effects of axes and methods, fronts.

    Each RUN or FOLDER is a run id, the folder of a run or of a study, a record.json, or a folder of runs; without any,
    all runs.
    A record that cannot be read is named, on the page too, and stops nothing.
    """
    from suite.records import Store
    from suite.reports.collection.pages import PAGE, records_files
    from suite.reports.collection.runs import collect

    store = Store(root)
    collection = collect(texts, store)
    _tell(collection)
    if not collection.runs:
        raise SuiteError(f"there are no runs in {store.root}", hint="`suite evaluate` makes one; --runs names a folder")
    written = write_files(target, records_files(collection, figures_reader(collection)))
    emit(
        {"runs": len(collection.runs), "problems": _problems(collection), "files": [str(path) for path in written]},
        f"{len(collection.runs)} runs: {target / PAGE}",
        as_json,
    )


@command.command(
    "effects",
    epilog="""\b
Examples:
  suite report effects runs/studies/observation-*-small --to reports/axes-beside-methods
  suite report effects --to my-effects
""",
)
@click.argument("texts", nargs=-1, metavar="[RUN|FOLDER]...")
@pages_option("The folder in which to write the page, its Markdown twin, and its tables.", required=True)
@runs_option
@json_option
def effects(texts: tuple[str, ...], target: Path, root: Path | None, as_json: bool) -> None:
    """Put the effect of each axis beside the effect of swapping the method, from the runs of any studies.

    Each RUN or FOLDER is the folder of a study, a run id, the folder of a run, a record.json, or a folder of runs;
    without any, all runs. Two runs that differ in one thing alone make a pair.
    """
    from suite.records import Store
    from suite.reports.collection.pages import EFFECTS_PAGE, effects_files
    from suite.reports.collection.runs import collect

    store = Store(root)
    collection = collect(texts, store)
    _tell(collection)
    if not collection.runs:
        raise SuiteError(f"there are no runs in {store.root}", hint="`suite study run` makes some")
    command = " ".join(["suite report effects", *map(shlex.quote, texts), "--to FOLDER"])
    written = write_files(target, effects_files(collection, command))
    emit(
        {"runs": len(collection.runs), "problems": _problems(collection), "files": [str(path) for path in written]},
        f"{len(collection.runs)} runs: {target / EFFECTS_PAGE}",
        as_json,
    )


@command.command("build", epilog="\b\nExamples:\n  suite report build\n  suite report build --to public --cards cards")
@pages_option("The folder of the site.", default=Path("reports/site"), show_default=True)
@click.option(
    "--cards",
    "cards",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A folder of cards, searched as deep as it goes; ./cards by default, where there is one.",
)
@runs_option
@json_option
def build(target: Path, cards: Path | None, root: Path | None, as_json: bool) -> None:
    """Make the site: methods, cards, studies, claims and runs, searchable, each with its page or its row.

    Where studies that ask a paper's questions are on record, published stands beside reproduced.

    Reports that lie beside the site, in the folder above it, are linked from it. A card or a record that cannot be read
    is named and stops nothing.
    """
    from suite.cli.report_methods import method_pages
    from suite.cli.reproduce_recorded import on_record
    from suite.records import Store
    from suite.reports.collection.runs import collect
    from suite.reports.site.build import site_files
    from suite.reports.site.catalogue import gather

    store = Store(root)
    collection = collect((), store)
    _tell(collection)
    catalogue = gather(method_pages(), cards or Path("cards"), target)
    reproduced = on_record(catalogue.published, store.root) if catalogue.published is not None else ()
    for problem in catalogue.problems:
        note(f"left out: {problem.where}: {problem.why}")
    written = write_files(target, site_files(catalogue, collection, figures_reader(collection), reproduced))
    emit(
        {
            "site": str(target / "index.html"),
            "methods": len(catalogue.methods),
            "cards": len(catalogue.cards),
            "studies": len(catalogue.studies),
            "claims": len(catalogue.claims),
            "reproduced": len(reproduced),
            "runs": len(collection.runs),
            "problems": _problems(collection) + [{"where": held.where, "why": held.why} for held in catalogue.problems],
            "files": len(written),
        },
        f"{len(written)} files: {target / 'index.html'}",
        as_json,
    )


def figures_reader(collection: Collection) -> Callable[[str], Mapping[str, Any]]:
    """The figures in the whole record of a run; empty where it cannot be read."""
    from suite.errors import RecordError
    from suite.records import Record
    from suite.records.plain import MAXIMUM_JSON_BYTES
    from suite.records.store import read_bounded

    files = {run.run_id: run.file for run in collection.runs}

    def figures(run_id: str) -> Mapping[str, Any]:
        file = files[run_id]
        try:
            return {} if file is None else Record.from_json(read_bounded(file, MAXIMUM_JSON_BYTES), run_id).figures
        except RecordError:
            return {}

    return figures


def _tell(collection: Collection) -> None:
    for problem in collection.problems:
        note(f"left out: {problem.where}: {problem.why}")


def _problems(collection: Collection) -> list[dict[str, str]]:
    return [{"where": problem.where, "why": problem.why} for problem in collection.problems]
