"""Axes: what one axis is. A confounding tradeoff with its question, its values, their price, and how it is observed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from suite.axes.domains import Domain, Value, shown
from suite.errors import SettingError
from suite.registry import suggestion

# What a transcribed card writes where its paper is silent. A plain string, so that it survives YAML and JSON unharmed.
NOT_REPORTED = "not reported"


class Section(StrEnum):
    """The five sections of a card; the value is the key in the YAML file."""

    QUANTIZATION_METHOD = "quantization_method"
    QUANTIZED_OPERATIONS = "quantized_operations"
    MIXED_PRECISION = "mixed_precision"
    RESOURCE_COMPLEXITY = "resource_complexity"
    PRETRAINED_MODEL = "pretrained_model"

    @property
    def heading(self) -> str:
        return self.value.replace("_", " ").capitalize()


@dataclass(frozen=True)
class Cost:
    """What a value costs whoever runs the quantized model, in one sentence, and where that sentence comes from."""

    sentence: str
    source: str


@dataclass(frozen=True)
class Observation:
    """How an audit sees an axis from outside, or why it cannot: exactly one of the two is said."""

    how: str | None = None
    why_not: str | None = None

    def __post_init__(self) -> None:
        if (self.how is None) == (self.why_not is None):
            raise ValueError("an observation says either how or why not")


@dataclass(frozen=True, eq=False)
class Axis:
    """One confounding tradeoff. `costs` is keyed by the value as written; `other_cost` covers all further values."""

    id: str
    section: Section
    question: str
    domain: Domain
    default: Value
    costs: Mapping[str, Cost]
    observation: Observation
    other_cost: Cost | None = None
    describable_only: frozenset[str] = field(default_factory=frozenset)
    before: Value | None = None
    """What every run did before this was an axis, for records of that time; None where no record can lack it."""
    of_method: bool = False
    """Part of what a method is: how it chooses the numbers on a grid, at no cost to whoever runs the model.

    A comparison of methods compares exactly this, so different values are shown but do not forbid ranking.
    """

    def cost(self, value: Value) -> Cost:
        """The inference cost of a value."""
        checked = self.check(value)
        found = self.costs.get(str(checked), self.other_cost)
        if found is None:
            raise KeyError(f"axis {self.id} states no cost for {checked!r}")
        return found

    def enforceable(self, value: Value) -> bool:
        """False for a value that a card may describe but that no run can be held to."""
        return value not in self.describable_only

    def check(self, value: object) -> Value:
        """The stored form of a value, or an error that names this axis, what was expected and the nearest word."""
        if not self.domain.accepts(value):
            raise SettingError(
                f"{self.id}: expected {self.domain.describe()}, found {shown(value)}",
                axes=(self.id,),
                hint=nearest_word(value, self.domain),
            )
        return self.domain.normalise(value)


def nearest_word(value: object, domain: Domain) -> str | None:
    """A hint with the word that was probably meant; None when no word is near."""
    if not isinstance(value, str) or not domain.words:
        return None
    near = suggestion(value, list(domain.words))
    return near if near.startswith("did you mean") else None
