"""What studies need of statistics, against scipy, brute force and simulated truth."""

from __future__ import annotations

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from suite.statistics import (
    Equality,
    Interval,
    Side,
    combined_difference,
    combined_score,
    equivalence,
    holm,
    paired_difference,
    rank_ranges,
    sides,
    wilson,
)
from suite.statistics.student import student_inside, student_quantile


@pytest.mark.parametrize("degrees", [1.0, 1.7, 2.0, 2.9, 7.3, 30.0, 1234.5, 1e6])
def test_student_agrees_with_scipy_at_any_degrees(degrees):
    for t in (0.0, 1e-9, 0.3, 1.0, 4.3, 60.0):
        assert student_inside(t, degrees) == pytest.approx(1.0 - 2.0 * stats.t.sf(t, degrees), abs=1e-9)
    for confidence in (0.5, 0.9, 0.95, 0.999):
        assert student_quantile(confidence, degrees) == pytest.approx(
            stats.t.ppf(0.5 + confidence / 2.0, degrees), rel=1e-7
        )


def test_one_seed_is_the_interval_of_the_examples():
    generator = np.random.default_rng(3)
    first, second = generator.random((2, 500)) < 0.7
    assert combined_difference([first], [second], paired_seeds=True) == paired_difference(first, second)
    assert combined_score([first]) == wilson(int(first.sum()), 500)


def test_many_examples_leave_the_paired_t_test_over_seeds():
    """Where every example is answered alike up to a seed's shift, the seeds alone decide: scipy's paired t-test."""
    count = 200_000
    order = np.random.default_rng(0).permutation(count)

    def outcomes(score):
        row = np.zeros(count, dtype=bool)
        row[order[: round(score * count)]] = True
        return row

    first, second = [0.70, 0.60, 0.66], [0.78, 0.71, 0.71]
    interval = combined_difference([outcomes(s) for s in first], [outcomes(s) for s in second], paired_seeds=True)
    oracle = stats.ttest_rel(second, first).confidence_interval(0.95)
    assert interval.estimate == pytest.approx(0.08)
    assert (interval.low, interval.high) == pytest.approx((oracle.low, oracle.high), rel=0.02)


def test_unpaired_seeds_reach_as_far_as_each_side_does_alone():
    """Two one-sample t intervals of scipy, whose halves add as the sides of a right angle."""
    count = 200_000
    order = np.random.default_rng(0).permutation(count)
    rows = [np.isin(np.arange(count), order[: round(score * count)]) for score in (0.5, 0.52, 0.6, 0.66, 0.7)]
    interval = combined_difference(rows[:2], rows[2:], paired_seeds=False)
    alone = [stats.ttest_1samp(scores, 0.0).confidence_interval(0.95) for scores in ((0.5, 0.52), (0.6, 0.66, 0.7))]
    half = math.hypot(*((one.high - one.low) / 2.0 for one in alone))
    assert (interval.low, interval.high) == pytest.approx(
        (interval.estimate - half, interval.estimate + half), rel=0.03
    )


def test_seeds_that_agree_leave_the_interval_of_the_examples():
    generator = np.random.default_rng(5)
    first, second = generator.random((2, 3000)) < [[0.7], [0.73]]
    interval = combined_difference([first] * 4, [second] * 4, paired_seeds=True)
    difference = second.astype(float) - first
    oracle = stats.norm.ppf(0.975) * difference.std(ddof=1) / math.sqrt(3000)
    assert interval.high - interval.estimate == pytest.approx(oracle, rel=0.01)


def test_the_variance_is_that_of_two_way_resampling():
    """With many seeds, resampling seeds and examples by brute force gives the same standard deviation."""
    generator = np.random.default_rng(11)
    shift = generator.normal(0.0, 0.06, (40, 1)) + generator.normal(0.0, 0.25, (1, 300))
    first = generator.random((40, 300)) < 0.6
    second = generator.random((40, 300)) < np.clip(0.65 + shift, 0.02, 0.98)
    interval = combined_difference(list(first), list(second), paired_seeds=True)
    differences = second.astype(float) - first
    means = [
        differences[np.ix_(generator.integers(0, 40, 40), generator.integers(0, 300, 300))].mean() for _ in range(4000)
    ]
    half = 1.96 * float(np.std(means))
    # Resampling both counts the rest term three times, of which two are noise of the resampling itself.
    assert 0.75 * half < interval.high - interval.estimate < 1.1 * half


