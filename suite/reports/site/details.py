"""Reports, site: the page of one method and of one study: what it is, and everything here that belongs to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from suite.reports.collection.runs import Run, best_first
from suite.reports.collection.runs_table import runs_table
from suite.reports.rendering import html_page, markdown_page
from suite.reports.site.catalogue import Catalogue, MethodPage, StudyPage, file_name
from suite.reports.table import Table, page_data
from suite.studies.needs import told_data, told_weights

METHODS, STUDIES = "methods", "studies"
MOST_RUNS = 300
"""So many runs of a method stand on its page: those with the best scores. The page of all runs has the others."""
SHOWN = (
    "run", "score", "difference", "difference_low", "difference_high", "average_weight_bits",
    "average_activation_bits", "model_bytes", "epochs", "audit", "status", "task", "model", "seed", "options",
)  # fmt: skip
HOME = "../index.html"
ROWS_OF_MARKDOWN = 40


@dataclass(frozen=True)
class Link:
    """Something else on the site, or beside it."""

    text: str
    address: str


def method_files(catalogue: Catalogue, method: MethodPage, runs: Sequence[Run]) -> dict[str, str | bytes]:
    """File name -> content: the page of a method, and its twin."""
    own = sorted((run for run in runs if run.method == method.id), key=best_first)
    table = _runs(own[:MOST_RUNS])
    context: dict[str, Any] = {
        "title": f"{method.id}: {method.title or method.summary}",
        "method": method,
        "cards": [
            Link(held.card.title or held.place, f"../cards/{held.name}.html")
            for held in catalogue.cards
            if held.card.method.id == method.id
        ],
        "studies": [
            Link(held.study.title, f"../{study_page(held)}") for held in catalogue.studies if method.id in held.methods
        ],
        "count": len(own),
        "table": table,
        "home": HOME,
    }
    page = html_page(
        "site_method.html.j2", embedded={table.name: page_data(table)}, embedded_name="runs of the method", **context
    )
    twin = markdown_page("site_method.md.j2", head=table.head(ROWS_OF_MARKDOWN), **context)
    return {method_page(method): page, method_page(method).removesuffix(".html") + ".md": twin}


def study_files(catalogue: Catalogue, held: StudyPage) -> dict[str, str | bytes]:
    """File name -> content: the page of a study, and its twin. Its results are pages of their own, and linked."""
    study = held.study
    context: dict[str, Any] = {
        "title": study.title,
        "study": study,
        "sizes": [
            (size, count, [*map(told_weights, size.weights), *map(told_data, size.data)])
            for size, (_, count) in zip(study.sizes, held.cells, strict=True)
        ],
        "methods": [
            Link(method.id, f"../{method_page(method)}") for method in catalogue.methods if method.id in held.methods
        ],
        "reports": [
            Link(report.address.removeprefix("../"), quote(f"../{report.address}"))
            for report in catalogue.reports
            if report.title == f"{study.title} · study"
        ],
        "home": HOME,
    }
    page = html_page("site_study.html.j2", embedded={"text": study.text}, embedded_name="study", **context)
    twin = markdown_page("site_study.md.j2", **context)
    return {study_page(held): page, study_page(held).removesuffix(".html") + ".md": twin}


def method_page(method: MethodPage) -> str:
    return f"{METHODS}/{file_name(method.id)}.html"


def study_page(held: StudyPage) -> str:
    return f"{STUDIES}/{file_name(held.study.id)}.html"


def _runs(runs: Sequence[Run]) -> Table:
    table = runs_table(runs)
    return table.without(*(column.id for column in table.columns if column.id not in SHOWN))
