"""Reports, collection: what an axis does to the score, beside what the method does, from matched pairs.

The effect of a contrast is the mean, over its contexts, of score(second) − score(first); a context is all that two
runs have in common, and seeds within one are averaged first. Its interval:

    several contexts or seeds, outcomes at hand   over contexts × examples (or seeds × examples), paired
    several contexts or seeds, none at hand       Student's over contexts (or seeds), for these test examples
    one pair, outcomes at hand                    over examples, paired
    one pair, none at hand                        none

Verdicts are corrected for the number of contrasts that are looked at together (Holm), intervals are not.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from suite.reports.collection.matching import METHOD, Contrast
from suite.reports.collection.runs import Run, outcomes_of
from suite.statistics import Interval, PairedTable, Side, newcombe, over_seeds, paired_difference, sides
from suite.statistics.contrasts import Contrast as Weighted

MOST_CONTRASTS = 200
"""So many are judged together; those with the most contexts come first."""
MOST_PAIRS_OF_OUTCOMES = 32
"""A contrast with more pairs than this is sure enough without its outcomes, which take long to read."""
MOST_OUTCOMES = 1500
"""So many files of outcomes are read for one page."""


@dataclass(frozen=True)
class Effect:
    """A contrast with its effect; `interval` is None where one pair without outcomes says nothing of its noise."""

    contrast: Contrast
    estimate: float
    interval: Interval | None
    side: Side
    of_pairs: tuple[Interval | None, ...]
    """Of each pair alone, over its examples; None where its outcomes are not at hand, or were too many to read."""

    @property
    def of_method(self) -> bool:
        return self.contrast.factor == METHOD

    @property
    def resolved(self) -> bool:
        return self.side is not Side.UNRESOLVED


class _Differences:
    """The differences of one contrast, and their interval at any confidence."""

    def __init__(self, contrast: Contrast, runs: Sequence[Run], outcomes: _OutcomeReader) -> None:
        by_context: dict[int, list[float]] = defaultdict(list)
        for pair in contrast.pairs:
            first, second = runs[pair.first].score, runs[pair.second].score
            if first is None or second is None:
                raise ValueError("only runs with a score make an effect")
            by_context[pair.context].append(second - first)
        self._contexts = list(by_context.values())
        self._contrast, self._runs, self._outcomes = contrast, runs, outcomes

    @property
    def estimate(self) -> float:
        return math.fsum(math.fsum(held) / len(held) for held in self._contexts) / len(self._contexts)

    @property
    def _draws(self) -> list[float]:
        """One difference a context or, in the only context, one a seed."""
        if len(self._contexts) == 1:
            return self._contexts[0]
        return [math.fsum(held) / len(held) for held in self._contexts]

    @cached_property
    def _by_example(self) -> list[np.ndarray] | None:
        """[examples] of every draw: how much each example contributes to it; None where outcomes are missing."""
        pairs = self._contrast.pairs
        if len(pairs) > MOST_PAIRS_OF_OUTCOMES or len({self._runs[pair.first].data for pair in pairs}) > 1:
            return None
        rows: dict[int, list[np.ndarray]] = defaultdict(list)
        for place, pair in enumerate(pairs):
            first, second = self._outcomes.read(pair.first), self._outcomes.read(pair.second)
            if first is None or second is None or first.shape != second.shape:
                return None
            draw = pair.context if len(self._contexts) > 1 else place
            rows[draw].append(second.astype(np.float64) - first)
        means = [np.mean(held, axis=0) for held in rows.values()]
        return means if len({mean.shape for mean in means}) == 1 else None

    @property
    def known(self) -> bool:
        """Whether there is an interval at all."""
        return len(self._draws) > 1 or self._by_example is not None

    def of_pairs(self) -> tuple[Interval | None, ...]:
        """Closed form: a page may have thousands of pairs."""
        if self._by_example is None:
            return (None,) * len(self._contrast.pairs)
        tables = (
            PairedTable.of(np.asarray(self._outcomes.read(pair.first)), np.asarray(self._outcomes.read(pair.second)))
            for pair in self._contrast.pairs
        )
        return tuple(newcombe(table) for table in tables)

    def at(self, confidence: float) -> Interval:
        what = "contexts" if len(self._contexts) > 1 else "seeds"
        by_example = self._by_example
        if by_example is None:
            interval = over_seeds(self._draws, confidence).interval
            if interval is None:
                raise ValueError("one pair without outcomes has no interval")
            return _named(interval, f"{what}, for these examples")
        if len(by_example) > 1:
            return _named(Weighted(np.stack(by_example)).at(confidence), f"{what} × examples, paired")
        pair = self._contrast.pairs[0]
        first, second = self._outcomes.read(pair.first), self._outcomes.read(pair.second)
        return paired_difference(np.asarray(first), np.asarray(second), confidence=confidence)


class _OutcomeReader:
    """Outcomes of runs by position, each file read once, and no more files than a page may cost."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs
        self._held: dict[int, np.ndarray | None] = {}

    def read(self, position: int) -> np.ndarray | None:
        if position not in self._held:
            full = len(self._held) >= MOST_OUTCOMES
            outcomes = None if full else outcomes_of(self._runs[position])
            self._held[position] = None if outcomes is None else outcomes.correct
        return self._held[position]


def effects(found: Sequence[Contrast], runs: Sequence[Run]) -> list[Effect]:
    """The effects of the contrasts with the most contexts; largest first within the method and within each axis."""
    chosen = sorted(found, key=lambda one: (-one.contexts, -len(one.pairs), one.factor, one.first, one.second))
    reader = _OutcomeReader(runs)
    held = [(one, _Differences(one, runs, reader)) for one in chosen[:MOST_CONTRASTS]]
    known = [differences for _, differences in held if differences.known]
    decided = dict(zip(map(id, known), sides([one.at for one in known]), strict=True))
    judged = [
        Effect(
            contrast=one,
            estimate=differences.estimate,
            interval=differences.at(0.95) if differences.known else None,
            side=decided.get(id(differences), Side.UNRESOLVED),
            of_pairs=differences.of_pairs(),
        )
        for one, differences in held
    ]
    largest: dict[str, float] = defaultdict(float)
    for effect in judged:
        largest[effect.contrast.factor] = max(largest[effect.contrast.factor], abs(effect.estimate))
    return sorted(
        judged,
        key=lambda effect: (
            not effect.of_method,
            -largest[effect.contrast.factor],
            effect.contrast.factor,
            -abs(effect.estimate),
        ),
    )


def _named(interval: Interval, how: str) -> Interval:
    return Interval(interval.estimate, interval.low, interval.high, interval.confidence, how, interval.count)