def coverage(seeds, examples, of_seeds, of_examples=0.3, rest=0.2):
    """In how many of 2,000 simulated studies the 95 % interval of a paired difference holds the truth.

    An example is answered rightly where a margin is above zero. It has a part that both methods share (most examples
    are far from the edge: 90 % are right), one that the second method adds to this example, one that the seed adds to
    the second method on all examples, and chance. So the truth is known exactly. A seed's shift of 0.1 is 1.5 points.
    """
    start, better, normal = 1.28, 0.1, NormalDist().cdf
    spread = math.sqrt(1.0 + of_examples**2 + rest**2 + of_seeds**2)
    truth = normal((start + better) / spread) - normal(start / math.sqrt(1.0 + rest**2))
    generator = np.random.default_rng([seeds, examples, round(1000 * of_seeds), round(1000 * of_examples)])
    held = 0
    for _ in range(2000):
        shared = start + generator.standard_normal(examples)
        first = shared + rest * generator.standard_normal((seeds, examples)) > 0.0
        added = better + of_examples * generator.standard_normal(examples)
        shifted = added + of_seeds * generator.standard_normal((seeds, 1))
        second = shared + shifted + rest * generator.standard_normal((seeds, examples)) > 0.0
        interval = combined_difference(list(first), list(second), paired_seeds=True)
        held += interval.low <= truth <= interval.high
    return held / 2000


@pytest.mark.parametrize("of_seeds", [0.02, 0.2])
@pytest.mark.parametrize(
    ("examples", "of_examples"), [(1000, 0.1), (1000, 0.3), (2000, 0.3)], ids=["1000 alike", "1000", "2000"]
)
def test_intervals_of_five_seeds_cover_the_truth_as_often_as_they_say(examples, of_examples, of_seeds):
    """Seeds that differ by 0.3 to 3 points; measured 94.4 to 96.7 %."""
    assert 0.93 <= coverage(5, examples, of_seeds, of_examples) <= 0.97


@pytest.mark.parametrize(
    ("seeds", "of_seeds", "measured"),
    [
        (3, 0.02, 0.98),
        (3, 0.2, 0.9535),
        (2, 0.02, 0.984),
        (2, 0.2, 0.9555),
    ],
    ids=str,
)
def test_two_and_three_seeds_cover_no_less_than_they_say(seeds, of_seeds, measured):
    """The fewer seeds and the less they differ, the wider: their spread might have been seen too small by chance."""
    assert coverage(seeds, 1000, of_seeds) == pytest.approx(measured, abs=0.006)


@pytest.mark.parametrize(("seeds", "measured"), [(2, 0.996), (3, 0.9885), (5, 0.9805)])
def test_where_seeds_and_examples_decide_nothing_the_interval_is_wider_than_it_says(seeds, measured):
    """All noise is chance, drawn anew for each seed and example: each of the two terms counts it as its own."""
    assert coverage(seeds, 1000, 0.0, of_examples=0.0, rest=1.0) == pytest.approx(measured, abs=0.006)


def test_a_resampled_interval_of_three_seeds_would_be_too_narrow():
    """Why this is no bootstrap: three seeds, resampled, hold the truth far less often than they claim."""
    generator = np.random.default_rng(8)
    draws = [generator.choice(row, (400, 3)).mean(axis=1) for row in generator.normal(0.0, 1.0, (600, 3))]
    inside = np.mean([np.quantile(means, 0.025) <= 0.0 <= np.quantile(means, 0.975) for means in draws])
    assert inside < 0.8


def test_identical_outcomes_are_never_surer_than_one_example():
    same = np.ones(250, dtype=bool)
    interval = combined_difference([same] * 3, [same] * 3, paired_seeds=True)
    assert interval.estimate == 0.0
    assert interval.high == pytest.approx(1.97 / 250, rel=0.01)


