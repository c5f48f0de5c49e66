"""Shapley shares and interactions, against brute force over orders and the properties that define them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from suite.statistics.shapley import (
    drawn_orders,
    interaction_weights,
    mixtures_of,
    order_weights,
    share_weights,
)


def brute_shares(scores: np.ndarray, count: int) -> np.ndarray:
    """The definition: every order, one thing switched after the other."""
    total = np.zeros(count)
    for order in itertools.permutations(range(count)):
        mixture = 0
        for thing in order:
            total[thing] += scores[mixture | 1 << thing] - scores[mixture]
            mixture |= 1 << thing
    return total / math.factorial(count)


def game(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, count]).normal(size=2**count)


def permuted(scores: np.ndarray, count: int, places: tuple[int, ...]) -> np.ndarray:
    """The same game with thing i called places[i]."""
    renamed = np.empty_like(scores)
    for mixture in range(2**count):
        renamed[sum(1 << places[thing] for thing in range(count) if mixture >> thing & 1)] = scores[mixture]
    return renamed


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
def test_shares_are_averages_over_all_orders(count):
    scores = game(count)
    assert share_weights(count) @ scores == pytest.approx(brute_shares(scores, count), abs=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_shares_add_up_to_the_gap(count):
    scores = game(count, 1)
    assert (share_weights(count) @ scores).sum() == pytest.approx(scores[-1] - scores[0], abs=1e-12)


def test_what_changes_nothing_has_no_share_and_takes_no_part_in_an_interaction():
    small = game(3, 2)
    scores = np.array(
        [small[(mixture & 1) | (mixture >> 2 & 1) << 1 | (mixture >> 3 & 1) << 2] for mixture in range(16)]
    )
    shares = share_weights(4) @ scores  # thing 1 is the dummy
    assert shares[1] == pytest.approx(0.0, abs=1e-12)
    assert shares[[0, 2, 3]] == pytest.approx(share_weights(3) @ small, abs=1e-12)
    pairs, weights = interaction_weights(4)
    for pair, value in zip(pairs, weights @ scores, strict=True):
        assert 1 not in pair or value == pytest.approx(0.0, abs=1e-12)


def test_names_do_not_matter():
    scores, places = game(4, 3), (2, 0, 3, 1)
    shares = share_weights(4) @ scores
    assert (share_weights(4) @ permuted(scores, 4, places))[list(places)] == pytest.approx(shares, abs=1e-12)


def test_things_that_do_the_same_share_alike():
    scores = game(3, 4)
    symmetric = (scores + permuted(scores, 3, (1, 0, 2))) / 2.0
    shares = share_weights(3) @ symmetric
    assert shares[0] == pytest.approx(shares[1], abs=1e-12)


def test_shares_of_a_sum_are_sums_of_shares_and_additive_games_have_no_interactions():
    effects = np.array([0.03, -0.01, 0.002, 0.5])
    scores = np.array(
        [0.2 + sum(effects[thing] for thing in range(4) if mixture >> thing & 1) for mixture in range(16)]
    )
    assert share_weights(4) @ scores == pytest.approx(effects, abs=1e-12)
    assert interaction_weights(4)[1] @ scores == pytest.approx(np.zeros(6), abs=1e-12)
    other = game(4, 5)
    assert share_weights(4) @ (scores + other) == pytest.approx(effects + brute_shares(other, 4), abs=1e-12)


def test_a_planted_interaction_is_found_and_is_halved_between_its_two():
    scores = np.array([0.1 * (mixture & 1) + 0.04 * (mixture & 3 == 3) for mixture in range(8)])
    assert share_weights(3) @ scores == pytest.approx([0.12, 0.02, 0.0], abs=1e-12)
    pairs, weights = interaction_weights(3)
    assert dict(zip(pairs, weights @ scores, strict=True)) == pytest.approx({(0, 1): 0.04, (0, 2): 0.0, (1, 2): 0.0})


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_interactions_are_averages_over_orders_of_the_pair_as_one_and_the_rest(count):
    """Brute force: what stands before the pair in an order of the pair and the others, each order alike."""
    scores = game(count, 6)
    pairs, weights = interaction_weights(count)
    for (first, second), found in zip(pairs, weights @ scores, strict=True):
        rest = [thing for thing in range(count) if thing not in (first, second)]
        together = []
        for order in itertools.permutations([*rest, -1]):
            before = sum(1 << thing for thing in order[: order.index(-1)])
            one, other = before | 1 << first, before | 1 << second
            together.append(scores[one | other] - scores[one] - scores[other] + scores[before])
        assert found == pytest.approx(np.mean(together), abs=1e-12)


def test_an_order_passes_one_more_thing_each_time():
    assert mixtures_of((2, 0, 1)) == (0, 4, 5, 7)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_all_orders_drawn_give_the_exact_shares(count):
    orders = [order for pair in drawn_orders(count) for order in pair]
    assert len(orders) == len(set(orders)) == math.factorial(count)
    scores = game(count, 7)
    weights = order_weights(orders, range(2**count)).mean(axis=0)
    assert weights @ scores == pytest.approx(share_weights(count) @ scores, abs=1e-12)


def test_drawn_orders_add_up_to_the_gap_and_their_mean_is_unbiased():
    count, scores = 7, game(7, 8)
    exact = share_weights(count) @ scores
    estimates = []
    for seed in range(300):
        orders = [order for pair in itertools.islice(drawn_orders(count, seed), 2) for order in pair]
        mixtures = sorted({mixture for order in orders for mixture in mixtures_of(order)})
        shares = order_weights(orders, mixtures).mean(axis=0) @ scores[mixtures]
        assert shares.sum() == pytest.approx(scores[-1] - scores[0], abs=1e-12)
        estimates.append(shares)
    error = np.std(estimates, axis=0) / math.sqrt(len(estimates))
    assert np.all(np.abs(np.mean(estimates, axis=0) - exact) < 4.0 * error)


def test_the_same_seed_draws_the_same_orders():
    assert list(itertools.islice(drawn_orders(9, 1), 5)) == list(itertools.islice(drawn_orders(9, 1), 5))
    assert list(itertools.islice(drawn_orders(9, 1), 5)) != list(itertools.islice(drawn_orders(9, 2), 5))


@pytest.mark.parametrize(
    "mistake", [lambda: share_weights(0), lambda: share_weights(17), lambda: next(drawn_orders(1))]
)
def test_what_cannot_be_split_is_refused(mistake):
    with pytest.raises(ValueError, match="things"):
        mistake()
