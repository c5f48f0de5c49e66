"""Many comparisons under one expectation: how often chance alone may give a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from statistics import NormalDist
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from study_samples import STUDY, sample

from suite.statistics import Equality, Interval, IntervalAt, equivalence
from suite.statistics.student import student_quantile
from suite.studies import Study, expand
from suite.studies.evidence import Measured
from suite.studies.expectations import answers
from suite.studies.together import Judge, Verdict, judged, together

HOLDS, FAILS, OPEN = Verdict.HOLDS, Verdict.FAILS, Verdict.OPEN
PAIRS, ROUNDS, SEEDS = 12, 400, 5


def judge_of(verdict: Verdict, p: float) -> Judge:
    return lambda confidence: verdict if p < 1.0 - confidence else OPEN


def judges(verdict: Verdict, p_values: Sequence[float]) -> list[Judge | None]:
    return [judge_of(verdict, p) for p in p_values]


def test_that_all_hold_is_not_corrected_and_that_one_fails_is():
    assert judged(judges(HOLDS, [0.04] * PAIRS), "all") == [HOLDS] * PAIRS
    assert judged(judges(FAILS, [0.04] * PAIRS), "all") == [OPEN] * PAIRS
    # Holm's rule: 0.05/3 is met, then 0.05/2, and 0.06 is not met by itself.
    assert judged(judges(FAILS, [0.06, 0.024, 0.016]), "all") == [OPEN, FAILS, FAILS]


@pytest.mark.parametrize("verdict", [HOLDS, FAILS])
def test_a_majority_is_corrected_both_ways(verdict: Verdict):
    assert judged(judges(verdict, [0.04, 0.04, 0.5]), "majority") == [OPEN] * 3
    found = judged(judges(verdict, [0.024, 0.016, 0.5]), "majority")
    assert found == [verdict, verdict, OPEN]
    assert together(found, "majority") is verdict


def test_what_was_not_measured_stays_open_and_corrects_nothing():
    assert judged([None, judge_of(FAILS, 0.04), None], "all") == [OPEN, FAILS, OPEN]
    assert judged([], "majority") == []


ERROR, EDGE = 0.01, 0.02


class Drawn:
    """Evidence drawn around the truth that `good` is ahead of `bad` by exactly `EDGE`, at every level."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._centres: dict[tuple[str, str], float] = {}

    def of(self, group: Any) -> Measured:
        truth = 0.5 + (EDGE if group.levels["method"] == "good" else 0.0)
        values = tuple(truth + self._generator.normal(0.0, ERROR, SEEDS))
        records: Any = tuple(SimpleNamespace(figures={"kept": value}) for value in values)
        rows = tuple(np.ones((SEEDS, 4), dtype=bool))
        return Measured(rows, rows[0], tuple(range(SEEDS)), values, records, group.id)

    def between(self, first: Measured, second: Measured) -> IntervalAt:
        """Normal, drawn once for a pair."""
        pair = first.data, second.data
        centre = self._centres.setdefault(pair, EDGE + self._generator.normal(0.0, ERROR))

        def at(confidence: float) -> Interval:
            half = NormalDist().inv_cdf(0.5 + confidence / 2.0) * ERROR
            return Interval(centre, centre - half, centre + half, confidence, "normal", 1)

        return at


def twelve_pairs(test: str) -> Study:
    """Two methods at twelve levels of bits, and one expectation."""
    many = ", ".join(f"{{id: b{number}, axes: {{examples: {number + 64}}}}}" for number in range(PAIRS))
    text = STUDY.replace("{factor: bits, axis: weight_bits, values: [4, 2]}", f"{{factor: bits, levels: [{many}]}}")
    text = text.replace("    adjust:\n      - {where: {bits: 2}, seeds: [0, 1]}\n", "")
    head, _, tail = text.partition("    ordering:")
    return sample(head + "    " + test + "\nshows:" + tail.partition("shows:")[2])


@pytest.mark.parametrize(
    "test",
    [
        f"equality: {{first: {{method: bad}}, second: {{method: good}}, margin: {EDGE}}}",
        f"number: {{where: {{method: good}}, value: 0.5, tolerance: {EDGE}, same_examples: true}}",
        f"measure: {{where: {{method: good}}, of: figures.kept, value: 0.5, tolerance: {EDGE}}}",
        f"ordering: {{measure: figures.kept, higher: {{method: good}}, lower: {{method: bad}}, by: {EDGE}}}",
    ],
    ids=["equality", "number", "measure", "ordering of a measure"],
)
def test_twelve_comparisons_at_the_edge_rarely_fail_by_chance(test: str, monkeypatch: pytest.MonkeyPatch):
    """Each lies just where the expectation still holds. One alone fails by chance in 2.5 %, one of twelve in 26 %."""
    monkeypatch.setattr("suite.statistics.seeds.student_quantile", cache(student_quantile))  # the same few, often
    study = twelve_pairs(test)
    cells = expand(study, "smoke")
    generator = np.random.default_rng(12)
    found = [answers(study, "smoke", cells, cast(Any, Drawn(generator)))[0] for _ in range(ROUNDS)]
    assert all(len(held.compared) == PAIRS for held in found)
    assert sum(held.verdict is FAILS for held in found) / ROUNDS <= 0.05


def test_one_comparison_that_does_not_hold_rarely_lets_all_hold():
    """Eleven differences are nothing and one is just too large: at most the 5 % of its own test, uncorrected."""
    generator = np.random.default_rng(5)
    truths = np.array([EDGE] + [0.0] * (PAIRS - 1))
    held = 0
    for centres in truths + generator.normal(0.0, ERROR / 4.0, (4000, PAIRS)):
        found = judged([equal(centre) for centre in centres], "all")
        held += together(found, "all") is HOLDS
    assert 0.035 <= held / 4000 <= 0.065


def equal(centre: float) -> Judge:
    def at(confidence: float) -> Interval:
        half = NormalDist().inv_cdf(0.5 + confidence / 2.0) * ERROR / 4.0
        return Interval(centre, centre - half, centre + half, confidence, "normal", 1)

    names = {Equality.EQUIVALENT: HOLDS, Equality.DIFFERENT: FAILS, Equality.UNRESOLVED: OPEN}
    return lambda confidence: names[equivalence(at, EDGE, confidence)]
