"""Statistics: equal enough. Not finding a difference proves nothing; an interval within a margin does."""

from __future__ import annotations

from enum import StrEnum

from suite.statistics.multiple import IntervalAt


class Equality(StrEnum):
    """What is known of the equality of two scores."""

    EQUIVALENT = "equivalent"
    DIFFERENT = "different"
    UNRESOLVED = "not resolved"


def equivalence(interval_at: IntervalAt, margin: float, confidence: float = 0.95) -> Equality:
    """Two one-sided tests: equivalent if the interval at 2·confidence − 1 (0.90 for 0.95) lies within ±`margin`.

    Different if the interval at `confidence` lies wholly outside the margin.
    """
    if not margin > 0.0:
        raise ValueError("an equality needs a margin above 0")
    inner = interval_at(2.0 * confidence - 1.0)
    if -margin < inner.low and inner.high < margin:
        return Equality.EQUIVALENT
    outer = interval_at(confidence)
    if outer.low > margin or outer.high < -margin:
        return Equality.DIFFERENT
    return Equality.UNRESOLVED
