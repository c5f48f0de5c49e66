"""`suite compare`: several cards or runs beside each other, ranked only where they are comparable. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suite.cli.options import pages_option, runs_option
from suite.cli.output import columns, emit, json_option, note

if TYPE_CHECKING:
    from suite.reports import Entry
    from suite.reports.comparison_page import ComparisonPage
    from suite.reports.result_tables import ResultTable

MOST_ENTRIES = 40
COLOURS = {"good": "green", "doubtful": "yellow", "bad": "red", "quiet": None}


@click.command(
    "compare",
    epilog="""\b
Examples:
  suite compare runs/RUN_A runs/RUN_B --to comparison
  suite compare cards/lsq.yaml cards/rtn.yaml
  suite compare RUN_A RUN_B --rank-anyway
  suite compare RUN_A RUN_B --json
""",
)
@click.argument("entries", nargs=-1, required=True, metavar="CARD|RUN...")
@pages_option("The folder in which to write the page, its Markdown twin, and its tables.", "--out")
@click.option("--rank-anyway", is_flag=True, help="Rank what is not comparable too, and say so beside every number.")
@runs_option
@json_option
def command(entries: tuple[str, ...], target: Path | None, rank_anyway: bool, root: Path | None, as_json: bool) -> None:
    """Compare cards or runs: say in which axes they differ, and rank them only if they are comparable.

    Each CARD|RUN is a card file, a record.json, the folder of a run, or a run id (its unique beginning or its hash).
    """
    if len(entries) < 2:
        raise click.UsageError("a comparison needs at least two cards or runs", click.get_current_context())
    if len(entries) > MOST_ENTRIES:
        raise click.UsageError(
            f"{len(entries)} cards or runs are more than the {MOST_ENTRIES} that one page can show",
            click.get_current_context(),
        )
    from suite.records import Store
    from suite.reports.comparison_page import comparison_page
    from suite.reports.sources import find_entry

    store = Store(root)
    found = [find_entry(text, store) for text in entries]
    page = comparison_page(found, rank_anyway=rank_anyway)
    files = [] if target is None else _write(found, target, rank_anyway)
    emit(as_data(found, page, files), as_text(page), as_json)
    if files:
        note(f"{len(files)} files: {files[0]}")


def _write(entries: Sequence[Entry], target: Path, rank_anyway: bool) -> list[Path]:
    from suite.cli.writing import write_files
    from suite.reports.comparison_pages import comparison_files

    return write_files(target, comparison_files(entries, rank_anyway=rank_anyway))


def as_data(entries: Sequence[Entry], page: ComparisonPage, files: Sequence[Path] = ()) -> dict[str, Any]:
    """The one JSON object of `--json`."""
    from suite.axes import plain

    verdict = page.verdict
    return {
        "comparable": verdict.comparable,
        "reasons": [
            {"obstacle": reason.obstacle.value, "sentence": reason.sentence, "axes": list(reason.axes)}
            for reason in verdict.reasons
        ],
        "entries": [
            {
                "letter": letter,
                "title": entry.title,
                "run_id": entry.run_id or None,
                "status": entry.status,
                "method": entry.method,
                "task": entry.task,
                "model": entry.model,
                "seed": entry.seed,
                "float_score": entry.measured.float_score,
                "score": entry.measured.score,
                "difference": entry.measured.difference,
                "difference_interval": list(entry.measured.interval) if entry.measured.interval else None,
                "audit": entry.audit_verdict,
                "contradicted_axes": list(entry.contradicted_axes),
            }
            for letter, entry in zip(page.letters, entries, strict=True)
        ],
        "differences": [
            {"axis": row.axis, "values": [plain(value) for value in row.values], "forbids_ranking": row.forbids}
            for row in verdict.differences
        ],
        "rankings": [
            {
                "comparable": ranking.comparable,
                "pairs_resolved_together": ranking.pairs,
                "rows": [
                    {
                        "letter": page.letters[row.position],
                        "rank": [row.first_rank, row.last_rank],
                        "difference_to_above": row.difference_to_above,
                        "interval_to_above": [row.to_above.low, row.to_above.high] if row.to_above else None,
                        "mcnemar_p_to_above": row.p_to_above,
                        "resolved": row.resolved,
                        "not_comparable_to_above": list(row.obstacles_to_above),
                    }
                    for row in ranking.rows
                ],
            }
            for ranking in page.rankings
        ],
        "files": [str(path) for path in files],
    }


def as_text(page: ComparisonPage) -> str:
    """The compact comparison a person reads on a terminal."""
    blocks = [click.style(page.banner.headline, fg=COLOURS[page.banner.tone], bold=True)]
    if page.reasons:
        blocks[0] += "".join(f"\n  {reason}" for reason in page.reasons)
    blocks += [_table(table) for table in page.tables]
    if page.seeds:
        rows = [
            (", ".join(row.letters), row.method, row.score, f"{row.difference} {row.interval}") for row in page.seeds
        ]
        headers = ("entries", "method", "mean score", "mean difference to float, 95 % interval")
        blocks.append("Means over seeds\n" + columns(rows, headers))
    blocks.append(page.axes_title)
    if page.differences:
        cells = [
            [
                f"{row.axis} (of the method)" if row.of_method else row.axis,
                *(f"≠ {cell.text}" if cell.other else cell.text for cell in row.cells),
            ]
            for row in page.differences
        ]
        blocks[-1] += "\n" + columns(cells, ["axis", *page.letters])
    return "\n\n".join(blocks)


def _table(table: ResultTable) -> str:
    mark = "" if table.comparable or not table.ranked else " (not comparable)"
    headers = ["", "title", "method", "score", "difference to float, 95 % interval", "bits", "model", "audit"]
    rows = []
    for row in table.rows:
        difference = f"{row.difference} {row.interval}{mark}" if row.measured else row.difference
        cells = [row.letter, row.title, row.method, row.score + mark, difference, row.bits, row.size, row.audit]
        if table.ranked:
            told = (row.above, row.above_interval, row.above_p, row.resolution)
            above = " ".join(filter(None, told)) + mark if row.above else ""
            cells = [row.rank + mark, *cells[:5], above, *cells[5:]]
        rows.append(cells)
    if table.ranked:
        headers = ["rank", *headers[:5], "difference to the row above, 95 % interval, McNemar's p", *headers[5:]]
    return f"{table.title}\n{columns(rows, headers)}\n{table.note}"
