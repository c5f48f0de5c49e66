"""Reports, collection: every run as a row: what it is, what it scored and cost, and the value of every axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from suite.axes import AXES
from suite.reports import numbers
from suite.reports.collection.runs import Run
from suite.reports.table import MOST_CHOICES, Cell, Column, Table

COLUMNS: tuple[tuple[Column, Callable[[Run], Cell]], ...] = (
    (Column("run", "Run"), lambda run: run.run_id),
    (Column("method", "Method", filter="first"), lambda run: run.method),
    (Column("score", "Score", "percent"), lambda run: run.score),
    (Column("difference", "To float", "points"), lambda run: run.difference),
    (Column("difference_low", "95 % low", "points"), lambda run: None if run.interval is None else run.interval[0]),
    (Column("difference_high", "95 % high", "points"), lambda run: None if run.interval is None else run.interval[1]),
    (Column("average_weight_bits", "Bits, weights", "number"), lambda run: run.weight_bits),
    (Column("average_activation_bits", "Bits, activations", "number"), lambda run: run.activation_bits),
    (Column("model_bytes", "Model", "bytes"), lambda run: run.model_bytes),
    (Column("feature_map_largest_bytes", "Largest feature map", "bytes"), lambda run: run.feature_map_bytes),
    (Column("epochs", "Time, float epochs", "number"), lambda run: run.epochs),
    (Column("seconds", "Seconds", "seconds"), lambda run: run.seconds),
    (Column("audit", "Audit", filter="first"), lambda run: run.audit or "none"),
    (Column("status", "Status", filter="first"), lambda run: run.status),
    (Column("task", "Task", filter="first"), lambda run: run.task),
    (Column("model", "Network", filter="first"), lambda run: run.model),
    (Column("seed", "Seed", "number"), lambda run: run.seed),
    (Column("options", "Options"), lambda run: run.options),
    (Column("float_score", "Float score", "percent"), lambda run: run.float_score),
    (Column("metric", "Metric", shown=False), lambda run: run.metric),
    (Column("contradicted", "Contradicted axes"), lambda run: ", ".join(run.contradicted)),
    (Column("message", "Message"), lambda run: run.message),
    (Column("started", "Started"), lambda run: run.started),
    (Column("command", "Command", shown=False), lambda run: run.command),
)


def runs_table(runs: Sequence[Run]) -> Table:
    """Every run with every axis; a page keeps the axes that vary."""
    columns, cells = [], []
    for column, cell in COLUMNS:
        columns.append(column)
        cells.append([cell(run) for run in runs])
    texts: dict[Any, str] = {}
    for place, axis in enumerate(AXES):
        held = [run.values[place] for run in runs]
        for value in set(held):
            texts.setdefault(value, numbers.value_text(value))
        columns.append(Column(axis, axis, filter="more" if len(set(held)) <= MOST_CHOICES else "", shown=False))
        cells.append([texts[value] for value in held])
    return Table("runs", "Runs", "runs", tuple(columns), tuple(cells))


def column_of(table: Table, id: str) -> Sequence[Cell]:
    return table.cells[next(place for place, column in enumerate(table.columns) if column.id == id)]
