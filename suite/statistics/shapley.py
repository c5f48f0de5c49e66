"""Statistics: a gap split fairly among what differs. Shapley shares, interactions, and orders drawn where many differ.

n things differ between a first and a second; a *mixture* T says which of them have the second's state, as the bits of
a number: 0 is the first itself, 2^n − 1 the second. With a score v(T) for every mixture, the share of i is what
switching i changes, averaged over all orders in which the n things can be switched:

    share(i) = Σ_{T without i}  |T|! (n − |T| − 1)! / n!  ·  [v(T + i) − v(T)]

The shares add up to v(2^n − 1) − v(0), whatever v is. The interaction of i and j is how much more both together
change than each by itself, averaged in the same way over what else was switched before them:

    interaction(i, j) = Σ_{T without i, j}  |T|! (n − |T| − 2)! / (n − 1)!  ·  second difference at T,
    second difference at T = v(T + i + j) − v(T + i) − v(T + j) + v(T)

Everything here is a matrix of weights, one row a share, one column a mixture: shares are linear in the scores, so what
is known of the scores' noise carries over to the shares.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float64]
Order = tuple[int, ...]

MOST_EXACT = 16
"""Above this many things the table of all mixtures is not even made."""


def share_weights(count: int) -> Weights:
    """[things, mixtures]: the weight of every mixture's score in every share."""
    _check(count, least=1)
    weights = np.zeros((count, 2**count))
    for mixture in range(2**count):
        size = mixture.bit_count()
        for thing in range(count):
            if mixture >> thing & 1:
                weights[thing, mixture] = _average_over_orders(size - 1, count)
            else:
                weights[thing, mixture] = -_average_over_orders(size, count)
    return weights


def interaction_weights(count: int) -> tuple[tuple[tuple[int, int], ...], Weights]:
    """The pairs of things, and [pairs, mixtures]: the weight of every mixture's score in every interaction."""
    _check(count, least=1)
    pairs = tuple(itertools.combinations(range(count), 2))
    weights = np.zeros((len(pairs), 2**count))
    for row, (first, second) in enumerate(pairs):
        for mixture in range(2**count):
            switched = (mixture >> first & 1) + (mixture >> second & 1)
            sign = -1.0 if switched == 1 else 1.0
            weights[row, mixture] = sign * _average_over_orders(mixture.bit_count() - switched, count - 1)
    return pairs, weights


def mixtures_of(order: Order) -> tuple[int, ...]:
    """The mixtures that an order passes, from the first itself to the second."""
    passed = itertools.accumulate((1 << thing for thing in order), initial=0)
    return tuple(passed)


def order_weights(orders: Sequence[Order], mixtures: Sequence[int]) -> Weights:
    """[orders, things, mixtures]: in every order, +1 where a thing has just been switched, −1 where it is next."""
    place = {mixture: column for column, mixture in enumerate(mixtures)}
    count = len(orders[0]) if orders else 0
    weights = np.zeros((len(orders), count, len(mixtures)))
    for row, order in enumerate(orders):
        for thing, (before, after) in zip(order, itertools.pairwise(mixtures_of(order)), strict=True):
            weights[row, thing, place[after]] += 1.0
            weights[row, thing, place[before]] -= 1.0
    return weights


def drawn_orders(count: int, seed: int = 0) -> Iterator[tuple[Order, Order]]:
    """Orders drawn without repetition, each with its reverse; ends when all n! have been drawn.

    In an order and its reverse a thing that is switched early is switched late, so what hangs on the place in the order
    cancels within the pair as far as it grows with it.
    """
    _check(count, least=2)
    generator = np.random.default_rng([seed, count])
    seen: set[Order] = set()
    all_orders = math.factorial(count)
    while len(seen) < all_orders:
        order = tuple(int(thing) for thing in generator.permutation(count))
        if order not in seen:
            seen |= {order, order[::-1]}
            yield order, order[::-1]


def _average_over_orders(before: int, count: int) -> float:
    """The part of all orders of `count` things in which one thing comes just after `before` given ones."""
    return 1.0 / (count * math.comb(count - 1, before))


def _check(count: int, least: int) -> None:
    if count < least:
        raise ValueError(f"a gap is not split among {count} things")
    if count > MOST_EXACT and least == 1:
        raise ValueError(f"{count} things have 2^{count} mixtures; draw orders instead")
