"""Comparing cards: same, different in exactly these axes, or not comparable where one side is silent."""

from __future__ import annotations

from pathlib import Path

from suite.axes import AXES
from suite.cards import diff_cards, load_card, new_card, parse_card
from suite.cards.card import NOT_REPORTED

CARDS = Path(__file__).parents[2] / "cards"


def test_the_same_setting_under_another_title_is_the_same():
    found = diff_cards(parse_card(new_card(title="one")), parse_card(new_card(title="two")))
    assert found.same
    assert found.sentence() == "same setting"
    assert found.besides == ()


def test_exactly_the_changed_axes_are_named():
    right = new_card("lsq", values={"weight_bits": 4, "time_limit": 2})
    found = diff_cards(parse_card(new_card()), parse_card(right))
    assert not found.same
    assert [str(one) for one in found.differences] == ["weight_bits: 8 -> 4", "time_limit: 1.0 -> 2.0"]
    assert found.unknown == ()
    assert [str(one) for one in found.besides] == ["method: rtn -> lsq"]
    assert found.sentence() == "different in 2 axes"


def test_results_play_no_part():
    assert diff_cards(parse_card(new_card() + "results: {score: 0.1}\n"), parse_card(new_card())).same


def test_silence_is_not_agreement():
    paper = load_card(CARDS / "published" / "confounding-tradeoffs-table3.yaml")
    found = diff_cards(paper, paper)
    assert not found.same
    assert found.differences == ()
    assert set(found.unknown) == {axis for axis, value in paper.values.items() if value == NOT_REPORTED}
    assert found.sentence().startswith(f"not comparable in {len(found.unknown)} axes")


def test_every_axis_is_the_same_different_or_unknown():
    left, right = (load_card(CARDS / "published" / f"confounding-tradeoffs-table{number}.yaml") for number in (3, 4))
    found = diff_cards(left, right)
    different = {one.axis for one in found.differences}
    assert not different & set(found.unknown)
    agreed = set(AXES) - different - set(found.unknown)
    assert all(left.values[axis] == right.values[axis] for axis in agreed)
    # The paper's own point about these two cards: what is quantized differs, the grids do not.
    assert {"skip_connection", "residual_connection", "labels", "examples"} <= different
    assert {"grid", "weight_symmetry", "weight_granularity", "pooling"} <= agreed
