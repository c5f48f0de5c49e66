"""Axes of the section "mixed precision": how many bits, who chooses them, and what they count."""

from __future__ import annotations

from suite.axes.axis import Axis, Cost, Observation, Section
from suite.axes.domains import Choice, IntegerSet, Number

SECTION = Section.MIXED_PRECISION

PAPER = "confounding-tradeoffs §2.3"
ARITHMETIC = "general knowledge of integer arithmetic"
HARDWARE = "general knowledge of accelerators"

# Bit-widths a grid can have; 32 means "not quantized".
GRID_BITS = (1, 2, 3, 4, 5, 6, 7, 8, 16)
FLOAT_BITS = 32

FIXED = Cost("One operand width for every layer.", PAPER)
MIXED = Cost("Hardware must run, or unpack, several operand widths.", PAPER)
ONE_BIT = Cost(
    "One bit per value: a symmetric grid is {-s, +s}, which has no zero, an asymmetric one {0, s} or {-s, 0}; products "
    "are changes of sign or selections.",
    ARITHMETIC,
)
NOT_QUANTIZED = Cost("32 bits per value and floating-point products.", HARDWARE)
STORED_BITS = Cost(
    "Memory and traffic grow with the bits; widths the hardware lacks (3, 5 …) are unpacked to the next one.", PAPER
)
BOOKKEEPING = Cost("None: it says what a reported number counts, not what is computed.", "by definition")

AXES = (
    Axis(
        id="weight_precision",
        section=SECTION,
        question="Do all weights have the same number of bits?",
        domain=Choice(("fixed", "mixed")),
        default="fixed",
        costs={"fixed": FIXED, "mixed": MIXED},
        observation=Observation(how="bits needed by the levels of every weight, first and last layer apart"),
    ),
    Axis(
        id="weight_bits",
        section=SECTION,
        question="How many bits has a weight (32: not quantized; with mixed precision: the average aimed at)?",
        domain=Number(least=1, most=32, integral_as_int=True),
        default=8,
        costs={"1": ONE_BIT, "32": NOT_QUANTIZED},
        other_cost=STORED_BITS,
        observation=Observation(how="number of levels of every weight, and their average over all weights"),
    ),
    Axis(
        id="activation_precision",
        section=SECTION,
        question="Do all activations have the same number of bits?",
        domain=Choice(("fixed", "mixed")),
        default="fixed",
        costs={"fixed": FIXED, "mixed": MIXED},
        observation=Observation(how="bits needed by the levels of every activation, first and last layer apart"),
    ),
    Axis(
        id="activation_bits",
        section=SECTION,
        question="How many bits has an activation (32: not quantized; with mixed precision: the average aimed at)?",
        domain=Number(least=1, most=32, integral_as_int=True),
        default=8,
        costs={"1": ONE_BIT, "32": NOT_QUANTIZED},
        other_cost=STORED_BITS,
        observation=Observation(how="number of levels of every activation, and their average over all feature maps"),
    ),
    Axis(
        id="allowed_bit_widths",
        section=SECTION,
        question="Which bit-widths may mixed precision choose from?",
        domain=IntegerSet(GRID_BITS, words=("any-integer",)),
        default="any-integer",
        costs={
            "any-integer": Cost("Odd widths are cast to the next wider one to compute, but save memory traffic.", PAPER)
        },
        other_cost=Cost("The listed widths have to be supported by the arithmetic, or unpacked.", PAPER),
        observation=Observation(how="the set of bit-widths found over all tensors"),
    ),
    Axis(
        id="bit_width_granularity",
        section=SECTION,
        question="Which weights share one bit-width?",
        domain=Choice(("per-layer", "per-channel", "per-weight")),
        default="per-layer",
        costs={
            "per-layer": Cost("The width changes only between layers.", PAPER),
            "per-channel": Cost("The width changes inside a layer: channels are packed and run in groups.", HARDWARE),
            "per-weight": Cost("The width of every weight has to be stored and decoded.", ARITHMETIC),
        },
        observation=Observation(how="bits needed by every channel of every weight"),
    ),
    Axis(
        id="activation_constraint",
        section=SECTION,
        question="What bounds the bits of activations: the average or the largest feature map?",
        domain=Choice(("none", "average-feature-map", "maximum-feature-map")),
        default="none",
        costs={
            "none": Cost("None: no bound is claimed.", "by definition"),
            "average-feature-map": Cost("Bounds memory traffic and computation, but not the largest buffer.", PAPER),
            "maximum-feature-map": Cost("Bounds the largest buffer, but not the traffic.", PAPER),
        },
        observation=Observation(how="largest and total size of the feature maps in bits, from their levels"),
    ),
    Axis(
        id="sign_bit",
        section=SECTION,
        question="Is the sign counted among the bits?",
        domain=Choice(("counted", "not-counted")),
        default="counted",
        costs={"counted": BOOKKEEPING, "not-counted": BOOKKEEPING},
        observation=Observation(
            how="number of levels against the declared bits: b bits without sign make twice as many"
        ),
        describable_only=frozenset({"not-counted"}),  # the suite's own figures count every sign
    ),
    Axis(
        id="scales_in_size",
        section=SECTION,
        question="Are scales and zero points counted in the reported model size?",
        domain=Choice(("counted", "not-counted")),
        default="counted",
        costs={"counted": BOOKKEEPING, "not-counted": BOOKKEEPING},
        observation=Observation(how="the size a method claims against the audit's own count with and without scales"),
    ),
)
