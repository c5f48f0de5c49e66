"""Reports, site: from the catalogue and the runs to the files of the site. Every page has a twin in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from suite.claims.reproduce import Reproduction
from suite.reports.card_pages import render_card_html, render_card_markdown
from suite.reports.collection.page import Figures
from suite.reports.collection.pages import PAGE, TWIN, records_files
from suite.reports.collection.runs import Collection, Run
from suite.reports.numbers import percent
from suite.reports.rendering import html_page, markdown_page
from suite.reports.reproduction_page import reproduction_page
from suite.reports.reproduction_pages import PAGE as REPRODUCED
from suite.reports.reproduction_pages import reproduction_files
from suite.reports.site.catalogue import Catalogue, MethodPage
from suite.reports.site.details import method_files, method_page, study_files, study_page
from suite.reports.table import Cell, Column, Table, page_data, table_files

HOME, HOME_TWIN = "index.html", "index.md"
LIST_ROWS_OF_MARKDOWN = 200


@dataclass(frozen=True)
class ListPage:
    """One list of the site: a table with its page, what it is about, and where it leads."""

    table: Table
    lede: str

    @property
    def page(self) -> str:
        return f"{self.table.name}.html"

    @property
    def twin(self) -> str:
        return f"{self.table.name}.md"


def site_files(
    catalogue: Catalogue, collection: Collection, figures: Figures, reproduced: Sequence[Reproduction] = ()
) -> dict[str, str | bytes]:
    """File name -> content of the whole site."""
    files: dict[str, str | bytes] = {}
    for held in catalogue.cards:
        files[f"cards/{held.name}.html"] = render_card_html(held.card)
        files[f"cards/{held.name}.md"] = render_card_markdown(held.card)
    for method in catalogue.methods:
        files |= method_files(catalogue, method, collection.runs)
    for study in catalogue.studies:
        files |= study_files(catalogue, study)
    lists = [page for page in _lists(catalogue, collection.runs, reproduced) if len(page.table)]
    if catalogue.published is not None:
        for one in reproduced:
            pages = reproduction_files(catalogue.published, one, home=f"../../{HOME}")
            files |= {f"{_folder(one)}/{name}": content for name, content in pages.items()}
    for page in lists:
        files |= _list_files(page)
    if collection.runs:
        files |= records_files(collection, figures, home=HOME)
    return {**_home_files(catalogue, collection, lists), **files}


def _folder(one: Reproduction) -> str:
    return f"reproduced/{one.scope}-{one.size}"


def _lists(catalogue: Catalogue, runs: Sequence[Run], reproduced: Sequence[Reproduction]) -> list[ListPage]:
    return [
        ListPage(_methods_table(catalogue, runs), "Every method: what it is, its paper, and the best run on record."),
        ListPage(_cards_table(catalogue), "Every card, those transcribed from papers among them."),
        ListPage(_studies_table(catalogue), "The studies that come with the suite: many runs as one question each."),
        ListPage(
            _claims_table(catalogue), "Published numbers with where they stand; what a paper leaves open is empty."
        ),
        ListPage(
            _reproduced_table(catalogue, reproduced), "Papers beside what the suite's own studies measured, by size."
        ),
        ListPage(_reports_table(catalogue), "Pages that lie beside this site."),
    ]


def _methods_table(catalogue: Catalogue, runs: Sequence[Run]) -> Table:
    best: dict[str, Run] = {}
    counts: dict[str, int] = {}
    for run in runs:
        counts[run.method] = counts.get(run.method, 0) + 1
        known = best.get(run.method)
        if run.sound and (known is None or (known.score or 0.0) < (run.score or 0.0)):
            best[run.method] = run

    def best_text(method: MethodPage) -> str:
        run = best.get(method.id)
        return "" if run is None else f"{percent(run.score)} on {run.task}, {run.model}"

    descriptions = [" ".join(held.description) for held in catalogue.methods]
    return _table(
        "methods",
        "Methods",
        [
            (Column("id", "Method", link="address"), [held.id for held in catalogue.methods]),
            (Column("title", "Title"), [held.title or held.summary for held in catalogue.methods]),
            (Column("paper", "Paper"), [held.paper for held in catalogue.methods]),
            (Column("runs", "Runs", "number"), [counts.get(held.id, 0) for held in catalogue.methods]),
            (Column("best", "Best run"), [best_text(held) for held in catalogue.methods]),
            (Column("origin", "From", filter="first"), [held.origin for held in catalogue.methods]),
            (Column("summary", "Summary", shown=False), [held.summary for held in catalogue.methods]),
            (Column("description", "Description", shown=False), descriptions),
            (Column("url", "Address of the paper", shown=False), [held.url for held in catalogue.methods]),
            (Column("address", "Page", shown=False), [method_page(held) for held in catalogue.methods]),
        ],
    )  # fmt: skip


def _cards_table(catalogue: Catalogue) -> Table:
    cards = catalogue.cards
    return _table(
        "cards",
        "Cards",
        [
            (Column("card", "Card", link="address"), [held.place for held in cards]),
            (Column("title", "Title"), [held.card.title for held in cards]),
            (Column("method", "Method", filter="first"), [held.card.method.id for held in cards]),
            (Column("kind", "Kind", filter="first"), [held.card.kind for held in cards]),
            (Column("task", "Task", filter="first"), [held.card.task or "" for held in cards]),
            (Column("model", "Network"), [held.card.model or "" for held in cards]),
            (Column("unreported", "Axes not reported", "number"), [len(held.card.unreported) for held in cards]),
            (Column("address", "Address", shown=False), [f"cards/{held.name}.html" for held in cards]),
        ],
    )


def _studies_table(catalogue: Catalogue) -> Table:
    studies = catalogue.studies
    return _table(
        "studies",
        "Studies",
        [
            (Column("id", "Study", link="address"), [held.study.id for held in studies]),
            (Column("title", "Title"), [held.study.title for held in studies]),
            (Column("question", "Question"), [held.study.question for held in studies]),
            (
                Column("cells", "Cells"),
                [", ".join(f"{size} {count}" for size, count in held.cells) for held in studies],
            ),
            (Column("expects", "Expectations", "number"), [len(held.study.expectations) for held in studies]),
            (Column("command", "Command"), [f"suite study run {held.study.id} --size smoke" for held in studies]),
            (Column("address", "Page", shown=False), [study_page(held) for held in studies]),
        ],
    )


def _claims_table(catalogue: Catalogue) -> Table:
    claims = catalogue.claims
    titles = {} if catalogue.published is None else {id: held.title for id, held in catalogue.published.papers.items()}
    return _table(
        "claims",
        "Claims",
        [
            (Column("id", "Claim"), [claim.id for claim in claims]),
            (Column("paper", "Paper", filter="first"), [titles[claim.paper] for claim in claims]),
            (Column("place", "Place"), [claim.place for claim in claims]),
            (Column("model", "Network", filter="more"), [claim.model for claim in claims]),
            (Column("method", "Method", filter="more"), [claim.method for claim in claims]),
            (Column("dataset", "Data", filter="first"), [claim.dataset for claim in claims]),
            (Column("setting", "Setting"), [claim.setting for claim in claims]),
            (Column("weight_bits", "Bits, weights", "number"), [claim.weight_bits for claim in claims]),
            (Column("activation_bits", "Bits, activations", "number"), [claim.activation_bits for claim in claims]),
            (Column("metric", "Metric", filter="more"), [claim.metric for claim in claims]),
            (Column("value", "Value"), [claim.value for claim in claims]),
            (Column("note", "Note"), [claim.note for claim in claims]),
        ],
    )  # fmt: skip


def _reproduced_table(catalogue: Catalogue, reproduced: Sequence[Reproduction]) -> Table:
    published = catalogue.published
    pages = [] if published is None else [(one, reproduction_page(published, one)) for one in reproduced]
    return _table(
        "reproduced",
        "Published and reproduced",
        [
            (Column("paper", "Paper", link="address"), [one.scope for one, _ in pages]),
            (Column("title", "Title"), [page.title for _, page in pages]),
            (Column("size", "Size", filter="first"), [one.size for one, _ in pages]),
            (Column("found", "Found"), [page.banner.headline for _, page in pages]),
            (Column("verdicts", "Verdicts"), [page.banner.sentence for _, page in pages]),
            (Column("address", "Address", shown=False), [f"{_folder(one)}/{REPRODUCED}" for one, _ in pages]),
        ],
        things="reproductions",
    )


def _reports_table(catalogue: Catalogue) -> Table:
    reports = catalogue.reports
    return _table(
        "reports",
        "Reports",
        [
            (Column("title", "Report", link="address"), [held.title for held in reports]),
            (Column("address", "File"), [quote(held.address) for held in reports]),
        ],
    )


def _table(name: str, title: str, parts: Sequence[tuple[Column, Sequence[Cell]]], things: str = "") -> Table:
    return Table(name, title, things or name, tuple(column for column, _ in parts), tuple(cells for _, cells in parts))


def _home_files(catalogue: Catalogue, collection: Collection, lists: Sequence[ListPage]) -> dict[str, str | bytes]:
    """The front page: doors to every list, and one table of everything that has a name, to be searched."""
    doors = [(page.table.title, len(page.table), page.page, page.twin) for page in lists]
    if collection.runs:
        doors.insert(0, ("Runs", len(collection.runs), PAGE, TWIN))
    rows: list[tuple[str, str, str, str]] = []
    for page in lists:
        columns = {column.id: cells for column, cells in zip(page.table.columns, page.table.cells, strict=True)}
        address = columns.get("address")
        for place in range(len(page.table)):
            words = " · ".join(str(cells[place]) for id, cells in columns.items() if id != "address" and cells[place])
            target = str(address[place]) if address and address[place] else page.page
            rows.append((str(page.table.cells[0][place]), page.table.title, words, target))
    everything = _table(
        "everything",
        "Everything",
        [
            (Column("name", "Name", link="target"), [row[0] for row in rows]),
            (Column("kind", "Kind", filter="first"), [row[1] for row in rows]),
            (Column("words", "What it says"), [row[2] for row in rows]),
            (Column("target", "Address", shown=False), [row[3] for row in rows]),
        ],
        things="entries",
    )
    context = {
        "title": "Reports of the quantization suite",
        "doors": doors,
        "problems": (*catalogue.problems, *collection.problems),
    }
    return {
        HOME: _html("site_home.html.j2", everything, **context),
        HOME_TWIN: markdown_page("site_home.md.j2", **context),
    }


def _list_files(page: ListPage) -> dict[str, str | bytes]:
    files = table_files(page.table)
    context: dict[str, Any] = {
        "title": page.table.title,
        "lede": page.lede,
        "files": sorted(files),
    }
    shown = [place for place, column in enumerate(page.table.columns) if column.shown]
    return {
        page.page: _html("site_list.html.j2", page.table, home=HOME, **context),
        page.twin: markdown_page(
            "site_list.md.j2", table=page.table, shown=shown, head=page.table.head(LIST_ROWS_OF_MARKDOWN), **context
        ),
        **files,
    }


def _html(template: str, table: Table, **context: Any) -> str:
    """A page with one table, which its script draws from the data that the page embeds."""
    embedded = {table.name: page_data(table)}
    return html_page(template, table=table, embedded=embedded, embedded_name=table.things, **context)
