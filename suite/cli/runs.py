"""`suite runs`: look at what runs left behind. No torch, unless `why-stale` is asked to read data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from suite.cli.options import reading_option
from suite.cli.output import columns, emit, json_option, note
from suite.errors import RecordError
from suite.records import Record, Store
from suite.records.export import FORMATS, export_text, flat_row
from suite.records.words import points_interval

STORE = "suite.store"


def _examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _look_in(context: click.Context, _: click.Parameter, root: Path | None) -> None:
    if root is not None or STORE not in context.meta:
        context.meta[STORE] = Store(root)


place_option = reading_option(expose_value=False, callback=_look_in)
"""Before the command or after it: `context.meta` is shared by both."""


@click.group("runs", epilog=_examples("suite runs list", "suite runs show RUN", "suite runs why-stale RUN"))
@place_option
def command() -> None:
    """Look at what runs left behind.

    RUN is a run id, its unique beginning, or the hash at its end.
    """


def _store() -> Store:
    store: Store = click.get_current_context().meta[STORE]
    return store


def _complete_run(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    return [run_id for run_id in Store().run_ids() if run_id.startswith(incomplete)]


run_argument = click.argument("run", shell_complete=_complete_run)


@command.command("list", epilog=_examples("suite runs list", "suite runs list --method lsq --json"))
@click.option("--method", help="Only runs of this method.")
@click.option("--task", help="Only runs on this task.")
@click.option("--status", type=click.Choice(["completed", "diverged", "failed"]), help="Only runs that ended so.")
@place_option
@json_option
def list_(method: str | None, task: str | None, status: str | None, as_json: bool) -> None:
    """List all runs; a damaged one is named and stops nothing."""
    listing = _store().list()
    wanted = {"method": method, "task": task, "status": status}
    records = [
        record
        for record in listing.records
        if all(value is None or getattr(record, name) == value for name, value in wanted.items())
    ]
    for damaged in listing.damaged:
        note(f"damaged: {damaged.run_id}: {damaged.problem}")
    rows = [{"id": record.run_id, **flat_row(record, settings=False)} for record in records]
    table = columns(
        [
            [record.run_id, str(record.status), _percent(record.float_score), _percent(record.score), _verdict(record)]
            for record in records
        ],
        ("run", "status", "float", "score", "audit"),
    )
    for item in _store().unfinished():
        state = "at work right now" if item.live else "continues when its command is given again"
        note(f"unfinished: {item.run_id}: {state}")
    found = len(listing.records)
    none = f"none of the {found} runs in {_store().root} is such a one" if found else f"no runs in {_store().root}"
    emit(rows, table if records else none, as_json)


@command.command("show", epilog=_examples("suite runs show RUN", "suite runs show RUN --json"))
@run_argument
@place_option
@json_option
def show(run: str, as_json: bool) -> None:
    """Print the record of one run."""
    record = _store().load(_store().resolve(run))
    emit(record.to_dict(), describe(record), as_json)


def describe(record: Record) -> str:
    """One record for a person: what ran, what came out, what it cost, what the audit says."""
    lines = [record.run_id, f"  {record.method} on {record.task} / {record.model}, seed {record.seed}: {record.status}"]
    if record.message:
        lines.append(f"  {record.message}")
    figures: list[tuple[str, str]] = [
        ("float", _percent(record.float_score)),
        ("quantized", _percent(record.score)),
        ("difference", _points(record)),
        ("weight bits", _number(record.average_weight_bits)),
        ("activation bits", _number(record.average_activation_bits)),
        ("model bytes", _number(record.model_bytes)),
        *((name, _number(value)) for name, value in record.costs.items()),
        ("audit", _verdict(record)),
        ("started", record.started),
        ("command", record.command),
    ]
    lines += [f"  {name.replace('_', ' '):<18} {text}" for name, text in figures if text]
    if record.audit is not None:
        for axis, result in record.audit["axes"].items():
            if result["verdict"] == "contradicted":
                lines.append(f"  contradicted: {axis}: declared {result['declared']}, observed {result['observed']}")
    return "\n".join(lines)


@command.command(
    "why-stale", epilog=_examples("suite runs why-stale RUN", "suite runs why-stale RUN --read-data --data DATA")
)
@run_argument
@click.option("--read-data", is_flag=True, help="Read the task's data and hash it again (imports torch).")
@click.option("--data", type=click.Path(path_type=Path), envvar="SUITE_DATA", help="Where data sets are.")
@click.option("--weights", type=click.Path(path_type=Path, dir_okay=False), help="The model's weights file.")
@place_option
@json_option
def why_stale_(run: str, read_data: bool, data: Path | None, weights: Path | None, as_json: bool) -> int:
    """Say which parts of a run's identity have changed since it was recorded.

    Exit code 0: nothing that was looked at has changed. Exit code 1: the run is stale.
    """
    from suite.records.identity import why_stale

    record = _store().load(_store().resolve(run))
    present: dict[str, object] = {}
    digest = _weights_hash(record, weights)
    if digest is not None:
        present["weights"] = digest
    if read_data:
        from suite.tasks import get_task

        present["data"] = get_task(record.task, data).identity
    staleness = why_stale(record, present)
    lines = [f"{record.run_id}: {'stale' if staleness.stale else 'up to date'}"]
    lines += [f"  {change}" for change in staleness.changes]
    if staleness.unchecked:
        lines.append(f"  not looked at: {', '.join(staleness.unchecked)}")
    emit(
        {
            "run_id": record.run_id,
            "stale": staleness.stale,
            "changes": [{"part": item.part, "then": item.then, "now": item.now} for item in staleness.changes],
            "not_looked_at": list(staleness.unchecked),
        },
        "\n".join(lines),
        as_json,
    )
    return 1 if staleness.stale else 0


def _weights_hash(record: Record, weights: Path | None) -> str | None:
    """Hash of the weights file that was given, or of the shipped baseline of the record's model."""
    from suite.models.baselines import UNTRAINED, get_baseline, shipped_baselines

    if weights is not None:
        return get_baseline(record.model, weights).weights_hash
    if record.setting.get("baseline_weights") == UNTRAINED:
        return None  # drawn by torch, which looking at a run does not start
    shipped = shipped_baselines().get(record.model)
    return shipped.weights_hash if shipped is not None else None


