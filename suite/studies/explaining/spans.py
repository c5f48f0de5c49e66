"""Studies, explained gaps: how far a score could move by what its card does not report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from suite.axes import Value
from suite.records import Store
from suite.statistics import Interval
from suite.studies.cells import Cell
from suite.studies.evidence import Evidence, Missing
from suite.studies.explaining.completing import plausible_values
from suite.studies.explaining.legality import Legality
from suite.studies.explaining.run import Laboratory
from suite.studies.explaining.sides import Declared, Side, card_of
from suite.studies.read import word
from suite.studies.states import CellResult

TAKEN = "taken"
"""What the cells of the side itself are called, as it was completed."""


@dataclass(frozen=True)
class Tried:
    """Values that unreported axes may have had, and what they change in the score with what was taken."""

    values: Mapping[str, Value]
    difference: Interval


@dataclass(frozen=True)
class Span:
    """What could be measured of the axes that a card does not report."""

    of: str
    """`A` or `B`: the side that does not report them."""
    side: Side
    tried: tuple[Tried, ...]
    """One axis changed at a time, in the order of the card; then those together that lower the score, and raise it."""
    asked: int
    """How many choices there were to try; more than were tried where the budget was over or runs gave no score."""
    settled: tuple[str, ...]
    """Axes of which no other value may be, given what is reported."""
    left_out: tuple[str, ...]
    """Cells that are not compared, with the reason."""
    results: tuple[CellResult, ...] = field(repr=False)

    @property
    def lowest(self) -> Tried | None:
        """What lowered the score most; None where nothing did."""
        found = min(self.tried, key=lambda tried: tried.difference.estimate, default=None)
        return found if found is not None and found.difference.estimate < 0.0 else None

    @property
    def highest(self) -> Tried | None:
        found = max(self.tried, key=lambda tried: tried.difference.estimate, default=None)
        return found if found is not None and found.difference.estimate > 0.0 else None


@dataclass(frozen=True)
class _Variant:
    """The side with other values of some axes; `name` is that of its cells."""

    name: str
    values: Mapping[str, Value]


def span_of(letter: str, side: Side, seeds: Sequence[int], legality: Legality, laboratory: Laboratory) -> Span:
    """Run a side once for every plausible value of every axis that it does not report, then the extremes together.

    Axes are changed one at a time, so a few dozen cells bound what could be thousands; two more cells take from every
    axis the value that lowers the score most, and the one that raises it most.
    """
    base = side.declared
    alone = [
        _Variant(f"{axis}.{word(value)}", {axis: value})
        for axis in side.assumed
        for value in plausible_values(axis)
        if value != base.values[axis]
    ]
    legality.ask([_with(base, one.values) for one in alone])
    allowed = [one for one in alone if legality.refused(_with(base, one.values)) is None]
    results = laboratory.run(_cells(side, allowed, seeds))
    tried, left_out = _compared(allowed, results, seeds, laboratory)
    together = [
        _Variant(name, values)
        for name, sign in (("lowest", -1.0), ("highest", 1.0))
        if len(values := _extreme(base, tried, sign, legality)) > 1
    ]
    if together:
        again = laboratory.run(_cells(side, together, seeds))
        more, missing = _compared(together, again, seeds, laboratory)
        tried, left_out = [*tried, *more], [*left_out, *missing]
        results += again[len(seeds) :]
    open_ = {axis for one in allowed for axis in one.values}
    return Span(
        letter,
        side,
        tuple(tried),
        len(allowed) + len(together),
        tuple(axis for axis in side.assumed if axis not in open_),
        tuple(left_out),
        tuple(result for result in results if result.record is not None),
    )


def _compared(
    variants: Sequence[_Variant], results: Sequence[CellResult], seeds: Sequence[int], laboratory: Laboratory
) -> tuple[list[Tried], list[str]]:
    """Every variant that was measured, against what was taken; and why the others were not."""
    evidence = Evidence(results, Store(laboratory.conditions.runs))
    taken = evidence.measured(TAKEN, tuple(seeds))
    if isinstance(taken, Missing):
        return [], [taken.reason]
    tried, left_out = [], []
    for variant in variants:
        held = evidence.measured(variant.name, tuple(seeds))
        difference = None if isinstance(held, Missing) else evidence.difference(taken, held)
        if isinstance(held, Missing):
            left_out.append(held.reason)
        elif difference is not None:
            tried.append(Tried(variant.values, difference))
    return tried, left_out


def _extreme(base: Declared, tried: Sequence[Tried], sign: float, legality: Legality) -> Mapping[str, Value]:
    """From every axis the value that moves the score farthest in one direction, as far as they may be together."""
    joined: dict[str, Value] = {}
    for one in sorted(tried, key=lambda one: -sign * one.difference.estimate):
        if sign * one.difference.estimate <= 0.0 or set(one.values) & set(joined):
            continue
        both = _with(base, {**joined, **one.values})
        legality.ask([both])
        if legality.refused(both) is None:
            joined |= one.values
    return joined


def _cells(side: Side, variants: Sequence[_Variant], seeds: Sequence[int]) -> list[Cell]:
    """The side as it was taken to be, and its variants."""
    every = [_Variant(TAKEN, {}), *variants]
    return [_cell(side, variant, seed) for variant in every for seed in seeds]


def _cell(side: Side, variant: _Variant, seed: int) -> Cell:
    changed = ", ".join(f"{axis} {word(value)}" for axis, value in variant.values.items())
    title = f"{side.title}, with {changed}" if changed else side.title
    return Cell({"span": variant.name}, seed, card_of(_with(side.declared, variant.values), side, seed, title))


def _with(base: Declared, values: Mapping[str, Value]) -> Declared:
    return Declared(base.method, base.options, {**base.values, **values})
