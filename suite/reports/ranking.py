"""Reports: entries in the order of their scores, with what the intervals between them allow to be said.

A rank is a range. An entry stands below those above it whose paired difference is known not to be zero, and above those
below it of which that is known; between the two it may stand anywhere. Rank `1–2` of two entries says that neither is
known to be better.

Forty entries make 780 pairs, of which 39 would look different by chance if all were equal. So all pairs of a ranking
are resolved together (Holm): the chance that any two equal entries are told apart is at most 5 %.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from suite.reports.comparability import Comparability, obstacles_between, same_examples
from suite.reports.entry import Entry
from suite.statistics import (
    Interval,
    PairedTable,
    Side,
    mcnemar_exact,
    newcombe,
    paired_difference,
    rank_ranges,
    sides,
)

CONFIDENCE = 0.95
STRICTEST_RESAMPLED = 0.999
"""Above this confidence too few of the 20,000 resamples lie beyond a bound to place it; Newcombe's closed form can."""


@dataclass(frozen=True)
class PairedOutcomes:
    """What two entries answered on the same examples: score(second) − score(first) at any confidence."""

    first: Entry
    second: Entry
    table: PairedTable

    @property
    def p_value(self) -> float:
        """McNemar's exact test of this pair alone: how often equal entries would differ at least so unevenly."""
        return mcnemar_exact(self.table)

    def at(self, confidence: float = CONFIDENCE) -> Interval:
        if confidence > STRICTEST_RESAMPLED:
            return newcombe(self.table, confidence)
        assert self.first.outcomes is not None
        assert self.second.outcomes is not None
        return paired_difference(self.first.outcomes.correct, self.second.outcomes.correct, confidence=confidence)


@dataclass(frozen=True)
class RankedRow:
    """One entry of a ranking. `to_above` is its score minus the score of the row above, on the same examples."""

    position: int
    first_rank: int
    last_rank: int
    to_above: Interval | None
    """At 95 %, by itself."""
    p_to_above: float | None
    """McNemar's exact p of the same difference, by itself."""
    resolved: bool
    """Whether it is known to score less than the row above, all pairs of the ranking considered."""
    difference_to_above: float | None
    obstacles_to_above: tuple[str, ...]

    @property
    def rank(self) -> str:
        if self.first_rank == self.last_rank:
            return str(self.first_rank)
        return f"{self.first_rank}\N{EN DASH}{self.last_rank}"


@dataclass(frozen=True)
class Ranking:
    """Rows from the highest score to the lowest. `comparable` is False only where somebody asked to rank anyway."""

    rows: tuple[RankedRow, ...]
    comparable: bool
    pairs: int
    """How many differences were resolved together."""


def rankings(entries: Sequence[Entry], verdict: Comparability, *, rank_anyway: bool = False) -> tuple[Ranking, ...]:
    """One ranking for each group of comparable entries; or, asked to rank anyway, one over all that have a score."""
    if rank_anyway and not verdict.comparable:
        scored = [position for position, entry in enumerate(entries) if entry.measured.score is not None]
        return (_ranking(entries, scored, comparable=False),) if scored else ()
    return tuple(_ranking(entries, group, comparable=True) for group in verdict.groups)


def _ranking(entries: Sequence[Entry], positions: Sequence[int], *, comparable: bool) -> Ranking:
    order = sorted(positions, key=lambda position: (-_score(entries[position]), position))
    between = {
        (higher, lower): found
        for higher, lower in itertools.combinations(range(len(order)), 2)
        if (found := paired(entries[order[higher]], entries[order[lower]])) is not None
    }
    known = dict(zip(between, sides([held.at for held in between.values()], 0.0, CONFIDENCE), strict=True))

    def resolved(higher: int, lower: int) -> bool:
        return known.get((higher, lower)) is Side.BELOW

    ranks = rank_ranges([_score(entries[position]) for position in order], resolved)
    rows = []
    for index, (position, rank) in enumerate(zip(order, ranks, strict=True)):
        upper = order[index - 1] if index else None
        held = between.get((index - 1, index))
        obstacles = () if upper is None or comparable else obstacles_between(entries[upper], entries[position])
        rows.append(
            RankedRow(
                position=position,
                first_rank=rank.first,
                last_rank=rank.last,
                to_above=None if held is None else held.at(),
                p_to_above=None if held is None else held.p_value,
                resolved=resolved(index - 1, index),
                difference_to_above=None if upper is None else _score(entries[position]) - _score(entries[upper]),
                obstacles_to_above=tuple(reason.obstacle.value for reason in obstacles),
            )
        )
    return Ranking(tuple(rows), comparable, len(between))


def paired(first: Entry, second: Entry) -> PairedOutcomes | None:
    """What both answered, or None where outcomes cannot be paired."""
    if not same_examples(first, second) or first.outcomes is None or second.outcomes is None:
        return None
    return PairedOutcomes(first, second, PairedTable.of(first.outcomes.correct, second.outcomes.correct))


def _score(entry: Entry) -> float:
    score = entry.measured.score
    if score is None:
        raise ValueError("only an entry with a score can be ranked")
    return score
