"""What bits hold and take, against values that are enumerated and strings of bits that are really packed."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from suite.bits import Convention, average, bits_for, packed_bytes
from suite.bits.counting import map_bits


def values_of(digits: tuple[int, ...], bits: int) -> set[float]:
    """All values sum(b_i 2^(1 - i)) of codes of this many bits, each bit one of `digits`."""
    return {sum(b * 2.0 ** (1 - i) for i, b in enumerate(code, start=1)) for code in product(digits, repeat=bits)}


@pytest.mark.parametrize("bits", range(8))
def test_levels_are_the_values_that_codes_have(bits: int) -> None:
    magnitudes = values_of((0, 1), bits)
    assert Convention.SIGNED.levels(bits) == len(values_of((-1, 1), bits))
    assert Convention.UNSIGNED.levels(bits) == len(magnitudes)
    assert Convention.IMPLICIT_SIGN.levels(bits) == len(magnitudes | {-value for value in magnitudes})


@pytest.mark.parametrize("bits", range(1, 8))
def test_a_magnitude_and_its_sign_take_as_many_bits_as_hold_its_levels(bits: int) -> None:
    taken = Convention.IMPLICIT_SIGN.with_sign(bits)
    assert 2 ** (taken - 1) < Convention.IMPLICIT_SIGN.levels(bits) <= 2**taken
    assert Convention.IMPLICIT_SIGN.of_code(taken, signed=True) == bits


@pytest.mark.parametrize("convention", Convention)
def test_what_has_no_bits_has_no_sign_either(convention: Convention) -> None:
    assert convention.levels(0) == 1
    assert convention.with_sign(0) == 0
    assert convention.of_code(0, signed=True) == 0


@pytest.mark.parametrize(
    ("convention", "bits", "signed", "counted"),
    [
        (Convention.SIGNED, 4, True, 4),
        (Convention.UNSIGNED, 4, True, 4),
        (Convention.IMPLICIT_SIGN, 4, True, 3),
        (Convention.IMPLICIT_SIGN, 1, True, 0),
        (Convention.IMPLICIT_SIGN, 4, False, 4),
        (Convention.IMPLICIT_SIGN, 32, True, 32),
    ],
)
def test_only_a_sign_that_is_there_is_left_out(convention: Convention, bits: int, signed: bool, counted: int) -> None:
    assert convention.of_code(bits, signed=signed) == counted


@pytest.mark.parametrize(("count", "bits"), [(0, 4), (1, 1), (7, 3), (8, 3), (9, 3), (5, 8), (3, 16), (100, 0)])
def test_packed_values_take_what_packing_takes(count: int, bits: int) -> None:
    codes = np.random.default_rng(0).integers(0, 2**bits, size=count)
    string = [code >> place & 1 for code in codes for place in range(bits)]
    assert packed_bytes(count * bits) == len(np.packbits(np.array(string, dtype=np.uint8)))


@pytest.mark.parametrize(("widths", "each"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4)])
def test_an_entry_of_a_map_names_one_of_the_widths(widths: int, each: int) -> None:
    assert map_bits(10, widths) == 10 * each
    names = list(product((0, 1), repeat=each))
    assert len(names) >= widths
    assert each == 0 or len(names) // 2 < widths


@pytest.mark.parametrize(("positions", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (255, 8), (256, 8), (257, 9)])
def test_bits_for(positions: int, bits: int) -> None:
    assert bits_for(positions) == bits
    assert bits_for(np.int64(positions)) == bits


def test_an_average_weighs_every_value_once() -> None:
    values = [8] * 3 + [2] * 9
    assert average([(3, 8), (9, 2)]) == sum(values) / len(values)
    assert average(iter([(3, 8), (9, 2)])) == 3.5
    assert average([]) == 0
