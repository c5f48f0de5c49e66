"""Claims: what a published number is, and what is known of the table and the paper it stands in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from suite.axes import AXES, Value
from suite.axes.domains import read_scalar

FLOAT_BITS = 32
PROSE = "prose"
"""The table of the numbers that stand in a paper's sentences."""


class Kind(StrEnum):
    """What a table states."""

    RESULTS = "results"
    CONFIGURATION = "configuration"
    CARD = "card"


@dataclass(frozen=True)
class Quantity:
    """One value as it is printed, and as a number where it is one: `<0.2%` is the number 0.2, in %, as a bound."""

    name: str
    text: str
    number: float | None
    unit: str
    relation: str
    """`about`, `below` or `above`; empty where the number itself is meant."""

    def __str__(self) -> str:
        """As it is printed, with its unit."""
        if self.number is None or self.text.endswith(self.unit):
            return self.text
        return f"{self.text}{'' if self.unit == '%' else ' '}{self.unit}"

    @property
    def explained(self) -> str:
        """As it is printed, and the number that is meant where other words or digits stand there: `5k (5,000)`."""
        if self.number is None or (not self.relation and read_scalar(self.text.removesuffix(self.unit)) == self.number):
            return str(self)
        relation = f"{self.relation} " if self.relation else ""
        return f"{self} ({relation}{self.number:,.10g})"


@dataclass(frozen=True)
class Measure:
    """What a metric of a paper counts: the names of its one or two values, their unit, and which way is better."""

    metric: str
    values: tuple[str, ...]
    unit: str = ""
    better: str = "higher"


@dataclass(frozen=True)
class Statement:
    """What a paper says of the setting of its results, by axis, and what it leaves unstated that no axis asks for."""

    stated: Mapping[str, Value] = field(default_factory=dict)
    unstated: tuple[str, ...] = ()

    @property
    def not_reported(self) -> tuple[str, ...]:
        """The axes of which the paper says nothing."""
        return tuple(axis for axis in AXES if axis not in self.stated)


@dataclass(frozen=True)
class Table:
    """One table of a paper."""

    id: str
    title: str
    place: str
    kind: Kind
    statement: Statement
    needs: tuple[str, ...] = ()
    """The data and the weights that its own numbers need."""
    card: str = ""
    """The transcribed card that says the same."""


@dataclass(frozen=True)
class Doubt:
    """Where a paper contradicts itself, misprints, or leaves something to be inferred."""

    kind: str
    says: str
    claims: tuple[str, ...] = ()
    """Ids of claims, or of tables whose claims are all meant."""

    def concerns(self, claim: Claim) -> bool:
        return claim.id in self.claims or f"{claim.paper}/{claim.table}" in self.claims


@dataclass(frozen=True)
class Paper:
    """A paper whose numbers are here: where they were read, its tables, and its doubtful places."""

    id: str
    title: str
    authors: str
    year: int | None
    url: str
    read_from: str
    tables: tuple[Table, ...]
    measures: Mapping[str, Measure]
    prose_unstated: tuple[str, ...]
    doubts: tuple[Doubt, ...]
    file: Path = field(compare=False)

    def table(self, id: str) -> Table | None:
        return next((table for table in self.tables if table.id == id), None)


@dataclass(frozen=True)
class Claim:
    """A published number with its provenance. Empty texts and None are what the paper does not say."""

    paper: str
    table: str
    row: int
    place: str
    dataset: str
    model: str
    method: str
    setting: str
    weight_bits: float | str | None
    """A number, the word `mixed`, or None where it is not said; so with activations."""
    activation_bits: float | str | None
    metric: str
    quantities: tuple[Quantity, ...]
    note: str
    file: Path = field(compare=False)
    line: int = field(compare=False)

    @property
    def id(self) -> str:
        return f"{self.paper}/{self.table}/{self.row}"

    @property
    def is_float(self) -> bool:
        """A number of the network before anything was quantized."""
        return self.weight_bits == FLOAT_BITS and self.activation_bits in (FLOAT_BITS, None)

    @property
    def value(self) -> str:
        """The printed values, with their units."""
        return " / ".join(str(quantity) for quantity in self.quantities)

    def columns(self) -> Mapping[str, str]:
        """The columns by which claims are selected, as texts."""
        return {
            "dataset": self.dataset,
            "model": self.model,
            "method": self.method,
            "setting": self.setting,
            "w_bits": bits_text(self.weight_bits),
            "a_bits": bits_text(self.activation_bits),
            "metric": self.metric,
        }


COLUMNS = ("dataset", "model", "method", "setting", "w_bits", "a_bits", "metric")
"""The columns by which claims are selected."""


def bits_text(bits: float | str | None) -> str:
    return f"{bits:g}" if isinstance(bits, float) else bits or ""
