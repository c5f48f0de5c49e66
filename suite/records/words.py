"""Reading wing, records: results in the words of a terminal, so that every command writes them alike.

Pages have typography of their own (`suite.reports.numbers`).
"""

from __future__ import annotations


def points_interval(interval: tuple[float, float]) -> str:
    """(-0.041, -0.0302) -> '[-4.10, -3.02]': both ends of a difference of two scores, in points."""
    low, high = interval
    return f"[{100 * low:+.2f}, {100 * high:+.2f}]"
