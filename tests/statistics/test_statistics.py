"""Intervals and tests against scipy, brute force, published figures and simulated coverage."""

from __future__ import annotations

import itertools
import math
import time
from functools import cache

import numpy as np
import pytest
from scipy import stats

from suite.statistics import (
    Interval,
    PairedTable,
    mcnemar_exact,
    newcombe,
    over_seeds,
    paired_bootstrap,
    paired_difference,
    wilson,
)
from suite.statistics.paired import FEWEST_DISCORDANT_FOR_BOOTSTRAP
from suite.statistics.student import student_inside, student_quantile


def outcomes_of(table: PairedTable, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two shuffled outcome vectors with exactly the counts of `table`."""
    pairs = np.repeat(
        [[1, 1], [1, 0], [0, 1], [0, 0]], [table.both, table.only_first, table.only_second, table.neither], axis=0
    )
    np.random.default_rng(seed).shuffle(pairs)
    return pairs[:, 0].astype(bool), pairs[:, 1].astype(bool)


def test_table_counts_every_pair_of_outcomes_once():
    first = [True, True, False, False, True]
    second = [True, False, True, False, True]
    assert PairedTable.of(first, second) == PairedTable(both=2, only_first=1, only_second=1, neither=1)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("successes", "count"), [(0, 10), (10, 10), (1, 7), (350, 360), (9123, 10000)])
def test_wilson_agrees_with_scipy(successes, count, confidence):
    ours = wilson(successes, count, confidence)
    oracle = stats.binomtest(successes, count).proportion_ci(confidence, method="wilson")
    assert ours.low == pytest.approx(oracle.low, abs=1e-12)
    assert ours.high == pytest.approx(oracle.high, abs=1e-12)
    assert 0.0 <= ours.low <= ours.estimate <= ours.high <= 1.0


@pytest.mark.parametrize(
    ("only_first", "only_second"), [(0, 0), (0, 1), (3, 3), (1, 9), (12, 30), (400, 500), (2100, 1900), (0, 3000)]
)
def test_mcnemar_agrees_with_the_exact_binomial_test(only_first, only_second):
    table = PairedTable(50, only_first, only_second, 5)
    discordant = only_first + only_second
    oracle = stats.binomtest(only_first, discordant, 0.5).pvalue if discordant else 1.0
    assert mcnemar_exact(table) == pytest.approx(oracle, rel=1e-9)


def test_mcnemar_agrees_with_enumeration_of_all_coin_flips():
    only_first, only_second = 2, 9
    flips = [sum(flip) for flip in itertools.product((0, 1), repeat=only_first + only_second)]
    as_uneven = [abs(heads - 5.5) >= abs(only_first - 5.5) for heads in flips]
    assert mcnemar_exact(PairedTable(1, only_first, only_second, 1)) == pytest.approx(np.mean(as_uneven), rel=1e-12)


def test_newcombe_gives_the_figures_of_its_own_paper():
    """Cells 36, 12, 2, 0: the article prints +0.0569 to +0.3404 for the difference 36+12 over 36+2 of 50."""
    interval = newcombe(PairedTable(both=36, only_first=2, only_second=12, neither=0))
    assert interval.estimate == pytest.approx(0.2)
    assert interval.low == pytest.approx(0.0569, abs=5e-5)
    assert interval.high == pytest.approx(0.3404, abs=5e-5)


def test_newcombe_changes_sign_when_the_models_change_places():
    forward = newcombe(PairedTable(300, 9, 4, 47))
    backward = newcombe(PairedTable(300, 4, 9, 47))
    assert (backward.low, backward.high) == pytest.approx((-forward.high, -forward.low), abs=1e-15)


def test_bootstrap_on_counts_is_the_bootstrap_on_examples():
    """Brute force: draw the examples themselves, one resample at a time, and compare the percentile bounds."""
    first, second = outcomes_of(PairedTable(240, 22, 11, 27))
    differences = second.astype(float) - first.astype(float)
    generator = np.random.default_rng(7)
    brute = [differences[generator.integers(0, differences.size, differences.size)].mean() for _ in range(20_000)]
    interval = paired_difference(first, second, seed=3)
    assert interval.method == "paired bootstrap"
    # One step of the resampled difference is 1/300; the bounds of two independent bootstraps differ by at most one.
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(brute, [0.025, 0.975])), abs=1.01 / 300)


def test_bootstrap_agrees_with_scipy_on_a_large_table():
    table = PairedTable(8000, 500, 300, 1200)
    first, second = outcomes_of(table)
    difference = second.astype(float) - first.astype(float)
    standard_error = stats.sem(difference)
    interval = paired_bootstrap(table, confidence=0.9)
    assert interval.low == pytest.approx(-0.02 - stats.norm.ppf(0.95) * standard_error, abs=2e-4)
    assert interval.high == pytest.approx(-0.02 + stats.norm.ppf(0.95) * standard_error, abs=2e-4)


def test_interval_is_the_same_for_the_same_seed_and_blind_to_the_order_of_examples():
    table = PairedTable(200, 30, 15, 55)
    first, second = outcomes_of(table, seed=1)
    again_first, again_second = outcomes_of(table, seed=2)
    assert paired_difference(first, second, seed=5) == paired_difference(again_first, again_second, seed=5)


def test_sign_is_second_minus_first():
    first, second = outcomes_of(PairedTable(100, 60, 0, 20))
    interval = paired_difference(first, second)
    assert interval.estimate == pytest.approx(second.mean() - first.mean())
    assert interval.high < 0.0
    assert interval.resolved


def test_few_discordant_examples_use_the_closed_form_and_identical_models_are_not_certain():
    first, _ = outcomes_of(PairedTable(350, 0, 0, 10))
    interval = paired_difference(first, first)
    assert interval.method == "Newcombe hybrid score"
    assert interval.estimate == 0.0
    assert interval.low < 0.0 < interval.high
    assert interval.includes_zero
    edge = FEWEST_DISCORDANT_FOR_BOOTSTRAP
    assert paired_difference(*outcomes_of(PairedTable(300, edge - 1, 0, 9))).method == "Newcombe hybrid score"
    assert paired_difference(*outcomes_of(PairedTable(300, edge, 0, 9))).method == "paired bootstrap"


def coverage(count: int, only_first: float, only_second: float) -> float:
    """In how many of 2,000 simulated experiments the 95 % interval holds the true difference."""
    generator = np.random.default_rng(11)
    both = 0.9 * (1 - only_first - only_second)
    chances = [both, only_first, only_second, 1 - both - only_first - only_second]
    drawn = [tuple(int(cell) for cell in cells) for cells in generator.multinomial(count, chances, size=2000)]

    @cache  # examples on which both agree do not move the bootstrap, so few tables are resampled
    def resampled(first: int, second: int) -> Interval:
        return paired_bootstrap(PairedTable(count - first - second, first, second, 0), resamples=2000)

    held = 0
    for both_right, first, second, neither in drawn:
        table = PairedTable(both_right, first, second, neither)
        closed = table.discordant < FEWEST_DISCORDANT_FOR_BOOTSTRAP
        interval = newcombe(table) if closed else resampled(first, second)
        held += interval.low <= only_second - only_first <= interval.high
    return held / 2000


@pytest.mark.parametrize(
    ("count", "only_first", "only_second"),
    [
        (360, 0.05, 0.03),
        (360, 0.2, 0.02),
        (773, 0.01, 0.03),
        (1000, 0.01, 0.01),
        (1000, 0.015, 0.015),
        (1000, 0.02, 0.02),
        (1000, 0.1, 0.05),
        (2000, 0.02, 0.03),
        (5000, 0.02, 0.01),
        (10_000, 0.01, 0.015),
        (10_000, 0.05, 0.04),
    ],
)
def test_coverage_of_the_95_percent_interval(count, only_first, only_second):
    """With twenty expected discordant examples or more, of 360 to 10,000; measured 94.2 to 96.6 %."""
    assert 0.93 <= coverage(count, only_first, only_second) <= 0.97


@pytest.mark.parametrize(
    ("count", "only_first", "only_second", "measured"),
    [
        (60, 0.02, 0.02, 0.9965),
        (360, 0.005, 0.005, 0.9965),
        (360, 0.01, 0.002, 0.991),
        (1000, 0.002, 0.002, 0.994),
        (1000, 0.005, 0.005, 0.9755),
    ],
)
def test_with_few_discordant_examples_the_interval_is_wider_than_it_says(count, only_first, only_second, measured):
    """Two to ten expected discordant examples: Newcombe's closed form is cautious, and never too narrow."""
    assert coverage(count, only_first, only_second) == pytest.approx(measured, abs=0.005)


def test_interval_of_fifty_thousand_examples_is_fast():
    generator = np.random.default_rng(0)
    first, second = generator.random(50_000) < 0.75, generator.random(50_000) < 0.74
    started = time.perf_counter()
    paired_difference(first, second)
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 9, 10, 29, 100])
def test_student_agrees_with_scipy(degrees):
    for confidence in (0.5, 0.9, 0.95, 0.99):
        assert student_quantile(confidence, degrees) == pytest.approx(
            stats.t.ppf(0.5 + confidence / 2, degrees), rel=1e-9
        )
    for t in (0.0, 0.3, 1.0, 2.5, 12.0):
        assert student_inside(t, degrees) == pytest.approx(2 * stats.t.cdf(t, degrees) - 1, abs=1e-12)


