"""Axes: contradictions, values that are each legal but cannot hold together.

Every rule names the axes it joins and says in one sentence why they cannot hold together. A rule is only asked when all
of its axes have a value, so a transcribed card with gaps is checked as far as it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from suite.axes.axis import NOT_REPORTED
from suite.axes.domains import Value
from suite.axes.mixed_precision import FLOAT_BITS, GRID_BITS
from suite.axes.quantization_method import GIVEN_RANGES

Values = Mapping[str, Value]


@dataclass(frozen=True)
class Rule:
    """`broken(values)` is True when the values of `axes` contradict each other."""

    axes: tuple[str, ...]
    sentence: str
    broken: Callable[[Values], bool]


@dataclass(frozen=True)
class Contradiction:
    """A rule that some values break."""

    axes: tuple[str, ...]
    sentence: str

    def __str__(self) -> str:
        return f"{', '.join(self.axes)}: {self.sentence}"


LEARNED = ("learned-step", "learned-min-max")
# Whose scale each weight's grid may have, by what shares a bit-width. Any scale serves where a layer does.
_SCALES_FOR_WIDTHS = {
    "per-layer": ("per-channel", "per-tensor", "per-group", "per-weight"),
    "per-channel": ("per-channel", "per-weight"),
    "per-weight": ("per-weight", "per-tensor"),
}
FIXED_WIDTHS = (*GRID_BITS, FLOAT_BITS)
FIXED_WIDTHS_TEXT = "1-8, 16 or 32 (not quantized)"


def _number(value: Value) -> float:
    """A value that its domain has already limited to numbers."""
    if isinstance(value, str | tuple):
        raise TypeError(f"not a number: {value!r}")
    return float(value)


def _outside(values: Values, precision: str, bits: str) -> bool:
    """A mixed-precision average must lie between the lowest and the highest width that may be chosen."""
    widths = values["allowed_bit_widths"]
    offered = widths if isinstance(widths, tuple) else GRID_BITS
    return values[precision] == "mixed" and not min(offered) <= _number(values[bits]) <= max(offered)


def _no_symmetric_grid(values: Values) -> bool:
    return "symmetric" not in (values["weight_symmetry"], values["activation_symmetry"])


RULES = (
    Rule(
        ("weight_granularity", "weight_group_size"),
        "per-group scales need a group size",
        lambda v: v["weight_granularity"] == "per-group" and v["weight_group_size"] == "none",
    ),
    Rule(
        ("weight_granularity", "weight_group_size"),
        "only per-group scales have a group size",
        lambda v: v["weight_granularity"] != "per-group" and v["weight_group_size"] != "none",
    ),
    Rule(
        ("weight_granularity", "bit_width_granularity"),
        "a channel with a bit-width of its own needs a scale of its own; so does a weight, unless all grids of a "
        "tensor are nested in one, with steps that are its step times powers of two",
        lambda v: v["weight_granularity"] not in _SCALES_FOR_WIDTHS[str(v["bit_width_granularity"])],
    ),
    Rule(
        ("skip_connection", "residual_connection"),
        "the quantized sum of one block is the skip of the next: no full-precision skip beside a quantized residual",
        lambda v: v["skip_connection"] == "full-precision" and v["residual_connection"] == "quantized",
    ),
    Rule(
        ("weight_precision", "weight_bits"),
        f"fixed precision has {FIXED_WIDTHS_TEXT} bits",
        lambda v: v["weight_precision"] == "fixed" and v["weight_bits"] not in FIXED_WIDTHS,
    ),
    Rule(
        ("activation_precision", "activation_bits"),
        f"fixed precision has {FIXED_WIDTHS_TEXT} bits",
        lambda v: v["activation_precision"] == "fixed" and v["activation_bits"] not in FIXED_WIDTHS,
    ),
    Rule(
        ("weight_precision", "bit_width_granularity"),
        "with fixed precision no channel or weight has a bit-width of its own",
        lambda v: v["weight_precision"] == "fixed" and v["bit_width_granularity"] != "per-layer",
    ),
    Rule(
        ("weight_precision", "activation_precision", "allowed_bit_widths"),
        "a list of bit-widths is a choice that only mixed precision has",
        lambda v: (
            v["weight_precision"] == v["activation_precision"] == "fixed" and v["allowed_bit_widths"] != "any-integer"
        ),
    ),
    Rule(
        ("weight_precision", "weight_bits", "allowed_bit_widths"),
        "no choice among the allowed bit-widths has this average",
        lambda v: _outside(v, "weight_precision", "weight_bits"),
    ),
    Rule(
        ("activation_precision", "activation_bits", "allowed_bit_widths"),
        "no choice among the allowed bit-widths has this average",
        lambda v: _outside(v, "activation_precision", "activation_bits"),
    ),
    Rule(
        ("activation_precision", "activation_constraint"),
        "fixed activation bits leave nothing for a constraint to decide",
        lambda v: v["activation_precision"] == "fixed" and v["activation_constraint"] != "none",
    ),
    Rule(
        ("weight_bits", "weight_symmetry", "signed_range"),
        "a narrow symmetric grid of 1 bit holds nothing but zero",
        lambda v: v["weight_bits"] == 1 and v["weight_symmetry"] == "symmetric" and v["signed_range"] == "narrow",
    ),
    Rule(
        ("activation_bits", "activation_symmetry", "signed_range", "unsigned_activations"),
        "a narrow symmetric signed grid of 1 bit holds nothing but zero",
        lambda v: (
            v["activation_bits"] == 1
            and v["activation_symmetry"] == "symmetric"
            and v["signed_range"] == "narrow"
            and v["unsigned_activations"] == "never"
        ),
    ),
    Rule(
        ("extra_level", "weight_symmetry", "activation_symmetry"),
        "only symmetric grids can have the extra level, and no grid is symmetric",
        lambda v: v["extra_level"] == "present" and _no_symmetric_grid(v),
    ),
    Rule(
        ("extra_level", "signed_range"),
        "a narrow range has 2^b - 1 levels, the extra level makes 2^b + 1",
        lambda v: v["extra_level"] == "present" and v["signed_range"] == "narrow",
    ),
    Rule(
        ("signed_range", "extra_level", "weight_symmetry", "activation_symmetry"),
        "the range of the codes of a symmetric grid is chosen, but no grid is symmetric",
        lambda v: v["signed_range"] == "full" and v["extra_level"] == "absent" and _no_symmetric_grid(v),
    ),
    Rule(
        ("unsigned_activations", "activation_symmetry"),
        "only a symmetric activation grid has a sign bit that could be dropped or kept",
        lambda v: v["unsigned_activations"] == "never" and v["activation_symmetry"] == "asymmetric",
    ),
    Rule(
        ("symmetric_step", "weight_symmetry", "activation_symmetry"),
        "the step of a symmetric grid is chosen, but no grid is symmetric",
        lambda v: v["symmetric_step"] != "max-over-qmax" and _no_symmetric_grid(v),
    ),
    Rule(
        ("percentile", "weight_range", "activation_range"),
        "a percentile is chosen, but no range is a percentile",
        lambda v: v["percentile"] != 99.99 and "percentile" not in (v["weight_range"], v["activation_range"]),
    ),
    Rule(
        ("weight_range", "gradient_mask"),
        "a learned weight range needs a gradient mask",
        lambda v: v["weight_range"] in LEARNED and v["gradient_mask"] == "not-applicable",
    ),
    Rule(
        ("activation_range", "gradient_mask"),
        "a learned activation range needs a gradient mask",
        lambda v: v["activation_range"] in LEARNED and v["gradient_mask"] == "not-applicable",
    ),
    Rule(
        ("weight_range", "step_gradient_scale"),
        "a learned step needs a gradient scale ('none' is one)",
        lambda v: v["weight_range"] == "learned-step" and v["step_gradient_scale"] == "not-applicable",
    ),
    Rule(
        ("activation_range", "step_gradient_scale"),
        "a learned step needs a gradient scale ('none' is one)",
        lambda v: v["activation_range"] == "learned-step" and v["step_gradient_scale"] == "not-applicable",
    ),
    Rule(
        ("weight_range", "activation_range", "step_gradient_scale"),
        "a gradient scale is chosen, but nothing is learned",
        lambda v: (
            v["step_gradient_scale"] != "not-applicable"
            and not str(v["weight_range"]).startswith("learned")
            and not str(v["activation_range"]).startswith("learned")
        ),
    ),
    Rule(
        ("activation_parameters", "activation_range"),
        "dynamic ranges come from each input alone, so nothing can be averaged over batches, searched or learned",
        lambda v: (
            v["activation_parameters"] == "dynamic"
            and v["activation_range"] in ("ema-min-max", "output-similarity", *GIVEN_RANGES, *LEARNED)
        ),
    ),
    Rule(
        ("activation_range", "activation_symmetry"),
        "a given range has zero at its end or in its middle, so its grid is symmetric, with or without a sign bit",
        lambda v: v["activation_range"] in GIVEN_RANGES and v["activation_symmetry"] == "asymmetric",
    ),
    Rule(
        ("activation_range", "activation_granularity"),
        "a given range is the same for every channel and token, so one scale serves the whole tensor",
        lambda v: v["activation_range"] in GIVEN_RANGES and v["activation_granularity"] != "per-tensor",
    ),
    Rule(
        ("batch_norm", "batch_norm_statistics"),
        "what is folded into the weights has no statistics of its own any more",
        lambda v: v["batch_norm"] == "folded" and v["batch_norm_statistics"] != "running",
    ),
    Rule(
        ("activation_parameters", "initialization_examples"),
        "dynamic ranges come from each input alone, so no examples give them a start",
        lambda v: v["activation_parameters"] == "dynamic" and v["initialization_examples"] != "all",
    ),
    Rule(
        ("activation_granularity", "activation_parameters"),
        "tokens differ from input to input, so a scale per token is found at run time: it needs dynamic parameters",
        lambda v: v["activation_granularity"] == "per-token" and v["activation_parameters"] == "static",
    ),
    Rule(
        ("examples", "labels"),
        "without examples there are no labels",
        lambda v: v["examples"] == 0 and v["labels"] != "unlabeled",
    ),
    Rule(
        ("examples", "activation_parameters", "activation_bits"),
        "static activation ranges cannot be found without examples",
        lambda v: v["examples"] == 0 and v["activation_parameters"] == "static" and v["activation_bits"] != FLOAT_BITS,
    ),
    Rule(
        ("examples", "initialization_examples"),
        "ranges cannot start from more examples than the method may see",
        lambda v: (
            isinstance(v["examples"], int)
            and isinstance(v["initialization_examples"], int)
            and v["initialization_examples"] > v["examples"]
        ),
    ),
)


def contradictions(values: Mapping[str, Value]) -> tuple[Contradiction, ...]:
    """Every rule that these values break; rules over an axis without a value are left out."""
    known = {axis: value for axis, value in values.items() if value != NOT_REPORTED}
    return tuple(
        Contradiction(rule.axes, rule.sentence)
        for rule in RULES
        if all(axis in known for axis in rule.axes) and rule.broken(known)
    )
