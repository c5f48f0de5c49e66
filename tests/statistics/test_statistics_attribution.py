"""Shares with intervals: against scipy, brute-force resampling, planted truth and simulated coverage."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from suite.statistics import combined_difference, paired_difference
from suite.statistics.attribution import attribute
from suite.statistics.contrasts import Contrast, variance_of_means, weighted
from suite.statistics.shapley import drawn_orders, mixtures_of, share_weights
from suite.statistics.variance import Term, Variance, crossed

EFFECTS = (0.05, -0.02)
INTERACTION = 0.04


def simulated(generator, studies, seeds, examples, of_seeds=0.0, redrawn=0.2, interaction=0.0):
    """Outcomes of the four mixtures of two differences, [studies, seeds, examples] each, and the true shares.

    Examples differ in difficulty; most of an example's chance is common to all mixtures (they are paired), the rest is
    drawn anew; a seed shifts what the second difference does. Chances stay inside 0 and 1, so the truth is exact.
    """
    difficulty = generator.uniform(0.35, 0.8, (studies, 1, examples))
    shift = np.clip(generator.normal(0.0, of_seeds, (studies, seeds, 1)), -0.08, 0.08)
    common = generator.random((studies, seeds, examples))
    outcomes = {}
    for mixture in range(4):
        chance = difficulty + EFFECTS[0] * (mixture & 1) + (EFFECTS[1] + shift) * (mixture >> 1)
        chance = chance + interaction * (mixture == 3)
        anew = generator.random(common.shape) < redrawn
        outcomes[mixture] = np.where(anew, generator.random(common.shape), common) < chance
    return outcomes, [effect + interaction / 2.0 for effect in EFFECTS]


def values_of(outcomes):
    """[shares, studies, seeds, examples]."""
    weights = share_weights(2)
    return np.stack([sum(weight * outcomes[mixture] for mixture, weight in enumerate(row)) for row in weights])


@pytest.mark.parametrize(
    ("seeds", "examples", "of_seeds"), [(1, 300, 0.0), (1, 1000, 0.0), (3, 300, 0.06), (5, 300, 0.02)], ids=str
)
def test_95_percent_intervals_of_shares_hold_the_truth_in_93_to_97_percent_of_2000_studies(seeds, examples, of_seeds):
    studies, block = 2000, 250
    generator = np.random.default_rng([seeds, examples])
    held = []
    for _ in range(studies // block):
        outcomes, truth = simulated(generator, block, seeds, examples, of_seeds)
        for share, true in zip(values_of(outcomes), truth, strict=True):
            found = variance_of_means(share)
            half = np.array([one.half_width(0.95) for one in found])
            held.extend(np.abs(share.mean(axis=(1, 2)) - true) <= half)
    assert len(held) == 2 * studies
    # A seed shifts the second share alone; the first has seeds that decide nothing, and its interval may be wider.
    second = held_of_second(held, block)
    assert 0.93 <= np.mean(second) <= 0.97
    assert 0.93 <= np.mean(held) <= 0.985


def held_of_second(held, block):
    return np.array(held).reshape(-1, 2, block)[:, 1]


def test_the_bootstrap_of_one_seed_holds_the_truth_in_93_to_97_percent_of_2000_studies():
    generator = np.random.default_rng(5)
    held = []
    for _ in range(8):
        outcomes, truth = simulated(generator, 250, 1, 400)
        for values in values_of(outcomes)[1]:
            interval = Contrast(values, resamples=1000).at(0.95)
            assert interval.method == "paired bootstrap"
            held.append(interval.low <= truth[1] <= interval.high)
    assert 0.93 <= np.mean(held) <= 0.97


def test_the_bootstrap_on_values_is_the_bootstrap_on_examples():
    generator = np.random.default_rng(1)
    outcomes, _ = simulated(generator, 1, 1, 500)
    values = values_of(outcomes)[0, 0]
    brute = [values[0, generator.integers(0, 500, 500)].mean() for _ in range(20_000)]
    interval = Contrast(values).at(0.9)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(brute, [0.05, 0.95])), abs=1e-3)


def test_a_difference_of_two_cells_has_the_interval_of_a_paired_difference():
    generator = np.random.default_rng(2)
    first, second = generator.random((2, 1, 3000)) < [[[0.7]], [[0.74]]]
    ours = Contrast(weighted(np.array([[-1.0, 1.0]]), [first, second])[0]).at()
    other = paired_difference(first[0], second[0])
    assert ours.estimate == pytest.approx(other.estimate)
    assert (ours.low, ours.high) == pytest.approx((other.low, other.high), abs=6e-4)


def test_several_seeds_agree_with_the_combined_difference():
    generator = np.random.default_rng(3)
    first, second = generator.random((2, 4, 2000)) < [[[0.7]], [[0.74]]]
    ours = Contrast(weighted(np.array([[-1.0, 1.0]]), [first, second])[0]).at()
    other = combined_difference(list(first), list(second), paired_seeds=True)
    assert (ours.low, ours.high) == pytest.approx((other.low, other.high), rel=1e-3)


def test_few_examples_that_change_give_no_certainty():
    values = np.zeros((1, 300))
    interval = Contrast(values).at()
    assert interval.low < 0.0 < interval.high
    assert interval.high == pytest.approx(stats.t.ppf(0.975, 299) / 300, rel=1e-9)
    values[0, :3] = 1.0
    assert Contrast(values).at().method == "examples, paired"


def test_what_changes_nothing_is_not_known_for_certain_to_do_so():
    """Weights that cancel leave rounding errors at every example, which must not pass for examples that change."""
    generator = np.random.default_rng(4)
    one, other = generator.random((2, 1, 400)) < [[[0.6]], [[0.7]]]
    same = {mixture: other if mixture & 1 else one for mixture in range(8)}
    found = attribute(3, same)
    assert found is not None
    for part in found.shares[1:]:
        assert part.interval.method == "examples, paired"
        assert part.interval.high == pytest.approx(-part.interval.low)
        assert part.interval.high > 1.0 / 400
        assert not part.resolved


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_each_part_of_a_variance_reaches_as_far_as_its_own_degrees_let_it(confidence):
    found = Variance((Term(2.0, 4),)) + Variance((Term(1.0, 9),))
    four, nine = (stats.t.ppf(0.5 + confidence / 2.0, degrees) for degrees in (4, 9))
    assert found.value == 3.0
    assert found.half_width(confidence) == pytest.approx(math.sqrt(2.0 * four**2 + nine**2))
    assert Variance((Term(4.0),)).half_width(confidence) == pytest.approx(
        2.0 * stats.norm.ppf(0.5 + confidence / 2.0), rel=1e-5
    )
    assert Variance().half_width(confidence) == 0.0


def test_what_seeds_and_examples_both_hold_is_counted_once_and_no_more():
    assert crossed(5.0, 100, [(2.0, 3)], 0.5).value == pytest.approx(6.5)
    assert crossed(5.0, 100, [(2.0, 3), (9.0, 2)], 7.0).value == pytest.approx(11.0)  # less than nothing is nothing
    agreeing = crossed(5.0, 100, [(0.0, 2)], 5.0)  # seeds that happen to have one score are no certainty
    assert agreeing.half_width(0.95) == pytest.approx(stats.t.ppf(0.975, 99) * math.sqrt(5.0))
    assert crossed(5.0, 100, (), 0.0).terms == (Term(5.0, 99),)


def planted(effects, interaction=0.0, seeds=3, examples=4000):
    """Outcomes of every mixture with known shares: additive effects, and what the first two do together."""
    generator = np.random.default_rng([len(effects), round(1000 * interaction)])
    count = len(effects)
    difficulty = generator.uniform(0.3, 0.6, examples)
    common = generator.random((seeds, examples))
    outcomes = {}
    for mixture in range(2**count):
        chance = difficulty + sum(effect for thing, effect in enumerate(effects) if mixture >> thing & 1)
        outcomes[mixture] = common < chance + interaction * (mixture & 3 == 3)
    return outcomes


@pytest.mark.parametrize(
    ("effects", "interaction"),
    [((0.06, 0.03, 0.0), 0.0), ((0.0, 0.0, 0.05), 0.0), ((0.06, 0.03, 0.05), 0.0), ((0.04, 0.02, 0.0), 0.08)],
    ids=["only axes", "only the method", "both", "interaction"],
)
def test_planted_shares_are_found_within_their_intervals(effects, interaction):
    found = attribute(3, planted(effects, interaction))
    assert found is not None
    truth = [effects[0] + interaction / 2, effects[1] + interaction / 2, effects[2]]
    for true, part in zip(truth, found.shares, strict=True):
        assert part.interval.low <= true <= part.interval.high
        assert part.resolved == (true != 0.0)
    assert sum(part.interval.estimate for part in found.shares) == pytest.approx(found.gap.estimate, abs=1e-12)
    for pair, part in found.interactions.items():
        true = interaction if pair == (0, 1) else 0.0
        assert part.interval.low <= true <= part.interval.high
        assert part.resolved == (true != 0.0)
    assert found.orders is None


EIGHT = (0.02, 0.0, -0.01, 0.03, 0.0, 0.01, 0.0, 0.04)


def along(pairs, outcomes):
    passed = {mixture for pair in pairs for order in pair for mixture in mixtures_of(order)}
    return {mixture: outcomes[mixture] for mixture in passed}


def test_drawn_orders_find_planted_shares_and_say_how_many_they_were():
    outcomes = planted(EIGHT, 0.05, seeds=1)
    pairs = list(itertools.islice(drawn_orders(8), 6))
    found = attribute(8, along(pairs, outcomes), pairs)
    assert found is not None
    assert found.orders == 12
    assert found.interactions == {}
    truth = [EIGHT[0] + 0.025, EIGHT[1] + 0.025, *EIGHT[2:]]
    for true, part in zip(truth, found.shares, strict=True):
        assert part.interval.low <= true <= part.interval.high
    assert sum(part.interval.estimate for part in found.shares) == pytest.approx(found.gap.estimate, abs=1e-12)


def test_orders_whose_mixtures_are_not_all_measured_do_not_count():
    outcomes = planted(EIGHT, seeds=1, examples=500)
    pairs = list(itertools.islice(drawn_orders(8), 3))
    known = along(pairs, outcomes)
    gone = next(mixture for mixture in mixtures_of(pairs[2][0]) if mixture not in along(pairs[:2], outcomes))
    del known[gone]
    found = attribute(8, known, pairs)
    assert found is not None
    assert found.orders == 4
    assert attribute(8, {0: outcomes[0], 255: outcomes[255]}, pairs) is None


def test_one_pair_of_orders_resolves_nothing():
    outcomes = planted(EIGHT, seeds=2)
    pairs = list(itertools.islice(drawn_orders(8), 1))
    found = attribute(8, along(pairs, outcomes), pairs)
    assert found is not None
    assert found.orders == 2
    assert not any(part.resolved for part in found.shares)


def test_the_spread_between_orders_widens_the_intervals():
    """Where only three together do something, a share hangs on the order, and few drawn orders know less than all."""
    generator = np.random.default_rng(0)
    difficulty, common = generator.uniform(0.3, 0.6, 4000), generator.random((1, 4000))
    outcomes = {mixture: common < difficulty + 0.3 * (mixture & 7 == 7) for mixture in range(16)}
    pairs = list(itertools.islice(drawn_orders(4), 3))
    some = along(pairs, outcomes)
    assert len(some) < 16
    exact, drawn = attribute(4, outcomes), attribute(4, some, pairs)
    assert exact is not None
    assert drawn is not None
    width, wider = (max(part.interval.high - part.interval.low for part in one.shares) for one in (exact, drawn))
    assert wider > 3.0 * width
    for part in drawn.shares[:3]:
        assert part.interval.low <= 0.1 <= part.interval.high


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: Contrast(np.zeros((0, 3))),
        lambda: Contrast(np.zeros(3)),
        lambda: weighted(np.ones((1, 2)), [np.zeros((1, 3), dtype=bool)]),
        lambda: weighted(np.ones((1, 2)), [np.zeros((1, 3), dtype=bool), np.zeros((1, 4), dtype=bool)]),
    ],
)
def test_what_has_no_interval_is_refused(mistake):
    with pytest.raises(ValueError, match=r"contrast|cell"):
        mistake()
