"""Laboratory, the audit: values as JSON knows them. No NaN, no infinity, no array scalars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"


def plain(value: Any) -> Plain:
    """`value` with array scalars as numbers, tuples as lists and non-finite numbers as text."""
    if value is None or isinstance(value, bool | int | str):
        return value if not isinstance(value, int) or isinstance(value, bool) else int(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if hasattr(value, "item"):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)
