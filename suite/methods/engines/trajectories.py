"""Methods, engines: trajectories as a record keeps them: few points, six digits, bounded however many there are."""

from __future__ import annotations

# All trajectories together stay far below what a record keeps.
POINTS_OF_ALL = 6000


def points_of_each(trajectories: int, most: int) -> int:
    """How many points each of so many trajectories may have: at most `most`, and two however many there are."""
    return min(most, max(2, POINTS_OF_ALL // max(1, trajectories)))


def evenly_spread(count: int, points: int) -> list[int]:
    """At most `points` of the places 0 ... count - 1, the first and the last among them."""
    points = min(count, points)
    return [round(index * (count - 1) / max(1, points - 1)) for index in range(points)]


def rounded(value: float) -> float:
    """Six digits: trajectories are looked at, not computed with."""
    return float(f"{value:.6g}")
