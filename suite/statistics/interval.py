"""Statistics: one estimate with the interval around it, and the name of the rule that drew it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """`estimate` with a two-sided interval [`low`, `high`] at `confidence`, drawn by `method`; `count` observations."""

    estimate: float
    low: float
    high: float
    confidence: float
    method: str
    count: int

    def __post_init__(self) -> None:
        if not all(math.isfinite(number) for number in (self.estimate, self.low, self.high)):
            raise ValueError("an interval needs finite numbers")
        if self.low > self.high:
            raise ValueError(f"an interval runs from low to high, not from {self.low} to {self.high}")

    @property
    def includes_zero(self) -> bool:
        return self.low <= 0.0 <= self.high

    @property
    def resolved(self) -> bool:
        """Does the interval exclude zero, so that the sign of the difference is known at this confidence?"""
        return not self.includes_zero

    def to_dict(self) -> dict[str, float | int | str]:
        return {
            "estimate": self.estimate,
            "low": self.low,
            "high": self.high,
            "confidence": self.confidence,
            "method": self.method,
            "count": self.count,
        }
