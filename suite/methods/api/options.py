"""Methods API: the options of a method, as a frozen dataclass whose fields carry their own documentation and limits.

    @dataclass(frozen=True)
    class Options(Options):
        epochs: int = option(8, doc="passes over the training examples", minimum=1, maximum=10_000)
        start: Literal["lsq", "mse"] = option("lsq", doc="where the steps start")

A field's type is `int`, `float`, `bool`, `str`, a `Literal` of strings, or one of them `| None`.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from suite.errors import SuiteError
from suite.registry import suggestion

Scalar = bool | int | float | str | None


def option(
    default: Scalar, *, doc: str, minimum: float | None = None, maximum: float | None = None, file: str = ""
) -> Any:
    """A field of `Options`: its default, one sentence of documentation and, for numbers, its closed range.

    `file`: the value is the path of a file, or of a folder that holds one of this name. What the file holds then
    decides what a run is, and where it lies does not.
    """
    metadata = {"doc": doc, "minimum": minimum, "maximum": maximum, "file": file}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class OptionField:
    """One option as it is shown to people and checked against."""

    name: str
    kind: type
    default: Scalar
    doc: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    optional: bool = False
    file: str = ""

    def expectation(self) -> str:
        """What a value has to be, in words."""
        words = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}[self.kind]
        if self.choices:
            words = "one of " + ", ".join(self.choices)
        if self.minimum is not None and self.maximum is not None:
            words += f" from {_number(self.minimum)} to {_number(self.maximum)}"
        elif self.minimum is not None:
            words += f" of at least {_number(self.minimum)}"
        elif self.maximum is not None:
            words += f" of at most {_number(self.maximum)}"
        return words + (" or none" if self.optional else "")

    def check(self, value: object) -> Scalar:
        """The value in the field's own type (an integer becomes a float where a number is meant), or an error."""
        if value is None and self.optional:
            return None
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not self.kind:
            raise self._refuse(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise self._refuse(value)
        if isinstance(value, str) and self.choices and value not in self.choices:
            raise self._refuse(value, hint=suggestion(value, list(self.choices)))
        if isinstance(value, int | float) and not isinstance(value, bool):
            too_small = self.minimum is not None and value < self.minimum
            too_large = self.maximum is not None and value > self.maximum
            if too_small or too_large:
                raise self._refuse(value)
        return typing.cast(Scalar, value)

    def read(self, text: str) -> Scalar:
        """The value written as `text` on a command line."""
        text = text.strip()
        if self.optional and text == "none":
            return None
        try:
            if self.kind is bool:
                return self.check({"true": True, "false": False}[text])
            return self.check(self.kind(text))
        except (KeyError, ValueError):
            raise self._refuse(text) from None

    def _refuse(self, value: object, hint: str | None = None) -> SuiteError:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "…"
        return SuiteError(f"option '{self.name}' is {shown}, expected {self.expectation()}", hint=hint)


@dataclass(frozen=True)
class Options:
    """The options of one method. Subclasses add fields; every value is checked, however the object is made."""

    def __post_init__(self) -> None:
        for field in self.fields().values():
            object.__setattr__(self, field.name, field.check(getattr(self, field.name)))

    @classmethod
    def fields(cls) -> dict[str, OptionField]:
        """Every option, in the order of its declaration."""
        hints = typing.get_type_hints(cls)
        return {field.name: _describe(field, hints[field.name]) for field in dataclasses.fields(cls)}

    @classmethod
    def from_mapping(cls, values: Mapping[str, object], owner: str = "") -> Self:
        """Options as YAML gives them: scalars of the right type, no unknown name."""
        known = cls.fields()
        for name in values:
            cls._known(name, owner)
        return cls(**{name: known[name].check(value) for name, value in values.items()})

    @classmethod
    def read(cls, assignment: str, owner: str = "") -> tuple[str, Scalar]:
        """One "name=value" of a command line, as the name and the typed value."""
        name, equals, text = assignment.partition("=")
        if not equals:
            raise SuiteError(f"option '{assignment}' has no value", hint="write NAME=VALUE, for example epochs=4")
        return name.strip(), cls._known(name.strip(), owner).read(text)

    @classmethod
    def quick(cls) -> Self:
        """Options for a trial of a second: the contract tests run a method often. Override where defaults take long."""
        return cls()

    def to_dict(self) -> dict[str, Scalar]:
        """Every option with its value, defaults included; `from_mapping` reads it back."""
        return {name: getattr(self, name) for name in self.fields()}

    def files(self) -> dict[str, Path]:
        """The files that options name, by option; whether they are there is asked by whoever reads them."""
        found = {}
        for name, field in self.fields().items():
            value = getattr(self, name)
            if field.file and value is not None:
                path = Path(value)
                found[name] = path / field.file if path.is_dir() else path
        return found

    @classmethod
    def _known(cls, name: str, owner: str) -> OptionField:
        known = cls.fields()
        if name not in known:
            subject = f"method '{owner}'" if owner else "this method"
            hint = suggestion(str(name), list(known)) if known else "it has none"
            raise SuiteError(f"{subject} has no option '{name}'", hint=hint)
        return known[name]


def _number(bound: float) -> str:
    """A limit as people write it: 100000000 instead of 1e+08."""
    return str(int(bound)) if float(bound).is_integer() and abs(bound) < 1e15 else f"{bound:g}"


def _describe(field: dataclasses.Field[Any], hint: Any) -> OptionField:
    optional = False
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        if len(members) != 1:
            raise TypeError(f"option '{field.name}' has a type the suite cannot read: {hint}")
        optional, hint = True, members[0]
    choices: tuple[str, ...] = ()
    if typing.get_origin(hint) is typing.Literal:
        choices, hint = typing.get_args(hint), str
    if hint not in (bool, int, float, str):
        raise TypeError(f"option '{field.name}' has a type the suite cannot read: {hint}")
    if not field.metadata.get("doc"):
        raise TypeError(f"option '{field.name}' has no documentation: declare it with option(…, doc=…)")
    default = typing.cast(Scalar, field.default)
    limits = field.metadata["minimum"], field.metadata["maximum"]
    file = field.metadata["file"]
    if file and (hint is not str or choices):
        raise TypeError(f"option '{field.name}' names a file, so it is a text: declare it as str or str | None")
    return OptionField(field.name, hint, default, field.metadata["doc"], choices, *limits, optional=optional, file=file)
