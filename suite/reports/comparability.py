"""Reports: which entries may be ranked against each other, and every reason why others may not.

Two results are comparable when everything but the method is the same: every axis, save those that are part of the
method (how it chooses the numbers on a grid), the task, the model and its weights, the examples and the metric; when
both runs completed; and when an audit observed both and contradicted neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from suite.axes import AXES, NOT_REPORTED
from suite.reports.entry import COMPLETED, NOT_RUN, VERIFIED, Entry
from suite.reports.numbers import value_text


class Obstacle(StrEnum):
    """The kinds of reasons against ranking."""

    AXES = "axes"
    UNREPORTED = "unreported"
    TASK = "task"
    MODEL = "model"
    WEIGHTS = "weights"
    DATA = "data"
    METRIC = "metric"
    STATUS = "status"
    SCORE = "score"
    NOT_RUN = "not run"
    UNAUDITED = "unaudited"
    CONTRADICTED = "contradicted"


@dataclass(frozen=True)
class Reason:
    """One reason against ranking, with the axes it concerns."""

    obstacle: Obstacle
    sentence: str
    axes: tuple[str, ...] = ()


@dataclass(frozen=True)
class AxisDifference:
    """One axis on which the entries do not all say the same, with the value of each entry, in their order."""

    axis: str
    values: tuple[Any, ...]

    @property
    def contradictory(self) -> bool:
        """Two entries declare different values; false where the only difference is that some are silent."""
        return len({value for value in self.values if value != NOT_REPORTED}) > 1

    @property
    def forbids(self) -> bool:
        """Whether the difference stands against ranking: it is declared, and it is not the method's own."""
        return self.contradictory and not AXES[self.axis].of_method


@dataclass(frozen=True)
class Comparability:
    """What may be said about several entries at once.

    `groups` holds positions of entries that may be ranked with each other (two or more each); `reasons` say what
    keeps all of them from being one group; `comparable` means that nothing does.
    """

    differences: tuple[AxisDifference, ...]
    reasons: tuple[Reason, ...]
    groups: tuple[tuple[int, ...], ...]

    @property
    def comparable(self) -> bool:
        return not self.reasons


def comparability(entries: Sequence[Entry]) -> Comparability:
    """Compare everything but the method."""
    letters = letters_of(len(entries))
    reasons: list[Reason] = []
    for letter, entry in zip(letters, entries, strict=True):
        reasons += _own_reasons(letter, entry)
    differing = axis_differences(entries)
    told = [difference.axis for difference in differing if difference.forbids]
    if told:
        reasons.append(Reason(Obstacle.AXES, _sentence_of_axes(told), tuple(told)))
    for obstacle, what, parts in (
        (Obstacle.TASK, "tasks", [entry.task for entry in entries]),
        (Obstacle.MODEL, "models", [entry.model for entry in entries]),
        (Obstacle.WEIGHTS, "weights of the float model", [_weights(entry) for entry in entries]),
        (Obstacle.DATA, "data, as their hashes say", [_identity(entry, "data") for entry in entries]),
        (Obstacle.METRIC, "metrics", [entry.measured.metric or None for entry in entries]),
    ):
        known = {part for part in parts if part is not None and part != NOT_REPORTED}
        if len(known) > 1:
            reasons.append(Reason(obstacle, f"They used different {what}{_listed(letters, parts, obstacle)}."))
    return Comparability(tuple(differing), tuple(reasons), _groups(entries))


def axis_differences(entries: Sequence[Entry]) -> list[AxisDifference]:
    """Axes on which the entries do not all say the same; `not reported` beside a value counts as not the same."""
    columns = ((axis, tuple(entry.values[axis] for entry in entries)) for axis in AXES)
    return [AxisDifference(axis, values) for axis, values in columns if len(set(values)) > 1]


def letters_of(count: int) -> list[str]:
    """Short names of entries: A, B, …, Z, AA, AB, …"""
    letters = []
    for position in range(count):
        text, rest = "", position + 1
        while rest:
            rest, digit = divmod(rest - 1, 26)
            text = chr(ord("A") + digit) + text
        letters.append(text)
    return letters


