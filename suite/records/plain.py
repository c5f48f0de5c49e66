"""Reading wing, records: the one door between Python values and JSON.

JSON here is strict in both directions: no NaN, no infinity, no duplicate keys, bounded size and depth. A number that
is not finite is not a number a reader can compare, so a diverged run says so in its status and leaves the field null.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from enum import Enum
from typing import NoReturn, TypeAlias

import numpy as np

from suite.errors import RecordError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MAXIMUM_JSON_BYTES = 64 * 2**20
MAXIMUM_DEPTH = 32


def plain(value: object, where: str = "value", depth: int = 0) -> Json:
    """`value` as JSON data: tuples become lists, enums their values, numpy scalars Python numbers.

    Anything JSON cannot hold raises a `RecordError` that names `where` it stood.
    """
    if depth > MAXIMUM_DEPTH:
        raise RecordError(f"{where} is nested deeper than {MAXIMUM_DEPTH} levels")
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RecordError(
                f"{where} is {value}, which a record never holds", hint="a run that diverges says so in `status`"
            )
        return value
    if isinstance(value, Mapping):
        result: dict[str, Json] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise RecordError(f"{where} has a key of type {type(key).__name__}; only text can be a key")
            result[str(key.value) if isinstance(key, Enum) else key] = plain(item, f"{where}.{key}", depth + 1)
        return result
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{position}]", depth + 1) for position, item in enumerate(value)]
    raise RecordError(f"{where} is a {type(value).__name__}, which JSON cannot hold")


def canonical_json(value: object, where: str = "value") -> str:
    """The one spelling of `value`: sorted keys, no spaces, ASCII. Equal data has equal text, so it can be hashed."""
    return json.dumps(plain(value, where), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(value: object, where: str = "value") -> str:
    """SHA-256, in hexadecimal, of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value, where).encode("ascii")).hexdigest()


def pretty_json(value: object, where: str = "value") -> str:
    """JSON for people and for `diff`: indented, in the given order, one final newline."""
    return json.dumps(plain(value, where), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def parse_json(content: bytes, where: str) -> Json:
    """Read JSON that somebody else wrote. Every defect is a `RecordError` that names `where`."""
    # `plain` also refuses 1e999, which reads as infinity.
    return plain(decode_json(content, where, no_duplicates(where)), where)


Pairs: TypeAlias = "list[tuple[str, Json]]"


def no_duplicates(where: str) -> Callable[[Pairs], dict[str, Json]]:
    """A hook for `decode_json` that refuses an object which says a key twice."""

    def checked(pairs: Pairs) -> dict[str, Json]:
        result: dict[str, Json] = {}
        for key, item in pairs:
            if key in result:
                raise RecordError(f"{where} says '{key}' twice")
            result[key] = item
        return result

    return checked


def decode_json(content: bytes, where: str, of_pairs: Callable[[Pairs], dict[str, Json]] | None = None) -> object:
    """JSON of bounded size as Python values, not yet checked by `plain`; `of_pairs` makes the objects."""
    if len(content) > MAXIMUM_JSON_BYTES:
        raise RecordError(f"{where} has {len(content)} bytes, more than the {MAXIMUM_JSON_BYTES} a record may have")

    def no_constant(text: str) -> NoReturn:
        raise RecordError(f"{where} holds {text}, which a record never holds")

    try:
        return json.loads(content.decode("utf-8"), parse_constant=no_constant, object_pairs_hook=of_pairs)
    except UnicodeDecodeError as error:
        raise RecordError(f"{where} is not UTF-8 text (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise RecordError(f"{where} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise RecordError(f"{where} is nested deeper than {MAXIMUM_DEPTH} levels") from error
    except ValueError as error:  # integers with thousands of digits
        raise RecordError(f"{where} holds a number that cannot be read: {error}") from error
