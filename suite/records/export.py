"""Reading wing, records: runs as one flat table, for a spreadsheet or a data frame."""

from __future__ import annotations

from collections.abc import Sequence

from suite.records.plain import Json, canonical_json, pretty_json
from suite.records.record import Record

FORMATS = ("csv", "json")

_RESULTS = (
    "run_id",
    "status",
    "message",
    "method",
    "task",
    "model",
    "seed",
    "metric",
    "float_score",
    "score",
    "difference",
    "average_weight_bits",
    "average_activation_bits",
    "model_bytes",
    "feature_map_largest_bytes",
    "feature_map_total_bytes",
)


def flat_row(record: Record, *, settings: bool = True) -> dict[str, Json]:
    """One run as one row; columns of a group carry its name ("costs.seconds", "setting.weight_bits")."""
    document = record.to_dict()
    row: dict[str, Json] = {name: document[name] for name in _RESULTS}
    low, high = record.difference_interval or (None, None)
    row |= {"difference_low": low, "difference_high": high}
    row["audit"] = record.audit["verdict"] if record.audit is not None else None
    groups = ("options", "costs", "setting") if settings else ("costs",)
    for group in groups:
        values = document[group]
        if isinstance(values, dict):
            row |= {f"{group}.{name}": value for name, value in values.items()}
    row["started"] = record.started
    return row


def export_text(records: Sequence[Record], kind: str) -> str:
    """All runs in one of `FORMATS`."""
    rows = [flat_row(record) for record in records]
    if kind == "json":
        return pretty_json(rows, "export")
    import pandas

    # A cell holds one value: what is a list (allowed bit-widths) is written as JSON.
    flat = [
        {
            name: harmless(canonical_json(value) if isinstance(value, list | dict) else value)
            for name, value in row.items()
        }
        for row in rows
    ]
    # As objects, so that a column of integers with a gap does not turn into one of floats.
    return str(pandas.DataFrame(flat, dtype=object).to_csv(index=False))


def harmless(value: Json) -> Json:
    """Text that a spreadsheet would run as a formula is quoted as text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
