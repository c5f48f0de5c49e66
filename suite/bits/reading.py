"""Ground floor, bits: an account that somebody else may have written, read strictly. Its sums are counted again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from suite.bits.account import BitAccount, FeatureMap, LayerBits
from suite.bits.counting import FLOAT_BITS, Convention, Widths
from suite.errors import RecordError

MOST_ROWS = 2**16
"""Layers, and feature maps, that an account may have."""
MOST_DIMENSIONS = 16
LONGEST_NAME = 1000
LARGEST = 2**53
"""Beyond this, JSON's numbers are no longer exact everywhere."""

_Word = TypeVar("_Word", bound=StrEnum)
_Row = TypeVar("_Row")


def read_account(document: object, where: str = "bits") -> BitAccount:
    """The inverse of `to_dict`: a `RecordError` where anything is missing, unknown or does not add up."""
    values = _object(document, where, {"layers", "feature_maps", *_COUNTS})
    return BitAccount(
        layers=_rows(values["layers"], f"{where}.layers", _layer),
        feature_maps=_rows(values["feature_maps"], f"{where}.feature_maps", _feature_map),
        **{name: _count(values[name], f"{where}.{name}") for name in _COUNTS},
    )


_COUNTS = ("activation_scales", "activation_zero_points", "other_numbers")
_LAYER = {
    "site", "shape", "elements", "bits", "precisions", "widths", "convention", "levels", "scales", "zero_points",
    "map_bytes", "bytes",
}  # fmt: skip


def _layer(document: object, where: str) -> LayerBits:
    values = _object(document, where, _LAYER)
    convention, levels = values["convention"], values["levels"]
    try:
        layer = LayerBits(
            site=_name(values["site"], f"{where}.site"),
            shape=_shape(values["shape"], f"{where}.shape"),
            convention=None if convention is None else _word(Convention, convention, f"{where}.convention"),
            precisions=_precisions(values["precisions"], f"{where}.precisions"),
            levels=None if levels is None else _count(levels, f"{where}.levels"),
            scales=_count(values["scales"], f"{where}.scales"),
            zero_points=_count(values["zero_points"], f"{where}.zero_points"),
            widths=_word(Widths, values["widths"], f"{where}.widths"),
        )
    except ValueError as error:
        raise RecordError(f"{where} does not add up: {str(error)[:200]}") from None
    _agrees(values, layer.to_dict(), ("elements", "bits", "map_bytes", "bytes"), where)
    return layer


def _feature_map(document: object, where: str) -> FeatureMap:
    values = _object(document, where, {"tensor", "elements", "bits", "bytes"})
    found = FeatureMap(
        tensor=_name(values["tensor"], f"{where}.tensor"),
        elements=_count(values["elements"], f"{where}.elements"),
        bits=_count(values["bits"], f"{where}.bits", most=FLOAT_BITS),
    )
    _agrees(values, found.to_dict(), ("bytes",), where)
    return found


def _agrees(said: Mapping[str, Any], counted: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    for name in names:
        value = said[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isclose(value, counted[name], rel_tol=1e-9):
            raise RecordError(f"{where}.{name} is {value!r:.60}, but the rest comes to {counted[name]}")


def _object(value: object, where: str, names: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or set(value) != names:
        raise RecordError(f"{where} needs exactly {', '.join(sorted(names))}")
    return value


def _rows(value: object, where: str, read: Callable[[object, str], _Row]) -> tuple[_Row, ...]:
    if not isinstance(value, list) or len(value) > MOST_ROWS:
        raise RecordError(f"{where} is no list of at most {MOST_ROWS:,} rows")
    return tuple(read(row, f"{where}[{position}]") for position, row in enumerate(value))


def _count(value: object, where: str, most: int = LARGEST) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise RecordError(f"{where} is {value!r:.60}, expected an integer from 0 to {most}")
    return value


def _name(value: object, where: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        raise RecordError(f"{where} is {value!r:.60}, expected a name")
    return value


def _shape(value: object, where: str) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > MOST_DIMENSIONS:
        raise RecordError(f"{where} is {value!r:.60}, expected a list of sizes")
    return tuple(_count(size, where) for size in value)


def _precisions(value: object, where: str) -> dict[int, int]:
    names = {str(bits): bits for bits in range(FLOAT_BITS + 1)}
    if not isinstance(value, Mapping) or not set(value) <= set(names):
        raise RecordError(f"{where} says how many weights have 0 to {FLOAT_BITS} bits, and nothing else")
    return {names[name]: _count(count, f"{where}.{name}") for name, count in value.items()}


def _word(words: type[_Word], value: object, where: str) -> _Word:
    try:
        return words(str(value))
    except ValueError:
        raise RecordError(f"{where} is {value!r:.60}, expected one of {', '.join(words)}") from None
