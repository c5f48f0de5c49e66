"""Explained gaps: planted splits are found, what cannot be switched alone is joined, and nothing is run twice."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from study_samples import FakeExecutor, Silent

from suite.axes import Setting
from suite.errors import StudyError
from suite.records import Status
from suite.studies.explaining.legality import Legality, Limits
from suite.studies.explaining.players import Player, mixed, mixtures_to_run, mixtures_to_try, players_of
from suite.studies.explaining.run import Explanation, Laboratory, explain, explanation_id
from suite.studies.explaining.sides import Change, Declared, Side, changes, require_one_subject
from suite.studies.states import Conditions

ANYTHING = Limits({}, {}, labels=False, examples=False)
THREE = {"weight_bits": 4, "weight_granularity": "per-tensor", "batch_norm": "float"}
"""Three axes that any mixture may have."""


def declared(method: str = "rtn", options: Mapping[str, Any] | None = None, **axes: Any) -> Declared:
    return Declared(method, options or {}, dict(Setting.default().replace(**axes).values))


def side(title: str, held: Declared, **fields: Any) -> Side:
    return Side(title, held, fields.pop("task", "digits"), fields.pop("model", "digits-resnet"), **fields)


def legality(refuses: Callable[[Declared], str | None] = lambda one: None, **limits: Limits) -> Legality:
    known = {"rtn": ANYTHING, "mse": ANYTHING, **limits}
    return Legality(known, lambda every: [refuses(one) for one in every])


def laboratory(runs: Path, executor: FakeExecutor, until: float = math.inf) -> Laboratory:
    return Laboratory(runs / "studies" / "explain", Conditions(runs), executor, Silent, lambda cell: {}, until)


def explained(
    runs: Path, first: Declared, second: Declared, answer: Callable[[Any], Any], **fields: Any
) -> tuple[Explanation, FakeExecutor]:
    executor = FakeExecutor(runs, answer)
    held = laboratory(runs, executor, fields.pop("until", math.inf))
    seeds = fields.pop("seeds", (0,))
    return explain(side("one", first), side("other", second), seeds, fields.pop("legality", legality()), held), executor


def shares(explanation: Explanation) -> dict[str, float]:
    return {
        player.name: part.interval.estimate
        for player, part in zip(explanation.players, explanation.attribution.shares, strict=True)
    }


def score(card: Any, method: float = 0.0, bits: float = 0.0, granularity: float = 0.0, both: float = 0.0) -> float:
    """A score that is built of known parts: 0.6, and what each of three differences adds."""
    found = 0.6
    found += method * (card.method.id == "mse")
    found += bits * (card.values["weight_bits"] == 8) + granularity * (
        card.values["weight_granularity"] == "per-channel"
    )
    return found + both * (card.method.id == "mse" and card.values["weight_bits"] == 8)


@pytest.mark.parametrize(
    ("truth", "method"),
    [
        ({"bits": 0.10, "granularity": 0.05}, "rtn"),
        ({"method": 0.08}, "mse"),
        ({"method": 0.02, "bits": 0.10, "granularity": 0.05}, "mse"),
        ({"method": 0.02, "bits": 0.06, "both": 0.08}, "mse"),
    ],
    ids=["only axes", "only the method", "both", "interaction"],
)
def test_planted_gaps_are_split_as_they_were_built(tmp_path, truth, method):
    axes = truth.keys() - {"method"}
    first = declared(**({"weight_bits": 4, "weight_granularity": "per-tensor"} if axes else {}))
    second = declared(method, weight_range="mse" if method == "mse" else "min-max")
    found, executor = explained(tmp_path, first, second, lambda card: score(card, **truth), seeds=(0, 1))
    built = {
        "method": truth.get("method", 0.0) + truth.get("both", 0.0) / 2,
        "weight_bits": truth.get("bits", 0.0) + truth.get("both", 0.0) / 2,
        "weight_granularity": truth.get("granularity", 0.0),
    }
    assert shares(found) == pytest.approx({player.name: built[player.name] for player in found.players}, abs=1e-9)
    assert found.attribution.gap.estimate == pytest.approx(sum(truth.values()))
    for player, part in zip(found.players, found.attribution.shares, strict=True):
        assert part.resolved == (built[player.name] != 0.0)
    for part in found.attribution.interactions.values():
        assert part.resolved == (part.interval.estimate == pytest.approx(0.08))
    assert len(executor.submitted) == 2 * 2 ** len(found.players)


def test_nothing_is_run_twice_and_a_shared_cell_once(tmp_path):
    first, second = declared(**THREE), declared()
    again = explained(tmp_path, first, second, score)[0]
    found, executor = explained(tmp_path, first, second, score)
    assert executor.submitted == []
    assert shares(found) == shares(again)
    narrower, executor = explained(tmp_path, declared(weight_bits=4), second, score)
    assert executor.submitted == []  # its cells are among those of the wider explanation
    assert shares(narrower).keys() == {"weight_bits"}


def test_differences_are_the_method_its_options_and_axes_but_not_the_limit_on_time():
    first = declared(options={"a": 1, "b": 2}, weight_bits=4, time_limit=5)
    second = declared(options={"a": 1, "c": 3}, weight_range="mse", time_limit=7)
    assert changes(first, second) == (
        Change("option b", 2, None, True),
        Change("option c", None, 3, True),
        Change("weight_range", "min-max", "mse", True),
        Change("weight_bits", 4, 8, False),
    )
    players = players_of(first, second, legality())
    assert [player.name for player in players] == ["method", "weight_bits"]
    between = [mixed(first, second, players, mixture) for mixture in (1, 2)]
    assert [one.values["time_limit"] for one in between] == [7.0, 7.0]
    assert between[0].options == {"a": 1, "c": 3}
    assert between[1].options == {"a": 1, "b": 2}
    assert mixed(first, second, players, 0) == first
    assert mixed(first, second, players, 3) == second


def test_options_of_another_method_come_with_it():
    first, second = declared("rtn", {"shared": 1}), declared("mse", {"shared": 2}, weight_bits=4)
    players = players_of(first, second, legality())
    assert [change.name for change in players[0].changes] == ["method"]
    assert mixed(first, second, players, 1).options == {"shared": 2}
    assert mixed(first, second, players, 2).options == {"shared": 1}


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (
            {"weight_granularity": "per-tensor"},
            {"weight_granularity": "per-group", "weight_group_size": 16},
            "weight_granularity + weight_group_size",
        ),
        (
            {"skip_connection": "full-precision", "residual_connection": "full-precision"},
            {},
            "skip_connection + residual_connection",
        ),
    ],
    ids=["group size", "skip and residual"],
)
def test_axes_that_a_rule_joins_are_one_share_and_it_says_why(first, second, together):
    players = players_of(declared(weight_bits=4, **first), declared(**second), legality())
    assert {player.name for player in players} == {together, "weight_bits"}
    joined = next(player for player in players if player.name == together)
    assert len(joined.because) == 1
    assert next(player for player in players if player.name == "weight_bits").because == ()


def test_an_axis_that_only_one_method_supports_goes_with_the_method():
    narrow = Limits({"weight_symmetry": ("asymmetric",)}, {}, labels=False, examples=False)
    first = declared("rtn", weight_bits=4)
    second = declared("mse", weight_symmetry="asymmetric")
    players = players_of(first, second, legality(mse=narrow))
    assert [player.name for player in players] == ["method + weight_symmetry", "weight_bits"]
    assert players[0].because == ("the method mse does not support weight_symmetry = symmetric",)


def test_a_method_that_needs_labels_takes_them_along():
    needy = Limits({}, {}, labels=True, examples=True)
    second = declared("mse", labels="labeled")
    assert [p.name for p in players_of(declared(), second, legality(mse=needy))] == ["method + labels"]


@pytest.mark.parametrize("sentence", ["pooling and batch_norm do not go together", "this cannot be"])
def test_what_the_plan_refuses_joins_what_it_names_or_what_mends_it(sentence):
    def refuses(one: Declared) -> str | None:
        bad = one.values["pooling"] == "full-precision" and one.values["batch_norm"] == "folded"
        return sentence if bad else None

    first = declared(pooling="full-precision", batch_norm="float", weight_bits=4)
    players = players_of(first, declared(), legality(refuses))
    names = {player.name for player in players}
    assert names == {"pooling + batch_norm", "weight_bits"} or names == {"batch_norm + pooling", "weight_bits"}
    for mixture in range(4):
        assert refuses(mixed(first, declared(), players, mixture)) is None


def test_where_a_side_itself_cannot_be_run_it_is_said():
    with pytest.raises(StudyError, match="the second of the two cannot be run: no such pooling"):
        players_of(
            declared(),
            declared(pooling="full-precision"),
            legality(lambda one: "no such pooling" if one.values["pooling"] == "full-precision" else None),
        )


def between(card: Any) -> bool:
    """The mixture that has 8 bits, and one scale for each tensor."""
    return card.values["weight_bits"] == 8 and card.values["weight_granularity"] == "per-tensor"


CONTRADICTED = {
    "verdict": "contradicted",
    "axes": {"weight_bits": {"declared": 8, "observed": 7, "verdict": "contradicted", "evidence": "counted"}},
}


@pytest.mark.parametrize(
    "outcome",
    [
        {"status": Status.DIVERGED, "message": "not finite"},
        {"score": 0.5, "audit": CONTRADICTED},
    ],
    ids=["diverged", "contradicted"],
)
def test_a_mixture_that_cannot_be_compared_joins_what_it_kept_apart(tmp_path, outcome):
    def answer(card: Any) -> Any:
        return dict(outcome) if between(card) else score(card, bits=0.10, granularity=0.05)

    first = declared(**THREE)
    found, executor = explained(tmp_path, first, declared(), answer)
    assert {player.name for player in found.players} == {"weight_granularity + weight_bits", "batch_norm"}
    joined = next(player for player in found.players if len(player.changes) == 2)
    assert joined.because[0].startswith(("it diverged: not finite", "its audit contradicts weight_bits"))
    assert shares(found) == pytest.approx({joined.name: 0.15, "batch_norm": 0.0}, abs=1e-9)
    assert len(executor.submitted) == 8  # the coarser split needs no other cell


def test_an_end_that_cannot_be_compared_ends_it(tmp_path):
    with pytest.raises(StudyError, match="the first of the two cannot be compared: it diverged"):
        explained(
            tmp_path,
            declared(weight_bits=4),
            declared(),
            lambda card: 0.9 if card.values["weight_bits"] == 8 else {"status": Status.DIVERGED, "message": "lost"},
        )


def test_a_cell_that_failed_is_named_and_tried_again(tmp_path):
    first, second = declared(**THREE), declared()
    with pytest.raises(StudyError, match=r"2 of 8 cells failed; .*: no memory") as error:
        explained(
            tmp_path,
            first,
            second,
            lambda card: {"exit_code": 2, "says": "suite: no memory"} if between(card) else score(card),
        )
    assert "tries the others again" in str(error.value)
    _, executor = explained(tmp_path, first, second, score)
    assert len(executor.submitted) == 2


MANY = {
    "weight_bits": 4,
    "activation_bits": 4,
    "weight_granularity": "per-tensor",
    "batch_norm": "float",
    "first_layer_weights": "same",
    "last_layer_weights": "same",
    "network_input": "same",
}


def test_among_many_differences_orders_are_drawn(tmp_path):
    def answer(card: Any) -> float:
        return 0.6 + sum(0.01 * (card.values[axis] != value) for axis, value in MANY.items())

    found, executor = explained(tmp_path, declared(**MANY), declared(), answer)
    assert found.attribution.orders == 32
    assert shares(found) == pytest.approx(dict.fromkeys(MANY, 0.01), abs=1e-9)
    assert len(executor.submitted) < 2**7
    assert found.attribution.interactions == {}


def test_a_budget_that_is_over_keeps_what_was_measured_and_the_next_one_goes_on(tmp_path, monkeypatch):
    first, second = declared(**MANY), declared()
    with pytest.raises(StudyError, match="the budget was over when 0 of") as error:
        explained(tmp_path, first, second, score, until=time.monotonic() - 1.0)
    assert "--budget" in str(error.value)

    executor = FakeExecutor(tmp_path, score)
    with monkeypatch.context() as patched:  # a clock that advances by one with every cell that is begun
        clock = SimpleNamespace(monotonic=lambda: float(len(executor.submitted)))
        patched.setattr("suite.studies.run.time", clock)
        held = laboratory(tmp_path, executor, until=60.0)
        partly = explain(side("one", first), side("other", second), (0,), legality(), held)
    assert len(executor.submitted) in (60, 61)  # two at once
    assert 2 <= (partly.attribution.orders or 0) < 32
    assert sum(shares(partly).values()) == pytest.approx(partly.attribution.gap.estimate)
    whole, rest = explained(tmp_path, first, second, score)
    assert whole.attribution.orders == 32
    assert len(executor.submitted) + len(rest.submitted) == len(mixtures_to_run(7))


def test_mixtures_to_run_hold_both_ends_and_all_of_few_players():
    for count in (1, 2, 4, 6):
        assert sorted(mixtures_to_run(count)) == list(range(2**count))
    assert mixtures_to_run(0) == (0,)
    for count in (7, 20):
        assert mixtures_to_run(count)[:2] == (0, 2**count - 1)
        assert set(mixtures_to_run(count)) <= {*mixtures_to_try(count), 0, 2**count - 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "cifar10"}, "another task"),
        ({"model": "digits-vit"}, "another model"),
    ],
)
def test_a_gap_has_one_subject(change, message):
    with pytest.raises(StudyError, match=message):
        require_one_subject(side("a", declared()), side("b", declared(), **change))


def test_a_gap_has_one_float_model_and_at_least_one_difference(tmp_path):
    with pytest.raises(StudyError, match="other weights"):
        require_one_subject(side("a", declared()), side("b", declared(baseline_weights="mine.pt")))
    with pytest.raises(StudyError, match="no gap to explain"):
        explained(tmp_path, declared(time_limit=3), declared(), score)


def test_the_name_of_an_explanation_depends_on_both_sides():
    first, second = side("a", declared(weight_bits=4)), side("b", declared())
    assert explanation_id(first, second) == explanation_id(first, second)
    assert explanation_id(first, second) != explanation_id(second, first)
    assert explanation_id(first, second) != explanation_id(first, side("b", declared(options={"x": 1})))


def test_a_player_is_named_by_what_it_switches():
    method = Change("method", "rtn", "mse", True)
    ranges = Change("weight_range", "min-max", "mse", True)
    bits = Change("weight_bits", 4, 8)
    assert Player((bits,)).name == "weight_bits"
    assert Player((ranges,)).name == "method"
    assert Player((bits, method, ranges)).name == "method + weight_bits"
    assert Player((method, ranges)).joins == {"method", "weight_range"}
