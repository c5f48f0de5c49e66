"""Studies: numbers of a run other than its score, by name: what its model costs, and what its method measured.

A measure is named in a study wherever a number of the runs is meant: in an expectation (`number: {of: …}`), under the
scores of a table (`measures`), and as the place of a mark in a figure (`at`).
"""

from __future__ import annotations

import math
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
    """`bits`, `bytes`, or nothing where it is a plain number."""
    of: Callable[[Record], float | None]


def step_change(record: Record) -> float | None:
    """By which factor learned steps changed from their start to their end: the geometric mean over the quantizers.

    2 says that the typical step doubled or halved; 1 that none moved. None where a run learned no steps.
    """
    held = record.figures.get("step_sizes")
    ways = [way for way in held.values() if isinstance(way, Sequence)] if isinstance(held, Mapping) else []
    ends = [(way[0], way[-1]) for way in ways if len(way) > 1]
    if not ends or not all(_is_size(step) for pair in ends for step in pair):
        return None
    return math.exp(math.fsum(abs(math.log(last / first)) for first, last in ends) / len(ends))


def _is_size(step: object) -> bool:
    return isinstance(step, int | float) and math.isfinite(step) and step > 0.0


KNOWN: Mapping[str, Measure] = {
    "weight_bits": Measure("bits of a weight on average", "bits", lambda record: record.average_weight_bits),
    "activation_bits": Measure(
        "bits of an activation on average", "bits", lambda record: record.average_activation_bits
    ),
    "model_bytes": Measure("size of the model", "bytes", lambda record: record.model_bytes),
    "largest_map_bytes": Measure("largest feature map", "bytes", lambda record: record.feature_map_largest_bytes),
    "all_maps_bytes": Measure("all feature maps", "bytes", lambda record: record.feature_map_total_bytes),
    "step_change": Measure("factor by which learned steps changed", "", step_change),
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
