"""Reports: entries in the order of their scores, with what the intervals between them allow to be said.

A rank is a range. An entry stands below those above it whose paired difference excludes zero, and above those below it
whose paired difference excludes zero; between the two it may stand anywhere. Rank `1–2` of two entries says that
neither is known to be better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from suite.reports.comparability import Comparability, obstacles_between, same_examples
from suite.reports.entry import Entry
from suite.statistics import Interval, paired_difference


@dataclass(frozen=True)
class RankedRow:
    """One entry of a ranking. `to_above` is its score minus the score of the row above, on the same examples."""

    position: int
    first_rank: int
    last_rank: int
    to_above: Interval | None
    difference_to_above: float | None
    obstacles_to_above: tuple[str, ...]

    @property
    def rank(self) -> str:
        if self.first_rank == self.last_rank:
            return str(self.first_rank)
        return f"{self.first_rank}\N{EN DASH}{self.last_rank}"

    @property
    def resolved(self) -> bool:
        return self.to_above is not None and self.to_above.resolved


@dataclass(frozen=True)
class Ranking:
    """Rows from the highest score to the lowest. `comparable` is False only where somebody asked to rank anyway."""

    rows: tuple[RankedRow, ...]
    comparable: bool


def rankings(entries: Sequence[Entry], verdict: Comparability, *, rank_anyway: bool = False) -> tuple[Ranking, ...]:
    """One ranking for each group of comparable entries; or, asked to rank anyway, one over all that have a score."""
    if rank_anyway and not verdict.comparable:
        scored = [position for position, entry in enumerate(entries) if entry.measured.score is not None]
        return (_ranking(entries, scored, comparable=False),) if scored else ()
    return tuple(_ranking(entries, group, comparable=True) for group in verdict.groups)


def _ranking(entries: Sequence[Entry], positions: Sequence[int], *, comparable: bool) -> Ranking:
    order = sorted(positions, key=lambda position: (-_score(entries[position]), position))
    between: dict[tuple[int, int], Interval | None] = {}
    for index, lower in enumerate(order):
        for higher in order[:index]:
            between[higher, lower] = difference_between(entries[higher], entries[lower])
    rows = []
    for index, position in enumerate(order):
        above = sum(_known(between[higher, position]) for higher in order[:index])
        below = sum(_known(between[position, lower]) for lower in order[index + 1 :])
        upper = order[index - 1] if index else None
        obstacles = () if upper is None or comparable else obstacles_between(entries[upper], entries[position])
        rows.append(
            RankedRow(
                position=position,
                first_rank=1 + above,
                last_rank=len(order) - below,
                to_above=None if upper is None else between[upper, position],
                difference_to_above=None if upper is None else _score(entries[position]) - _score(entries[upper]),
                obstacles_to_above=tuple(reason.obstacle.value for reason in obstacles),
            )
        )
    return Ranking(tuple(rows), comparable)


def difference_between(first: Entry, second: Entry) -> Interval | None:
    """score(second) − score(first) with its paired interval, or None where outcomes cannot be paired."""
    if not same_examples(first, second) or first.outcomes is None or second.outcomes is None:
        return None
    return paired_difference(first.outcomes.correct, second.outcomes.correct)


def _known(interval: Interval | None) -> bool:
    return interval is not None and interval.resolved


def _score(entry: Entry) -> float:
    score = entry.measured.score
    if score is None:
        raise ValueError("only an entry with a score can be ranked")
    return score
