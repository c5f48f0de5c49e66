"""Contract: the settings on which a method is tried. One for every axis value that it claims to support."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from suite.axes import AXES, Axis, Setting, Value, plain
from suite.errors import SettingError, Unsupported
from suite.methods.api import Method

# Values tried where a domain is not a list of words.
NUMBERS: Mapping[str, tuple[Value, ...]] = {
    "weight_group_size": (8,),
    "percentile": (99.9,),
    "initialization_examples": (32,),
    "weight_bits": (2, 3, 4, 8, 32),
    "activation_bits": (2, 4, 8, 32),
    "examples": (32,),
    "time_limit": (1000.0,),
    "allowed_bit_widths": ((2, 4, 8),),
}

# What else has to change for a value to make sense.
COMPANIONS: Mapping[tuple[str, Value], Mapping[str, Value]] = {
    ("weight_granularity", "per-group"): {"weight_group_size": 8},
    ("weight_group_size", 8): {"weight_granularity": "per-group"},
    ("activation_granularity", "per-token"): {
        "activation_parameters": "dynamic",
        "activation_range": "min-max",
        "initialization_examples": "all",
    },
    ("activation_parameters", "dynamic"): {"activation_range": "min-max", "initialization_examples": "all"},
    ("weight_symmetry", "asymmetric"): {"signed_range": "narrow"},
    ("signed_range", "full"): {"weight_symmetry": "symmetric"},
    ("unsigned_activations", "never"): {"activation_symmetry": "symmetric"},
    ("activation_range", "ema-min-max"): {"activation_parameters": "static"},
    ("activation_range", "three"): {"activation_symmetry": "symmetric", "activation_granularity": "per-tensor"},
    ("batch_norm_statistics", "frozen"): {"batch_norm": "float"},
    ("batch_norm_statistics", "re-estimated"): {"batch_norm": "float"},
    ("pooling", "low-precision-integer"): {"last_layer_activations": "same"},
    ("extra_level", "present"): {"signed_range": "full", "weight_symmetry": "symmetric"},
    ("symmetric_step", "two-max-over-levels"): {"weight_symmetry": "symmetric"},
    ("examples", 32): {"initialization_examples": "all"},
    ("percentile", 99.9): {"activation_range": "percentile"},
    ("skip_connection", "full-precision"): {"residual_connection": "full-precision"},
    ("residual_connection", "quantized"): {"skip_connection": "quantized"},
    # The result of the activation function behind a sum is that sum, which has to be on a grid then.
    ("activation_function", "quantized"): {"skip_connection": "quantized", "residual_connection": "quantized"},
    ("weight_precision", "mixed"): {"weight_bits": 4},
    ("activation_precision", "mixed"): {"activation_bits": 4},
}

# Methods that ask for hundreds of examples keep their promises on this many too, in a fraction of the time.
ENOUGH_EXAMPLES = 64

# Values that leave nothing on a grid: whatever is tried beside them passes unseen.
TRIED_ALONE = (("weight_bits", 32), ("activation_bits", 32))

# Free text, or a fact about the baseline that a trial cannot vary.
NOT_TRIED = ("baseline_weights", "baseline_accuracy", "preprocessing")


@dataclass(frozen=True)
class Trial:
    """One setting to try, named after the axis value it is about; or, where `reason` is given, why none can be made."""

    axis: str
    value: Value
    setting: Setting | None
    reason: str = ""

    @property
    def name(self) -> str:
        return f"{self.axis} = {plain(self.value)}"


def base_setting(kind: type[Method]) -> Setting:
    """Where all trials start: the axes' defaults, and what the method recommends, on few examples."""
    setting = Setting.default().replace(**dict(kind.recommended))
    fewer = {
        axis: ENOUGH_EXAMPLES
        for axis in ("examples", "initialization_examples")
        if isinstance(asked := setting[axis], int) and asked > ENOUGH_EXAMPLES
    }
    return setting.replace(**fewer)


def claimed_values(kind: type[Method], axis: Axis) -> tuple[Any, ...]:
    """Values of an axis that a method claims: those it lists, or all that the suite can enforce."""
    listed = kind.supports.get(axis.id)
    values = listed if listed is not None else (*axis.domain.words, *NUMBERS.get(axis.id, ()))
    return tuple(value for value in values if axis.enforceable(value))  # type: ignore[arg-type]


def trials(kind: type[Method], axes: tuple[str, ...] | None = None) -> Iterator[Trial]:
    """A trial for every claimed value that differs from the base setting."""
    base = base_setting(kind)
    for axis in AXES.values():
        if axis.id in NOT_TRIED or (axes is not None and axis.id not in axes):
            continue
        for value in claimed_values(kind, axis):
            if base[axis.id] != value:
                yield make_trial(kind, base, axis.id, value)


def make_trial(kind: type[Method], base: Setting, axis: str, value: Value) -> Trial:
    """The base setting with one value changed, and with it what must change along."""
    try:
        setting = base.replace(**{**COMPANIONS.get((axis, value), {}), axis: value})
        kind.check_setting(setting)
    except (SettingError, Unsupported) as refused:
        return Trial(axis, value, None, str(refused))
    return Trial(axis, value, setting)


@dataclass(frozen=True)
class Group:
    """Trials whose changes do not contradict each other, and the one setting that has them all."""

    setting: Setting
    trials: tuple[Trial, ...]


def together(kind: type[Method], tried: Iterable[Trial]) -> list[Group]:
    """Put trials into few groups: each into the first that agrees with its changes, if all are supported at once."""
    base = base_setting(kind)
    groups: list[Group] = []
    for trial in tried:
        if trial.setting is None:
            continue
        changes = {axis: value for axis, value in trial.setting.values.items() if value != base[axis]}
        for place, group in enumerate(groups):
            joint = None if (trial.axis, trial.value) in TRIED_ALONE else _joint(kind, base, group, changes)
            if joint is not None:
                groups[place] = Group(joint, (*group.trials, trial))
                break
        else:
            groups.append(Group(trial.setting, (trial,)))
    return groups


def _joint(kind: type[Method], base: Setting, group: Group, changes: Mapping[str, Value]) -> Setting | None:
    if any((trial.axis, trial.value) in TRIED_ALONE for trial in group.trials):
        return None
    held = group.setting
    if any(held[axis] not in (base[axis], value) for axis, value in changes.items()):
        return None
    try:
        joint = held.replace(**changes)
        kind.check_setting(joint)
    except (SettingError, Unsupported):
        return None
    return joint
