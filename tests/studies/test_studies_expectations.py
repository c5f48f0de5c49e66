"""Expectations: every verdict on evidence that was made so that the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from study_samples import STUDY, evidence_of, sample, with_expectation

from suite.records import Status
from suite.studies import Study, expand
from suite.studies.expectations import Answer, Verdict, answers

SEEDS = "    adjust:\n      - {where: {bits: 2}, seeds: [0, 1]}\n"
HOLDS, FAILS, OPEN = Verdict.HOLDS, Verdict.FAILS, Verdict.OPEN


def ask(study: Study, scores: Any, runs: Path) -> Answer:
    cells = expand(study, "smoke")
    _, evidence = evidence_of(cells, scores, runs)
    (found,) = answers(study, "smoke", cells, evidence)
    return found


def by_level(**scores: Any) -> Any:
    """Scores by `method` and `bits`: good_4=0.9, good_2=0.5, …"""
    return lambda cell: scores[f"{cell.levels['method']}_{cell.levels['bits']}"]


@pytest.mark.parametrize(
    ("good_4", "good_2", "verdict"),
    [(0.85, 0.8, HOLDS), (0.6, 0.8, FAILS), (0.6, 0.4, FAILS), (0.705, 0.8, OPEN), (0.7, 0.8, OPEN)],
)
def test_an_ordering_of_all_pairs(good_4: float, good_2: float, verdict: Verdict, tmp_path: Path):
    found = ask(sample(), by_level(good_4=good_4, good_2=good_2, bad_4=0.7, bad_2=0.6), tmp_path)
    assert found.verdict is verdict
    assert [row.what for row in found.compared] == ["good − bad at main, 4", "good − bad at main, 2"]
    interval = found.compared[0].interval
    assert interval is not None
    assert interval.estimate == pytest.approx(good_4 - 0.7)
    assert interval.low <= good_4 - 0.7 <= interval.high


THREE = STUDY.replace("values: [4, 2]", "values: [4, 3, 2]")


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [((0.85, 0.85, 0.5), HOLDS), ((0.85, 0.5, 0.5), FAILS), ((0.85, 0.702, 0.5), OPEN), ((0.85, 0.85, 0.702), HOLDS)],
)
def test_an_ordering_of_the_majority(scores: tuple[float, ...], verdict: Verdict, tmp_path: Path):
    study = sample(THREE.replace("lower: {method: bad}}", "lower: {method: bad}, of: majority}"))
    given = dict(zip(("good_4", "good_3", "good_2"), scores, strict=True))
    found = ask(study, by_level(**given, bad_4=0.7, bad_3=0.7, bad_2=0.7), tmp_path)
    assert found.verdict is verdict


def test_a_margin_moves_what_is_asked(tmp_path: Path):
    scores = by_level(good_4=0.8, good_2=0.8, bad_4=0.7, bad_2=0.7)
    for number, (by, verdict) in enumerate([(0.02, HOLDS), (0.3, FAILS), (0.1, OPEN), (-0.05, HOLDS)]):
        study = with_expectation(f"ordering: {{higher: {{method: good}}, lower: {{method: bad}}, by: {by}}}")
        assert ask(study, scores, tmp_path / str(number)).verdict is verdict


def test_many_pairs_are_corrected_together(tmp_path: Path):
    """A difference that one comparison alone resolves is not resolved among twenty that show nothing."""
    alone = sample(STUDY.replace("values: [4, 2]", "values: [4]").replace(SEEDS, ""))
    scores = {"good": 0.715, "bad": 0.7}
    found = ask(alone, lambda cell: scores[cell.levels["method"]], tmp_path / "alone")
    assert found.verdict is HOLDS
    many = ", ".join(f"{{id: b{number}, axes: {{examples: {number + 64}}}}}" for number in range(20))
    text = STUDY.replace("{factor: bits, axis: weight_bits, values: [4, 2]}", f"{{factor: bits, levels: [{many}]}}")
    text = text.replace("    adjust:\n      - {where: {bits: 2}, seeds: [0, 1]}\n", "")
    crowd = sample(text)
    found = ask(
        crowd, lambda cell: scores[cell.levels["method"]] if cell.levels["bits"] == "b0" else 0.7, tmp_path / "many"
    )
    assert found.verdict is OPEN
    assert found.detail.startswith("0 of 20 known to be higher, 0 of 20 known not to be, 20 of 20 not resolved")
    assert found.compared[0].interval is not None
    assert found.compared[0].interval.low > 0.0  # by itself it would have been


@pytest.mark.parametrize(
    ("good_2", "margin", "verdict"), [(0.7, 0.05, HOLDS), (0.71, 0.05, HOLDS), (0.5, 0.05, FAILS), (0.72, 0.025, OPEN)]
)
def test_equality_within_a_margin(good_2: float, margin: float, verdict: Verdict, tmp_path: Path):
    study = with_expectation(
        f"equality: {{where: {{bits: 2}}, first: {{method: bad}}, second: {{method: good}}, margin: {margin}}}"
    )
    assert ask(study, by_level(good_4=0.1, bad_4=0.9, good_2=good_2, bad_2=0.7), tmp_path).verdict is verdict


@pytest.mark.parametrize(
    ("good", "bad", "verdict"),
    [
        ((0.8, 0.5), (0.7, 0.6), HOLDS),  # ahead at 4, behind at 2
        ((0.8, 0.7), (0.7, 0.6), FAILS),  # ahead at both
        ((0.7, 0.6), (0.8, 0.5), FAILS),  # the other way round
        ((0.8, 0.601), (0.7, 0.6), OPEN),
    ],
)
def test_a_crossing(good: tuple[float, float], bad: tuple[float, float], verdict: Verdict, tmp_path: Path):
    study = with_expectation("crossing: {along: bits, first: {method: good}, second: {method: bad}}")
    scores = by_level(good_4=good[0], good_2=good[1], bad_4=bad[0], bad_2=bad[1])
    assert ask(study, scores, tmp_path).verdict is verdict


@pytest.mark.parametrize(
    ("test", "score", "verdict"),
    [
        ("value: 0.8, tolerance: 0.1", 0.8, HOLDS),
        ("value: 0.8, tolerance: 0.1", 0.5, FAILS),
        ("value: 0.8, tolerance: 0.01", 0.8, OPEN),
        ("value: 0.8, tolerance: 0.01, same_examples: true", 0.8, HOLDS),
        ("value: 0.8, tolerance: 0.01, same_examples: true", 0.82, FAILS),
        ("value: 0.8, tolerance: 0.01, same_examples: true, or_better: true", 0.82, HOLDS),
        ("value: 0.8, tolerance: 0.01, same_examples: true, or_better: true", 0.785, FAILS),
    ],
)
def test_a_number(test: str, score: float, verdict: Verdict, tmp_path: Path):
    study = with_expectation(f"number: {{where: {{method: good, bits: 4}}, {test}}}")
    found = ask(study, by_level(good_4=score, good_2=0.1, bad_4=0.1, bad_2=0.1), tmp_path)
    assert found.verdict is verdict
    assert f"{score:.2%}" in found.detail


def test_a_number_over_seeds_has_an_interval(tmp_path: Path):
    study = with_expectation(
        "number: {where: {method: good, bits: 2}, value: 0.8, tolerance: 0.05, same_examples: true}"
    )
    scores = {0: 0.79, 1: 0.81}
    found = ask(study, lambda cell: scores[cell.seed] if cell.levels["bits"] == "2" else 0.5, tmp_path)
    interval = found.compared[0].interval
    assert interval is not None
    assert interval.estimate == pytest.approx(0.8)
    # Student's t with one degree of freedom: 12.706 × 0.01
    assert interval.high - interval.estimate == pytest.approx(12.706 * 0.01, rel=1e-3)
    assert found.verdict is OPEN


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [((0.16, 0.16), HOLDS), ((0.16, 0.1601), HOLDS), ((0.16, 0.2), OPEN), ((0.3, 0.3), FAILS), ((0.3, None), OPEN)],
)
def test_a_measure_of_the_runs(measured: tuple[float, float | None], verdict: Verdict, tmp_path: Path):
    study = with_expectation(
        "measure: {where: {method: good, bits: 2}, of: figures.saved, value: 0.17, tolerance: 0.02}"
    )
    figures = {seed: {} if value is None else {"saved": value} for seed, value in enumerate(measured)}
    found = ask(study, lambda cell: {"score": 0.5, "figures": figures[cell.seed]}, tmp_path)
    assert found.verdict is verdict
    assert found.compared[0].interval is None
    if measured[1] is None:
        assert "its record has no figures.saved" in found.detail
    else:
        assert f"{(measured[0] + measured[1]) / 2:.4g}" in found.detail


@pytest.mark.parametrize(("bytes_", "verdict"), [(990, HOLDS), (5000, HOLDS), (989, FAILS)])
def test_a_measure_may_be_better(bytes_: int, verdict: Verdict, tmp_path: Path):
    study = with_expectation(
        "measure: {where: {bits: 4, method: good}, of: model_bytes, value: 1000, tolerance: 10, or_better: true}"
    )
    found = ask(study, lambda cell: {"score": 0.5, "model_bytes": bytes_}, tmp_path)
    assert found.verdict is verdict
    assert found.detail.startswith("expected size of the model of at least 990; ")


def test_a_measure_of_one_seed_is_compared_as_it_is(tmp_path: Path):
    study = with_expectation("measure: {where: {bits: 4}, of: model_bytes, value: 1000, tolerance: 10}")
    sizes = {"good": 1010, "bad": 1011}
    found = ask(study, lambda cell: {"score": 0.5, "model_bytes": sizes[cell.levels["method"]]}, tmp_path)
    assert [row.verdict for row in found.compared] == [HOLDS, FAILS]
    assert found.verdict is FAILS
    assert found.detail.startswith("expected size of the model 1000 ± 10; main.good.4: 1010 (one seed, no interval)")


def test_a_measure_of_a_run_that_is_missing_is_open(tmp_path: Path):
    study = with_expectation("measure: {where: {bits: 4, method: good}, of: model_bytes, value: 1000, tolerance: 10}")
    assert ask(study, lambda cell: None, tmp_path).verdict is OPEN


@pytest.mark.parametrize(
    ("good", "bad", "verdict"),
    [
        ((3.2, 3.3), (2.1, 2.2), HOLDS),  # the same difference with both seeds
        ((3.2, 3.3), (2.1, 3.4), OPEN),
        ((2.0, 2.1), (2.0, 2.1), FAILS),
        ((1.0, 1.1), (2.1, 2.2), FAILS),
        ((2.4, 2.5), (2.1, 2.2), FAILS),  # higher, but not by more than half
        ((3.2, None), (2.1, 2.2), OPEN),
    ],
)
def test_an_ordering_of_a_measure(
    good: tuple[float, float | None], bad: tuple[float, float], verdict: Verdict, tmp_path: Path
):
    study = with_expectation(
        "ordering: {measure: figures.kept, where: {bits: 2}, higher: {method: good}, lower: {method: bad}, by: 0.5}"
    )
    given = {"good": good, "bad": bad}

    def kept(cell: Any) -> dict[str, Any]:
        value = given[cell.levels["method"]][cell.seed]
        return {"score": 0.5, "figures": {} if value is None else {"kept": value}}

    found = ask(study, kept, tmp_path)
    assert found.verdict is verdict
    (row,) = found.compared
    assert row.interval is None  # no share of right answers
    assert row.says == "a record has no figures.kept" if good[1] is None else "(2 seeds)" in row.says


def test_an_ordering_of_a_measure_needs_its_runs(tmp_path: Path):
    study = with_expectation("ordering: {measure: model_bytes, higher: {method: good}, lower: {method: bad}}")
    assert ask(study, lambda cell: None, tmp_path).verdict is OPEN
    sizes = {"good": 1010, "bad": 1000}
    found = ask(study, lambda cell: {"score": 0.5, "model_bytes": sizes[cell.levels["method"]]}, tmp_path)
    assert found.verdict is HOLDS
    assert "+10 (one seed, no interval)" in {row.says for row in found.compared}


def test_a_reference_gives_the_number_and_the_cells(tmp_path: Path):
    text = STUDY.replace(
        "expectations:",
        "references:\n"
        "  - {id: theirs, says: theirs, where: {method: good, bits: 4}, scores: [0.79, 0.81]}\nexpectations:",
    )
    text = text.replace(
        "ordering: {higher: {method: good}, lower: {method: bad}}",
        "number: {reference: theirs, tolerance: 0.02, same_examples: true}",
    )
    found = ask(sample(text), by_level(good_4=0.81, good_2=0.1, bad_4=0.1, bad_2=0.1), tmp_path)
    assert found.verdict is HOLDS
    assert found.detail == (
        "expected 80.00% ± 2.00 points (their 2 scores: 79.00% to 81.00%); "
        "main.good.4: 81.00%, +1.00 points (one seed, the same examples, no interval)"
    )
    assert found.compared[0].interval is None  # an interval without width would look like certainty


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (None, "main.good.4.s0: not run yet"),
        ({"status": Status.DIVERGED, "message": "the loss is not finite"}, "main.good.4.s0: diverged"),
        ({"status": Status.FAILED, "message": "why", "float_score": None}, "main.good.4.s0: failed"),
        (
            {"score": 0.85, "audit": {"verdict": "contradicted", "axes": {}}},
            "main.good.4.s0: the audit contradicts its card",
        ),
        ({"score": 0.85, "outcomes": None}, "main.good.4.s0: its record holds no outcomes"),
        ({"score": 0.85, "task": "other"}, "they answered different examples"),
    ],
)
def test_what_cannot_be_compared_leaves_the_verdict_open(trouble: Any, reason: str, tmp_path: Path):
    def scores(cell: Any) -> Any:
        return trouble if cell.id == "main.good.4.s0" else {"good": 0.85, "bad": 0.7}[cell.levels["method"]]

    found = ask(sample(), scores, tmp_path)
    assert found.verdict is OPEN
    assert reason in found.detail


def test_seeds_of_both_sides_are_paired(tmp_path: Path):
    """What a seed does to both sides cancels: both lose the same under seed 1, so the difference stays sure."""
    scores = {("good", 0): 0.85, ("good", 1): 0.75, ("bad", 0): 0.75, ("bad", 1): 0.65}
    found = ask(
        sample(), lambda cell: scores[cell.levels["method"], cell.seed] if cell.levels["bits"] == "2" else 0.5, tmp_path
    )
    interval = next(row.interval for row in found.compared if row.what.endswith("2"))
    assert interval is not None
    assert interval.estimate == pytest.approx(0.1)
    assert "paired" in interval.method
    assert interval.high - interval.low < 0.12


ONE_SEED = "one seed each: the intervals are those of the test examples alone"


@pytest.mark.parametrize(
    "test",
    [
        "ordering: {where: {bits: 4}, higher: {method: good}, lower: {method: bad}}",
        "equality: {where: {bits: 4}, first: {method: good}, second: {method: bad}, margin: 0.01}",
    ],
)
def test_a_verdict_of_one_seed_says_so(test: str, tmp_path: Path):
    found = ask(with_expectation(test), by_level(good_4=0.85, good_2=0.8, bad_4=0.7, bad_2=0.6), tmp_path)
    assert found.verdict is not OPEN  # intervals over test examples are intervals
    assert found.detail.endswith(ONE_SEED)


def test_what_has_several_seeds_says_nothing_of_one(tmp_path: Path):
    scores = by_level(good_4=0.85, good_2=0.8, bad_4=0.7, bad_2=0.6)
    study = with_expectation("ordering: {where: {bits: 2}, higher: {method: good}, lower: {method: bad}}")
    assert "seed" not in ask(study, scores, tmp_path / "several").detail
    mixed = ask(sample(), scores, tmp_path / "mixed")
    assert "; a single seed in 1 of 2 measured" in mixed.detail
    crossing = with_expectation("crossing: {along: bits, first: {method: good}, second: {method: bad}}")
    assert "; a single seed in 1 of 2 measured" in ask(crossing, scores, tmp_path / "crossing").detail


def test_an_order_of_counts_says_where_one_seed_has_no_interval(tmp_path: Path):
    study = with_expectation("ordering: {measure: model_bytes, higher: {method: good}, lower: {method: bad}}")
    sizes = {"good": 1010, "bad": 1000}
    found = ask(study, lambda cell: {"score": 0.5, "model_bytes": sizes[cell.levels["method"]]}, tmp_path)
    assert found.detail.endswith("; one seed, no interval in 1 of 2 measured")


def test_a_number_of_one_seed_says_what_its_interval_is(tmp_path: Path):
    study = with_expectation("number: {where: {method: good, bits: 4}, value: 0.8, tolerance: 0.1}")
    found = ask(study, by_level(good_4=0.8, good_2=0.1, bad_4=0.1, bad_2=0.1), tmp_path)
    assert "(one seed: the interval is that of the test examples alone)" in found.detail
    assert found.compared[0].interval is not None
