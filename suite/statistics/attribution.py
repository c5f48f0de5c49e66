"""Statistics: the gap between two cells, split into shares with intervals, from the outcomes of the cells between them.

All mixtures measured: exact Shapley shares, and the interactions of every pair. Only the mixtures that some orders
pass: the shares over those orders, and the spread between orders widens their intervals, because other orders might
have been drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from suite.statistics.contrasts import Contrast, weighted
from suite.statistics.hierarchical import combined_difference
from suite.statistics.interval import Interval
from suite.statistics.multiple import Side, sides
from suite.statistics.shapley import Order, interaction_weights, mixtures_of, order_weights, share_weights
from suite.statistics.variance import Term, Variance

Outcomes = npt.NDArray[np.bool_]
"""[seeds, examples] of one mixture."""

FEWEST_PAIRS = 2
"""Pairs of orders below which nothing is known of what other orders would have given."""
CONFIDENCE = 0.95
REACH_OF_AN_INTERACTION = 2.0


@dataclass(frozen=True)
class Part:
    """A share or an interaction; `resolved`: its sign is known although several parts were asked about (Holm)."""

    interval: Interval
    resolved: bool


@dataclass(frozen=True)
class Attribution:
    """A gap and its parts. `orders` is how many orders the shares rest on, None where they rest on all of them."""

    gap: Interval
    shares: tuple[Part, ...]
    interactions: Mapping[tuple[int, int], Part]
    orders: int | None


def attribute(
    count: int, outcomes: Mapping[int, Outcomes], pairs: Sequence[tuple[Order, Order]] = ()
) -> Attribution | None:
    """Split score(last) − score(first) among `count` things; None where not even one pair of orders is measured.

    `outcomes` has the mixtures that were measured, 0 and 2^count − 1 among them; `pairs` the orders that were drawn,
    each with its reverse, of which only the completely measured ones count.
    """
    gap = combined_difference(list(outcomes[0]), list(outcomes[2**count - 1]), paired_seeds=True, confidence=CONFIDENCE)
    if count == 0:
        return Attribution(gap, (), {}, None)
    if all(mixture in outcomes for mixture in range(2**count)):
        table = [outcomes[mixture] for mixture in range(2**count)]
        shares = [Contrast(values) for values in weighted(share_weights(count), table)]
        names, weights = interaction_weights(count)
        together = [Contrast(values, REACH_OF_AN_INTERACTION) for values in weighted(weights, table)]
        return Attribution(gap, _parts(shares), dict(zip(names, _parts(together), strict=True)), None)
    measured = [pair for pair in pairs if all(mixture in outcomes for order in pair for mixture in mixtures_of(order))]
    if not measured:
        return None
    shares = _from_orders(count, outcomes, measured)
    parts = _parts(shares)
    if len(measured) < FEWEST_PAIRS:
        parts = tuple(Part(part.interval, False) for part in parts)
    return Attribution(gap, parts, {}, 2 * len(measured))


def _from_orders(count: int, outcomes: Mapping[int, Outcomes], pairs: Sequence[tuple[Order, Order]]) -> list[Contrast]:
    """Shares over drawn orders. A pair of orders is one observation, because its two orders were not drawn apart."""
    mixtures = sorted({mixture for pair in pairs for order in pair for mixture in mixtures_of(order)})
    weights = np.stack([order_weights(pair, mixtures).mean(axis=0) for pair in pairs])
    scores = np.array([outcomes[mixture].mean() for mixture in mixtures])
    by_pair = weights @ scores
    drawn, possible = len(pairs), math.factorial(count) // 2
    values = weighted(weights.mean(axis=0), [outcomes[mixture] for mixture in mixtures])
    if drawn < FEWEST_PAIRS:
        return [Contrast(held) for held in values]
    # A few orders may agree about one thing by chance: none is taken to hang on the order less than all do on average.
    spreads = by_pair.var(axis=0, ddof=1)
    spreads = np.maximum(spreads, spreads.mean()) / drawn
    left = 1.0 - drawn / possible  # orders are drawn without repetition: all of them leave nothing open
    return [
        Contrast(held, elsewhere=Variance((Term(float(spread) * left, drawn - 1),)))
        for held, spread in zip(values, spreads, strict=True)
    ]


def _parts(contrasts: Sequence[Contrast]) -> tuple[Part, ...]:
    found = sides([contrast.at for contrast in contrasts], confidence=CONFIDENCE)
    return tuple(
        Part(contrast.at(CONFIDENCE), side is not Side.UNRESOLVED)
        for contrast, side in zip(contrasts, found, strict=True)
    )
