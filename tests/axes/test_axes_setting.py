"""Settings: complete, immutable, and free of contradictions."""

from __future__ import annotations

import copy
import pickle

import pytest

from suite.axes import AXES, NOT_REPORTED, Setting, axis_of, contradictions, parse_assignment
from suite.axes.rules import RULES
from suite.errors import SettingError, SuiteError, UnknownName

DEFAULT = Setting.default()
LSQ = {
    "weight_range": "learned-step",
    "activation_range": "learned-step",
    "gradient_mask": "clip-then-round",
    "step_gradient_scale": "features",
}

# One breach for every rule: the axes it must name, and the values that break it.
BREACHES = [
    ({"weight_granularity", "weight_group_size"}, {"weight_granularity": "per-group"}),
    ({"weight_granularity", "weight_group_size"}, {"weight_group_size": 64}),
    (
        {"weight_granularity", "bit_width_granularity"},
        {"weight_granularity": "per-tensor", "weight_precision": "mixed", "bit_width_granularity": "per-channel"},
    ),
    (
        {"weight_granularity", "bit_width_granularity"},
        {"weight_granularity": "per-channel", "weight_precision": "mixed", "bit_width_granularity": "per-weight"},
    ),
    ({"skip_connection", "residual_connection"}, {"skip_connection": "full-precision"}),
    ({"weight_precision", "weight_bits"}, {"weight_bits": 9}),
    ({"weight_precision", "weight_bits"}, {"weight_bits": 2.5}),
    ({"activation_precision", "activation_bits"}, {"activation_bits": 12}),
    ({"weight_precision", "bit_width_granularity"}, {"bit_width_granularity": "per-channel"}),
    ({"weight_precision", "activation_precision", "allowed_bit_widths"}, {"allowed_bit_widths": [2, 4, 8]}),
    (
        {"weight_precision", "weight_bits", "allowed_bit_widths"},
        {"weight_precision": "mixed", "weight_bits": 1.5, "allowed_bit_widths": [2, 4, 8]},
    ),
    (
        {"activation_precision", "activation_bits", "allowed_bit_widths"},
        {"activation_precision": "mixed", "activation_bits": 20},
    ),
    ({"activation_precision", "activation_constraint"}, {"activation_constraint": "maximum-feature-map"}),
    ({"weight_bits", "weight_symmetry", "signed_range"}, {"weight_bits": 1}),
    (
        {"activation_bits", "activation_symmetry", "signed_range", "unsigned_activations"},
        {"activation_bits": 1, "activation_symmetry": "symmetric", "unsigned_activations": "never"},
    ),
    (
        {"extra_level", "weight_symmetry", "activation_symmetry"},
        {"extra_level": "present", "signed_range": "full", "weight_symmetry": "asymmetric"},
    ),
    ({"extra_level", "signed_range"}, {"extra_level": "present"}),
    (
        {"signed_range", "extra_level", "weight_symmetry", "activation_symmetry"},
        {"signed_range": "full", "weight_symmetry": "asymmetric"},
    ),
    ({"unsigned_activations", "activation_symmetry"}, {"unsigned_activations": "never"}),
    (
        {"symmetric_step", "weight_symmetry", "activation_symmetry"},
        {"symmetric_step": "two-max-over-levels", "weight_symmetry": "asymmetric"},
    ),
    ({"percentile", "weight_range", "activation_range"}, {"percentile": 99.9}),
    (
        {"weight_range", "gradient_mask"},
        {**LSQ, "activation_range": "min-max", "gradient_mask": "not-applicable"},
    ),
    (
        {"activation_range", "gradient_mask"},
        {**LSQ, "weight_range": "min-max", "gradient_mask": "not-applicable"},
    ),
    (
        {"weight_range", "step_gradient_scale"},
        {**LSQ, "activation_range": "min-max", "step_gradient_scale": "not-applicable"},
    ),
    (
        {"activation_range", "step_gradient_scale"},
        {**LSQ, "weight_range": "min-max", "step_gradient_scale": "not-applicable"},
    ),
    ({"weight_range", "activation_range", "step_gradient_scale"}, {"step_gradient_scale": "features"}),
    (
        {"activation_parameters", "activation_range"},
        {"activation_parameters": "dynamic", "activation_range": "ema-min-max"},
    ),
    ({"activation_range", "activation_symmetry"}, {"activation_range": "three"}),
    (
        {"activation_range", "activation_granularity"},
        {"activation_range": "three", "activation_symmetry": "symmetric", "activation_granularity": "per-channel"},
    ),
    ({"batch_norm", "batch_norm_statistics"}, {"batch_norm_statistics": "frozen"}),
    (
        {"activation_parameters", "initialization_examples"},
        {"activation_parameters": "dynamic", "initialization_examples": 32},
    ),
    ({"activation_granularity", "activation_parameters"}, {"activation_granularity": "per-token"}),
    ({"examples", "labels"}, {"examples": 0, "labels": "labeled", "activation_parameters": "dynamic"}),
    ({"examples", "activation_parameters", "activation_bits"}, {"examples": 0}),
    ({"examples", "initialization_examples"}, {"examples": 64, "initialization_examples": 256}),
]


