"""Statistics: the mean over seeds, with Student's interval where there are at least two of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from suite.statistics.interval import Interval
from suite.statistics.student import student_quantile


@dataclass(frozen=True)
class SeedSummary:
    """Mean of one number over seeds. One seed has no deviation and no interval, and says so by None."""

    mean: float
    deviation: float | None
    interval: Interval | None
    count: int


def over_seeds(values: Sequence[float], confidence: float = 0.95) -> SeedSummary:
    """Mean m of n seeds, sample deviation s (n − 1 in the denominator), interval m ± t_{n−1} s / sqrt(n)."""
    count = len(values)
    if count == 0:
        raise ValueError("a mean needs at least one value")
    mean = math.fsum(values) / count
    if count == 1:
        return SeedSummary(mean, None, None, 1)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = student_quantile(confidence, count - 1) * deviation / math.sqrt(count)
    return SeedSummary(mean, deviation, Interval(mean, mean - half, mean + half, confidence, "Student t", count), count)
