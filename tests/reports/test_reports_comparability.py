"""What may be ranked: every obstacle alone is enough to refuse, and nothing but the method may differ."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from report_samples import make_card, make_entry, make_outcomes, make_record, make_transcribed

from suite.axes import AXES
from suite.records import Outcomes, Status
from suite.reports import Entry, comparability, entry_of
from suite.reports.comparability import Obstacle, letters_of
from suite.reports.entry import method_names
from suite.reports.ranking import rankings
from suite.statistics import PairedTable, mcnemar_exact


def diverged() -> Entry:
    nothing = {"score": None, "difference": None, "difference_interval": None}
    return entry_of(None, make_record(status=Status.DIVERGED, message="it stopped", **nothing))


OTHERS = {
    Obstacle.AXES: lambda: make_entry("rtn", changes={"weight_bits": 4}),
    Obstacle.TASK: lambda: make_entry("rtn", task="cifar10"),
    Obstacle.MODEL: lambda: make_entry("rtn", model="resnet20"),
    Obstacle.WEIGHTS: lambda: make_entry("rtn", identity={"weights": "x" * 64, "data": "d" * 64}),
    Obstacle.DATA: lambda: make_entry("rtn", identity={"weights": "w" * 64, "data": "x" * 64}),
    Obstacle.METRIC: lambda: make_entry("rtn", metric="perplexity"),
    Obstacle.CONTRADICTED: lambda: make_entry("rtn", contradicted=("weight_bits",)),
    Obstacle.UNAUDITED: lambda: make_entry("rtn", audit=None),
    Obstacle.STATUS: diverged,
    Obstacle.NOT_RUN: lambda: entry_of(make_card()),
    Obstacle.UNREPORTED: lambda: entry_of(make_transcribed()),
}


def test_runs_that_differ_in_the_method_alone_are_comparable():
    verdict = comparability([make_entry("lsq"), make_entry("rtn"), make_entry("other", seed=3)])
    assert verdict.comparable
    assert verdict.groups == ((0, 1, 2),)
    assert verdict.differences == ()


@pytest.mark.parametrize("obstacle", OTHERS)
def test_every_obstacle_alone_refuses_the_ranking(obstacle):
    entries = [make_entry("lsq"), OTHERS[obstacle]()]
    verdict = comparability(entries)
    assert not verdict.comparable
    assert obstacle in {reason.obstacle for reason in verdict.reasons}
    assert verdict.groups == ()
    assert rankings(entries, verdict) == ()


def test_axes_that_are_part_of_the_method_are_shown_but_forbid_no_ranking():
    entries = [make_entry("lsq"), make_entry("rtn", changes={"weight_range": "mse"})]
    verdict = comparability(entries)
    assert verdict.comparable
    assert verdict.groups == ((0, 1),)
    assert [(row.axis, row.forbids) for row in verdict.differences] == [("weight_range", False)]
    assert len(rankings(entries, verdict)) == 1


def test_an_axis_of_the_method_costs_whoever_runs_the_model_nothing():
    for axis in (axis for axis in AXES.values() if axis.of_method):
        costs = [*axis.costs.values(), *([axis.other_cost] if axis.other_cost else [])]
        assert all(cost.sentence.startswith("None") for cost in costs), axis.id


def test_two_entries_of_one_contradicted_card_are_not_comparable_with_each_other():
    entries = [make_entry("lsq", contradicted=("grid",)), make_entry("rtn", contradicted=("grid",))]
    assert not comparability(entries).comparable


def test_the_axes_that_differ_are_named_with_every_value():
    verdict = comparability([make_entry("lsq"), make_entry("rtn", changes={"weight_bits": 4, "labels": "labeled"})])
    assert [(row.axis, row.values) for row in verdict.differences] == [
        ("weight_bits", (8, 4)),
        ("labels", ("unlabeled", "labeled")),
    ]
    (reason,) = verdict.reasons
    assert reason.axes == ("weight_bits", "labels")
    assert "2 axes: weight_bits, labels" in reason.sentence


def test_a_silent_axis_is_not_an_agreement_and_not_a_difference():
    verdict = comparability([make_entry("lsq"), entry_of(make_transcribed())])
    silent = [row for row in verdict.differences if not row.contradictory]
    assert "skip_connection" in {row.axis for row in silent}
    assert Obstacle.AXES not in {reason.obstacle for reason in verdict.reasons}


def test_comparable_entries_are_ranked_beside_one_that_is_not():
    entries = [make_entry("lsq"), make_entry("bad", contradicted=("grid",)), make_entry("rtn", score=0.8)]
    verdict = comparability(entries)
    assert verdict.groups == ((0, 2),)
    (ranking,) = rankings(entries, verdict)
    assert [row.position for row in ranking.rows] == [0, 2]
    assert ranking.comparable


def test_a_completed_card_without_hashes_is_told_apart_by_the_score_of_its_float_model():
    results = {"status": "completed", "metric": "top-1 accuracy", "float_score": 0.975, "score": 0.9}
    audit = {"verdict": "verified", "axes": {}}
    first = entry_of(make_card(results=results, audit=audit))
    same = entry_of(make_card(results={**results, "score": 0.91}, audit=audit))
    other = entry_of(make_card(results={**results, "float_score": 0.97}, audit=audit))
    assert comparability([first, same]).comparable
    assert {reason.obstacle for reason in comparability([first, other]).reasons} == {Obstacle.WEIGHTS}


def test_ranks_are_ranges_where_intervals_include_zero():
    entries = [make_entry("low", score=0.80), make_entry("high", score=0.945), make_entry("near", score=0.94)]
    (ranking,) = rankings(entries, comparability(entries))
    assert [row.position for row in ranking.rows] == [1, 2, 0]
    assert [row.rank for row in ranking.rows] == ["1–2", "1–2", "3"]
    assert [row.resolved for row in ranking.rows] == [False, False, True]
    assert ranking.rows[0].to_above is None
    assert ranking.rows[1].difference_to_above == pytest.approx(-0.005)
    assert ranking.rows[1].to_above.includes_zero
    assert ranking.rows[2].to_above.high < 0


def test_equal_entries_are_rarely_told_apart_however_many_they_are():
    """Twelve equal entries make 66 pairs; by their own 95 % intervals, some pair is told apart in most rankings."""
    generator = np.random.default_rng(66)
    names = [f"m{number}" for number in range(12)]
    entries = [make_entry(name) for name in names]
    verdict = comparability(entries)
    told, alone = 0, 0
    for _ in range(60):
        rows = generator.random((12, 1000)) < np.clip(generator.normal(0.9, 0.1, 1000), 0.0, 1.0)
        drawn = [
            dataclasses.replace(
                make_entry(name, score=float(row.mean())), outcomes=Outcomes(np.ones(1000, dtype=bool), row)
            )
            for name, row in zip(names, rows, strict=True)
        ]
        (ranking,) = rankings(drawn, verdict)
        assert ranking.pairs == 66
        told += any(row.rank != "1–12" for row in ranking.rows)
        alone += (
            min(mcnemar_exact(PairedTable.of(first, second)) for first, second in itertools.combinations(rows, 2))
            < 0.05
        )
    assert told <= 5
    assert alone > 30


def test_forty_entries_are_ranked_at_confidences_that_no_resampling_reaches():
    generator = np.random.default_rng(1)
    rows = generator.random((40, 500)) < np.linspace(0.5, 0.95, 40)[:, None]
    entries = [
        dataclasses.replace(
            make_entry(f"m{number}", score=float(row.mean())), outcomes=Outcomes(np.ones(500, dtype=bool), row)
        )
        for number, row in enumerate(rows)
    ]
    (ranking,) = rankings(entries, comparability(entries))
    assert ranking.pairs == 780
    assert 1 < ranking.rows[0].last_rank < 40
    assert 1 < ranking.rows[-1].first_rank < 40


def test_a_difference_may_exclude_zero_by_itself_and_still_not_be_resolved():
    """Of two entries it is resolved; of twelve, whose pairs are judged together, it is not."""
    scores = [0.945, 0.93, *([0.9] * 10)]
    entries = [make_entry(f"m{number}", score=score) for number, score in enumerate(scores)]
    two, twelve = entries[:2], entries
    (alone,) = rankings(two, comparability(two))
    (crowd,) = rankings(twelve, comparability(twelve))
    for ranking, resolved in ((alone, True), (crowd, False)):
        lower = ranking.rows[1]
        assert lower.to_above.resolved
        assert lower.resolved is resolved
        assert lower.p_to_above == pytest.approx(2 * 0.5**6)  # six examples changed, all one way


def test_the_interval_between_rows_is_that_of_their_paired_outcomes():
    """The estimate is the mean of per-example differences, counted here example by example."""
    generator = np.random.default_rng(3)
    right = generator.random(400) < 0.9
    other = np.where(generator.random(400) < 0.2, ~right, right)
    outcomes = [Outcomes(right, right), Outcomes(right, other)]
    entries = [
        dataclasses.replace(make_entry(name, score=float(held.correct.mean())), outcomes=held)
        for name, held in zip(("a", "b"), outcomes, strict=True)
    ]
    (ranking,) = rankings(entries, comparability(entries))
    lower = ranking.rows[1]
    expected = sum(int(b) - int(a) for a, b in zip(right, other, strict=True)) / 400
    assert lower.to_above.estimate == pytest.approx(expected)
    assert lower.to_above.low < expected < lower.to_above.high


@pytest.mark.parametrize("outcomes", [None, make_outcomes(0.8, count=300)])
def test_without_outcomes_of_the_same_examples_nothing_is_resolved(outcomes):
    entries = [make_entry("a"), dataclasses.replace(make_entry("b", score=0.5), outcomes=outcomes)]
    (ranking,) = rankings(entries, comparability(entries))
    assert [row.rank for row in ranking.rows] == ["1–2", "1–2"]
    assert ranking.rows[1].to_above is None


def test_asked_to_rank_anyway_the_ranking_says_what_stands_between_the_rows():
    entries = [make_entry("a"), make_entry("b", score=0.5, changes={"weight_bits": 2}), entry_of(make_card())]
    (ranking,) = rankings(entries, comparability(entries), rank_anyway=True)
    assert not ranking.comparable
    assert [row.position for row in ranking.rows] == [0, 1]
    assert ranking.rows[1].obstacles_to_above == ("axes",)


def test_letters_go_on_after_z():
    letters = letters_of(80)
    assert (letters[0], letters[25], letters[26], letters[27], letters[52]) == ("A", "Z", "AA", "AB", "BA")
    assert len(set(letters)) == 80


def test_a_method_is_named_with_the_options_that_tell_it_apart() -> None:
    first = make_entry("lsq", options={"initialization": "lsq", "epochs": 3})
    second = make_entry("lsq", options={"initialization": "mse", "epochs": 3})
    other = make_entry("rtn", options={"epochs": 5})
    names = ["lsq (initialization lsq)", "lsq (initialization mse)", "rtn"]
    assert method_names([first, second, other]) == names
    assert method_names([first, first, other]) == ["lsq", "lsq", "rtn"]


def test_a_method_is_named_with_its_own_axes_where_they_tell_it_apart() -> None:
    entries = [make_entry("rtn"), make_entry("rtn", changes={"weight_range": "mse", "weight_bits": 4})]
    base = entries[0].values["weight_range"]
    assert method_names(entries) == [f"rtn (weight_range {base})", "rtn (weight_range mse)"]
