"""Statistics: the score interval of one proportion, such as one accuracy."""

from __future__ import annotations

import math
from statistics import NormalDist

from suite.statistics.interval import Interval


def normal_quantile(confidence: float) -> float:
    """The z such that a standard normal lies within ±z with probability `confidence`."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"a confidence lies between 0 and 1, not at {confidence}")
    return NormalDist().inv_cdf(0.5 + confidence / 2.0)


def wilson(successes: int, count: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of successes / count.

    centre = (p + z²/2n) / (1 + z²/n), half width = z / (1 + z²/n) · sqrt(p (1 − p) / n + z² / 4n²). Unlike the
    textbook p ± z sqrt(p (1 − p) / n) it never leaves [0, 1] and does not shrink to nothing at 0 or 100 %.
    """
    if count <= 0 or not 0 <= successes <= count:
        raise ValueError(f"{successes} successes of {count} is not a proportion")
    z = normal_quantile(confidence)
    proportion = successes / count
    shrink = 1.0 + z * z / count
    centre = (proportion + z * z / (2 * count)) / shrink
    half = z / shrink * math.sqrt(proportion * (1.0 - proportion) / count + z * z / (4.0 * count * count))
    # At 0 and at 100 % the bound is the proportion itself; rounding must not push it past.
    low = min(max(0.0, centre - half), proportion)
    high = max(min(1.0, centre + half), proportion)
    return Interval(proportion, low, high, confidence, "Wilson score", count)
