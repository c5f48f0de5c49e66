"""Cards copied from papers: completed so that they can be run, and how far what they leave open moves the score."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from study_samples import FakeExecutor, Silent

from suite.axes import AXES, NOT_REPORTED, Setting
from suite.axes.rules import contradictions
from suite.cards import load_card
from suite.errors import StudyError
from suite.records import Status
from suite.studies.explaining.completing import WITHOUT_EFFECT, completed, plausible_values
from suite.studies.explaining.legality import Legality, Limits
from suite.studies.explaining.run import Laboratory
from suite.studies.explaining.sides import Declared, Side
from suite.studies.explaining.spans import Span, span_of
from suite.studies.states import Conditions

PUBLISHED = sorted((Path(__file__).parents[2] / "cards" / "published").glob("*.yaml"))
ANYTHING = Limits({}, {}, labels=False, examples=False)


def legality(limits: Limits = ANYTHING) -> Legality:
    return Legality({"rtn": limits, "percentile": limits}, lambda every: [None for _ in every])


def run_side(**axes: Any) -> Side:
    return Side(
        "a run", Declared("rtn", {}, dict(Setting.default().replace(**axes).values)), "digits", "digits-resnet", 4
    )


def reported(**axes: Any) -> Declared:
    """A card that says everything as the default has it, but for these axes."""
    return Declared("rtn", {}, {**Setting.default().values, **axes})


def test_what_is_not_reported_is_taken_from_the_other_side():
    paper = reported(weight_bits=4, batch_norm=NOT_REPORTED, sign_bit=NOT_REPORTED)
    found = completed("a paper", paper, run_side(batch_norm="float"), ANYTHING, legality())
    assert found.declared.values["batch_norm"] == "float"
    assert found.assumed == {"batch_norm": "float"}  # how bits are counted changes no score
    assert (found.task, found.model, found.seed) == ("digits", "digits-resnet", 4)
    assert found.unreported == ()


def test_what_contradicts_the_report_gives_way():
    paper = reported(skip_connection="full-precision", residual_connection=NOT_REPORTED)
    found = completed("a paper", paper, run_side(), ANYTHING, legality())
    assert found.assumed == {"residual_connection": "full-precision"}


def test_a_method_decides_what_it_cannot_do_without():
    limits = Limits({"weight_range": ("mse",)}, {"weight_range": "mse"}, labels=False, examples=False)
    found = completed("a paper", reported(weight_range=NOT_REPORTED), run_side(), limits, legality(limits))
    assert found.assumed == {"weight_range": "mse"}


def test_what_no_run_can_be_held_to_is_said_and_replaced():
    found = completed("a paper", reported(softmax="integer-approximation"), run_side(), ANYTHING, legality())
    assert found.declared.values["softmax"] == "full-precision"
    assert found.remarks == ("softmax = integer-approximation is reported, but no run can be held to it.",)


def test_a_report_that_cannot_be_run_at_all_is_an_error():
    limits = Limits({"weight_bits": (8,)}, {}, labels=False, examples=False)
    with pytest.raises(StudyError, match=r"what 'a paper' reports cannot be run here: .* weight_bits = 4"):
        completed("a paper", reported(weight_bits=4), run_side(), limits, legality(limits))


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_every_shipped_card_of_a_paper_can_be_completed(path):
    card = load_card(path)
    found = completed(card.title, Declared("percentile", {}, card.values), run_side(), ANYTHING, legality())
    assert contradictions(found.declared.values) == ()
    for axis, value in card.values.items():
        if value == NOT_REPORTED:
            assert axis in found.assumed or axis in WITHOUT_EFFECT
        elif AXES[axis].enforceable(value) and axis not in WITHOUT_EFFECT:
            assert found.declared.values[axis] == value


def test_plausible_values_are_allowed_and_can_be_enforced():
    for id, axis in AXES.items():
        for value in plausible_values(id):
            assert axis.domain.accepts(value)
            assert axis.enforceable(value)
    assert plausible_values("grid") == ("uniform",)
    assert plausible_values("baseline_weights") == ()


def spanned(runs: Path, paper: Declared, answer: Callable[[Any], Any], until: float = math.inf) -> tuple[Span, Any]:
    executor = FakeExecutor(runs, answer)
    held = Laboratory(runs / "studies" / "x", Conditions(runs), executor, Silent, lambda cell: {}, until)
    found = completed("a paper", paper, run_side(), ANYTHING, legality())
    return span_of("A", found, (0,), legality(), held), executor


OPEN = {"batch_norm": NOT_REPORTED, "pooling": NOT_REPORTED, "weight_granularity": NOT_REPORTED}


def answer(card: Any) -> float:
    """Two axes each move the score; together they move it by more than their sum."""
    pooled, shared = card.values["pooling"] != "requantized", card.values["weight_granularity"] == "per-tensor"
    return 0.7 + 0.03 * pooled - 0.1 * shared - 0.02 * (card.values["batch_norm"] == "float") * (1 + shared)


def test_the_span_is_one_axis_at_a_time_and_the_extremes_together(tmp_path):
    found, executor = spanned(tmp_path, reported(**OPEN), answer)
    alone = {tuple(one.values.items()): one.difference.estimate for one in found.tried if len(one.values) == 1}
    assert alone[("batch_norm", "float"),] == pytest.approx(-0.02)
    assert alone[("weight_granularity", "per-tensor"),] == pytest.approx(-0.1)
    assert alone[("pooling", "full-precision"),] == pytest.approx(0.03)
    assert found.lowest is not None
    assert found.lowest.values == {"weight_granularity": "per-tensor", "batch_norm": "float"}
    assert found.lowest.difference.estimate == pytest.approx(-0.14)
    assert found.highest is not None
    assert found.highest.difference.estimate == pytest.approx(0.03)
    assert len(executor.submitted) == 1 + len(found.tried)
    assert found.asked == len(found.tried)
    # Scales for each group need a size of groups, which is reported to be none.
    assert ("weight_granularity", "per-group") not in {key[0] for key in alone}
    again, executor = spanned(tmp_path, reported(**OPEN), answer)
    assert executor.submitted == []
    assert [one.values for one in again.tried] == [one.values for one in found.tried]


def test_a_variant_that_diverges_is_named_and_left_out(tmp_path):
    def diverging(card: Any) -> Any:
        bad = card.values["batch_norm"] == "float"
        return {"status": Status.DIVERGED, "message": "lost"} if bad else answer(card)

    found, _ = spanned(tmp_path, reported(**OPEN), diverging)
    assert found.left_out == ("batch_norm.float.s0: diverged",)
    assert all("batch_norm" not in one.values for one in found.tried)


def test_an_axis_of_which_nothing_else_may_be_is_said_to_be_settled(tmp_path):
    found, _ = spanned(tmp_path, reported(grid=NOT_REPORTED, batch_norm=NOT_REPORTED), answer)
    assert found.settled == ("grid",)
    assert found.highest is None


def test_a_budget_that_is_over_leaves_variants_out(tmp_path):
    found, executor = spanned(tmp_path, reported(**OPEN), answer, until=0.0)
    assert executor.submitted == []
    assert found.tried == ()
    assert found.left_out == ("taken.s0: not run yet",)
    assert found.asked > 0
