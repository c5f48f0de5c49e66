"""`suite show`: explain a method, axis, task, model or claim, or print the plan of a model or the bits of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from suite.cli.options import runs_option
from suite.cli.output import columns, emit, json_option


@click.group(
    "show",
    epilog="""\b
Examples:
  suite show method lsq
  suite show axis skip_connection
  suite show plan --card cards/lsq.yaml --model torchvision:resnet18
  suite show bits RUN
  suite show claim flexround/table2/12
""",
)
def command() -> None:
    """Explain one thing, print the plan of a model under a card, or the bits of a run."""


@command.command("axis", epilog="\b\nExamples:\n  suite show axis pooling\n  suite show axis weight_bits --json")
@click.argument("id")
@json_option
def show_axis(id: str, as_json: bool) -> None:
    """One axis: its question, its values, what each costs at inference, and how it is observed."""
    from suite.axes import axis_of, plain

    axis = axis_of(id)
    data: dict[str, Any] = {
        "id": axis.id,
        "section": axis.section.value,
        "question": axis.question,
        "values": axis.domain.describe(),
        "default": plain(axis.default),
        "costs": {value: {"sentence": cost.sentence, "source": cost.source} for value, cost in axis.costs.items()},
        "cost_of_other_values": None
        if axis.other_cost is None
        else {"sentence": axis.other_cost.sentence, "source": axis.other_cost.source},
        "describable_only": sorted(axis.describable_only),
        "observed": axis.observation.how,
        "not_observable": axis.observation.why_not,
    }
    lines = [click.style(axis.id, bold=True) + f"  ({axis.section.heading})", axis.question, ""]
    lines += [f"values   {data['values']}", f"default  {data['default']}", "", "What a value costs at inference:"]
    prices = [*axis.costs.items(), *([("any other", axis.other_cost)] if axis.other_cost else [])]
    for value, cost in prices:
        mark = " (a card may say it; the suite cannot enforce it)" if value in axis.describable_only else ""
        lines.append(f"  {value}{mark}\n      {cost.sentence} [{cost.source}]")
    seen = (
        f"Observed: {axis.observation.how}" if axis.observation.how else f"Not observable: {axis.observation.why_not}"
    )
    emit(data, "\n".join([*lines, "", seen]), as_json)


@command.command("method", epilog="\b\nExamples:\n  suite show method lsq\n  suite show method rtn --json")
@click.argument("id")
@json_option
def show_method(id: str, as_json: bool) -> None:
    """One method: what it is, its paper, its options, the setting it recommends, and where its sources disagree."""
    from suite.cli.show_method import method_data, method_text

    data = method_data(id)
    emit(data, method_text(data), as_json)


@command.command(
    "claim", epilog="\b\nExamples:\n  suite show claim flexround/table2/12\n  suite show claim smol/prose/3 --json"
)
@click.argument("id", metavar="PAPER/TABLE/ROW")
@json_option
def show_claim(id: str, as_json: bool) -> None:
    """One published number: where it stands, and what its paper says of the setting behind it."""
    from suite.cli.show_claim import claim_data, claim_text

    data = claim_data(id)
    emit(data, claim_text(data), as_json)


@command.command(
    "hardware", epilog="\b\nExamples:\n  suite show hardware tensorrt-int8\n  suite show hardware mine.yaml --json"
)
@click.argument("name", metavar="NAME|FILE")
@json_option
def show_hardware(name: str, as_json: bool) -> None:
    """One hardware profile: what it can run on each axis, and which document says so."""
    from suite.cli.hardware import profile_json, profile_text
    from suite.hardware import load_profile

    profile = load_profile(name)
    emit(profile_json(profile), profile_text(profile), as_json)


@command.command("task", epilog="\b\nExamples:\n  suite show task digits")
@click.argument("id")
@json_option
def show_task(id: str, as_json: bool) -> None:
    """One task: its data, splits, preprocessing and metric."""
    from suite.tasks import FACTS, TASKS, task_title

    entry = TASKS.entry(id)
    data: dict[str, Any] = {"id": id, "title": task_title(id), "origin": entry.origin}
    if id in FACTS:
        facts = FACTS[id]
        data |= {
            "source": facts.source,
            "classes": facts.classes,
            "input_shape": list(facts.input_shape),
            "splits": facts.splits,
            "preprocessing": facts.preprocessing.sentence(),
            "metric": facts.metric,
            "default_model": facts.default_model,
        }
    emit(data, columns([[key, str(value)] for key, value in data.items()], ("", "")), as_json)


@command.command(
    "model", epilog="\b\nExamples:\n  suite show model resnet20\n  suite show model timm:deit_tiny_patch16_224"
)
@click.argument("id")
@click.option("--classes", default=10, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def show_model(id: str, classes: int, as_json: bool) -> None:
    """One model: its parameters and, where the suite ships weights for it, its measured score."""
    from suite.models import build_model, get_baseline, shipped_baselines

    baseline = shipped_baselines().get(id)
    model = get_baseline(id).load(classes) if baseline else build_model(id, classes)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    data = {
        "id": id,
        "parameters": parameters,
        "float_bytes": 4 * parameters,
        "baseline": None
        if baseline is None
        else {"task": baseline.task, "score": baseline.score, "weights_hash": baseline.weights_hash},
    }
    lines = [click.style(id, bold=True), f"{parameters:,} parameters, {4 * parameters:,} bytes in float"]
    if baseline is not None and baseline.score is not None:
        lines.append(f"shipped weights: {baseline.score:.2%} on {baseline.task}, sha256 {baseline.weights_hash[:12]}…")
    emit(data, "\n".join(lines), as_json)


@command.command(
    "bits",
    epilog="""\b
Examples:
  suite show bits RUN
  suite show bits runs/RUN --json
""",
)
@click.argument("run")
@runs_option
@json_option
def show_bits(run: str, root: Path | None, as_json: bool) -> None:
    """Bits and bytes of a run, layer by layer, and what each sum over them counts.

    RUN is a run id (its unique beginning or its hash), the folder of a run, or its record.json.
    """
    from suite.cli.show_bits import account_of, bits_data, bits_text
    from suite.records import Store
    from suite.reports.sources import find_entry

    entry = find_entry(run, Store(root))
    account = account_of(entry, run)
    emit(bits_data(entry, account), bits_text(entry, account), as_json)


@command.command(
    "plan",
    epilog="""\b
Examples:
  suite show plan --card cards/lsq.yaml --model digits-resnet
  suite show plan --card cards/rtn.yaml --model torchvision:mobilenet_v2 --json
""",
)
@click.option("--card", "card_path", required=True, type=click.Path(path_type=Path), help="The card that is obeyed.")
@click.option("--model", metavar="ID", help="The model; the card's own by default.")
@click.option("--set", "assignments", multiple=True, metavar="AXIS=VALUE", help="Give an axis another value.")
@json_option
def show_plan(card_path: Path, model: str | None, assignments: tuple[str, ...], as_json: bool) -> None:
    """Every site of a model: what is quantized, how, and why."""
    from suite.cli.show_plan import plan_for, plan_text

    plan = plan_for(card_path, model, assignments)
    emit(plan.to_dict(), plan_text(plan), as_json)
