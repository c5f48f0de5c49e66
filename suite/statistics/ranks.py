"""Statistics: ranks that admit what is not known. A rank is a range; ties are differences that are not resolved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RankRange:
    """The best and the worst rank that an entry may have."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}\N{EN DASH}{self.last}"


def rank_ranges(scores: Sequence[float], resolved: Callable[[int, int], bool]) -> tuple[RankRange, ...]:
    """The ranks of entries, rank 1 for the highest score.

    `resolved(higher, lower)` tells whether the difference between two positions is known not to be zero. An entry
    stands below those with a higher score that it is resolved from, and above those with a lower score that it is
    resolved from; between the two it may stand anywhere.
    """
    order = sorted(range(len(scores)), key=lambda position: (-scores[position], position))
    ranges = [RankRange(1, 1)] * len(scores)
    for index, position in enumerate(order):
        above = sum(resolved(higher, position) for higher in order[:index])
        below = sum(resolved(position, lower) for lower in order[index + 1 :])
        ranges[position] = RankRange(1 + above, len(order) - below)
    return tuple(ranges)