def with_changes(changes):
    return {**DEFAULT.values, **{axis: AXES[axis].check(value) for axis, value in changes.items()}}


@pytest.mark.parametrize(("axes", "changes"), BREACHES, ids=[" ".join(sorted(axes)) for axes, _ in BREACHES])
def test_each_breach_is_named_with_its_axes_and_nothing_else(axes, changes):
    found = contradictions(with_changes(changes))
    assert [set(one.axes) for one in found] == [axes]
    with pytest.raises(SettingError, match="contradiction in") as raised:
        DEFAULT.replace(**changes)
    assert set(raised.value.axes) == axes
    assert "\n" not in str(raised.value)


def test_every_rule_has_a_breach_above():
    broken = {one.sentence + str(one.axes) for _, changes in BREACHES for one in contradictions(with_changes(changes))}
    assert broken == {rule.sentence + str(rule.axes) for rule in RULES}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        LSQ,
        {"weight_granularity": "per-group", "weight_group_size": 32},
        {"skip_connection": "full-precision", "residual_connection": "full-precision"},
        {"skip_connection": "quantized", "residual_connection": "full-precision"},
        {"weight_bits": 1, "weight_symmetry": "asymmetric"},
        {"weight_bits": 1, "signed_range": "full"},
        {"weight_bits": 16, "activation_bits": 32},
        {"weight_precision": "mixed", "weight_bits": 3.25, "allowed_bit_widths": [2, 4, 8]},
        {"weight_precision": "mixed", "weight_bits": 2, "bit_width_granularity": "per-channel"},
        {
            "weight_precision": "mixed",
            "weight_bits": 2.1,
            "bit_width_granularity": "per-weight",
            "weight_granularity": "per-weight",
        },
        {"activation_precision": "mixed", "activation_bits": 4.2, "activation_constraint": "maximum-feature-map"},
        {"extra_level": "present", "signed_range": "full"},
        {"signed_range": "full", "weight_symmetry": "asymmetric", "activation_symmetry": "symmetric"},
        {"unsigned_activations": "never", "activation_symmetry": "symmetric"},
        {"activation_range": "percentile", "percentile": 99.9},
        {"examples": 0, "activation_parameters": "dynamic"},
        {"examples": 0, "activation_bits": 32},
        {"activation_granularity": "per-token", "activation_parameters": "dynamic"},
        {"examples": "full-training-set", "initialization_examples": 100_000},
    ],
    ids=str,
)
def test_settings_that_must_be_possible(changes):
    setting = DEFAULT.replace(**changes)
    for axis, value in changes.items():
        assert setting[axis] == (tuple(value) if isinstance(value, list) else value)


def test_rules_stay_silent_about_what_is_not_reported():
    values = {**with_changes({"skip_connection": "full-precision"}), "residual_connection": NOT_REPORTED}
    assert contradictions(values) == ()


