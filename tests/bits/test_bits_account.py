"""The account of a small network, counted by hand, and what a file may say of one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.bits import BitAccount, Convention, FeatureMap, LayerBits, Widths, read_account
from suite.errors import RecordError

# A first layer with a scale a channel; one whose weights have 0, 2, 3 and 5 bits; an asymmetric one with a width a
# channel; one that is removed; a last one in float.
FIRST = LayerBits("first:weight", (4, 1, 3, 3), Convention.SIGNED, {8: 36}, levels=30, scales=4)
MIXED = LayerBits(
    "mixed:weight", (2, 3, 3), Convention.SIGNED, {0: 7, 2: 6, 3: 4, 5: 1}, levels=9, scales=1,
    widths=Widths.PER_WEIGHT,
)  # fmt: skip
CHANNELS = LayerBits(
    "channels:weight", (3, 5), Convention.UNSIGNED, {4: 10, 2: 5}, levels=14, scales=1, zero_points=1,
    widths=Widths.PER_CHANNEL,
)  # fmt: skip
GONE = LayerBits("gone:weight", (6,), Convention.SIGNED, {0: 6}, levels=1)
FLOAT = LayerBits("last:weight", (2, 4), None, {32: 8})
MAPS = (FeatureMap("input", 9, 8), FeatureMap("first", 36, 3), FeatureMap("sum", 5, 0))
ACCOUNT = BitAccount((FIRST, MIXED, CHANNELS, GONE, FLOAT), MAPS, 3, 2, other_numbers=11)

WEIGHTS = [8] * 36 + [0] * 7 + [2] * 6 + [3] * 4 + [5] + [4] * 10 + [2] * 5 + [0] * 6 + [32] * 8


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.sampled_from([Widths.PER_WEIGHT, Widths.PER_CHANNEL]))
def test_a_layer_takes_what_packing_its_weights_and_its_map_takes(bits: list[int], widths: Widths) -> None:
    """Against real bytes: every weight a string of its own bits, every entry of the map the index of a width."""
    counts = {width: bits.count(width) for width in bits}
    layer = LayerBits("a:weight", (len(bits), 1), Convention.SIGNED, counts, widths=widths)
    values = "".join("1" * width for width in bits)
    different = sorted(set(bits))
    digits = len(format(len(different) - 1, "b")) if len(different) > 1 else 0
    names = "".join(format(different.index(width), "b").zfill(digits) for width in bits) if digits else ""
    assert len(names) == digits * len(bits)
    packed = [len(np.packbits(np.array([int(bit) for bit in text], dtype=np.uint8))) for text in (values, names)]
    assert [layer.weight_bytes, layer.map_bytes] == packed


def test_averages_over_every_weight() -> None:
    assert ACCOUNT.average_weight_bits() == pytest.approx(sum(WEIGHTS) / len(WEIGHTS))
    signs = 36 + (6 + 4 + 1)  # the asymmetric layer, removed weights and floats have none
    assert ACCOUNT.average_weight_bits(Convention.IMPLICIT_SIGN) == pytest.approx((sum(WEIGHTS) - signs) / len(WEIGHTS))
    assert ACCOUNT.average_weight_bits(Convention.UNSIGNED) == ACCOUNT.average_weight_bits()
    assert [layer.bits for layer in ACCOUNT.layers] == [8, pytest.approx(29 / 18), pytest.approx(50 / 15), 0, 32]


def test_bytes_of_each_layer() -> None:
    assert [layer.weight_bytes for layer in ACCOUNT.layers] == [36, 4, 7, 0, 32]  # 29 bits, 50 bits are rounded up
    # Four widths need 2 bits for each of 18 weights; two widths 1 bit for each of 3 channels.
    assert [layer.map_bytes for layer in ACCOUNT.layers] == [0, 5, 1, 0, 0]
    assert [layer.scale_bytes for layer in ACCOUNT.layers] == [16, 4, 8, 0, 0]
    assert [layer.bytes for layer in ACCOUNT.layers] == [52, 13, 16, 0, 32]


def test_bytes_of_the_model() -> None:
    assert ACCOUNT.map_bytes == 6
    assert ACCOUNT.scale_bytes == 28 + 4 * (3 + 2)
    assert ACCOUNT.model_bytes(scales=False) == 79 + 6 + 4 * 11
    assert ACCOUNT.model_bytes() == 79 + 6 + 4 * 11 + 48
    assert ACCOUNT.float_bytes == 4 * (36 + 18 + 15 + 6 + 8 + 11)
    assert ACCOUNT.stored_weight_bits == pytest.approx(8 * (52 + 13 + 16 + 32) / 83)


def test_feature_maps() -> None:
    assert ACCOUNT.average_activation_bits == pytest.approx((9 * 8 + 36 * 3) / 50)
    assert ACCOUNT.feature_map_largest_bytes == 14  # 108 bits, rounded up
    assert ACCOUNT.feature_map_total_bytes == 9 + 14


def test_a_network_without_anything_counts_nothing() -> None:
    empty = BitAccount(())
    assert (empty.average_weight_bits(), empty.model_bytes(), empty.stored_weight_bits) == (0, 0, 0)
    assert (empty.average_activation_bits, empty.feature_map_largest_bytes) == (0, 0)


def test_bit_planes_without_their_sign() -> None:
    """Three planes and a sign: 15 levels, told as three bits, counted as four."""
    layer = LayerBits("conv:weight", (10,), Convention.SIGNED, {4: 10}, levels=15, scales=1)
    assert Convention.IMPLICIT_SIGN.levels(3) == layer.levels
    assert BitAccount((layer,)).average_weight_bits(Convention.IMPLICIT_SIGN) == 3
    assert layer.weight_bytes == 5


def test_widths_that_vary_belong_to_channels_or_weights() -> None:
    with pytest.raises(ValueError, match="2 bit-widths, but one for the layer"):
        LayerBits("a", (2,), Convention.SIGNED, {1: 1, 2: 1})
    with pytest.raises(ValueError, match="3 precisions for 2 weights"):
        LayerBits("a", (2,), Convention.SIGNED, {1: 3})


def test_an_account_survives_the_way_through_json() -> None:
    assert read_account(json.loads(json.dumps(ACCOUNT.to_dict()))) == ACCOUNT


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    document: Any = copy.deepcopy(ACCOUNT.to_dict())
    holder = document
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = value
    return dict(document)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("layers",), {}, "is no list"),
        (("layers",), [{}] * (2**16 + 1), "is no list of at most 65,536 rows"),
        (("layers", 0), [], "needs exactly"),
        (("layers", 0, "colour"), "red", "needs exactly"),
        (("layers", 0, "site"), "x" * 1001, "expected a name"),
        (("layers", 0, "site"), 3, "expected a name"),
        (("layers", 0, "shape"), [36] * 17, "expected a list of sizes"),
        (("layers", 0, "shape"), [35], "36 precisions for 35 weights"),
        (("layers", 0, "shape"), [2**53, 2**53], "does not add up"),
        (("layers", 0, "shape"), [-4, -9], "expected an integer"),
        (("layers", 0, "shape"), [36.0], "expected an integer"),
        (("layers", 0, "elements"), 37, "the rest comes to 36"),
        (("layers", 0, "bits"), 7, "the rest comes to 8"),
        (("layers", 0, "bits"), "8", "the rest comes to 8"),
        (("layers", 0, "bytes"), 51, "the rest comes to 52"),
        (("layers", 1, "map_bytes"), 0, "the rest comes to 5"),
        (("layers", 1, "widths"), "per-layer", "4 bit-widths, but one for the layer"),
        (("layers", 1, "widths"), "per-row", "expected one of per-layer"),
        (("layers", 0, "convention"), "ternary", "expected one of signed"),
        (("layers", 0, "precisions"), {"33": 36}, "how many weights have 0 to 32 bits"),
        (("layers", 0, "precisions"), {"08": 36}, "how many weights have 0 to 32 bits"),
        (("layers", 0, "precisions"), {"8": True}, "expected an integer"),
        (("layers", 0, "precisions"), [8], "how many weights have 0 to 32 bits"),
        (("layers", 0, "levels"), -1, "expected an integer"),
        (("layers", 0, "scales"), True, "expected an integer"),
        (("layers", 0, "scales"), 2**60, "expected an integer"),
        (("feature_maps", 0, "bits"), 33, "from 0 to 32"),
        (("feature_maps", 0, "bytes"), 10, "the rest comes to 9"),
        (("other_numbers",), -1, "expected an integer"),
        (("more",), 1, "needs exactly"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_add_up_is_refused(path: tuple[Any, ...], value: Any, says: str) -> None:
    with pytest.raises(RecordError) as caught:
        read_account(changed(path, value))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("wrong", [None, [], "x", 3])
def test_what_is_no_account(wrong: object) -> None:
    with pytest.raises(RecordError, match="needs exactly"):
        read_account(wrong)


def test_an_account_of_a_large_network_is_small() -> None:
    """Rows, not weights, decide its size: 400 layers of a million weights with every width there is."""
    precisions = {**dict.fromkeys(range(33), 30_000), 32: 40_000}
    layers = tuple(
        LayerBits(f"layer.{index}.weight", (1000, 1000), Convention.SIGNED, precisions, 9, 1, widths=Widths.PER_WEIGHT)
        for index in range(400)
    )
    assert len(json.dumps(BitAccount(layers).to_dict())) < 400_000


@pytest.mark.parametrize("swap", [lambda one: dict(reversed(list(one.items()))), lambda one: {**one, 7: 0}])
def test_order_and_empty_widths_make_no_difference(swap: Callable[[dict[int, int]], dict[int, int]]) -> None:
    again = LayerBits("mixed:weight", (2, 3, 3), Convention.SIGNED, swap(dict(MIXED.precisions)), 9, 1, 0, MIXED.widths)
    assert again == MIXED
    assert list(again.precisions) == [0, 2, 3, 5]
    assert again.map_bytes == 5
