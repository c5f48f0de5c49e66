"""`suite audit`: looks at a saved quantized model from outside and compares it with a card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suite.cli.output import columns, emit, json_option
from suite.errors import SuiteError

if TYPE_CHECKING:
    from suite.audit import AuditReport

_WIDTH = 76


@click.command(
    "audit",
    epilog="""\b
Examples:
  suite evaluate --card cards/rtn.yaml --save-model
  suite audit runs/RUN --card cards/rtn.yaml
  suite audit runs/RUN/model.safetensors --card runs/RUN/card.yaml --json
""",
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--card", "card_path", required=True, type=click.Path(path_type=Path), help="The card to hold it to.")
@click.option(
    "--set", "assignments", multiple=True, metavar="AXIS=VALUE", help="Give an axis another value than the card's."
)
@click.option("--task", metavar="ID", help="The task whose test images are used; the card's own by default.")
@click.option("--model", "model_id", metavar="ID", help="The architecture; the card's own by default.")
@click.option(
    "--data", type=click.Path(path_type=Path), envvar="SUITE_DATA", show_envvar=True, help="Where data sets are."
)
@json_option
def command(
    model: Path,
    card_path: Path,
    assignments: tuple[str, ...],
    task: str | None,
    model_id: str | None,
    data: Path | None,
    as_json: bool,
) -> int:
    """Compare MODEL with a card: a folder of a run made with --save-model, or a file of tensors.

    Each axis is verified, contradicted or not observable. What happened while the model was made (examples, labels,
    time) cannot be seen any more. Exit code 1: the card is contradicted.
    """
    from suite.axes import parse_assignment
    from suite.cards import load_card

    card = load_card(card_path)
    if card.kind != "run":
        raise SuiteError(f"{card_path} tells what a paper reported, and states not every axis", hint="use a run card")
    setting = card.setting.replace(**dict(parse_assignment(text) for text in assignments))
    task_id, architecture = task or card.task, model_id or card.model
    if task_id is None or architecture is None:
        missing = "task" if task_id is None else "model"
        raise SuiteError(f"{card_path} names no {missing}", hint=f"pass --{missing}")

    from suite.audit.saved import audit_saved
    from suite.models import build_model, shipped_baselines
    from suite.tasks import Split, get_task

    images = get_task(task_id, data)
    baseline = shipped_baselines().get(architecture)
    reference = build_model(baseline.model if baseline is not None else architecture, images.classes)
    report = audit_saved(
        model, reference=reference.eval(), setting=setting, images=images.split(Split.TEST).inputs[:192]
    )
    emit(as_data(report, model, card_path), as_text(report), as_json)
    return 1 if report.contradicted else 0


def as_data(report: AuditReport, model: Path, card: Path) -> dict[str, Any]:
    """The one JSON object of `--json`."""
    return {"model": str(model), "card": str(card), **report.to_dict(), "figures": report.figures.to_dict()}


def as_text(report: AuditReport) -> str:
    """The table a person reads: contradictions first, then what was verified, then what nobody can see."""
    order = {"contradicted": 0, "verified": 1, "not observable": 2}
    rows = [
        [found.verdict.value, axis, str(found.declared), _cut(found.evidence)]
        for axis, found in sorted(report.axes.items(), key=lambda item: order[item[1].verdict.value])
    ]
    figures = report.figures
    color = "red" if report.contradicted else "green"
    return "\n".join(
        [
            click.style(f"audit: {report.verdict.value}", fg=color, bold=True),
            columns(rows, ["verdict", "axis", "declared", "evidence"]),
            f"bits on average: weights {figures.average_weight_bits:.2f}, "
            f"activations {figures.average_activation_bits:.2f}",
            f"bytes: model {figures.model_bytes:,}, largest feature map {figures.feature_map_largest_bytes:,}, "
            f"all feature maps {figures.feature_map_total_bytes:,}",
        ]
    )


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
