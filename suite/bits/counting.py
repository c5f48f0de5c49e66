"""Ground floor, bits: the arithmetic. No entropy coding is assumed: a code of b bits takes b bits, however rare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

FLOAT_BITS = 32
"""Bits of a value that is on no grid, of a scale and of a zero point."""
NUMBER_BYTES = 4
"""Bytes of the same."""


class Convention(StrEnum):
    """What the bits of a code are, and so what a published number of bits counts.

    signed: each bit is -1 or +1, so b bits hold 2^b levels on both sides of zero. The sign is among the bits.
    unsigned: each bit is 0 or 1, so b bits hold 2^b levels from the lowest one up; where zero lies says a zero point.
        With an explicit sign bit, magnitudes of n bits are codes of n + 1 bits, as many as a signed code has.
    implicit-sign: magnitudes of n unsigned bits, whose signs are kept elsewhere and not counted. Zero is there once,
        so there are 2^(n+1) - 1 levels, and a code takes n + 1 bits.
    """

    SIGNED = "signed"
    UNSIGNED = "unsigned"
    IMPLICIT_SIGN = "implicit-sign"

    def levels(self, bits: int) -> int:
        """How many different values `bits` bits hold, counted in this convention; 0 bits hold one, which is zero."""
        return (1 << bits + 1) - 1 if self is Convention.IMPLICIT_SIGN else 1 << bits

    def with_sign(self, bits: int) -> int:
        """Bits that a code takes which has `bits` bits in this convention; without any, there is no sign either."""
        return bits + 1 if self is Convention.IMPLICIT_SIGN and bits > 0 else bits

    def of_code(self, bits: int, *, signed: bool) -> int:
        """What this convention counts of a code that takes `bits` bits: a sign only where the code has one."""
        has_sign = signed and 0 < bits < FLOAT_BITS
        return bits - 1 if self is Convention.IMPLICIT_SIGN and has_sign else bits


class Widths(StrEnum):
    """Which weights of a layer share one bit-width; the values of the axis bit_width_granularity."""

    PER_LAYER = "per-layer"
    PER_CHANNEL = "per-channel"
    PER_WEIGHT = "per-weight"


def bits_for(positions: int) -> int:
    """Bits that hold this many positions: ceil(log2(positions)), at least 1."""
    return max(1, int(positions - 1).bit_length())  # NumPy's integers have no bit_length


def packed_bytes(bits: int) -> int:
    """Bytes of a tensor of this many bits: values lie side by side, and only its end is filled up."""
    return -(-bits // 8)


def average(counted: Iterable[tuple[int, int]]) -> float:
    """Bits of a value, averaged over (values, bits of each): sum(n b) / sum(n); 0 where there is no value."""
    pairs = list(counted)
    return sum(count * bits for count, bits in pairs) / max(1, sum(count for count, _ in pairs))


def map_bits(entries: int, widths: int) -> int:
    """Bits of a map of `entries` precisions out of `widths` different ones: ceil(log2(widths)) for each.

    A layer with one width needs no map: its width stands in the header, like its shape, and headers are not counted.
    """
    return entries * bits_for(widths) if widths > 1 else 0


def total(precisions: Mapping[int, int]) -> int:
    """All bits of weights, given how many weights have how many bits."""
    return sum(bits * count for bits, count in precisions.items())
