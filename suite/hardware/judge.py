"""Hardware: does a setting obey a profile, and if not, which axis forbids it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from suite.axes import AXES, NOT_REPORTED
from suite.axes.domains import Value
from suite.hardware.profile import Profile, Restriction


@dataclass(frozen=True)
class Violation:
    """One axis on which a setting asks for what the hardware cannot run, with the nearest value that it can."""

    axis: str
    found: Value
    restriction: Restriction
    instead: Value | None


@dataclass(frozen=True)
class Judgement:
    """What a profile says of a setting."""

    violations: tuple[Violation, ...]
    unreported: tuple[str, ...] = ()
    """Restricted axes of which a transcribed card says nothing: whether it obeys there is unknown."""

    @property
    def obeys(self) -> bool:
        return not self.violations

    @property
    def certain(self) -> bool:
        """Whether nothing is left open."""
        return bool(self.violations) or not self.unreported


def judge(values: Mapping[str, Value], profile: Profile) -> Judgement:
    """Hold the values of a card's axes to a profile."""
    violations: list[Violation] = []
    unreported: list[str] = []
    for axis in AXES:
        restriction = profile.restriction_of(axis, values)
        if restriction is None or axis not in values:
            continue
        value = values[axis]
        if value == NOT_REPORTED:
            unreported.append(axis)
        elif not restriction.admits(value):
            violations.append(Violation(axis, value, restriction, nearest(value, restriction.candidates())))
    return Judgement(tuple(violations), tuple(unreported))


def nearest(value: Value, candidates: tuple[Value, ...]) -> Value | None:
    """Among numbers the closest, else the first, which a profile prefers."""
    numbers = [one for one in candidates if isinstance(one, int | float)]
    if isinstance(value, int | float) and numbers:
        return min(numbers, key=lambda number: abs(number - value))
    return candidates[0] if candidates else None