def test_a_setting_is_complete():
    values = dict(DEFAULT.values)
    del values["weight_symmetry"]
    with pytest.raises(
        SettingError, match=r"no value for weight_symmetry \(the default of weight_symmetry is symmetric\)"
    ):
        Setting(values)
    with pytest.raises(UnknownName, match="did you mean 'weight_bits'"):
        Setting({**DEFAULT.values, "weight_bit": 4})


def test_a_setting_cannot_be_changed():
    with pytest.raises(TypeError):
        DEFAULT.values["weight_bits"] = 2
    with pytest.raises(AttributeError):
        DEFAULT.values = {}


def test_equal_settings_are_one_key_and_survive_copying_and_pickling():
    four = DEFAULT.replace(weight_bits=4)
    assert four == DEFAULT.replace(weight_bits=4.0)
    assert len({four, DEFAULT.replace(weight_bits=4.0), DEFAULT}) == 2
    assert copy.deepcopy(four) == four == pickle.loads(pickle.dumps(four))


def test_sections_and_back():
    setting = DEFAULT.replace(weight_precision="mixed", weight_bits=4, allowed_bit_widths=[2, 4, 8])
    nested = setting.sections()
    assert nested["mixed_precision"]["allowed_bit_widths"] == [2, 4, 8]
    assert Setting.from_sections(nested) == setting
    assert Setting(setting.to_dict()) == setting
    nested["mixed_precision"]["grid"] = nested["quantization_method"].pop("grid")
    with pytest.raises(SettingError, match="grid belongs in quantization_method, not in mixed_precision"):
        Setting.from_sections(nested)
    with pytest.raises(UnknownName, match="did you mean 'mixed_precision'"):
        Setting.from_sections({"mixed_precison": {}})


def test_differences_are_listed_in_the_order_of_the_card():
    other = DEFAULT.replace(time_limit=2, weight_bits=4, grid="non-uniform")
    assert [(one.axis, one.left, one.right) for one in DEFAULT.differences(other)] == [
        ("grid", "uniform", "non-uniform"),
        ("weight_bits", 8, 4),
        ("time_limit", 1.0, 2.0),
    ]
    assert DEFAULT.differences(DEFAULT.replace()) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("weight_bits=4", ("weight_bits", 4)),
        ("time_limit=1e-1", ("time_limit", 0.1)),
        ("allowed_bit_widths=8,2,4", ("allowed_bit_widths", (2, 4, 8))),
        ("allowed_bit_widths=[2, 4]", ("allowed_bit_widths", (2, 4))),
        ("allowed_bit_widths=any-integer", ("allowed_bit_widths", "any-integer")),
        ("baseline_weights=a=b", ("baseline_weights", "a=b")),
        (" examples = full-training-set", ("examples", "full-training-set")),
    ],
)
def test_assignments(text, expected):
    assert parse_assignment(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weight_bits", "expected axis=value, found 'weight_bits'"),
        ("weight_bit=4", "no axis is called 'weight_bit' (did you mean 'weight_bits'?)"),
        ("weight_bits=0", "weight_bits: expected a number in [1, 32], found 0"),
        ("weight_bits=four", "weight_bits: expected a number in [1, 32], found 'four'"),
        ("weight_symmetry=symetric", "(did you mean 'symmetric'?)"),
        ("allowed_bit_widths=2", "expected any-integer or a list of two or more different integers"),
        ("examples=-1", "expected full-training-set or an integer of at least 0, found -1"),
        ("examples=1.5", "found 1.5"),
        ("time_limit=.inf", "found inf"),
        ("baseline_weights=not reported", "found 'not reported'"),
        ("=4", "no axis is called ''"),
    ],
)
def test_bad_assignments_are_told_in_one_line(text, message):
    with pytest.raises(SuiteError) as raised:
        parse_assignment(text)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_axis_of_and_indexing_suggest():
    assert axis_of("grid") is AXES["grid"]
    with pytest.raises(UnknownName, match="did you mean 'examples'"):
        DEFAULT["exampels"]
