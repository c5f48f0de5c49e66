"""Statistics: the mean over seeds, with Student's interval where there are at least two of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from suite.statistics.interval import Interval


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


def student_inside(t: float, degrees: int) -> float:
    """P(|T| ≤ t) for Student's T with an integer number of degrees of freedom.

    With θ = atan(t / sqrt(degrees)) and a finite sum of even powers of cos θ,
        odd degrees:  2/π (θ + sin θ (cos θ + 2/3 cos³ θ + (2·4)/(3·5) cos⁵ θ + …))
        even degrees: sin θ (1 + 1/2 cos² θ + (1·3)/(2·4) cos⁴ θ + …)
    """
    if degrees < 1:
        raise ValueError("Student's distribution needs at least one degree of freedom")
    angle = math.atan2(t, math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2 == 1
    term, total = (cosine if odd else 1.0), 0.0
    for power in range(1 if odd else 0, degrees - 1, 2):
        total += term
        term *= cosine * cosine * (power + 1) / (power + 2)
    return 2.0 / math.pi * (angle + sine * total) if odd else sine * total


def student_quantile(confidence: float, degrees: int) -> float:
    """The t with P(|T| ≤ t) = `confidence`, by bisection on θ (P grows with θ, and θ is bounded by π/2)."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"a confidence lies between 0 and 1, not at {confidence}")
    low, high = 0.0, math.pi / 2.0
    for _ in range(80):
        middle = (low + high) / 2.0
        if student_inside(math.tan(middle) * math.sqrt(degrees), degrees) < confidence:
            low = middle
        else:
            high = middle
    return math.tan((low + high) / 2.0) * math.sqrt(degrees)
