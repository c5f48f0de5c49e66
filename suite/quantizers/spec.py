"""Quantizers, the vocabulary: what one quantizer does, as frozen data. Free of torch, so that plans read without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from suite.errors import SuiteError

BIT_WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 16)


class Granularity(StrEnum):
    """Which elements of a tensor share one scale (and zero point)."""

    PER_TENSOR = "per-tensor"
    PER_CHANNEL = "per-channel"  # one scale per index of channel_axis: [C, 1, 1, 1] for a convolution weight
    PER_GROUP = "per-group"  # weights: [C, ceil(inputs / group_size), 1]
    PER_WEIGHT = "per-weight"  # one scale per element
    PER_TOKEN = "per-token"  # activations: one scale per vector along channel_axis, always dynamic


class StepRule(StrEnum):
    """How the largest magnitude m of a symmetric signed grid becomes the step s."""

    MAX_OVER_QMAX = "max-over-qmax"  # s = m / qmax
    TWO_MAX_OVER_LEVELS = "two-max-over-levels"  # s = 2 m / (2^bits - 1)


class RangeRule(StrEnum):
    """How the range of values becomes scale and zero point; the last three are starting points of something learned.

    `output-similarity` starts at the minimum and maximum, for a search that looks at the outputs of layers.
    """

    MIN_MAX = "min-max"
    EMA_MIN_MAX = "ema-min-max"
    PERCENTILE = "percentile"
    MSE = "mse"
    ITERATIVE_MSE = "iterative-mse"
    OUTPUT_SIMILARITY = "output-similarity"
    LEARNED_STEP = "learned-step"
    LEARNED_MIN_MAX = "learned-min-max"
    LEARNED_ROUNDING = "learned-rounding"
    UNIT = "unit"  # [0, 1], or [-1, 1] where values are negative, whatever is seen
    THREE = "three"  # [0, 3] or [-3, 3]: the lower half of what activation functions that end at 6 give


class GradientMask(StrEnum):
    """The order of clipping and rounding: equal forward, half a step apart in what the gradient lets through."""

    CLIP_THEN_ROUND = "clip-then-round"  # passes where qmin <= x/s + z <= qmax
    ROUND_THEN_CLIP = "round-then-clip"  # passes where qmin <= round(x/s) + z <= qmax


class StepGradientScale(StrEnum):
    """The factor g = 1 / sqrt(N qmax) on the gradient of a learned step: what N counts, or g = 1."""

    NONE = "none"
    FEATURES = "features"  # weights that share the step, or features of one example that share it
    ALL_ELEMENTS = "all-elements"  # the whole tensor, batch included, also where every channel has its own step
    ELEMENTS_PER_CHANNEL = "elements-per-channel"  # all elements that share the step, batch included


@dataclass(frozen=True)
class QuantizerSpec:
    """One quantizer: grid, sharing of parameters, range rule and gradient rule.

    A code k is an integer with qmin <= k <= qmax and stands for the value s (k - z). Symmetric grids have z = 0.
    `narrow` and `extra_level` concern symmetric signed grids only; all other grids use all 2^bits codes.
    `without_zero`: a symmetric signed grid whose codes are the odd numbers -(2^bits - 1), ..., -1, 1, ..., 2^bits - 1.
    The symmetric signed grid of 1 bit is an extension: the two values -s and +s, without a zero.
    """

    bits: int
    signed: bool
    symmetric: bool
    granularity: Granularity = Granularity.PER_TENSOR
    channel_axis: int = 0
    group_size: int | None = None
    narrow: bool = True
    extra_level: bool = False
    without_zero: bool = False
    step_rule: StepRule = StepRule.MAX_OVER_QMAX
    dynamic: bool = False
    range_rule: RangeRule = RangeRule.MIN_MAX
    percentile: float = 99.99
    mask: GradientMask = GradientMask.ROUND_THEN_CLIP
    step_gradient_scale: StepGradientScale = StepGradientScale.NONE

    def __post_init__(self) -> None:
        for name, kind in _ENUMS.items():
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, kind(value))
            except ValueError:
                allowed = ", ".join(kind)
                raise SuiteError(f"a quantizer cannot have {name} {value!r}", hint=f"use one of {allowed}") from None
        if type(self.bits) is not int or self.bits not in BIT_WIDTHS:  # True == 1 and 4.0 == 4
            raise SuiteError(f"a quantizer cannot have {self.bits!r} bits", hint="use 1 to 8 or 16")
        if (self.granularity is Granularity.PER_GROUP) != (self.group_size is not None):
            raise SuiteError("a group size belongs to per-group granularity, and only to it")
        if self.group_size is not None and self.group_size < 1:
            raise SuiteError(f"a group cannot have {self.group_size} weights", hint="use 1 or more")
        if self.without_zero and not (self.signed and self.symmetric and not self.extra_level):
            raise SuiteError("only a symmetric signed grid without extra level can do without zero")
        if not 50.0 < self.percentile <= 100.0:
            raise SuiteError(f"percentile {self.percentile} is outside (50, 100]")
        if self.granularity is Granularity.PER_TOKEN and not self.dynamic:
            raise SuiteError(
                "per-token scales cannot be static: tokens differ from batch to batch", hint="use dynamic parameters"
            )
        if self.dynamic and self.range_rule not in _DYNAMIC_RULES:
            raise SuiteError(
                f"dynamic parameters cannot come from {self.range_rule}, which joins several batches",
                hint="use " + ", ".join(_DYNAMIC_RULES),
            )

    @property
    def binary(self) -> bool:
        """Whether the grid is {-s, +s}: symmetric, signed, 1 bit (two's complement would leave {-s, 0})."""
        return self.bits == 1 and self.signed and self.symmetric

    @property
    def odd(self) -> bool:
        """Whether codes are odd numbers: a grid without zero of 2 bits and more (that of 1 bit is `binary`)."""
        return self.without_zero and not self.binary

    @property
    def has_extra_level(self) -> bool:
        """Whether the grid really has 2^bits + 1 levels."""
        return self.extra_level and self.signed and self.symmetric and not self.binary

    @property
    def clips_between_codes(self) -> bool:
        """Whether the largest magnitude lies half a step inside the extra level instead of on it."""
        return self.has_extra_level and self.step_rule is StepRule.TWO_MAX_OVER_LEVELS

    @property
    def qmin(self) -> int:
        """The smallest code."""
        if not self.signed:
            return 0
        if self.binary:
            return -1
        return (
            -self.qmax
            if self.symmetric and (self.narrow or self.has_extra_level or self.odd)
            else -(1 << self.bits - 1)
        )

    @property
    def qmax(self) -> int:
        """The largest code."""
        if not self.signed:
            return (1 << self.bits) - 1
        if self.binary or self.odd:
            return (1 << self.bits) - 1
        return (1 << self.bits - 1) - (0 if self.has_extra_level else 1)

    @property
    def positive_limit(self) -> int:
        """Q_P of the LSQ formulas: qmax, or on asymmetric grids qmax - qmin, however the codes are numbered."""
        return self.qmax if self.symmetric else self.qmax - self.qmin

    @property
    def levels(self) -> int:
        """How many different values the grid has."""
        return 1 << self.bits if self.binary or self.odd else self.qmax - self.qmin + 1

    @property
    def positions(self) -> int:
        """Multiples of the step from the lowest to the highest level, those between two odd codes included."""
        return self.qmax - self.qmin + 1

    @property
    def clip_limits(self) -> tuple[float, float]:
        """The limits put on x / s: the codes' limits, or half a step inside them for the extra-level quirk.

        Code that clips to +-m and rounds x / s with s = 2 m / (2^bits - 1) clips at 2^(bits-1) - 1/2, and that tie
        rounds away to the even code 2^(bits-1): this is how the extra level comes about.
        """
        if self.clips_between_codes and self.mask is GradientMask.CLIP_THEN_ROUND:
            return -(self.qmax - 0.5), self.qmax - 0.5
        return float(self.qmin), float(self.qmax)

    def step_divisor(self) -> float:
        """The number by which the largest magnitude of a symmetric grid is divided to give the step."""
        if self.signed and not (self.binary or self.odd) and self.step_rule is StepRule.TWO_MAX_OVER_LEVELS:
            return ((1 << self.bits) - 1) / 2
        return float(self.qmax)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {name: str(value) if isinstance(value, StrEnum) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> QuantizerSpec:
        """The inverse of `to_dict`; refuses unknown names."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise SuiteError(f"unknown entries of a quantizer: {', '.join(unknown)}")
        missing = sorted({"bits", "signed", "symmetric"} - set(values))
        if missing:
            raise SuiteError(f"a quantizer needs {', '.join(missing)}")
        return cls(**values)


_ENUMS: dict[str, type[StrEnum]] = {
    "granularity": Granularity,
    "step_rule": StepRule,
    "range_rule": RangeRule,
    "mask": GradientMask,
    "step_gradient_scale": StepGradientScale,
}
GIVEN_RANGES: Mapping[RangeRule, float] = {RangeRule.UNIT: 1.0, RangeRule.THREE: 3.0}
"""Ranges that depend on nothing that is seen, by where they end."""
_DYNAMIC_RULES = (RangeRule.MIN_MAX, RangeRule.PERCENTILE, RangeRule.MSE, RangeRule.ITERATIVE_MSE)
