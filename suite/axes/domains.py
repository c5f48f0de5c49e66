"""Axes: domains, the sets of values that an axis or a field of a card may take.

A domain knows four things about its values: how to describe them in a sentence, which ones it accepts, the one form in
which they are stored (so that `8` and `8.0` are the same setting), and their JSON Schema. The messages of the card
loader and the published schema therefore come from one place and cannot drift apart.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

Value = str | int | float | tuple[int, ...]

# What a text may not hold: control characters could move the cursor of a terminal or break a one-line message.
CONTROL_CHARACTERS = "[\\u0000-\\u001f\\u007f-\\u009f]"
CONTROL_CHARACTERS_BUT_NEWLINE = "[\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f]"
LONGEST_TEXT = 2000

# YAML 1.2 core, without leading zeros: `010` is eight to one reader and ten to another, so it stays a text.
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
NUMBER = re.compile(r"[-+]?((0|[1-9][0-9]{0,17})(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][-+]?[0-9]{1,4})?")


def read_scalar(text: str) -> str | int | float | bool | None:
    """What a plain word means: YAML 1.2 core, so that `1e-3` is a number and `no`, `on`, `10:30` are texts."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if INTEGER.fullmatch(text):
        return int(text)
    if NUMBER.fullmatch(text):
        return float(text)
    lowered = text.lower()
    if lowered in (".inf", "+.inf", "-.inf", ".nan"):
        return float(lowered.replace(".", ""))
    return text


def shown(value: object) -> str:
    """A value as a message may quote it: short, on one line, nothing that a terminal would obey."""
    text = repr(value) if isinstance(value, str) else str(value)
    text = text.encode("ascii", "backslashreplace").decode("ascii") if not text.isprintable() else text
    return text if len(text) <= 60 else f"{text[:56]} …{text[-1]}"