def obstacles_between(first: Entry, second: Entry) -> tuple[Reason, ...]:
    """Why these two may not be ranked; empty when they may."""
    return comparability((first, second)).reasons


def same_examples(first: Entry, second: Entry) -> bool:
    """Did both answer the same examples in the same order, so that their outcomes can be paired?"""
    if first.outcomes is None or second.outcomes is None or len(first.outcomes) != len(second.outcomes):
        return False
    data = (_identity(first, "data"), _identity(second, "data"))
    return first.task == second.task and data[0] == data[1]


def _own_reasons(letter: str, entry: Entry) -> list[Reason]:
    if entry.status == NOT_RUN and not entry.transcribed:
        return [Reason(Obstacle.NOT_RUN, f"{letter} declares a setting but was not run.")]
    reasons = []
    unreported = entry.unreported_axes
    if entry.status not in (COMPLETED, NOT_RUN):
        message = f": {' '.join(entry.message.split())}" if entry.message else ""
        reasons.append(Reason(Obstacle.STATUS, f"{letter} {_ended(entry.status)}{message}."))
    if unreported:
        count = len(unreported)
        reasons.append(Reason(Obstacle.UNREPORTED, f"{letter} does not report {_axes(count)}.", unreported))
    if entry.audit_verdict is None:
        why = "it was transcribed from a paper" if entry.transcribed else "no audit is part of it"
        reasons.append(Reason(Obstacle.UNAUDITED, f"{letter} was not observed: {why}."))
    elif entry.audit_verdict != VERIFIED or entry.contradicted_axes:
        axes = entry.contradicted_axes
        named = f" in {', '.join(axes)}" if axes else ""
        reasons.append(Reason(Obstacle.CONTRADICTED, f"The audit contradicts the card of {letter}{named}.", axes))
    if entry.measured.score is None and entry.status == COMPLETED:
        reasons.append(Reason(Obstacle.SCORE, f"{letter} has no measured score."))
    return reasons


def _groups(entries: Sequence[Entry]) -> tuple[tuple[int, ...], ...]:
    """Entries without a reason of their own, gathered by everything that must be the same."""
    gathered: dict[Any, list[int]] = {}
    for position, entry in enumerate(entries):
        if _own_reasons("", entry):
            continue
        key = (
            tuple(value for axis, value in entry.values.items() if not AXES[axis].of_method),
            entry.task,
            entry.model,
            _weights(entry),
            _identity(entry, "data"),
            entry.measured.metric,
        )
        gathered.setdefault(key, []).append(position)
    return tuple(tuple(group) for group in gathered.values() if len(group) > 1)


def _sentence_of_axes(axes: Sequence[str]) -> str:
    return f"They differ in {_axes(len(axes))}: {', '.join(axes)}."


def _axes(count: int) -> str:
    return "1 axis" if count == 1 else f"{count} axes"


def _ended(status: str) -> str:
    return {"diverged": "diverged", "failed": "failed"}.get(status, f"ended as '{status}'")


def _listed(letters: Sequence[str], parts: Sequence[str | None], obstacle: Obstacle) -> str:
    if obstacle in (Obstacle.WEIGHTS, Obstacle.DATA):
        return ""
    return ": " + ", ".join(f"{letter} {part or NOT_REPORTED}" for letter, part in zip(letters, parts, strict=True))


def _weights(entry: Entry) -> str | None:
    """What tells float weights apart: their hash or, on a card without one, the score of the float model."""
    score = None if entry.transcribed else entry.measured.float_score
    return _identity(entry, "weights") or (None if score is None else f"float score {score:.9f}")


def _identity(entry: Entry, part: str) -> str | None:
    """The hash of the weights or of the data in the identity of a run, or None where the entry has no identity."""
    held = entry.identity.get(part)
    return None if held is None else value_text(held)
