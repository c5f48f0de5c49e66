"""`suite evaluate`: one method under one card, from the card to a record, a completed card and its pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suite.cli.options import store_option
from suite.cli.output import emit, json_option, note
from suite.cli.stopping import terminable

if TYPE_CHECKING:
    from suite.harness.evaluate import Evaluation
    from suite.records import Record


@click.command(
    "evaluate",
    epilog="""\b
Examples:
  suite evaluate --method lsq --card cards/lsq.yaml
  suite evaluate --method rtn --card cards/rtn.yaml --set weight_bits=4 --set activation_bits=4
  suite evaluate --card cards/lsq.yaml --option epochs=4 --seed 1 --json
  suite evaluate --method rtn --card cards/rtn.yaml --task cifar10-clean40k --model resnet20 \\
    --weights resnet20.pt --data DATA
""",
)
@click.option("--card", "card_path", required=True, type=click.Path(path_type=Path), help="The card to run under.")
@click.option("--method", "method_id", metavar="ID", help="The method; the card's own by default.")
@click.option(
    "--set", "assignments", multiple=True, metavar="AXIS=VALUE", help="Give an axis another value than the card's."
)
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="Give the method an option.")
@click.option("--task", metavar="ID", help="The task; the card's own by default.")
@click.option("--model", metavar="ID", help="The baseline or architecture; the card's own by default.")
@click.option("--weights", type=click.Path(path_type=Path), help="Weights of the model (safetensors or a state dict).")
@click.option(
    "--data", type=click.Path(path_type=Path), envvar="SUITE_DATA", show_envvar=True, help="Where data sets are."
)
@click.option(
    "--seed", type=click.IntRange(min=0, max=2**31 - 1), help="Seed of every random stream; the card's own by default."
)
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda", "auto"]))
@click.option(
    "--threads", default=1, show_default=True, type=click.IntRange(1, 1024), help="Part of the run's identity."
)
@store_option
@click.option("--force", is_flag=True, help="Measure again although the run is on record.")
@click.option("--save-model", is_flag=True, help="Keep the quantized model's weights beside the record.")
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
@json_option
def command(
    card_path: Path,
    method_id: str | None,
    assignments: tuple[str, ...],
    options: tuple[str, ...],
    task: str | None,
    model: str | None,
    weights: Path | None,
    data: Path | None,
    seed: int | None,
    device: str,
    threads: int,
    runs: Path,
    force: bool,
    save_model: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Run one method under one card: enforce it, measure, observe, and write the record.

    Writes card.yaml, card.md, card.html and record.json into one folder per run. The same command again finds the
    record instead of measuring. A long run keeps checkpoints: interrupted or killed, it continues when the same command
    is given again; --force starts anew. Exit code 1: the audit contradicts the card, or the run failed or diverged.
    """
    from suite.cards import load_card
    from suite.harness.request import resolve

    card = load_card(card_path)
    request = resolve(
        card,
        method=method_id,
        assignments=assignments,
        options=options,
        task=task,
        model=model,
        weights=weights,
        data=data,
        seed=seed,
        device=device,
        threads=threads,
    )
    from suite.harness.evaluate import evaluate

    with terminable():
        evaluation = evaluate(request, runs, force=force, save_model=save_model, quiet=quiet or as_json)
    if evaluation.found:
        note(f"found on record: {evaluation.folder} (--force measures again)")
    emit(as_data(evaluation), as_text(evaluation), as_json)
    return 0 if evaluation.record.status == "completed" and not _contradicted(evaluation.record) else 1


def _contradicted(record: Record) -> bool:
    return record.audit is not None and record.audit["verdict"] == "contradicted"


def as_data(evaluation: Evaluation) -> dict[str, Any]:
    """The one JSON object of `--json`."""
    record = evaluation.record.to_dict()
    shown = [
        "status",
        "message",
        "run_id",
        "method",
        "task",
        "model",
        "seed",
        "metric",
        "float_score",
        "score",
        "difference",
        "difference_interval",
        "average_weight_bits",
        "average_activation_bits",
        "model_bytes",
        "audit",
        "costs",
    ]
    return {key: record[key] for key in shown} | {"found": evaluation.found, "folder": str(evaluation.folder)}


def as_text(evaluation: Evaluation) -> str:
    """The compact result a person reads."""
    from suite.records.words import points_interval

    record = evaluation.record
    lines = [click.style(f"{record.method} on {record.task} / {record.model}, seed {record.seed}", bold=True)]
    if record.status != "completed":
        lines.append(click.style(f"{record.status}: {record.message}", fg="red", bold=True))
    if record.float_score is not None:
        lines.append(f"  float      {record.float_score:8.2%}  {record.metric}")
    if record.score is not None:
        lines.append(f"  quantized  {record.score:8.2%}")
    if record.difference is not None and record.difference_interval is not None:
        interval = points_interval(record.difference_interval)
        lines.append(f"  difference {100 * record.difference:+8.2f} points, 95 % interval {interval}")
    for name, values in record.figures.get("test", {}).items():
        lines.append(f"  {name}: {values['float']:.4f} float, {values['quantized']:.4f} quantized")
    if record.average_weight_bits is not None and record.average_activation_bits is not None:
        lines.append(
            f"  bits       weights {record.average_weight_bits:.2f}, "
            f"activations {record.average_activation_bits:.2f} on average"
        )
    if record.model_bytes is not None:
        lines.append(f"  size       {record.model_bytes:,} bytes")
    costs = record.costs
    lines.append(
        f"  cost       {costs['seconds']:.1f} s = {costs['epoch_fraction']:.2f} epochs of float training, "
        f"{costs['examples']} examples, labels {'used' if costs['labels'] else 'not used'}"
    )
    lines.extend(_audit_lines(record))
    lines.append(f"  folder     {evaluation.folder}")
    return "\n".join(lines)


def _audit_lines(record: Record) -> list[str]:
    if record.audit is None:
        return []
    axes = record.audit["axes"]
    count = {
        verdict: sum(entry["verdict"] == verdict for entry in axes.values())
        for verdict in ("verified", "contradicted", "not observable")
    }
    color = "red" if count["contradicted"] else "green"
    summary = ", ".join(f"{number} {verdict}" for verdict, number in count.items() if number)
    lines = [click.style(f"  audit      {record.audit['verdict']}: {summary}", fg=color, bold=True)]
    for axis, entry in axes.items():
        if entry["verdict"] == "contradicted":
            lines.append(
                click.style(
                    f"    {axis}: declared {entry['declared']}, observed {entry['observed']}: {entry['evidence']}",
                    fg="red",
                )
            )
    return lines