def test_mean_over_seeds_agrees_with_scipy():
    values = [0.912, 0.917, 0.909, 0.921, 0.915]
    summary = over_seeds(values)
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert summary.interval is not None
    assert (summary.interval.low, summary.interval.high) == pytest.approx((low, high), rel=1e-9)
    assert summary.deviation == pytest.approx(np.std(values, ddof=1))
    assert summary.mean == pytest.approx(np.mean(values))


def test_one_seed_has_a_mean_and_no_interval():
    summary = over_seeds([0.9])
    assert (summary.mean, summary.deviation, summary.interval, summary.count) == (0.9, None, None, 1)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: PairedTable.of([True, False], [True]),
        lambda: PairedTable.of([[True]], [[True]]),
        lambda: PairedTable.of([0.5, 1.0], [0.0, 1.0]),
        lambda: PairedTable.of([float("nan")], [1.0]),
        lambda: PairedTable.of([], []),
        lambda: PairedTable(3, -1, 0, 0),
        lambda: wilson(5, 4),
        lambda: wilson(0, 0),
        lambda: wilson(1, 2, confidence=1.0),
        lambda: paired_bootstrap(PairedTable(1, 1, 1, 1), confidence=95),
        lambda: over_seeds([]),
        lambda: student_quantile(0.95, 0),
        lambda: Interval(0.0, math.nan, 1.0, 0.95, "none", 1),
        lambda: Interval(0.0, 1.0, -1.0, 0.95, "none", 1),
    ],
)
def test_impossible_input_is_refused(mistake):
    with pytest.raises(ValueError):
        mistake()