@command.command(
    "export", epilog=_examples("suite runs export > runs.csv", "suite runs export --format json --out f.json")
)
@click.option("--format", "kind", type=click.Choice(FORMATS), default="csv", show_default=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file instead of printing.")
@place_option
@json_option
def export(kind: str, out: Path | None, as_json: bool) -> None:
    """Write all runs as one table, a row a run: results, costs and every axis of the setting."""
    listing = _store().list()
    for damaged in listing.damaged:
        note(f"left out, damaged: {damaged.run_id}: {damaged.problem}")
    text = export_text(listing.records, kind)
    if out is None:
        emit([flat_row(record) for record in listing.records], text.rstrip("\n"), as_json)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RecordError(f"{out} cannot be written: {error.strerror}") from error
    emit({"file": str(out), "runs": len(listing.records)}, f"wrote {len(listing.records)} runs to {out}", as_json)


@command.command("verify", epilog=_examples("suite runs verify", "suite runs verify RUN --json"))
@click.argument("runs", nargs=-1, shell_complete=_complete_run)
@place_option
@json_option
def verify(runs: tuple[str, ...], as_json: bool) -> int:
    """Check that every file of the runs (all by default) is as it was written. Exit code 1: one is not."""
    store = _store()
    found = (
        [store.verify(store.resolve(run)) for run in runs] if runs else [store.verify(run) for run in store.run_ids()]
    )
    lines = [f"{item.run_id}: {'; '.join(item.problems) or 'sound'}" for item in found]
    sound = sum(item.sound for item in found)
    lines.append(f"{sound} of {len(found)} runs are as they were written")
    data = [{"run_id": item.run_id, "sound": item.sound, "problems": list(item.problems)} for item in found]
    emit(data, "\n".join(lines), as_json)
    return 0 if sound == len(found) else 1


@command.command("gc", epilog=_examples("suite runs gc --dry-run", "suite runs gc --unfinished --older-than 604800"))
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option(
    "--older-than", type=click.FloatRange(min=0), default=0.0, show_default=True, metavar="SECONDS", help="Least age."
)
@click.option("--unfinished", is_flag=True, help="Also checkpoints of runs that could still be continued.")
@place_option
@json_option
def gc(dry_run: bool, older_than: float, unfinished: bool, as_json: bool) -> None:
    """Remove what processes that died left half-written.

    Runs themselves are never touched, nor is a run that somebody works on. Checkpoints of a run that was interrupted
    are kept, for the same command to continue from, unless --unfinished is given.
    """
    leftovers = _store().gc(minimum_age_seconds=older_than, dry_run=dry_run, unfinished=unfinished)
    swept = {item.name for item in leftovers}
    for kept in (item for item in _store().unfinished() if item.as_leftover().name not in swept):
        why = "somebody works on it" if kept.live else "its command continues it; --unfinished removes it"
        note(f"kept: {kept.run_id}: {kept.bytes:,} bytes of checkpoints: {why}")
    rows: list[dict[str, Any]] = [
        {
            "folder": item.name,
            "run_id": item.run_id,
            "age_seconds": item.age_seconds,
            "bytes": item.bytes,
            "restores": item.restores,
        }
        for item in leftovers
    ]
    would = "would be " if dry_run else ""
    lines = [
        f"{item.run_id}: {would}{'restored' if item.restores else 'removed'}, "
        f"{item.bytes:,} bytes, {item.age_seconds:.0f} s old"
        for item in leftovers
    ]
    emit(rows, "\n".join(lines) or "nothing is left over", as_json)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"


def _number(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    return "" if value is None else f"{int(value):,}" if isinstance(value, int | float) else str(value)


def _points(record: Record) -> str:
    if record.difference is None:
        return ""
    text = f"{100 * record.difference:+.2f} points"
    if record.difference_interval is not None:
        text += f", 95 % interval {points_interval(record.difference_interval)}"
    return text


def _verdict(record: Record) -> str:
    return record.audit["verdict"] if record.audit is not None else ""
