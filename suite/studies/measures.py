"""Studies: numbers of a run other than its score, by name: what its model costs, and what its method measured.

A measure is named in a study wherever a number of the runs is meant: in an expectation (`number: {of: …}`), under the
scores of a table (`measures`), and as the place of a mark in a figure (`at`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from suite.records import Record

OWN = "figures."
"""What begins the name of a number that the method measured of its own work; its key in `Record.figures` follows."""


@dataclass(frozen=True)
class Measure:
    """One number of a record, with what it counts."""

    title: str
    unit: str
    """`bits`, `bytes`, or nothing."""
    of: Callable[[Record], float | None]


KNOWN: Mapping[str, Measure] = {
    "weight_bits": Measure("bits of a weight on average", "bits", lambda record: record.average_weight_bits),
    "activation_bits": Measure(
        "bits of an activation on average", "bits", lambda record: record.average_activation_bits
    ),
    "model_bytes": Measure("size of the model", "bytes", lambda record: record.model_bytes),
    "largest_map_bytes": Measure("largest feature map", "bytes", lambda record: record.feature_map_largest_bytes),
    "all_maps_bytes": Measure("all feature maps", "bytes", lambda record: record.feature_map_total_bytes),
}


def measure(name: str) -> Measure:
    """The measure of a name that the layout of a study has let through."""
    if not name.startswith(OWN):
        return KNOWN[name]
    key = name.removeprefix(OWN)

    def own(record: Record) -> float | None:
        held = record.figures.get(key)
        return float(held) if isinstance(held, int | float) and not isinstance(held, bool) else None

    return Measure(key.replace("_", " "), "", own)


def mean_of(name: str, records: Sequence[Record]) -> float | None:
    """The mean of a measure over the seeds of a cell; None where a record does not have it."""
    found = values_of(name, records)
    return sum(found) / len(found) if found else None


def values_of(name: str, records: Sequence[Record]) -> tuple[float, ...]:
    """A measure, one number a record; empty where any of them does not have it."""
    found = [measure(name).of(record) for record in records]
    return tuple(value for value in found if value is not None) if None not in found else ()
