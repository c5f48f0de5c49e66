"""Statistics: many comparisons at once. Whoever looks twenty times sees something once by chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

from suite.statistics.interval import Interval

IntervalAt = Callable[[float], Interval]
"""The interval of one difference at any confidence."""


class Side(StrEnum):
    """Where a difference lies, as far as it is known."""

    ABOVE = "above"
    BELOW = "below"
    UNRESOLVED = "not resolved"


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p-values, in the given order: p_(i) (m − i + 1), never falling from one rank to the next."""
    count = len(p_values)
    if any(not 0.0 <= p <= 1.0 for p in p_values):
        raise ValueError("a p-value lies between 0 and 1")
    adjusted = [0.0] * count
    largest = 0.0
    for rank, position in enumerate(sorted(range(count), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, p_values[position] * (count - rank)))
        adjusted[position] = largest
    return tuple(adjusted)


def sides(intervals: Sequence[IntervalAt], threshold: float = 0.0, confidence: float = 0.95) -> tuple[Side, ...]:
    """On which side of `threshold` each difference lies; the chance of any wrong answer stays below 1 − `confidence`.

    Holm's rule, told in intervals: while m comparisons are open, those whose interval at the confidence
    1 − (1 − confidence)/m excludes the threshold are resolved; then the rest is asked again, with fewer of them open.
    """
    found = [Side.UNRESOLVED] * len(intervals)
    open_ = list(range(len(intervals)))
    while open_:
        strict = 1.0 - (1.0 - confidence) / len(open_)
        resolved = []
        for position in open_:
            interval = intervals[position](strict)
            if interval.low > threshold:
                found[position] = Side.ABOVE
            elif interval.high < threshold:
                found[position] = Side.BELOW
            else:
                continue
            resolved.append(position)
        if not resolved:
            break
        open_ = [position for position in open_ if position not in resolved]
    return tuple(found)
