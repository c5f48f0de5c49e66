"""Studies: the study as an object. What varies, what is fixed, how large it is, what is expected and what is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from suite.axes import Value

PART = "part"
"""The name by which conditions speak of the parts of a study; no factor may be called so."""

Where = Mapping[str, tuple[str, ...]]
"""A condition on cells: factor (or `part`) -> the levels that satisfy it. Unnamed factors may be anything."""

Amount = Literal["all", "majority"]


@dataclass(frozen=True)
class Choice:
    """A piece of what a run is: whatever is None or absent is left as it was.

    Options belong to their method: a choice of another method starts without the options chosen before.
    """

    card: str | None = None
    method: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    task: str | None = None
    model: str | None = None
    axes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Level:
    """One value of a factor: what it is called, and what it chooses."""

    id: str
    choice: Choice
    title: str = ""


@dataclass(frozen=True)
class Factor:
    """Something that varies: a name and its levels, in the order in which tables show them."""

    name: str
    levels: tuple[Level, ...]
    title: str = ""

    @property
    def shown(self) -> str:
        return self.title or self.name

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(level.id for level in self.levels)

    def level(self, id: str) -> Level:
        return next(level for level in self.levels if level.id == id)

    def named(self, id: str) -> str:
        """A level as a table names it: by its title, by its id, and a bare number with what it counts (`4 bits`)."""
        level = self.level(id)
        if level.title:
            return level.title
        return f"{id} {self.shown}" if id.replace(".", "", 1).isdigit() else id


@dataclass(frozen=True)
class Adjustment:
    """What is chosen, and how often it is repeated, in the cells of a condition alone."""

    where: Where
    choice: Choice = Choice()
    seeds: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Part:
    """Cells that are every combination of their factors' levels, less the excluded ones."""

    id: str
    title: str
    factors: tuple[Factor, ...]
    fixed: Choice = Choice()
    seeds: tuple[int, ...] = (0,)
    exclude: tuple[Where, ...] = ()
    adjust: tuple[Adjustment, ...] = ()

    def factor(self, name: str) -> Factor:
        return next(factor for factor in self.factors if factor.name == name)


@dataclass(frozen=True)
class WeightsNeed:
    """A weights file that the user gives, known by its hash, or by its name where nobody here knows the hash."""

    model: str
    name: str
    sha256: str = ""
    says: str = ""


@dataclass(frozen=True)
class DataNeed:
    """The data of a task, known by the task's identity hash; empty where nobody here has the data."""

    task: str
    sha256: str = ""
    says: str = ""


@dataclass(frozen=True)
class Size:
    """One of the sizes of a study: what it needs and what it changes."""

    name: str
    says: str
    weights: tuple[WeightsNeed, ...] = ()
    data: tuple[DataNeed, ...] = ()
    fixed: Choice = Choice()
    keep: tuple[Where, ...] = ()
    """Where given, only cells that satisfy one of these conditions."""
    adjust: tuple[Adjustment, ...] = ()


@dataclass(frozen=True)
class Ordering:
    """score(higher) − score(lower) > `by` in every matched pair of cells, or in the majority of them.

    With `measure`, that number of the runs takes the place of their score.
    """

    where: Where
    higher: Where
    lower: Where
    by: float = 0.0
    of: Amount = "all"
    measure: str = ""


@dataclass(frozen=True)
class Equality:
    """|score(first) − score(second)| < `margin` in every matched pair of cells, or in the majority of them."""

    where: Where
    first: Where
    second: Where
    margin: float
    of: Amount = "all"


@dataclass(frozen=True)
class Crossing:
    """`first` is ahead at an early level of the factor `along`, `second` at a later one."""

    where: Where
    first: Where
    second: Where
    along: str


@dataclass(frozen=True)
class Number:
    """A score within `tolerance` of a value; with `or_better`, a higher one is as good."""

    where: Where
    value: float
    tolerance: float
    or_better: bool = False
    same_examples: bool = False
    """The value was measured on these very test examples: no noise of the choice of examples separates them."""
    reference: str = ""


@dataclass(frozen=True)
class Quantity:
    """Something else than a score: the measure `of` the runs lies within `tolerance` of a value.

    With `or_better`, a higher one is as good.
    """

    where: Where
    of: str
    value: float
    tolerance: float
    or_better: bool = False


Test = Ordering | Equality | Crossing | Number | Quantity


@dataclass(frozen=True)
class Expectation:
    """A statement about cells that a study confirms, refutes or leaves open."""

    id: str
    says: str
    test: Test
    sizes: tuple[str, ...] = ()
    """The sizes at which it is asked; all of them where none is named."""


@dataclass(frozen=True)
class Reference:
    """Scores that somebody else measured or printed for the setting of one cell."""

    id: str
    says: str
    where: Where
    scores: tuple[float, ...]
    sizes: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        return sum(self.scores) / len(self.scores)


@dataclass(frozen=True)
class TableLayout:
    """Which factors run down a table, and which across."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    measures: tuple[str, ...] = ()
    """What stands below every score: names of `measures.py`."""


@dataclass(frozen=True)
class FigureLayout:
    """Score against the levels of a factor: one line for each level of `lines`, one panel for each of `panels`.

    With `at`, the name of a measure, a mark stands where its runs were measured, and `x` joins marks to a line.
    """

    x: str
    lines: tuple[str, ...]
    panels: tuple[str, ...] = ()
    at: str = ""
    least: float | None = None
    """The lowest score in view; what lies below is cut off, and the figure says so."""


@dataclass(frozen=True)
class Show:
    """How one part is shown."""

    part: str
    table: TableLayout
    figures: tuple[FigureLayout, ...] = ()


@dataclass(frozen=True)
class Study:
    """A checked study."""

    id: str
    title: str
    question: str
    parts: tuple[Part, ...]
    sizes: tuple[Size, ...]
    shows: tuple[Show, ...]
    summary: str = ""
    fixed: Choice = Choice()
    expectations: tuple[Expectation, ...] = ()
    references: tuple[Reference, ...] = ()
    path: Path | None = field(default=None, compare=False)
    text: str = field(default="", compare=False, repr=False)

    def size(self, name: str) -> Size:
        return next(size for size in self.sizes if size.name == name)

    def part(self, id: str) -> Part:
        return next(part for part in self.parts if part.id == id)

    def expectations_at(self, size: str) -> tuple[Expectation, ...]:
        return tuple(held for held in self.expectations if not held.sizes or size in held.sizes)

    def references_at(self, size: str) -> tuple[Reference, ...]:
        return tuple(held for held in self.references if not held.sizes or size in held.sizes)


def satisfies(where: Where, levels: Mapping[str, str]) -> bool:
    """Whether a cell with these levels (its part among them) meets a condition."""
    return all(levels.get(name) in allowed for name, allowed in where.items())
