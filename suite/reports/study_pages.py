"""Reports: a study as an HTML page, as Markdown, and as the files beside both. Other pages know of no studies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from suite.records import Record
from suite.reports.rendering import html_page, markdown_page
from suite.reports.study_page import study_page
from suite.reports.table import Cell, Column, Table, columns_of_files, files_of
from suite.statistics import Interval
from suite.studies.evidence import Evidence, Measured
from suite.studies.expectations import Answer
from suite.studies.matching import groups
from suite.studies.remarks import NO_REMARKS, Remarks
from suite.studies.states import CellResult
from suite.studies.study import Study

PAGE, TWIN = "study.html", "study.md"

CELL = columns_of_files(
    "seed", "state", "method", "score", "float_score", "difference", "difference_low", "difference_high",
    "average_weight_bits", "average_activation_bits", "model_bytes", "seconds", "run_id", "message", "stale",
)  # fmt: skip
SCORE = columns_of_files(
    "seeds", "score", "score_low", "score_high", "difference", "difference_low", "difference_high", "missing",
)  # fmt: skip
EXPECTATION = columns_of_files(
    "id", "says", "verdict", "detail", "what", "kind", "estimate", "low", "high", "finding", "comparison_verdict",
)  # fmt: skip


def study_files(
    study: Study,
    size: str,
    results: Sequence[CellResult],
    evidence: Evidence,
    answers: Sequence[Answer],
    command: str,
    remarks: Remarks = NO_REMARKS,
) -> dict[str, str | bytes]:
    """File name -> content: the page, which embeds the study, its cells and its answers; its twin; its tables."""
    page = study_page(study, size, results, evidence, answers, command, remarks)
    files = files_of((_cells(results), _scores(results, evidence), _expectations(answers)))
    names = sorted(files)
    html = html_page(
        "study.html.j2",
        title=f"{study.title} · study",
        page=page,
        files=names,
        embedded=study_document(study, size, results, answers),
        embedded_name="study",
        embedded_id="study",
    )
    return {PAGE: html, TWIN: markdown_page("study.md.j2", page=page, files=names)} | files


def study_document(study: Study, size: str, results: Sequence[CellResult], answers: Sequence[Answer]) -> dict[str, Any]:
    """What the page shows, as data: the study's own text, every cell with its result, every answer."""
    return {
        "study": study.id,
        "size": size,
        "text": study.text,
        "cells": [
            {
                "cell": result.cell.id,
                "levels": dict(result.cell.levels),
                "seed": result.cell.seed,
                "state": result.state.value,
                "message": result.message,
                "run_id": result.record.run_id if result.record else None,
                "float_score": result.record.float_score if result.record else None,
                "score": result.record.score if result.record else None,
                "difference": result.record.difference if result.record else None,
                "difference_interval": list(result.record.difference_interval)
                if result.record and result.record.difference_interval
                else None,
                "model_bytes": result.record.model_bytes if result.record else None,
                "seconds": result.seconds,
                "stale": result.stale,
            }
            for result in results
        ],
        "expectations": [
            {
                "id": held.expectation.id,
                "says": held.expectation.says,
                "verdict": held.verdict.value,
                "detail": held.detail,
                "compared": [
                    {
                        "what": row.what,
                        "interval": row.interval.to_dict() if row.interval else None,
                        "says": row.says,
                        "verdict": row.verdict.value,
                    }
                    for row in held.compared
                ],
            }
            for held in answers
        ],
    }


def _factors(results: Sequence[CellResult]) -> tuple[str, ...]:
    """What varies anywhere in the study, the part first; a cell leaves empty what its part does not vary."""
    return tuple(dict.fromkeys(name for result in results for name in result.cell.levels))


def _of_factors(factors: Sequence[str]) -> tuple[Column, ...]:
    return columns_of_files(*(f"level.{name}" for name in factors))


def _cells(results: Sequence[CellResult]) -> Table:
    """One row a cell."""
    factors = _factors(results)
    rows: list[tuple[Cell, ...]] = []
    for result in results:
        cell, record = result.cell, result.record
        levels = (cell.levels.get(name, "") for name in factors)
        found = (*_measured(record), result.seconds, record.run_id if record is not None else "")
        state = (result.state.value, cell.card.method.id)
        rows.append((cell.id, *levels, cell.seed, *state, *found, result.message, result.stale))
    columns = (*columns_of_files("cell"), *_of_factors(factors), *CELL)
    return Table.of_rows("cells", "Cells", "cells", columns, rows)


def _measured(record: Record | None) -> tuple[Cell, ...]:
    if record is None:
        return (None,) * 8
    interval = record.difference_interval or (None, None)
    costs = (record.average_weight_bits, record.average_activation_bits, record.model_bytes)
    return record.score, record.float_score, record.difference, *interval, *costs


def _scores(results: Sequence[CellResult], evidence: Evidence) -> Table:
    """One row for cells that differ in the seed alone: their mean, with its interval."""
    factors = _factors(results)
    rows: list[tuple[Cell, ...]] = []
    for group in groups([result.cell for result in results]):
        found = evidence.of(group)
        levels = (group.levels.get(name, "") for name in factors)
        if isinstance(found, Measured):
            told: tuple[Cell, ...] = (*_bounds(found.score()), *_bounds(found.loss()), "")
        else:
            told = (*(None,) * 6, found.reason)
        rows.append((group.id, *levels, len(group.cells), *told))
    columns = (*columns_of_files("group"), *_of_factors(factors), *SCORE)
    return Table.of_rows("scores", "Scores over seeds", "scores", columns, rows)


def _expectations(answers: Sequence[Answer]) -> Table:
    """One row for every comparison that an expectation rests on."""
    rows: list[tuple[Cell, ...]] = []
    for held in answers:
        told = (held.expectation.id, held.expectation.says, held.verdict.value, held.detail)
        compared = [
            (row.what, "score" if row.is_score else "difference", *_bounds(row.interval), row.says, row.verdict.value)
            for row in held.compared
        ]
        rows += [(*told, *row) for row in compared or [("", "", *_bounds(None), "", "")]]
    return Table.of_rows("expectations", "Expectations", "comparisons", EXPECTATION, rows)


def _bounds(interval: Interval | None) -> tuple[Cell, ...]:
    return (None,) * 3 if interval is None else (interval.estimate, interval.low, interval.high)
