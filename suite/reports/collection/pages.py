"""Reports, collection: many runs as an HTML page, as Markdown, and as the files beside both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from suite.reports.collection.effects_page import effects_page
from suite.reports.collection.page import Figures, RecordsPage, records_page
from suite.reports.collection.runs import Collection, Run, best_first
from suite.reports.rendering import html_page, markdown_page
from suite.reports.table import page_data, table_files

PAGE, TWIN = "runs.html", "runs.md"
EFFECTS_PAGE, EFFECTS_TWIN = "effects.html", "effects.md"
ROWS_OF_MARKDOWN = 60


def records_files(collection: Collection, figures: Figures, *, home: str = "") -> dict[str, str | bytes]:
    """File name -> content: the page, its twin, and its tables. `home` is where the page leads back to."""
    page = records_page(collection, figures)
    tables = {table.name: table_files(table) for table in page.tables if len(table)}
    names = {table.name: sorted(tables.get(table.name, ())) for table in page.tables}
    files: dict[str, str | bytes] = {
        PAGE: _html(page, names, home),
        TWIN: _markdown(page, names, collection.runs),
    }
    for held in tables.values():
        files |= held
    return files


def effects_files(collection: Collection, command: str) -> dict[str, str | bytes]:
    """File name -> content: the page of effects, its twin, and its tables."""
    page = effects_page(collection, command)
    tables = {table.name: table_files(table) for table in (page.effects, page.pairs) if len(table)}
    names = {table.name: sorted(tables.get(table.name, ())) for table in (page.effects, page.pairs)}
    html = html_page(
        "effects.html.j2",
        title=page.title,
        page=page,
        files=names,
        embedded={page.pairs.name: page_data(page.pairs)},
        embedded_name="pairs",
    )
    files: dict[str, str | bytes] = {
        EFFECTS_PAGE: html,
        EFFECTS_TWIN: markdown_page("effects.md.j2", page=page, files=names),
    }
    for held in tables.values():
        files |= held
    return files


def _html(page: RecordsPage, files: Mapping[str, Sequence[str]], home: str) -> str:
    return html_page(
        "records.html.j2",
        title=page.title,
        page=page,
        files=files,
        home=home,
        embedded={table.name: page_data(table) for table in (page.runs, page.pairs)},
        embedded_name="runs",
    )


def _markdown(page: RecordsPage, files: Mapping[str, Sequence[str]], runs: Sequence[Run]) -> str:
    best = sorted(runs, key=best_first)
    return markdown_page("records.md.j2", page=page, files=files, best=best[:ROWS_OF_MARKDOWN])
