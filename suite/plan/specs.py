"""Plan, from a setting to grids: the bits that each axis gives to a tensor, and the specification of a quantizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from suite.axes import AXES, Section, Setting
from suite.errors import Unsupported
from suite.quantizers.spec import (
    BIT_WIDTHS,
    GradientMask,
    Granularity,
    QuantizerSpec,
    RangeRule,
    StepGradientScale,
    StepRule,
)

FLOAT_BITS = 32
_SECTIONS = (Section.QUANTIZATION_METHOD, Section.QUANTIZED_OPERATIONS, Section.MIXED_PRECISION)


@dataclass(frozen=True)
class Bits:
    """How many bits (None: float), and the axis that says so. `mixed`: the method may choose others."""

    bits: int | None
    reason: str
    mixed: bool = False


def refuse_describable(setting: Setting) -> None:
    """A card may describe more than a plan can do; the plan names the axis instead of doing something else."""
    for axis in AXES.values():
        if axis.section in _SECTIONS and not axis.enforceable(setting[axis.id]):
            raise Unsupported(
                f"{axis.id}: a card can describe '{setting[axis.id]}', but the suite cannot run it",
                hint=f"for example {axis.id}={axis.default}",
            )


def layer_bits(setting: Setting, axis: str, general: str) -> Bits:
    """The bits of an axis whose values are `same`, `8-bit` and `full-precision`."""
    value = setting[axis]
    if value == "same":
        return general_bits(setting, general)
    if value == "8-bit":
        return Bits(8, f"{axis}: 8-bit")
    return Bits(None, f"{axis}: full-precision")


def general_bits(setting: Setting, axis: str) -> Bits:
    """`weight_bits` or `activation_bits`. A mixed target is where a method starts: the nearest width it may use."""
    value = setting[axis]
    assert isinstance(value, int | float)
    if value >= FLOAT_BITS:
        return Bits(None, f"{axis}: {FLOAT_BITS}")
    if setting[axis.replace("_bits", "_precision")] != "mixed":
        return Bits(int(value), f"{axis}: {int(value)}")
    allowed = setting["allowed_bit_widths"]
    widths: tuple[int, ...] = (
        tuple(width for width in allowed if width in BIT_WIDTHS) if isinstance(allowed, tuple) else BIT_WIDTHS
    )
    if not widths:
        raise Unsupported("allowed_bit_widths: no width a grid can have", hint="use 1 to 8 or 16")
    nearest = min(widths, key=lambda width: (abs(width - value), width))
    return Bits(nearest, f"{axis}: mixed, target {value:g}", mixed=True)


def weight_spec(setting: Setting, bits: int) -> QuantizerSpec:
    """The specification of a weight quantizer; output channels are axis 0."""
    symmetric = setting["weight_symmetry"] != "asymmetric"
    without_zero = setting["weight_symmetry"] == "symmetric-without-zero"
    granularity = Granularity(str(setting["weight_granularity"]))
    group_size = setting["weight_group_size"]
    return QuantizerSpec(
        bits=bits,
        signed=symmetric,
        symmetric=symmetric,
        without_zero=without_zero,
        granularity=granularity,
        channel_axis=0,
        group_size=group_size if isinstance(group_size, int) else None,
        range_rule=RangeRule(str(setting["weight_range"])),
        **_common(setting, symmetric),
    )


def activation_spec(setting: Setting, bits: int, *, non_negative: bool, channel_axis: int) -> QuantizerSpec:
    """The specification of an activation quantizer.

    A symmetric grid drops its sign bit where values are never negative, unless the setting says `never`.
    """
    symmetric = setting["activation_symmetry"] == "symmetric"
    unsigned = non_negative and setting["unsigned_activations"] == "where-non-negative"
    granularity = Granularity(str(setting["activation_granularity"]))
    return QuantizerSpec(
        bits=bits,
        signed=symmetric and not unsigned,
        symmetric=symmetric,
        granularity=granularity,
        channel_axis=channel_axis if granularity is not Granularity.PER_TENSOR else 0,
        dynamic=setting["activation_parameters"] == "dynamic",
        range_rule=RangeRule(str(setting["activation_range"])),
        **_common(setting, symmetric),
    )


def _common(setting: Setting, symmetric: bool) -> dict[str, Any]:
    mask, scale = str(setting["gradient_mask"]), str(setting["step_gradient_scale"])
    percentile = setting["percentile"]
    assert isinstance(percentile, int | float)
    return {
        "narrow": setting["signed_range"] == "narrow",
        "extra_level": symmetric and setting["extra_level"] == "present",
        "step_rule": StepRule(str(setting["symmetric_step"])),
        "percentile": float(percentile),
        # Where nothing is learned neither value is used; these are the quantizers' own defaults.
        "mask": GradientMask.ROUND_THEN_CLIP if mask == "not-applicable" else GradientMask(mask),
        "step_gradient_scale": StepGradientScale.NONE if scale == "not-applicable" else StepGradientScale(scale),
    }
