"""`suite list`: what the registries hold, without importing any of it, and the claims, which can be searched."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from typing import Any

import click

from suite.cli.output import columns, emit, json_option
from suite.registry import Entry, Registry

Row = dict[str, Any]


def _registered(registry: Registry[Any]) -> list[Row]:
    return [{"id": entry.id, "summary": _summary(entry), "origin": entry.origin} for entry in registry]


def _summary(entry: Entry) -> str:
    """A module may begin with its room and its id, which stand beside the summary already."""
    return re.sub(rf"^[A-Z]\w+: `{re.escape(entry.id)}`, ", "", entry.summary())


def _methods() -> list[Row]:
    from suite.methods import METHODS

    return _registered(METHODS)


def _tasks() -> list[Row]:
    from suite.tasks import TASKS

    return _registered(TASKS)


def _models() -> list[Row]:
    from suite.models import MODELS

    return _registered(MODELS)


def _baselines() -> list[Row]:
    from suite.models.baselines import describe_baselines

    return describe_baselines()


def _studies() -> list[Row]:
    from suite.studies import load_study, shipped_studies

    return [{"id": id, "title": load_study(id).title, "question": load_study(id).question} for id in shipped_studies()]


def _claims(scope: str | None = None, words: str = "") -> list[Row]:
    from suite.claims import load_published
    from suite.cli.show_claim import claim_row

    published = load_published()
    claims = published.claims if scope is None else published.of(scope)
    return [claim_row(claim) for claim in published.search(words, claims)]


def _hardware() -> list[Row]:
    from suite.hardware import shipped_profiles

    return [
        {"id": profile.id, "title": profile.title, "restricted": len(profile.restrictions)}
        for profile in shipped_profiles()
    ]


def _axes() -> list[Row]:
    from suite.axes import AXES

    return [
        {
            "id": axis.id,
            "section": str(axis.section),
            "question": axis.question,
            "default": list(axis.default) if isinstance(axis.default, tuple) else axis.default,
        }
        for axis in AXES.values()
    ]


KINDS: dict[str, tuple[Callable[[], list[Row]], tuple[str, ...]]] = {
    "methods": (_methods, ("id", "summary", "origin")),
    "axes": (_axes, ("id", "section", "default", "question")),
    "tasks": (_tasks, ("id", "summary", "origin")),
    "models": (_models, ("id", "summary", "origin")),
    "baselines": (_baselines, ("id", "task", "model", "score")),
    "studies": (_studies, ("id", "title", "question")),
    "hardware": (_hardware, ("id", "restricted", "title")),
    "claims": (_claims, ("id", "model", "method", "weight_bits", "activation_bits", "metric", "value")),
}


@click.command(
    "list",
    epilog="""\b
Examples:
  suite list methods
  suite list axes --json
  suite list claims --paper flexround/table2 --search "mobilenetv2 2"
""",
)
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.option("--search", default="", metavar="WORDS", help="Only what has all of these words in it.")
@click.option("--paper", metavar="PAPER[/TABLE]", help="Only the claims of one paper, or of one of its tables.")
@json_option
def command(kind: str, search: str, paper: str | None, as_json: bool) -> None:
    """List everything of one KIND: its id and what it is."""
    if paper is not None and kind != "claims":
        raise click.UsageError(f"--paper is for claims, not for {kind}", click.get_current_context())
    rows_of, shown = KINDS[kind]
    rows = _claims(paper, search) if kind == "claims" else [row for row in rows_of() if _has(row, search)]
    table = columns([[_shown(row.get(key)) for key in shown] for row in rows], shown)
    nothing = f"no {kind} have all of these words" if search else f"no {kind} are registered"
    emit(rows, "\n".join([table, *_beside(kind)]) if rows else nothing, as_json)


def _has(row: Row, words: str) -> bool:
    text = " ".join(str(value) for value in row.values()).lower()
    return all(word in text for word in words.lower().split())


def _beside(kind: str) -> list[str]:
    """What can be had besides the registered: models of libraries, by their names there."""
    if kind != "models":
        return []
    from suite.models import PREFIXES, SCALABLE

    scaled = f"{' and '.join(SCALABLE.ids())} in other widths and depths, for example resnet20-w1.26-d1.5 (suite scale)"
    lines = ["", "Besides, models of libraries by their names there:"]
    for prefix, what in PREFIXES.items():
        lines += textwrap.wrap(
            what, 80, initial_indent=f"  {prefix + ':':<15}", subsequent_indent=" " * 17, break_on_hyphens=False
        )
    return [*lines, "", *textwrap.wrap(scaled, 80)]


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
