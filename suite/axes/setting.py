"""Axes: settings. A setting is a value for every axis: immutable, checked, what a card declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from suite.axes.axis import NOT_REPORTED, Axis, Section
from suite.axes.catalogue import AXES
from suite.axes.domains import Value
from suite.axes.rules import contradictions
from suite.errors import SettingError, UnknownName
from suite.registry import suggestion


def axis_of(id: str) -> Axis:
    """The axis with this id, or an error that suggests the nearest one."""
    if id not in AXES:
        raise UnknownName(f"no axis is called '{id}'", hint=suggestion(id, list(AXES)))
    return AXES[id]


def parse_assignment(text: str) -> tuple[str, Value]:
    """Read `axis=value` as the command line writes it; lists are written `2,4,8`."""
    id, equals, written = text.partition("=")
    if not equals:
        raise SettingError(f"expected axis=value, found '{text}'", hint="for example weight_bits=4")
    axis = axis_of(id.strip())
    return axis.id, axis.check(axis.domain.parse(written.strip()))


@dataclass(frozen=True)
class Difference:
    """One axis in which two settings differ."""

    axis: str
    left: Value
    right: Value

    def __str__(self) -> str:
        return f"{self.axis}: {plain(self.left)} -> {plain(self.right)}"


def plain(value: Value) -> Any:
    """A value as JSON and YAML hold it: tuples become lists."""
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, eq=False)
class Setting:
    """A value for every axis. Building one checks each value and every contradiction."""

    values: Mapping[str, Value]

    def __post_init__(self) -> None:
        for id in self.values:
            axis_of(id)
        missing = [id for id in AXES if id not in self.values]
        if missing:
            default = plain(AXES[missing[0]].default)
            raise SettingError(
                f"no value for {', '.join(missing)}",
                axes=tuple(missing),
                hint=f"the default of {missing[0]} is {default}",
            )
        checked = {id: axis.check(self.values[id]) for id, axis in AXES.items()}
        broken = contradictions(checked)
        if broken:
            more = f"; and {len(broken) - 1} more" if len(broken) > 1 else ""
            raise SettingError(f"contradiction in {broken[0]}{more}", axes=broken[0].axes)
        object.__setattr__(self, "values", MappingProxyType(checked))

    @classmethod
    def default(cls) -> Setting:
        return cls({id: axis.default for id, axis in AXES.items()})

    @classmethod
    def from_sections(cls, sections: Mapping[str, Mapping[str, Any]]) -> Setting:
        """From the nested form that a card has: section -> axis -> value."""
        flat: dict[str, Any] = {}
        for name, held in sections.items():
            if name not in set(Section):
                raise UnknownName(
                    f"no section is called '{name}'", hint=suggestion(name, [section.value for section in Section])
                )
            for id, value in held.items():
                if axis_of(id).section != name:
                    raise SettingError(f"{id} belongs in {AXES[id].section}, not in {name}", axes=(id,))
                flat[id] = value
        return cls(flat)

    def __getitem__(self, axis: str) -> Value:
        if axis not in self.values:
            axis_of(axis)
        return self.values[axis]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Setting) and dict(self.values) == dict(other.values)

    def __hash__(self) -> int:
        return hash(tuple(self.values.items()))

    def __reduce__(self) -> tuple[type[Setting], tuple[dict[str, Value]]]:
        # A read-only view cannot be pickled or copied; the values in it can.
        return Setting, (dict(self.values),)

    def replace(self, **changes: Any) -> Setting:
        """The same setting with some values changed; checked again."""
        return Setting({**self.values, **changes})

    def differences(self, other: Setting) -> tuple[Difference, ...]:
        """The axes in which the two differ, in the order of the card."""
        return differences(self.values, other.values)

    def to_dict(self) -> dict[str, Any]:
        """Flat and ready for JSON."""
        return {id: plain(value) for id, value in self.values.items()}

    def sections(self) -> dict[str, dict[str, Any]]:
        """Nested by section and ready for YAML."""
        nested: dict[str, dict[str, Any]] = {section.value: {} for section in Section}
        for id, value in self.values.items():
            nested[AXES[id].section.value][id] = plain(value)
        return nested


def differences(left: Mapping[str, Value], right: Mapping[str, Value]) -> tuple[Difference, ...]:
    """Axes that both sides report, with different values."""
    return tuple(
        Difference(id, left[id], right[id])
        for id in AXES
        if NOT_REPORTED not in (left[id], right[id]) and left[id] != right[id]
    )
