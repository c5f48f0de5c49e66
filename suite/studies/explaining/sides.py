"""Studies, explained gaps: the two sides, as far as they declare what a run is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from suite.axes import AXES, NOT_REPORTED, Value
from suite.cards import Card, MethodChoice
from suite.errors import StudyError

TIME_LIMIT = "time_limit"
METHOD = "method"
"""What a share of the method is called: the algorithm, its options, and the axes that are part of a method."""


@dataclass(frozen=True)
class Declared:
    """A method with its options, and a value for every axis: what decides a run, besides seed, task and model."""

    method: str
    options: Mapping[str, Any]
    values: Mapping[str, Value]


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    title: str
    declared: Declared
    task: str
    model: str
    seed: int = 0
    assumed: Mapping[str, Value] = field(default_factory=dict)
    """Axis -> the value it was given here, because the source does not say it."""
    remarks: tuple[str, ...] = ()
    """What else was taken to be so, in sentences."""

    @property
    def unreported(self) -> tuple[str, ...]:
        return tuple(axis for axis, value in self.declared.values.items() if value == NOT_REPORTED)


@dataclass(frozen=True)
class Change:
    """One thing in which the sides differ: the method, an option (None where a side has none such), or an axis."""

    name: str
    first: Any
    second: Any
    of_method: bool = False


def changes(first: Declared, second: Declared) -> tuple[Change, ...]:
    """What two sides differ in: the method, its options, then the axes in the order of the card.

    Options are those of a method: two methods share none, although names may agree. The limit on time is left out; it
    decides whether a run is accepted, and no score.
    """
    found: list[Change] = []
    if first.method != second.method:
        found.append(Change(METHOD, first.method, second.method, of_method=True))
    else:
        for name in dict.fromkeys((*first.options, *second.options)):
            one, other = first.options.get(name), second.options.get(name)
            if one != other:
                found.append(Change(f"option {name}", one, other, of_method=True))
    for axis, held in AXES.items():
        one, other = first.values[axis], second.values[axis]
        if one != other and axis != TIME_LIMIT:
            found.append(Change(axis, one, other, held.of_method))
    return tuple(found)


def require_one_subject(first: Side, second: Side) -> None:
    """The same model on the same task, from the same weights: what an explanation holds fixed."""
    for what, one, other in (("task", first.task, second.task), ("model", first.model, second.model)):
        if one != other:
            raise StudyError(
                f"the two have another {what} ({one} and {other}); a gap is explained on one {what}",
                hint=f"give both the same {what}",
            )
    weights = [side.declared.values["baseline_weights"] for side in (first, second)]
    if weights[0] != weights[1]:
        raise StudyError(
            f"the two start from other weights ({weights[0]} and {weights[1]}); a gap has one float model",
            hint="give both the same baseline_weights",
        )


def card_of(declared: Declared, side: Side, seed: int, title: str) -> Card:
    """The complete card of one cell. An option without a value is left out, as it is on every card."""
    options = {name: value for name, value in declared.options.items() if value is not None}
    return Card(
        kind="run",
        title=title[:300],
        method=MethodChoice(declared.method, options),
        values=dict(declared.values),
        task=side.task,
        model=side.model,
        seed=seed,
    )
