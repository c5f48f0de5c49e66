"""Studies, explained gaps: which mixed settings may be, by rules between axes, methods, and the plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from suite.axes import AXES, plain
from suite.axes.rules import contradictions
from suite.studies.explaining.sides import METHOD, Declared


@dataclass(frozen=True)
class Limits:
    """What a method supports and needs, as plain data: this wing does not import methods."""

    supports: Mapping[str, tuple[object, ...]]
    recommended: Mapping[str, object]
    labels: bool
    examples: bool


@dataclass(frozen=True)
class Refusal:
    """Why a setting cannot be, and what it joins: ids of axes, and `method`."""

    joins: frozenset[str]
    sentence: str


Laboratory = Callable[[Sequence[Declared]], Sequence[str | None]]
"""For each of several declared runs, why the method itself or the plan of the model refuses it, or None."""


def refusal(declared: Declared, limits: Mapping[str, Limits]) -> Refusal | None:
    """The first reason against these values that can be told without a model, or None."""
    values = declared.values
    broken = contradictions(values)
    if broken:
        return Refusal(frozenset(broken[0].axes), broken[0].sentence)
    for axis, value in values.items():
        if not AXES[axis].enforceable(value):
            return Refusal(frozenset((axis,)), f"{axis} = {plain(value)} can be described but not enforced")
    held = limits[declared.method]
    for axis, allowed in held.supports.items():
        if values[axis] not in allowed:
            return Refusal(
                frozenset((METHOD, axis)),
                f"the method {declared.method} does not support {axis} = {plain(values[axis])}",
            )
    if held.labels and values["labels"] == "unlabeled":
        return Refusal(frozenset((METHOD, "labels")), f"the method {declared.method} needs labels")
    if held.examples and values["examples"] == 0:
        return Refusal(frozenset((METHOD, "examples")), f"the method {declared.method} needs examples")
    return None


class Legality:
    """Answers whether a declared run may be; asks the laboratory at most once about each, many at a time."""

    def __init__(self, limits: Mapping[str, Limits], laboratory: Laboratory) -> None:
        self._limits = limits
        self._laboratory = laboratory
        self._asked: dict[str, Refusal | None] = {}

    def refused(self, declared: Declared) -> Refusal | None:
        """By the rules alone, or by the laboratory where it was asked."""
        return refusal(declared, self._limits) or self._asked.get(_key(declared))

    def forbid(self, declared: Declared, why: Refusal) -> None:
        """A run that was tried and cannot be compared, such as one that diverged."""
        self._asked[_key(declared)] = why

    def ask(self, every: Sequence[Declared]) -> None:
        """Let the laboratory look at those that no rule refuses and that were not asked about before."""
        new = {_key(one): one for one in every if _key(one) not in self._asked and refusal(one, self._limits) is None}
        if not new:
            return
        for key, sentence in zip(new, self._laboratory(list(new.values())), strict=True):
            self._asked[key] = None if sentence is None else Refusal(_named_in(sentence), sentence)


def _named_in(sentence: str) -> frozenset[str]:
    """The axes whose ids a message names, and the method where it speaks of one."""
    words = {word.strip(".,:;()'\"=") for word in sentence.split()}
    return frozenset(words & {METHOD, *AXES})


def _key(declared: Declared) -> str:
    return repr((declared.method, sorted(declared.options.items()), sorted(declared.values.items())))
