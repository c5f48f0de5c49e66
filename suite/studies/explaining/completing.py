"""Studies, explained gaps: a card copied from a paper, completed so that it can be run, and what it leaves open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from suite.axes import AXES, NOT_REPORTED, Value, plain
from suite.axes.domains import Choice
from suite.errors import StudyError
from suite.studies.explaining.legality import Legality, Limits, Refusal
from suite.studies.explaining.sides import TIME_LIMIT, Declared, Side

WITHOUT_EFFECT = frozenset({TIME_LIMIT, "sign_bit", "scales_in_size", "baseline_weights", "baseline_accuracy"})
"""Axes that bound, count or describe; none of them changes what the quantized model answers."""

PLAUSIBLE: Mapping[str, tuple[Value, ...]] = {
    "percentile": (99.9, 99.99, 99.999),
    "weight_bits": (4, 8),
    "activation_bits": (4, 8),
    "examples": (64, 256, 1024),
    "initialization_examples": (64, "all"),
}
"""What a paper may well have done where it gives no number; axes with words have their words."""


def plausible_values(axis: str) -> tuple[Value, ...]:
    """The values of an axis that a run can be held to and that papers use."""
    domain = AXES[axis].domain
    values = PLAUSIBLE.get(axis, domain.words if isinstance(domain, Choice) else ())
    return tuple(value for value in values if AXES[axis].enforceable(value))


def completed(title: str, declared: Declared, other: Side, limits: Limits, legality: Legality) -> Side:
    """The side of a transcribed card, with a value for every axis.

    What is not reported is taken from the other side, so that it is no difference. Where such a value contradicts what
    is reported, it gives way to what the method recommends, to the default, and then to any that is allowed.
    """
    values = {**declared.values, **{axis: other.declared.values[axis] for axis in WITHOUT_EFFECT}}
    remarks = []
    unenforceable = [axis for axis, value in values.items() if value != NOT_REPORTED and not _enforceable(axis, value)]
    for axis in unenforceable:
        remarks.append(f"{axis} = {plain(values[axis])} is reported, but no run can be held to it.")
        values[axis] = NOT_REPORTED
    open_ = [axis for axis, value in values.items() if value == NOT_REPORTED]
    choices = {axis: _candidates(axis, other.declared, limits) for axis in open_}
    values |= {axis: next(choices[axis]) for axis in open_}
    while True:
        tried = Declared(declared.method, declared.options, values)
        legality.ask([tried])
        why = legality.refused(tried)
        if why is None:
            break
        axis, value = _next_choice(choices, why)
        if value is None:
            raise StudyError(f"what '{title}' reports cannot be run here: {why.sentence}")
        values = {**values, axis: value}
    assumed = {axis: values[axis] for axis in open_ if axis not in WITHOUT_EFFECT}
    return Side(title, tried, other.task, other.model, other.seed, assumed, tuple(remarks))


def _next_choice(choices: Mapping[str, Iterator[Value]], why: Refusal) -> tuple[str, Value | None]:
    """Another value for one of the axes that a refusal joins; None where no choice is left."""
    for axis, held in choices.items():
        if axis in why.joins and (value := next(held, None)) is not None:
            return axis, value
    return "", None


def _candidates(axis: str, other: Declared, limits: Limits) -> Iterator[Value]:
    """What an unreported axis may be taken to be, the likeliest first, each once."""
    held = AXES[axis]
    every = (
        other.values[axis],
        limits.recommended.get(axis, held.default),
        held.default,
        *limits.supports.get(axis, ()),
        *plausible_values(axis),
    )
    normal = (held.domain.normalise(value) for value in every)
    return iter(tuple(value for value in dict.fromkeys(normal) if held.enforceable(value)))


def _enforceable(axis: str, value: Value) -> bool:
    return AXES[axis].enforceable(value)