def is_number(value: object) -> bool:
    """A finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_integer(value: object) -> bool:
    """`8.0` counts as an integer, as it does in JSON Schema."""
    return is_number(value) and float(value) == int(value)  # type: ignore[arg-type, call-overload]


class Domain(ABC):
    """A set of allowed values."""

    words: tuple[str, ...] = ()

    @abstractmethod
    def describe(self) -> str:
        """The allowed values, to be read after "expected"."""

    @abstractmethod
    def accepts(self, value: object) -> bool: ...

    @abstractmethod
    def schema(self) -> dict[str, object]:
        """JSON Schema (draft 2020-12) that accepts exactly the same values."""

    def normalise(self, value: object) -> Value:
        """The one stored form of an accepted value."""
        return value  # type: ignore[return-value]

    def parse(self, text: str) -> object:
        """A value written on the command line; whether it is allowed is for `accepts` to say."""
        return read_scalar(text)


@dataclass(frozen=True)
class Choice(Domain):
    """One of a few words."""

    words: tuple[str, ...]

    def describe(self) -> str:
        return f"one of {', '.join(self.words)}"

    def accepts(self, value: object) -> bool:
        return isinstance(value, str) and value in self.words

    def schema(self) -> dict[str, object]:
        return {"enum": list(self.words)}

    def parse(self, text: str) -> object:
        return text


@dataclass(frozen=True)
class Integer(Domain):
    """A whole number, or one of a few words."""

    minimum: int
    words: tuple[str, ...] = ()
    maximum: int = 2**53

    def describe(self) -> str:
        return " or ".join((*self.words, f"an integer of at least {self.minimum}"))

    def accepts(self, value: object) -> bool:
        if isinstance(value, str):
            return value in self.words
        return is_integer(value) and self.minimum <= value <= self.maximum  # type: ignore[operator]

    def normalise(self, value: object) -> Value:
        return value if isinstance(value, str) else int(value)  # type: ignore[call-overload]

    def schema(self) -> dict[str, object]:
        number: dict[str, object] = {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}
        return {"anyOf": [{"enum": list(self.words)}, number]} if self.words else number


@dataclass(frozen=True)
class Number(Domain):
    """A finite number in an interval, or one of a few words. `above` is an open lower end, `least` a closed one."""

    words: tuple[str, ...] = ()
    least: float | None = None
    above: float | None = None
    most: float | None = None
    integral_as_int: bool = False

    def describe(self) -> str:
        low = f"[{self.least:g}" if self.least is not None else f"({self.above:g}" if self.above is not None else "(−∞"
        high = f"{self.most:g}]" if self.most is not None else "∞)"
        bounded = (self.least, self.above, self.most) != (None, None, None)
        return " or ".join((*self.words, f"a number in {low}, {high}" if bounded else "a finite number"))

    def accepts(self, value: object) -> bool:
        if isinstance(value, str):
            return value in self.words
        if not is_number(value):
            return False
        number = float(value)  # type: ignore[arg-type]
        return (
            (self.least is None or number >= self.least)
            and (self.above is None or number > self.above)
            and (self.most is None or number <= self.most)
        )

    def normalise(self, value: object) -> Value:
        if isinstance(value, str):
            return value
        number = float(value)  # type: ignore[arg-type]
        return int(number) if self.integral_as_int and number == int(number) else number

    def schema(self) -> dict[str, object]:
        number: dict[str, object] = {"type": "number"}
        if self.least is not None:
            number["minimum"] = self.least
        if self.above is not None:
            number["exclusiveMinimum"] = self.above
        if self.most is not None:
            number["maximum"] = self.most
        return {"anyOf": [{"enum": list(self.words)}, number]} if self.words else number


@dataclass(frozen=True)
class IntegerSet(Domain):
    """At least two different integers out of a fixed list (stored sorted), or one of a few words."""

    members: tuple[int, ...]
    words: tuple[str, ...] = ()

    def describe(self) -> str:
        return " or ".join((*self.words, f"a list of two or more different integers out of {list(self.members)}"))

    def accepts(self, value: object) -> bool:
        if isinstance(value, str):
            return value in self.words
        if not isinstance(value, list | tuple) or len(value) < 2:
            return False
        return all(is_integer(item) and item in self.members for item in value) and len(set(value)) == len(value)

    def normalise(self, value: object) -> Value:
        return value if isinstance(value, str) else tuple(sorted(int(item) for item in value))  # type: ignore[attr-defined]

    def schema(self) -> dict[str, object]:
        integers = {"type": "array", "items": {"enum": list(self.members)}, "minItems": 2, "uniqueItems": True}
        return {"anyOf": [{"enum": list(self.words)}, integers]} if self.words else dict(integers)

    def parse(self, text: str) -> object:
        if text in self.words:
            return text
        return [read_scalar(item.strip()) for item in text.strip().removeprefix("[").removesuffix("]").split(",")]


@dataclass(frozen=True)
class Text(Domain):
    """Free text without control characters; `lines` allows more than one line."""

    words: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    lines: bool = False
    pattern: str | None = None
    says: str = "a text"
    longest: int = LONGEST_TEXT

    def describe(self) -> str:
        return " or ".join((*self.words, self.says))

    def accepts(self, value: object) -> bool:
        if not isinstance(value, str) or not 1 <= len(value) <= self.longest or value in self.refused:
            return False
        if re.search(CONTROL_CHARACTERS_BUT_NEWLINE if self.lines else CONTROL_CHARACTERS, value):
            return False
        return self.pattern is None or re.search(self.pattern, value) is not None

    def schema(self) -> dict[str, object]:
        control = CONTROL_CHARACTERS_BUT_NEWLINE if self.lines else CONTROL_CHARACTERS
        forbidden: list[dict[str, object]] = [{"pattern": control}]
        if self.refused:
            forbidden.append({"enum": list(self.refused)})
        schema: dict[str, object] = {"type": "string", "minLength": 1, "maxLength": self.longest}
        if self.pattern is not None:
            schema["pattern"] = self.pattern
        return {**schema, "not": {"anyOf": forbidden} if len(forbidden) > 1 else forbidden[0]}

    def parse(self, text: str) -> object:
        return text


@dataclass(frozen=True)
class Boolean(Domain):
    """true or false."""

    def describe(self) -> str:
        return "true or false"

    def accepts(self, value: object) -> bool:
        return isinstance(value, bool)

    def schema(self) -> dict[str, object]:
        return {"type": "boolean"}
