"""Reports: entries beside each other as an HTML page, as Markdown, and as the files beside both."""

from __future__ import annotations

from collections.abc import Sequence

from suite.axes import AXES
from suite.reports import numbers
from suite.reports.comparison_page import ComparisonPage, comparison_page
from suite.reports.entry import Entry
from suite.reports.rendering import Markdown, html_page, markdown_page
from suite.reports.result_tables import ResultTable
from suite.reports.table import Cell, Column, Table, files_of

PAGE, TWIN = "comparison.html", "comparison.md"

RESULTS = (
    Column("letter", "Entry"), Column("title", "Title"), Column("run_id", "Run"), Column("status", "Status"),
    Column("method", "Method"), Column("task", "Task"), Column("model", "Network"), Column("seed", "Seed"),
    Column("float_score", "Float"), Column("score", "Score"), Column("difference", "Difference to float"),
    Column("low", "95 % low"), Column("high", "95 % high"), Column("weight_bits", "Bits of a weight"),
    Column("activation_bits", "Bits of an activation"), Column("model_bytes", "Bytes"), Column("audit", "Audit"),
    Column("contradicted", "Contradicted axes"), Column("first_rank", "First rank"), Column("last_rank", "Last rank"),
    Column("above", "Difference to the row above"), Column("above_low", "95 % low"), Column("above_high", "95 % high"),
    Column("not_comparable", "Not comparable to the row above"),
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
    """One row an entry, in the order in which they were given; its ranks where it is ranked."""
    ranked = {row.position: row for ranking in page.rankings for row in ranking.rows}
    rows: list[tuple[Cell, ...]] = []
    for position, (letter, entry) in enumerate(zip(page.letters, entries, strict=True)):
        measured, place = entry.measured, ranked.get(position)
        to_above = place.to_above if place is not None else None
        ranks = (place.first_rank, place.last_rank, place.difference_to_above) if place is not None else (None,) * 3
        rows.append(
            (
                letter, entry.title, entry.run_id, entry.status, entry.method, entry.task, entry.model, entry.seed,
                measured.float_score, measured.score, measured.difference, *(measured.interval or (None, None)),
                measured.weight_bits, measured.activation_bits, measured.model_bytes, entry.audit_verdict,
                " ".join(entry.contradicted_axes),
                *ranks, *((None, None) if to_above is None else (to_above.low, to_above.high)),
                " ".join(place.obstacles_to_above) if place is not None else "",
            )
        )  # fmt: skip
    return Table.of_rows("results", "Results", "entries", RESULTS, rows)


def _axes(entries: Sequence[Entry], page: ComparisonPage) -> Table:
    """One row an axis, one column an entry."""
    differing = {difference.axis for difference in page.verdict.differences}
    columns = (Column("axis", "Axis"), Column("differs", "Differs"), *(Column(held, held) for held in page.letters))
    rows = [
        (axis, "yes" if axis in differing else "no", *(numbers.value_text(entry.values[axis]) for entry in entries))
        for axis in AXES
    ]
    return Table.of_rows("axes", "Axes", "axes", columns, rows)
