"""Reports, collection: matched pairs, runs that differ in one axis alone, or in the method alone.

Two runs make a pair of an axis when everything else is the same: all other axes, method with its options, task, model
and its weights, data, metric and seed. They make a pair of the method when all of that is the same but the method, its
options, and the axes that are part of a method (how it chooses the numbers on a grid).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from suite.axes import AXES
from suite.reports.collection.runs import Run
from suite.reports.numbers import value_text

METHOD = "method"
Codes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Pair:
    """Positions of two runs, and the number of what they have in common, their seed apart."""

    first: int
    second: int
    context: int


@dataclass(frozen=True)
class Contrast:
    """Two values of one factor with all pairs of runs that differ in them alone."""

    factor: str
    """The id of an axis, or `method`."""
    first: str
    second: str
    pairs: tuple[Pair, ...]

    @property
    def contexts(self) -> int:
        return len({pair.context for pair in self.pairs})


@dataclass(frozen=True)
class _Variant:
    """A method as it was run: with its options and the axes that are part of it."""

    method: str
    options: str
    values: tuple[Any, ...]


OF_METHOD = tuple(place for place, axis in enumerate(AXES.values()) if axis.of_method)


def contrasts(runs: Sequence[Run]) -> list[Contrast]:
    """Every contrast that any two of the runs make; positions are those in `runs`."""
    if len(runs) < 2:
        return []
    axes = list(AXES)
    variants = [_Variant(run.method, run.options, tuple(run.values[place] for place in OF_METHOD)) for run in runs]
    columns = [_codes([run.values[place] for run in runs]) for place in range(len(axes))]
    where = _codes([(run.task, run.model, run.weights, run.data, run.metric) for run in runs])
    options, seed = _codes([(run.method, run.options) for run in runs]), _codes([run.seed for run in runs])
    found: list[Contrast] = []
    free = [column if place not in OF_METHOD else np.zeros_like(column) for place, column in enumerate(columns)]
    names = _names(variants)
    found += _of_factor(METHOD, runs, _codes(variants), names, np.stack([*free, where], axis=1), seed)
    for place, axis in enumerate(axes):
        column = columns[place]
        if column.max() == 0:
            continue
        rest = np.stack([*columns[:place], *columns[place + 1 :], where, options], axis=1)
        values = _levels([run.values[place] for run in runs], axis)
        found += _of_factor(axis, runs, column, values, rest, seed)
    return found


def _of_factor(
    factor: str, runs: Sequence[Run], levels: Codes, names: Sequence[str], rest: Codes, seeds: Codes
) -> Iterator[Contrast]:
    """`names` has the name of every run's level; the order of names in it is the order of contrasts."""
    order = {name: place for place, name in enumerate(dict.fromkeys(sorted(names, key=_natural)))}
    default = value_text(AXES[factor].default) if factor in AXES else ""
    contexts = _row_codes(rest)
    together: dict[tuple[int, int], dict[int, int]] = defaultdict(dict)
    for position, (context, seed, level) in enumerate(zip(contexts, seeds, levels, strict=True)):
        held = together[int(context), int(seed)]
        other = held.get(int(level))
        # Runs that declare the same differ in code or surroundings: the later one counts.
        if other is None or runs[other].started < runs[position].started:
            held[int(level)] = position
    pairs: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for (context, _), held in together.items():
        ranked = sorted(held.values(), key=lambda position: (names[position] != default, order[names[position]]))
        for index, first in enumerate(ranked):
            for second in ranked[index + 1 :]:
                pairs[names[first], names[second]].append(Pair(first, second, context))
    for (first_name, second_name), of_both in pairs.items():
        yield Contrast(factor, first_name, second_name, tuple(of_both))


def _codes(values: Sequence[Any]) -> Codes:
    """Equal values have equal numbers, beginning at 0."""
    code: dict[Any, int] = {}
    return np.fromiter((code.setdefault(value, len(code)) for value in values), dtype=np.int32, count=len(values))


def _row_codes(rows: Codes) -> list[int]:
    """Equal rows have equal numbers. Rows are compared as bytes, so ten thousand of them take milliseconds."""
    packed = np.ascontiguousarray(rows)
    width = packed.dtype.itemsize * packed.shape[1]
    content = packed.tobytes()
    code: dict[bytes, int] = {}
    return [code.setdefault(content[start : start + width], len(code)) for start in range(0, len(content), width)]


def _levels(values: Sequence[Any], axis: str) -> list[str]:
    shown = {value: value_text(value) for value in set(values)}
    return [shown[value] for value in values]


def _names(variants: Sequence[_Variant]) -> list[str]:
    """Each method with what tells it from the same method run otherwise: its options, and the axes of methods."""
    of_method: dict[str, list[_Variant]] = defaultdict(list)
    for variant in dict.fromkeys(variants):
        of_method[variant.method].append(variant)
    axes = [list(AXES)[place] for place in OF_METHOD]
    names: dict[_Variant, str] = {}
    for method, held in of_method.items():
        for variant in held:
            told = [variant.options or "no options"] if len({one.options for one in held}) > 1 else []
            told += [
                f"{axis} {value_text(variant.values[place])}"
                for place, axis in enumerate(axes)
                if len({one.values[place] for one in held}) > 1
            ]
            names[variant] = f"{method} ({', '.join(told)})" if told else method
    return [names[variant] for variant in variants]


def _natural(name: str) -> tuple[int, float, str]:
    """Numbers by their size, before words."""
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