@pytest.mark.parametrize(
    ("first", "second", "paired"),
    [([], [[1, 0]], False), ([[1, 0]], [[1, 0, 1]], False), ([[1, 0]], [[1, 2]], False), ([[1]] * 2, [[1]] * 3, True)],
)
def test_what_cannot_be_paired_is_refused(first, second, paired):
    with pytest.raises(ValueError, match=r"seed|examples|outcomes"):
        combined_difference(first, second, paired_seeds=paired)


def test_scores_stay_between_nothing_and_everything():
    interval = combined_score([np.ones(30, dtype=bool), np.ones(30, dtype=bool)])
    assert (interval.estimate, interval.high) == (1.0, 1.0)
    assert interval.low < 1.0


def test_holm_gives_the_figures_of_a_hand_calculation():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([]) == ()
    assert holm([0.9, 0.8]) == (1.0, 1.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([1.2])


def test_holm_rejects_what_closed_testing_rejects():
    """The closure of Bonferroni tests, written out over all subsets, is Holm's rule."""
    generator = np.random.default_rng(2)
    for _ in range(40):
        p_values = generator.random(5) ** 3
        adjusted = holm(list(p_values))
        for hypothesis in range(5):
            subsets = [
                subset
                for size in range(1, 6)
                for subset in itertools.combinations(range(5), size)
                if hypothesis in subset
            ]
            closed = max(min(1.0, len(subset) * min(p_values[list(subset)])) for subset in subsets)
            assert adjusted[hypothesis] == pytest.approx(closed)


def normal_interval(estimate, error):
    def at(confidence):
        half = stats.norm.ppf(0.5 + confidence / 2.0) * error
        return Interval(estimate, estimate - half, estimate + half, confidence, "normal", 1)

    return at


def test_sides_are_holms_rule_told_in_intervals():
    generator = np.random.default_rng(4)
    for _ in range(60):
        estimates = generator.normal(0.0, 2.5, 6)
        p_values = [2.0 * stats.norm.sf(abs(estimate)) for estimate in estimates]
        expected = [
            Side.UNRESOLVED if p >= 0.05 else Side.ABOVE if estimate > 0 else Side.BELOW
            for p, estimate in zip(holm(p_values), estimates, strict=True)
        ]
        assert list(sides([normal_interval(estimate, 1.0) for estimate in estimates])) == expected


def test_sides_move_with_the_threshold():
    intervals = [normal_interval(0.10, 0.01), normal_interval(0.10, 0.04)]
    assert sides(intervals, 0.05) == (Side.ABOVE, Side.UNRESOLVED)
    assert sides(intervals, 0.13) == (Side.BELOW, Side.UNRESOLVED)
    assert sides([]) == ()


@pytest.mark.parametrize("error", [0.002, 0.008, 0.02])
@pytest.mark.parametrize("estimate", [0.0, 0.004, 0.02, -0.05])
def test_equivalence_is_two_one_sided_tests(estimate, error):
    margin = 0.015
    below, above = stats.norm.sf((estimate + margin) / error), stats.norm.sf((margin - estimate) / error)
    outside = 2.0 * min(stats.norm.sf((estimate - margin) / error), stats.norm.sf((-margin - estimate) / error))
    expected = (
        Equality.EQUIVALENT
        if max(below, above) < 0.05
        else Equality.DIFFERENT
        if outside < 0.05
        else Equality.UNRESOLVED
    )
    assert equivalence(normal_interval(estimate, error), margin) is expected


def test_an_equality_needs_a_margin():
    with pytest.raises(ValueError, match="above 0"):
        equivalence(normal_interval(0.0, 1.0), 0.0)


def test_ranks_are_ranges_where_nothing_is_resolved():
    scores = [0.5, 0.9, 0.7, 0.7]
    assert [str(rank) for rank in rank_ranges(scores, lambda higher, lower: True)] == ["4", "1", "2", "3"]
    assert [str(rank) for rank in rank_ranges(scores, lambda higher, lower: False)] == ["1–4"] * 4
    known = {(1, 0), (1, 2), (1, 3), (2, 0)}
    ranks = rank_ranges(scores, lambda higher, lower: (higher, lower) in known)
    assert [str(rank) for rank in ranks] == ["3–4", "1", "2–3", "2–4"]
