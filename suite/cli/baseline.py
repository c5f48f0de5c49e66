"""`suite baseline`: the float models that runs start from: list them, train one again, measure one again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from suite.cli.output import columns, emit, json_option, note


@click.group("baseline")
def command() -> None:
    """List, train and verify the float models that runs start from."""


@command.command(
    "list",
    epilog="\b\nExamples:\n  suite baseline list\n  suite baseline list --json",
)
@json_option
def list_baselines(as_json: bool) -> None:
    """List the baselines that come with the suite, with their measured scores."""
    from suite.models.baselines import describe_baselines

    rows = describe_baselines()
    shown = [
        [row["id"], row["task"], row["model"], f"{row['score']:.2%}", f"{row['correct']}/{row['examples']}"]
        for row in rows
    ]
    table = columns(shown, ("id", "task", "model", "score", "correct")) if rows else "no baselines are shipped"
    emit(rows, table, as_json)


@command.command(
    "train",
    epilog="""\b
Examples:
  suite baseline train digits-resnet --out my-baseline
  suite baseline train digits-resnet --out my-baseline --json
""",
)
@click.argument("id")
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for weights and description."
)
@json_option
def train(id: str, out: Path, as_json: bool) -> None:
    """Train baseline ID by its recipe: one thread, fixed seed, last step kept; writes weights and baseline.yaml."""
    from suite.models.baselines import describe
    from suite.models.training import train_baseline

    def report(epoch: int, loss: float) -> None:
        if not as_json and (epoch + 1) % 10 == 0:
            note(f"epoch {epoch + 1}: loss {loss:.4f}")

    baseline = train_baseline(id, out, report)
    human = f"{baseline.id}: {baseline.score:.2%} ({baseline.correct}/{baseline.examples}) written to {out}"
    emit(describe(baseline), human, as_json)


@command.command(
    "verify",
    epilog="""\b
Examples:
  suite baseline verify
  suite baseline verify digits-resnet --json
  suite baseline verify resnet20 --weights resnet20.pt --task cifar10-clean40k --data DATA
""",
)
@click.argument("id", required=False)
@click.option("--weights", metavar="PATH", help="Measure the architecture ID with the weights of this file.")
@click.option("--task", metavar="ID", help="The task to measure on; the baseline's own by default.")
@click.option(
    "--data", type=click.Path(path_type=Path), envvar="SUITE_DATA", show_envvar=True, help="Where data sets are."
)
@json_option
def verify(id: str | None, weights: str | None, task: str | None, data: Path | None, as_json: bool) -> int:
    """Compute the weights hash and the test score of ID again (all shipped baselines without ID).

    Exit code 1: a hash or a score is not what the baseline declares.
    """
    from suite.models.baselines import baseline_ids, get_baseline

    if id is None and (weights or task):
        raise click.UsageError("--weights and --task need the ID of a model")
    baselines = [get_baseline(one, weights) for one in ([id] if id else baseline_ids())]
    from suite.models.training import verify_baseline

    found = [verify_baseline(baseline, task, data) for baseline in baselines]
    rows = [asdict(one) | {"disagreements": list(one.disagreements)} for one in found]
    lines = []
    for one in found:
        if one.disagreements:
            verdict = click.style(f"differs in {', '.join(one.disagreements)}", fg="red", bold=True)
        else:
            verdict = click.style("as declared" if one.declared_score is not None else "measured", fg="green")
        lines.append(
            f"{one.id} on {one.task}: {one.score:.2%} ({one.correct}/{one.examples}), "
            f"weights {one.weights_hash[:12]}…: {verdict}"
        )
    emit(rows, "\n".join(lines), as_json)
    return 1 if any(one.disagreements for one in found) else 0
