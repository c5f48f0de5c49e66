"""Geometry of the figures: order, scale, ticks, and that everything lies inside."""

from __future__ import annotations

import itertools

import pytest

from suite.reports.charts import EDGE, difference_figure, score_figure


def number(label: str) -> float:
    return float(label.replace("−", "-").replace("+", ""))


@pytest.mark.parametrize(
    ("difference", "interval"),
    [
        (-0.05, (-0.065, -0.035)),
        (0.01, (-0.02, 0.04)),
        (0.0, (0.0, 0.0)),
        (-0.9, (-0.95, -0.85)),
        (-0.0003, (-0.0009, 0.0002)),
        (-0.05, None),
    ],
)
def test_dot_interval_and_zero_stand_where_the_scale_says(difference, interval):
    figure = difference_figure(difference, interval)
    (strip,) = figure.strips
    low, high = interval or (difference, difference)
    assert figure.zero is not None
    assert EDGE - 1e-6 <= strip.low <= strip.x <= strip.high <= 100 - EDGE + 1e-6
    first, last = figure.ticks[0], figure.ticks[-1]
    percent_per_point = (last.x - first.x) / (number(last.label) - number(first.label))
    for value, x in ((difference, strip.x), (low, strip.low), (high, strip.high), (0.0, figure.zero)):
        assert first.x + percent_per_point * (100 * value - number(first.label)) == pytest.approx(x, abs=0.01)


@pytest.mark.parametrize("interval", [(-0.065, -0.035), (-0.0009, 0.0002), (-0.5, 0.3), (-1.0, 1.0)])
def test_ticks_are_few_even_and_all_different(interval):
    figure = difference_figure(sum(interval) / 2, interval)
    labels = [tick.label for tick in figure.ticks]
    assert 3 <= len(labels) <= 7
    assert len(set(labels)) == len(labels)
    steps = [right.x - left.x for left, right in itertools.pairwise(figure.ticks)]
    assert steps == pytest.approx([steps[0]] * len(steps), abs=0.01)
    values = [number(label) for label in labels]
    gaps = [right - left for left, right in itertools.pairwise(values)]
    assert gaps == pytest.approx([gaps[0]] * len(gaps), rel=1e-6)


def test_scores_share_one_scale_and_gaps_stay_gaps():
    figure = score_figure([(0.9, 0.88, 0.92), None, (0.8, 0.8, 0.8)])
    first, missing, third = figure.strips
    assert first.x > third.x
    assert missing.x is None
    assert figure.zero is None
    assert third.low == third.high == third.x


def test_no_score_at_all_draws_nothing():
    assert score_figure([None, None]).ticks == ()
