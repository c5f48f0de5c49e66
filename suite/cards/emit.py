"""Cards: writing YAML. A small emitter for the few shapes a card has; what it writes, the strict loader reads back."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from suite.axes.domains import read_scalar

# Words that need no quotes anywhere: no indicator in front, and none of , [ ] { } # : that end a word inside braces.
PLAIN = re.compile(r"[A-Za-z0-9_./(+][A-Za-z0-9_ ./()+%<>=*;'’–·-]*")


def scalar(value: Any) -> str:
    """One value on one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a card never holds {value}")
        return repr(float(value))  # a NumPy scalar has a repr of its own
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(scalar(item) for item in value)}]"
    if not isinstance(value, str):
        raise TypeError(f"a card holds no {type(value).__name__} here: {value!r}")
    text = "".join(character if character.isprintable() or character == "\n" else "?" for character in value)
    if PLAIN.fullmatch(text) and text == text.strip() and read_scalar(text) == text:
        return text
    return json.dumps(text, ensure_ascii=False)


def flow_mapping(held: Mapping[str, Any]) -> str:
    """`{id: lsq, options: {}}`"""
    entries = (
        f"{key}: {flow_mapping(item) if isinstance(item, Mapping) else scalar(item)}" for key, item in held.items()
    )
    return "{" + ", ".join(entries) + "}"


def block(key: str, held: Any, indent: int = 0) -> list[str]:
    """The lines of `key: value`; mappings one key a line, lists of texts one item a line."""
    margin = " " * indent
    if isinstance(held, Mapping) and held:
        return [f"{margin}{key}:", *(line for name, item in held.items() for line in block(name, item, indent + 2))]
    if isinstance(held, Mapping):
        return [f"{margin}{key}: {{}}"]
    if isinstance(held, list | tuple) and any(isinstance(item, str) for item in held):
        return [f"{margin}{key}:", *(f"{margin}  - {scalar(item)}" for item in held)]
    return [f"{margin}{key}: {scalar(held)}"]
