"""Which settings obey, what forbids the others, which methods can obey, and in which order all of them are told."""

from __future__ import annotations

import pytest

from suite.axes import NOT_REPORTED, Setting
from suite.errors import SuiteError
from suite.hardware import Profile, Restriction, RunSetting, find, judge, load_profile, reach, shipped_profiles
from suite.methods import METHODS
from suite.methods.api import Method, Needs, Refusal
from suite.methods.api.declared import Declared, read_declared
from suite.registry import Entry

METHOD_IDS = METHODS.ids()


def profile_of(*restrictions: Restriction) -> Profile:
    return Profile("mine", "My chip", (), {one.axis: one for one in restrictions})


def forbidden(profile: Profile, **values: object) -> dict[str, object]:
    """Axis -> the value that would do."""
    setting = {**Setting.default().values, **values}
    return {violation.axis: violation.instead for violation in judge(setting, profile).violations}


def test_a_setting_is_held_to_lists_and_to_bounds():
    chip = profile_of(
        Restriction("weight_symmetry", allowed=("symmetric",)),
        Restriction("weight_bits", at_most=4),
        Restriction("activation_bits", allowed=(8, 4, 2)),
        Restriction("examples", at_most=512),
    )
    assert forbidden(chip, weight_bits=3, examples=512) == {}
    assert forbidden(chip) == {"weight_bits": 4, "examples": 512}
    assert forbidden(chip, weight_symmetry="asymmetric", weight_bits=4, activation_bits=3, examples=0) == {
        "weight_symmetry": "symmetric",
        "activation_bits": 4,
    }
    assert forbidden(chip, weight_bits=1, examples="full-training-set") == {"examples": 512}


def test_an_average_of_mixed_precision_is_held_to_the_widths_that_may_be_chosen():
    chip = profile_of(Restriction("weight_bits", allowed=(8, 4, 2)), Restriction("activation_bits", allowed=(8, 4)))
    mixed = {"weight_precision": "mixed", "weight_bits": 3.3, "allowed_bit_widths": (2, 4, 8)}
    assert forbidden(chip, **mixed) == {}
    assert forbidden(chip, **{**mixed, "allowed_bit_widths": (2, 3, 4)}) == {"allowed_bit_widths": (2, 4, 8)}
    assert forbidden(chip, **{**mixed, "allowed_bit_widths": "any-integer"}) == {"allowed_bit_widths": (2, 4, 8)}
    both = {**mixed, "activation_precision": "mixed", "activation_bits": 6}
    assert forbidden(chip, **both) == {"allowed_bit_widths": (4, 8)}


def test_where_mixed_precision_is_forbidden_its_widths_need_no_word():
    chip = profile_of(Restriction("weight_precision", allowed=("fixed",)), Restriction("weight_bits", allowed=(8,)))
    assert forbidden(chip, weight_precision="mixed", weight_bits=5) == {"weight_precision": "fixed"}


def test_what_a_copied_card_does_not_report_stays_open():
    chip = profile_of(Restriction("weight_bits", allowed=(8,)), Restriction("pooling", allowed=("requantized",)))
    values = {**Setting.default().values, "pooling": NOT_REPORTED}
    found = judge(values, chip)
    assert (found.obeys, found.certain, found.unreported) == (True, False, ("pooling",))
    found = judge({**values, "weight_bits": 4}, chip)
    assert (found.obeys, found.certain) == (False, True)


@pytest.mark.parametrize("id", METHOD_IDS)
def test_what_is_read_from_a_methods_source_is_what_its_class_says(id):
    read, method = read_declared(METHODS.entry(id)), METHODS.get(id)
    assert dict(read.supports) == {axis: tuple(values) for axis, values in method.supports.items()}
    assert dict(read.recommended) == dict(method.recommended)
    assert read.needs == method.needs
    assert read.refuses == tuple(method.refuses)


