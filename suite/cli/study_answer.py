"""`suite study`: the answer of a study, as the one JSON object and as the lines that a person reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from suite.studies.expectations import Answer
    from suite.studies.states import CellResult
    from suite.studies.study import Study

COLOURS = {"holds": "green", "does not hold": "red"}


def answers_of(study: Study, size: str, results: Sequence[CellResult], runs: Path) -> tuple[Answer, ...]:
    from suite.records import Store
    from suite.studies.evidence import Evidence
    from suite.studies.expectations import answers

    return answers(study, size, [result.cell for result in results], Evidence(results, Store(runs)))


def as_data(study: Study, size: str, results: Sequence[CellResult], answers: Sequence[Answer]) -> dict[str, Any]:
    """The one JSON object that a study ends with."""
    states = [result.state.value for result in results]
    return {
        "study": study.id,
        "size": size,
        "cells": {state: states.count(state) for state in ("completed", "diverged", "failed")},
        "expectations": [
            {"id": held.expectation.id, "verdict": held.verdict.value, "detail": held.detail} for held in answers
        ],
    }


def as_text(study: Study, size: str, results: Sequence[CellResult], answers: Sequence[Answer]) -> str:
    """The compact end of a study that a person reads."""
    data = as_data(study, size, results, answers)
    lines = [click.style(f"{study.title} ({size})", bold=True)]
    lines.append("  " + ", ".join(f"{count} {state}" for state, count in data["cells"].items()))
    for result in results:
        if result.state.value in ("failed", "diverged"):
            lines.append(click.style(f"  {result.cell.id} {result.state.value}: {result.message}", fg="red"))
        elif contradicted(result):
            lines.append(click.style(f"  {result.cell.id}: its audit contradicts its card", fg="red"))
    for held in answers:
        verdict = click.style(held.verdict.value, fg=COLOURS.get(held.verdict.value, "yellow"), bold=True)
        lines += [f"  {held.expectation.says.rstrip('.')}: {verdict}", f"      {held.detail}"]
    return "\n".join(lines)


def contradicted(result: CellResult) -> bool:
    record = result.record
    return record is not None and record.audit is not None and record.audit["verdict"] == "contradicted"
