"""Reports: the page of a study, as HTML and as Markdown. Apart from the other pages, which know nothing of studies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from suite import __version__
from suite.reports.pages import SIGNS
from suite.reports.rendering import Markdown, escape_markdown, html_engine, markdown_engine
from suite.reports.study_page import study_page
from suite.studies.evidence import Evidence
from suite.studies.expectations import Answer
from suite.studies.remarks import NO_REMARKS, Remarks
from suite.studies.states import CellResult
from suite.studies.study import Study


def render_study_html(
    study: Study,
    size: str,
    results: Sequence[CellResult],
    evidence: Evidence,
    answers: Sequence[Answer],
    command: str,
    remarks: Remarks = NO_REMARKS,
) -> str:
    """The whole page: it loads nothing, and embeds the study, its cells and its answers as JSON."""
    page = study_page(study, size, results, evidence, answers, command, remarks)
    return (
        html_engine()
        .get_template("study.html.j2")
        .render(
            title=f"{study.title} · study",
            page=page,
            version=__version__,
            embedded_name="study",
            embedded_id="study",
            embedded=study_document(study, size, results, answers),
        )
    )


def render_study_markdown(
    study: Study,
    size: str,
    results: Sequence[CellResult],
    evidence: Evidence,
    answers: Sequence[Answer],
    command: str,
    remarks: Remarks = NO_REMARKS,
) -> str:
    """The same page as Markdown; figures are left to the other page, their numbers stand in the tables."""
    page = study_page(study, size, results, evidence, answers, command, remarks)
    text = (
        markdown_engine()
        .get_template("study.md.j2")
        .render(page=page, sign=SIGNS, strong=lambda text: Markdown(f"**{escape_markdown(text)}**"))
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


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
