"""Reports: entries beside each other as an HTML page, as Markdown, and as the files beside both."""

from __future__ import annotations

from collections.abc import Sequence

from suite.axes import AXES
from suite.reports import numbers
from suite.reports.comparison_page import ComparisonPage, comparison_page
from suite.reports.entry import Entry
from suite.reports.ranking import RankedRow
from suite.reports.rendering import Markdown, html_page, markdown_page
from suite.reports.result_tables import ResultTable
from suite.reports.table import Cell, Table, columns_of_files, files_of

PAGE, TWIN = "comparison.html", "comparison.md"

RESULTS = columns_of_files(
    "letter", "title", "run_id", "status", "method", "task", "model", "seed", "float_score", "score", "difference",
    "difference_low", "difference_high", "average_weight_bits", "average_activation_bits", "model_bytes", "audit",
    "contradicted", "ranking", "first_rank", "last_rank", "above", "above_difference", "above_low", "above_high",
    "above_mcnemar_p", "resolved", "not_comparable",
)  # fmt: skip


def comparison_files(entries: Sequence[Entry], *, rank_anyway: bool = False) -> dict[str, str | bytes]:
    """File name -> content: the page, its twin, and its tables. It ranks what is comparable, unless told otherwise."""
    page = comparison_page(entries, rank_anyway=rank_anyway)
    files = files_of((_results(entries, page), _axes(entries, page)))
    title, names = comparison_title(entries), sorted(files)
    html = html_page(
        "comparison.html.j2",
        title=title,
        page=page,
        files=names,
        embedded=[entry.document for entry in entries],
        embedded_name="records",
        embedded_id="records",
    )
    twin = markdown_page("comparison.md.j2", title=title, page=page, files=names, flag=_flag)
    return {PAGE: html, TWIN: twin} | files


def comparison_title(entries: Sequence[Entry]) -> str:
    """The titles themselves where they are few and short."""
    joined = " · ".join(entry.title for entry in entries)
    return joined if len(entries) <= 3 and len(joined) <= 90 else f"{len(entries)} cards compared"


def _flag(table: ResultTable) -> Markdown:
    return Markdown("" if table.comparable or not table.ranked else " *not comparable*")


def _results(entries: Sequence[Entry], page: ComparisonPage) -> Table:
    """One row an entry, in the order in which they were given; where it is ranked, its place and the entry above it."""
    ranked = {
        row.position: (number, row, above)
        for number, ranking in enumerate(page.rankings, 1)
        for row, above in zip(ranking.rows, (None, *ranking.rows), strict=False)
    }
    rows: list[tuple[Cell, ...]] = []
    for position, (letter, entry) in enumerate(zip(page.letters, entries, strict=True)):
        measured = entry.measured
        rows.append(
            (
                letter, entry.title, entry.run_id, entry.status, entry.method, entry.task, entry.model, entry.seed,
                measured.float_score, measured.score, measured.difference, *(measured.interval or (None, None)),
                measured.weight_bits, measured.activation_bits, measured.model_bytes, entry.audit_verdict,
                " ".join(entry.contradicted_axes),
                *(_place(page, *ranked[position]) if position in ranked else (None,) * 9 + ("",)),
            )
        )  # fmt: skip
    return Table.of_rows("results", "Results", "entries", RESULTS, rows)


def _place(page: ComparisonPage, number: int, row: RankedRow, above: RankedRow | None) -> tuple[Cell, ...]:
    interval = row.to_above
    return (
        number, row.first_rank, row.last_rank,
        "" if above is None else page.letters[above.position], row.difference_to_above,
        *((None, None) if interval is None else (interval.low, interval.high)),
        row.p_to_above, "" if above is None else "yes" if row.resolved else "no",
        "; ".join(row.obstacles_to_above),
    )  # fmt: skip


def _axes(entries: Sequence[Entry], page: ComparisonPage) -> Table:
    """One row an axis, one column an entry."""
    differing = {difference.axis for difference in page.verdict.differences}
    columns = columns_of_files("axis", "differs", *page.letters)
    rows = [
        (axis, "yes" if axis in differing else "no", *(numbers.value_text(entry.values[axis]) for entry in entries))
        for axis in AXES
    ]
    return Table.of_rows("axes", "Axes", "axes", columns, rows)