def test_a_method_that_computes_what_it_supports_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "computing_method.py").write_text("class M:\n    supports = dict(a=1)\nMETHOD = M\n", encoding="utf-8")
    (tmp_path / "endless_method.py").write_text(
        "A = B\nB = A\nclass M:\n    supports = A\nMETHOD = M\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name, says in (("computing_method", "is computed"), ("endless_method", "is not a constant|nested too deeply")):
        with pytest.raises(SuiteError, match=says):
            read_declared(Entry(name, f"{name}:METHOD", "a test"))


def stands(values: dict[str, object], method: type[Method], profile: Profile) -> bool:
    """Whether a setting is legal, supported and obeys, asked of those who decide it when a run begins."""
    try:
        method.check_setting(Setting(values))
    except SuiteError:
        return False
    return judge(values, profile).obeys


@pytest.mark.parametrize("profile", shipped_profiles(), ids=lambda profile: profile.id)
@pytest.mark.parametrize("id", METHOD_IDS)
def test_a_setting_that_is_said_to_obey_is_legal_supported_and_as_near_as_it_can_be(id, profile):
    method = METHODS.get(id)
    reached = reach(read_declared(METHODS.entry(id)), profile)
    if reached.setting is None:
        assert reached.obstacles
        return
    assert stands(dict(reached.setting.values), method, profile)
    recommended = {axis: method.recommended.get(axis, value) for axis, value in Setting.default().values.items()}
    assert {
        axis: value for axis, value in reached.setting.values.items() if value != recommended[axis]
    } == reached.changes
    for axis in reached.changes:  # none of the changes could have been spared
        assert not stands({**reached.setting.values, axis: recommended[axis]}, method, profile)


def test_methods_that_cannot_obey_say_which_axes_stand_in_the_way():
    signed = load_profile("tensorrt-int8")
    stopped = {id: reach(read_declared(METHODS.entry(id)), signed).obstacles for id in ("learned_bits", "bsq", "rtn")}
    assert [obstacle.axes for obstacle in stopped["learned_bits"]] == [("weight_precision", "activation_precision")]
    assert "no bits to learn" in stopped["learned_bits"][0].why
    assert [obstacle.axes for obstacle in stopped["bsq"]] == [("weight_precision",)]
    assert stopped["rtn"] == ()


def test_what_a_method_needs_can_stand_in_the_way():
    method = Declared("mine", needs=Needs(labels=True), recommended={"labels": "labeled"})
    reached = reach(method, profile_of(Restriction("labels", allowed=("unlabeled",))))
    assert [(obstacle.axes, obstacle.why) for obstacle in reached.obstacles] == [
        (("labels",), "the method needs labels")
    ]


def test_contradictions_and_refusals_are_resolved_with_the_fewest_changes():
    refusal = Refusal({"weight_granularity": ("per-tensor",), "weight_symmetry": ("symmetric",)}, why="it would not")
    method = Declared("mine", refuses=(refusal,), recommended={"skip_connection": "full-precision",
                                                               "residual_connection": "full-precision"})  # fmt: skip
    chip = profile_of(
        Restriction("weight_granularity", allowed=("per-tensor",)),
        Restriction("residual_connection", allowed=("quantized",)),
    )
    reached = reach(method, chip)
    assert reached.changes["weight_granularity"] == "per-tensor"
    assert reached.changes["skip_connection"] == "quantized"
    assert reached.changes["weight_symmetry"] != "symmetric"
    assert len(reached.changes) == 4


def run_of(name: str, method: str, lost: float | None, **more: object) -> RunSetting:
    values = {**Setting.default().values, **more.pop("values", {})}
    score = None if lost is None else 0.9 - lost
    return RunSetting(
        name, "run", method, values, **{"task": "t", "model": "m", "score": score, "float_score": 0.9, **more}
    )


def test_the_order_is_by_accuracy_on_one_subject_then_by_distance():
    chip = profile_of(Restriction("weight_bits", allowed=(8,)), Restriction("pooling", allowed=("requantized",)))
    settings = [
        run_of("far", "a", 0.0, values={"weight_bits": 4, "pooling": "full-precision"}),
        run_of("near", "a", 0.0, values={"weight_bits": 4}),
        run_of("unmeasured", "a", None),
        run_of("worse", "a", 0.02),
        run_of("better", "b", -0.01),
        run_of("elsewhere", "c", -0.5, task="another"),
        run_of("liar", "a", -0.9, contradicted=("weight_bits",)),
        run_of("liar about something else", "a", 0.01, contradicted=("labels",)),
    ]
    methods = [Declared("a"), Declared("b"), Declared("c"), Declared("d", supports={"weight_bits": (2,)}),
               Declared("e", recommended={"weight_bits": 4})]  # fmt: skip
    found = find(chip, settings, methods)
    assert [one.setting.name for one in found.settings] == [
        "elsewhere", "better", "worse", "liar about something else", "unmeasured", "liar", "near", "far",
    ]  # fmt: skip
    assert [one.obeys for one in found.settings] == [True] * 5 + [False] * 3
    assert found.subject == ("t", "m")
    assert [(one.id, one.obeys) for one in found.methods] == [
        ("b", True), ("a", True), ("c", True), ("e", True), ("d", False),
    ]  # fmt: skip
    assert [one.best.name if one.best else None for one in found.methods] == [
        "better", "worse", None, None, None,
    ]  # fmt: skip


def test_what_was_lost_has_its_interval_and_belongs_to_the_setting_that_ran():
    chip = profile_of(Restriction("weight_bits", allowed=(8,)))
    honest = run_of("honest", "a", 0.02, difference_interval=(-0.03, -0.01))
    liar = run_of("liar", "a", 0.01, difference_interval=(-0.02, 0.0), contradicted=("labels",))
    assert honest.lost_interval == (0.01, 0.03)
    assert (liar.lost, liar.lost_interval) == (None, None)
    found = find(chip, [liar, honest], [Declared("a")])
    assert [(one.setting.name, one.obeys, one.measured) for one in found.settings] == [
        ("honest", True, True), ("liar", True, False),
    ]  # fmt: skip
    assert found.methods[0].best == honest


def test_the_engineers_question_of_the_design():
    # At most 4 bits, symmetric, per tensor, integer additions, 512 unlabelled images.
    chip = profile_of(
        Restriction("weight_bits", at_most=4),
        Restriction("weight_symmetry", allowed=("symmetric",)),
        Restriction("weight_granularity", allowed=("per-tensor",)),
        Restriction("residual_connection", allowed=("quantized",)),
        Restriction("skip_connection", allowed=("quantized",)),
        Restriction("examples", at_most=512),
        Restriction("labels", allowed=("unlabeled",)),
    )
    able = {id for id in METHOD_IDS if reach(read_declared(METHODS.entry(id)), chip).setting is not None}
    assert {"rtn", "flexround", "easyquant", "mse"} <= able
    assert not able & {"lsq", "pact", "dorefa", "linear_qat", "learned_bits"}
