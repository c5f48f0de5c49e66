"""Reports, collection: matched pairs, runs that differ in one axis alone, or in the method alone.

Two runs make a pair of an axis when everything else is the same: all other axes, method with its options, task, model
and its weights, data, metric and seed. They make a pair of the method when all of that is the same but the method, its
options, and the axes that are part of a method (how it chooses the numbers on a grid). Weights follow from the axis
that names them. Two axes that a rule joins, so that one of them cannot always be switched alone, make pairs together.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from suite.axes import AXES
from suite.axes.rules import RULES
from suite.reports.collection.runs import BETWEEN, Run
from suite.reports.numbers import value_text

METHOD = "method"
Codes = npt.NDArray[np.int32]
Values = tuple[Any, ...]


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
    """The id of an axis, `method`, or the ids of two axes that were switched together."""
    first: str
    second: str
    pairs: tuple[Pair, ...]

    @property
    def contexts(self) -> int:
        return len({pair.context for pair in self.pairs})


WEIGHTS = "baseline_weights"
JOINED = tuple(dict.fromkeys(rule.axes for rule in RULES if len(rule.axes) == 2))
"""Pairs of axes with values of which some cannot hold together."""
OF_METHOD = tuple(place for place, axis in enumerate(AXES.values()) if axis.of_method)


def contrasts(runs: Sequence[Run]) -> list[Contrast]:
    """Every contrast that any two of the runs make; positions are those in `runs`."""
    if len(runs) < 2:
        return []
    columns = [_codes([run.values[place] for run in runs]) for place in range(len(AXES))]
    where = _codes([(run.task, run.model, run.weights, run.data, run.metric) for run in runs])
    any_weights = _codes([(run.task, run.model, run.data, run.metric) for run in runs])
    options = _codes([(run.method, run.options) for run in runs])
    of_others = [column for place, column in enumerate(columns) if place not in OF_METHOD]
    found = [*_of_methods(runs, np.stack([*of_others, where], axis=1))]
    places = {axis: place for place, axis in enumerate(AXES) if columns[place].max() > 0}
    for axes in [*((axis,) for axis in places), *(axes for axes in JOINED if set(axes) <= set(places))]:
        others = [column for place, column in enumerate(columns) if place not in [places[axis] for axis in axes]]
        rest = np.stack([*others, any_weights if axes == (WEIGHTS,) else where, options], axis=1)
        found += _of_axes(axes, runs, [tuple(run.values[places[axis]] for axis in axes) for run in runs], rest)
    return found


def _of_axes(axes: tuple[str, ...], runs: Sequence[Run], values: Sequence[Values], rest: Codes) -> Iterator[Contrast]:
    """Of one axis, every two of its values; of two, those that differ in both and cannot be switched one by one."""
    shown = {held: ", ".join(map(value_text, held)) for held in set(values)}
    default = tuple(AXES[axis].default for axis in axes)
    pairs: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for context, held in _together(runs, rest, values):
        # The default comes first, then numbers by their size and words by their letters.
        ranked = sorted(held, key=lambda one: (values[one] != default, *_natural(shown[values[one]])))
        for first, second in itertools.combinations(ranked, 2):
            if len(axes) == 1 or _bound(axes, values[first], values[second]):
                pairs[shown[values[first]], shown[values[second]]].append(Pair(first, second, context))
    for (first_name, second_name), of_both in pairs.items():
        yield Contrast(" + ".join(axes), first_name, second_name, tuple(of_both))


@cache
def _bound(axes: tuple[str, ...], first: Values, second: Values) -> bool:
    """Whether both axes differ, and a rule forbids one of the settings between."""
    if any(one == other for one, other in zip(first, second, strict=True)):
        return False
    declared = [*zip(axes, first, strict=True), *zip(axes, second, strict=True)]
    if not all(AXES[axis].domain.accepts(value) for axis, value in declared):  # records may be anybody's
        return False
    between = [dict(zip(axes, mixed, strict=True)) for mixed in ((first[0], second[1]), (second[0], first[1]))]
    return any(rule.broken(values) for rule in RULES if rule.axes == axes for values in between)


def _of_methods(runs: Sequence[Run], rest: Codes) -> Iterator[Contrast]:
    """Where two methods were run with the same values of the axes that are theirs to choose, only such runs pair."""
    own = [tuple(run.values[place] for place in OF_METHOD) for run in runs]
    told = _options_told(runs)
    pairs: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    variants = [(run.method, run.options, values) for run, values in zip(runs, own, strict=True)]
    for context, held in _together(runs, rest, variants):
        by_method: dict[str, list[int]] = defaultdict(list)
        for position in sorted(held, key=lambda one: variants[one][:2]):
            by_method[runs[position].method].append(position)
        for first_method, second_method in itertools.combinations(sorted(by_method), 2):
            both = list(itertools.product(by_method[first_method], by_method[second_method]))
            alike = [(first, second) for first, second in both if own[first] == own[second]]
            for first, second in alike or both:
                names = [
                    _method_name(runs[one], runs[other], told) for one, other in ((first, second), (second, first))
                ]
                pairs[names[0], names[1]].append(Pair(first, second, context))
    for (first_name, second_name), of_both in pairs.items():
        yield Contrast(METHOD, first_name, second_name, tuple(of_both))


def _together(runs: Sequence[Run], rest: Codes, levels: Sequence[Any]) -> Iterator[tuple[int, list[int]]]:
    """Context and positions of runs that share it and the seed, one run for each level."""
    groups: dict[tuple[int, int], dict[Any, int]] = defaultdict(dict)
    for position, (context, run, level) in enumerate(zip(_row_codes(rest), runs, levels, strict=True)):
        held = groups[context, run.seed]
        # Runs that declare the same differ in code or surroundings: the later one counts.
        if level not in held or runs[held[level]].started < run.started:
            held[level] = position
    yield from ((context, list(held.values())) for (context, _), held in groups.items())


def _options_told(runs: Sequence[Run]) -> dict[tuple[str, str], str]:
    """(method, options) -> the options in which the runs of this method differ, or nothing where they do not."""
    variants: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        variants[run.method].add(run.options)
    told: dict[tuple[str, str], str] = {}
    for method, held in variants.items():
        common = set.intersection(*(set(options.split(BETWEEN)) for options in held))
        for options in held:
            own = [option for option in options.split(BETWEEN) if option and option not in common]
            told[method, options] = ", ".join(own) or ("no options" if len(held) > 1 else "")
    return told


def _method_name(run: Run, other: Run, options: Mapping[tuple[str, str], str]) -> str:
    """A method with the options that tell its runs apart, and with its own axes where the other run differs."""
    told = [options[run.method, run.options]] if options[run.method, run.options] else []
    axes = list(AXES)
    told += [
        f"{axes[place]} {value_text(run.values[place])}"
        for place in OF_METHOD
        if run.values[place] != other.values[place]
    ]
    return f"{run.method} ({', '.join(told)})" if told else run.method


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


def _natural(name: str) -> tuple[int, float, str]:
    """Numbers by their size, before words."""
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
