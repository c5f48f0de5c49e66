"""Hardware: can a method obey a profile? The setting nearest to what it recommends that is legal, supported and obeys.

A method obeys if such a setting exists. It is looked for with the fewest changes: first every axis that the profile
forbids moves to the nearest value that both allow, then contradictions between axes are resolved one change at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from suite.axes import AXES, Setting, contradictions
from suite.axes.domains import Value
from suite.hardware.judge import judge, nearest
from suite.hardware.profile import WIDTHS, Profile

MOST_STATES = 2000
"""Settings that are tried before a method is said to have none; the shipped ones need a handful."""


class Combination(Protocol):
    """Values of several axes that a method does not accept together."""

    @property
    def together(self) -> Mapping[str, tuple[object, ...]]: ...
    @property
    def why(self) -> str: ...
    def concerns(self, values: Mapping[str, object]) -> bool: ...


class Requirements(Protocol):
    """What a method cannot work without."""

    @property
    def labels(self) -> bool: ...
    @property
    def examples(self) -> bool: ...


class Declaration(Protocol):
    """What a method says of settings, wherever it was read."""

    @property
    def id(self) -> str: ...
    @property
    def supports(self) -> Mapping[str, tuple[object, ...]]: ...
    @property
    def recommended(self) -> Mapping[str, object]: ...
    @property
    def refuses(self) -> Sequence[Combination]: ...
    @property
    def needs(self) -> Requirements: ...


@dataclass(frozen=True)
class Obstacle:
    """Why no setting of a method obeys: what the profile asks of these axes, and why the method cannot give it."""

    axes: tuple[str, ...]
    asked: str
    why: str


@dataclass(frozen=True)
class Reached:
    """The nearest setting that obeys, and its changes to the recommended one; or what stands in the way."""

    setting: Setting | None
    changes: Mapping[str, Value]
    obstacles: tuple[Obstacle, ...] = ()


def reach(method: Declaration, profile: Profile) -> Reached:
    """The setting of a method that obeys, nearest to what it recommends."""
    return _Search(method, profile).run()


class _Search:
    """The state of one search."""

    def __init__(self, method: Declaration, profile: Profile) -> None:
        self.method, self.profile = method, profile
        self.recommended: dict[str, Value] = {id: axis.default for id, axis in AXES.items()}
        self.recommended |= {id: AXES[id].check(value) for id, value in method.recommended.items()}

    def run(self) -> Reached:
        values, obstacles = self.moved()
        if obstacles:
            return Reached(None, {}, obstacles)
        seen, waiting = {tuple(values.items())}, deque([values])
        while waiting and len(seen) < MOST_STATES:
            values = waiting.popleft()
            problem = self.problem(values)
            if problem is None:
                setting = Setting(values)
                changes = {id: value for id, value in values.items() if value != self.recommended[id]}
                return Reached(setting, changes)
            for id in problem[0]:
                for value in self.options(id, values):
                    other = {**values, id: value}
                    key = tuple(other.items())
                    if key not in seen:
                        seen.add(key)
                        waiting.append(other)
        first = self.problem(self.moved()[0])
        axes, why = first if first is not None else ((), "no setting was found")
        return Reached(None, {}, (Obstacle(axes, self.asked(axes), why),))

    def moved(self) -> tuple[dict[str, Value], tuple[Obstacle, ...]]:
        """The recommended values, each restricted one moved to the nearest that is allowed; and axes without any."""
        values, obstacles = dict(self.recommended), []
        for id in (*(id for id in AXES if id != WIDTHS), WIDTHS):  # widths follow from what has mixed precision
            restriction = self.profile.restriction_of(id, values)
            if restriction is None and self.accepts(id, values[id]):
                continue
            if restriction is not None and restriction.admits(values[id]) and self.accepts(id, values[id]):
                continue
            best = nearest(values[id], tuple(self.options(id, values)))
            if best is None:
                obstacles.append(
                    Obstacle((id,), restriction.describe() if restriction else "any value", self.why_not(id))
                )
            else:
                values[id] = best
        return values, tuple(obstacles)

    def why_not(self, id: str) -> str:
        """Why the method has no value to offer on an axis."""
        if id == "labels" and self.method.needs.labels:
            return "the method needs labels"
        supported = self.method.supports.get(id)
        return f"the method has {', '.join(map(str, supported))}" if supported else "no run can be held to that"

    def accepts(self, id: str, value: Value) -> bool:
        """Whether the method, and the suite that holds runs to their settings, take a value of one axis."""
        supported = self.method.supports.get(id)
        if (supported is not None and value not in supported) or not AXES[id].enforceable(value):
            return False
        if id == "labels" and self.method.needs.labels and value == "unlabeled":
            return False
        return not (id == "examples" and self.method.needs.examples and value == 0)

    def options(self, id: str, values: Mapping[str, Value]) -> Iterable[Value]:
        """The values an axis can take under method and profile, as far as they can be listed; preferred ones first."""
        restriction = self.profile.restriction_of(id, values)
        listed: list[object] = [self.recommended[id], AXES[id].default]
        if restriction is not None:
            listed = [*restriction.candidates(), *listed]
        listed += [*self.method.supports.get(id, ()), *AXES[id].domain.words]
        for value in dict.fromkeys(listed):
            if not AXES[id].domain.accepts(value):
                continue
            checked = AXES[id].check(value)
            if self.accepts(id, checked) and (restriction is None or restriction.admits(checked)):
                yield checked

    def problem(self, values: Mapping[str, Value]) -> tuple[tuple[str, ...], str] | None:
        """The first thing that cannot stand: axes, and why."""
        for contradiction in contradictions(values):
            return contradiction.axes, contradiction.sentence
        for combination in self.method.refuses:
            if combination.concerns(values):
                return tuple(combination.together), combination.why
        for violation in judge(values, self.profile).violations:
            return (violation.axis,), f"the profile asks for {violation.restriction.describe()}"
        return None

    def asked(self, axes: Iterable[str]) -> str:
        held = [self.profile.restrictions[id] for id in axes if id in self.profile.restrictions]
        return "; ".join(f"{one.axis} {one.describe()}" for one in held)
