"""Published beside reproduced: every verdict, planted. Scores are chosen, outcomes are written, intervals are real."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claim_samples import MAPPING, TABLE1, sample_published
from study_samples import FLOAT_SCORE, STUDY, evidence_of, sample

from suite.claims.compare import Basis, Kind, Line, Verdict
from suite.claims.mapping import read_mapping
from suite.claims.reproduce import Answer, Part, left_over, not_met, plan, results
from suite.errors import UnknownName
from suite.studies import Cell, expand

Scores = Callable[[Cell], Any]


def of(good4: float, bad4: float, good2: float, bad2: float) -> Scores:
    planted = {("good", "4"): good4, ("bad", "4"): bad4, ("good", "2"): good2, ("bad", "2"): bad2}
    return lambda cell: planted[cell.levels["method"], cell.levels["bits"]]


class Case:
    """The sample paper beside the sample study, with planted scores."""

    def __init__(self, folder: Path, mapping: str = MAPPING, study: str = STUDY, **changes: str) -> None:
        (folder / "numbers").mkdir(exist_ok=True)
        path = folder / "sample.yaml"
        path.write_text(mapping, encoding="utf-8")
        self.published, self.study = sample_published(folder / "numbers", **changes), sample(study)
        (self.mapping,) = read_mapping(path, self.published, self.study)
        self.cells = expand(self.study, "smoke")
        self.runs = folder / "runs"

    def answer(self, scores: Scores) -> Answer:
        part = Part(self.mapping, self.study, "smoke", self.mapping.comparisons, self.mapping.statements, self.cells)
        return results(part, self.published, evidence_of(self.cells, scores, self.runs)[1])

    def lines(self, scores: Scores) -> dict[str, Line]:
        return {line.what: line for line in self.answer(scores).lines}


CONTRAST4, CONTRAST2 = "Good \N{MINUS SIGN} Bad, 4 bits", "Good \N{MINUS SIGN} Bad, 2 bits"


def test_another_network_is_compared_in_its_order_and_never_in_its_number(tmp_path: Path) -> None:
    case = Case(tmp_path)
    lines = case.lines(of(0.70, 0.50, 0.60, 0.30))
    score = lines["Good, 4 bits"]
    # The reproduced score is the printed one to the digit, and still no reproduction: the networks differ.
    assert score.reproduced is not None
    assert score.reproduced.estimate == pytest.approx(0.70)
    assert (score.basis, score.verdict, score.differences) == (Basis.QUESTION, Verdict.NOT_JUDGED, ())
    assert [value.share for value in score.published] == [0.70, 0.75]
    assert score.claims == {"sample-paper/table1/3", "sample-paper/table1/4"}

    contrast = lines[CONTRAST4]
    assert (contrast.kind, contrast.verdict) == (Kind.CONTRAST, Verdict.SAME_ORDER)
    assert [value.share for value in contrast.published] == pytest.approx([0.05, 0.15])
    assert contrast.reproduced is not None
    assert contrast.reproduced.estimate == pytest.approx(0.20)
    assert contrast.reproduced.low < 0.20 < contrast.reproduced.high
    assert contrast.differences == pytest.approx((0.15, 0.05))

    # At 2 bits one printed network has Good ahead, the other Bad: there is no order that could be reproduced.
    assert lines[CONTRAST2].verdict is Verdict.MIXED


@pytest.mark.parametrize(
    ("good", "bad", "verdict"),
    [(0.70, 0.50, Verdict.SAME_ORDER), (0.50, 0.70, Verdict.OTHER_ORDER), (0.70, 0.70, Verdict.OPEN),
     (0.705, 0.70, Verdict.OPEN)],
)  # fmt: skip
def test_orders(good: float, bad: float, verdict: Verdict, tmp_path: Path) -> None:
    assert Case(tmp_path).lines(of(good, bad, 0.5, 0.5))[CONTRAST4].verdict is verdict


def test_an_order_of_errors_is_the_order_of_accuracies_turned_round(tmp_path: Path) -> None:
    """A paper that prints errors has the lower one ahead."""
    errors = TABLE1.replace("Top-1 (%)", "Top-1 error (%)")
    case = Case(tmp_path, MAPPING.replace("Top-1 (%)", "Top-1 error (%)"), table1=errors)
    lines = case.lines(of(0.70, 0.50, 0.60, 0.30))
    assert [value.share for value in lines["Good, 4 bits"].published] == pytest.approx([0.30, 0.25])
    assert lines[CONTRAST4].verdict is Verdict.OTHER_ORDER


def test_what_quantization_costs_stands_side_by_side(tmp_path: Path) -> None:
    line = Case(tmp_path).lines(of(0.70, 0.50, 0.60, 0.30))["Bad \N{MINUS SIGN} float, 4 bits"]
    assert (line.kind, line.verdict) == (Kind.COST, Verdict.NOT_JUDGED)
    assert [value.share for value in line.published] == pytest.approx([0.65 - 0.71, 0.60 - 0.76])
    assert line.reproduced is not None
    assert line.reproduced.estimate == pytest.approx(0.50 - FLOAT_SCORE)
    assert line.differences == pytest.approx((0.50 - FLOAT_SCORE + 0.06, 0.50 - FLOAT_SCORE + 0.16))


ROWS = "        rows:\n"
SMALL_ALONE = MAPPING.replace(
    ROWS, "        same_number: {sizes: smoke, claims: {model: Small}, margin: 0.06}\n" + ROWS
)


@pytest.mark.parametrize(
    ("score", "verdict"),
    [(0.70, Verdict.REPRODUCED), (0.50, Verdict.DIFFERS), (0.90, Verdict.DIFFERS), (0.66, Verdict.OPEN)],
)
def test_the_number_itself_is_judged_on_the_papers_own_network(score: float, verdict: Verdict, tmp_path: Path) -> None:
    line = Case(tmp_path, SMALL_ALONE).lines(of(score, 0.5, 0.5, 0.5))["Good, 4 bits"]
    assert (line.basis, line.verdict) == (Basis.NUMBER, verdict)
    assert line.differences == pytest.approx((score - 0.70,))


OF_SMALL = "        same_network: {sizes: smoke, claims: {model: Small}, but: on other grids}\n" + ROWS


def test_of_the_same_network_in_another_setting_the_number_is_not_judged(tmp_path: Path) -> None:
    case = Case(tmp_path, MAPPING.replace(ROWS, OF_SMALL))
    answer = case.answer(of(0.70, 0.50, 0.60, 0.30))
    lines = {line.what: line for line in answer.lines}
    score = lines["Good, 4 bits"]
    assert (score.basis, score.verdict, score.differences) == (Basis.NETWORK, Verdict.NOT_JUDGED, ())
    assert score.footing == "same network and data, but on other grids"
    # The paper's other network is not set beside it.
    assert [value.network for value in score.published] == [("ImageNet", "Small")]
    assert (lines[CONTRAST4].basis, lines[CONTRAST4].verdict) == (Basis.NETWORK, Verdict.SAME_ORDER)
    # At 2 bits the networks disagree; of this one alone there is an order.
    assert lines[CONTRAST2].verdict is Verdict.SAME_ORDER
    left = left_over(case.published, "sample-paper/table1", [answer], [])
    assert {held.why: held.claims for held in left} == {
        "the question is asked above, of the same network and data, but on other grids": 5,
        "the question is asked above, of another network": 5,
    }


def test_a_difference_is_worth_no_more_than_the_lesser_of_its_scores(tmp_path: Path) -> None:
    number = "        same_number: {sizes: smoke, claims: {model: Small, method: Good}, margin: 0.06}\n"
    case = Case(tmp_path, MAPPING.replace(ROWS, number + OF_SMALL))
    lines = case.lines(of(0.70, 0.50, 0.60, 0.30))
    assert (lines["Good, 4 bits"].basis, lines["Good, 4 bits"].verdict) == (Basis.NUMBER, Verdict.REPRODUCED)
    assert (lines["Bad, 4 bits"].basis, lines["Bad, 4 bits"].verdict) == (Basis.NETWORK, Verdict.NOT_JUDGED)
    assert lines[CONTRAST4].footing == "same network and data, but on other grids"


def test_a_number_that_is_not_resolved_is_not_of_another_network(tmp_path: Path) -> None:
    case = Case(tmp_path, SMALL_ALONE.replace("        float: {method: Float}\n", ""))
    left = left_over(case.published, "sample-paper/table1", [case.answer(of(0.66, 0.61, 0.46, 0.36))], [])
    assert {held.why: held.claims for held in left} == {
        "no study that comes with the suite asks this": 2,
        "it is asked above, and not resolved": 4,
        "the question is asked above, of another network": 4,
    }


def test_what_was_not_run_says_why(tmp_path: Path) -> None:
    scores = of(0.70, 0.50, 0.60, 0.30)
    case = Case(tmp_path)
    lines = case.lines(lambda cell: None if cell.levels["method"] == "bad" else scores(cell))
    assert (lines["Good, 4 bits"].verdict, lines["Bad, 4 bits"].verdict) == (Verdict.NOT_JUDGED, Verdict.NOT_RUN)
    assert lines[CONTRAST4].verdict is Verdict.NOT_RUN
    assert lines[CONTRAST4].reason == "main.bad.4.s0: not run yet"


ONE_COMPARISON = MAPPING.replace("          - {id: W2, title: 2 bits, claims: {w_bits: 2}, where: {bits: 2}}\n", "")


@pytest.mark.parametrize(("mapping", "verdict"), [(MAPPING, Verdict.OPEN), (ONE_COMPARISON, Verdict.SAME_ORDER)])
def test_of_several_comparisons_each_has_to_be_surer(mapping: str, verdict: Verdict, tmp_path: Path) -> None:
    """Six examples of 400: resolved where nothing else is asked, not where a second comparison is."""
    line = Case(tmp_path, mapping).lines(of(0.715, 0.70, 0.7, 0.7))[CONTRAST4]
    assert line.reproduced is not None
    assert line.reproduced.low > 0
    assert line.verdict is verdict


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [
        ((0.7, 0.5, 0.6, 0.3), Verdict.HOLDS),
        ((0.5, 0.7, 0.3, 0.6), Verdict.FAILS),
        ((0.7, 0.7, 0.6, 0.6), Verdict.OPEN),
    ],
)
def test_statements_take_the_verdict_of_their_expectation(
    scores: tuple[float, float, float, float], verdict: Verdict, tmp_path: Path
) -> None:
    (said,) = Case(tmp_path).answer(of(*scores)).said
    assert (said.statement.says, said.says, said.verdict) == ("Good is good", "Good is better.", verdict)


def test_what_is_not_reproduced_is_listed_with_what_it_needs(tmp_path: Path) -> None:
    case = Case(tmp_path)
    table, prose = left_over(case.published, "sample-paper", [case.answer(of(0.70, 0.50, 0.60, 0.30))], [])
    assert (table.table, table.claims, table.needs) == ("table1", 10, ("ImageNet",))
    assert table.why == "the question is asked above, of another network"
    assert (prose.table, prose.claims) == ("prose", 1)
    (nobody,) = left_over(case.published, "sample-paper/table1", [], [])
    assert nobody.why == "no study that comes with the suite asks this"
    assert left_over(case.published, "sample-paper/table2", [], []) == ()  # it states settings, no results


def test_numbers_that_are_judged_are_not_listed(tmp_path: Path) -> None:
    case = Case(tmp_path, SMALL_ALONE)
    answer = case.answer(of(0.70, 0.50, 0.50, 0.40))
    judged = {id for line in answer.lines if line.verdict in ("reproduced", "differs") for id in line.claims}
    assert judged
    assert all(case.published.claim(id).model == "Small" for id in judged)
    (left,) = left_over(case.published, "sample-paper/table1", [answer], [])
    assert left.claims == 10 - len(judged)


def test_what_lacks_its_weights_says_so_in_its_tables_and_statements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(tmp_path)
    monkeypatch.setattr("suite.claims.reproduce.load_study", lambda name: case.study)
    (part,), _ = plan(case.published, [case.mapping], "sample-paper", "smoke")
    refused = not_met(part, "no weights")
    assert (refused.study, refused.tables) == ("sample", ("table1",))
    assert [statement.says for statement in refused.statements] == ["Good is good"]
    (left,) = left_over(case.published, "sample-paper/table1", [], [refused])
    assert left.why == "the study sample: no weights"


def test_only_the_cells_that_are_asked_for_are_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(tmp_path, ONE_COMPARISON.partition("    statements:")[0])
    monkeypatch.setattr("suite.claims.reproduce.load_study", lambda name: case.study)
    (part,), refused = plan(case.published, [case.mapping], "sample-paper/table1", "smoke")
    assert {cell.levels["bits"] for cell in part.cells} == {"4"}
    assert refused == ()
    assert plan(case.published, [case.mapping], "sample-paper/table2", "smoke") == ((), ())
    parts, (lacking,) = plan(case.published, [case.mapping], "sample-paper", "paper")
    assert (parts, lacking.tables, lacking.why) == ((), ("table1",), "it has the sizes smoke alone")
    with pytest.raises(UnknownName, match="no paper is called 'nobody'"):
        plan(case.published, [case.mapping], "nobody", "smoke")


def test_a_statement_brings_the_cells_that_it_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head, _, tail = MAPPING.partition("    comparisons:")
    case = Case(tmp_path, head + "    statements:" + tail.partition("    statements:")[2])
    monkeypatch.setattr("suite.claims.reproduce.load_study", lambda name: case.study)
    (part,), _ = plan(case.published, [case.mapping], "sample-paper", "smoke")
    assert len(part.cells) == len(case.cells)
