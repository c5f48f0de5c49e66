"""Cards: comparing two. The same setting, different in exactly these axes, or not comparable where one is silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from suite.axes import AXES, NOT_REPORTED, Difference, differences
from suite.cards.card import Card


@dataclass(frozen=True)
class Besides:
    """Something outside the setting in which two cards differ: the method, its options, task, model or seed."""

    name: str
    left: Any
    right: Any

    def __str__(self) -> str:
        return f"{self.name}: {self.left} -> {self.right}"


@dataclass(frozen=True)
class CardDiff:
    """`same` is only said when every axis is reported on both sides and equal."""

    differences: tuple[Difference, ...]
    unknown: tuple[str, ...]
    besides: tuple[Besides, ...]

    @property
    def same(self) -> bool:
        return not self.differences and not self.unknown

    def sentence(self) -> str:
        """The answer in one line."""
        if self.same:
            return "same setting"
        parts = []
        if self.differences:
            parts.append(f"different in {_axes(len(self.differences))}")
        if self.unknown:
            parts.append(f"not comparable in {_axes(len(self.unknown))} that one side does not report")
        return "; ".join(parts)


def _axes(count: int) -> str:
    return f"{count} axis" if count == 1 else f"{count} axes"


def diff_cards(left: Card, right: Card) -> CardDiff:
    """Compare what two cards declare; their results play no part.

    An axis on which either side is silent is unknown, even when both are: two papers that say nothing need not agree.
    """
    unknown = tuple(id for id in AXES if NOT_REPORTED in (left.values[id], right.values[id]))
    pairs = (
        ("method", left.method.id, right.method.id),
        ("options", dict(left.method.options), dict(right.method.options)),
        ("task", left.task, right.task),
        ("model", left.model, right.model),
        ("seed", left.seed, right.seed),
    )
    besides = tuple(Besides(name, one, other) for name, one, other in pairs if one != other)
    return CardDiff(differences(left.values, right.values), unknown, besides)
