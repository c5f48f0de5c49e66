"""Studies: what the keys of a study must agree on: names exist, tables show every cell, cells can exist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from suite.cards.text import Node
from suite.cards.walker import Walker
from suite.errors import SuiteError
from suite.registry import suggestion
from suite.studies.cells import Cell, expand
from suite.studies.matching import matched, selected
from suite.studies.read import node_at
from suite.studies.study import (
    PART,
    Crossing,
    Equality,
    Expectation,
    Number,
    Ordering,
    Part,
    Quantity,
    Show,
    Study,
    Where,
)

Path = tuple[str | int, ...]


def rule_problems(study: Study, root: Node, walker: Walker) -> None:
    """Report everything that the layout cannot say; expansion is tried only where the names are right."""
    rules = _Rules(study, root, walker)
    rules.names()
    if not walker.problems:
        rules.cells()


class _Rules:
    """The rules of one study, and where in its file each of them looks."""

    def __init__(self, study: Study, root: Node, walker: Walker) -> None:
        self.study, self.root, self.walker = study, root, walker
        self.levels: dict[str, set[str]] = {PART: {part.id for part in study.parts}}
        for part in study.parts:
            for factor in part.factors:
                self.levels.setdefault(factor.name, set()).update(factor.ids)

    def complain(self, where: Path, message: str, hint: str | None = None) -> None:
        node = node_at(self.root, *where)
        self.walker.report(node.line, node.column, message, hint)

    def names(self) -> None:
        study = self.study
        if not study.parts:
            self.complain(("parts",), "a study has at least one part")
        if not study.sizes:
            self.complain(("sizes",), "a study has at least one size", "smoke, small or paper")
        for what, ids in (
            ("parts", [part.id for part in study.parts]),
            ("references", [held.id for held in study.references]),
            ("expectations", [held.id for held in study.expectations]),
            ("shows", [held.part for held in study.shows]),
        ):
            self.unique((what,), ids)
        for at, part in enumerate(study.parts):
            self.part(part, ("parts", at))
        for size in study.sizes:
            for at, where in enumerate(size.keep):
                self.condition(where, ("sizes", size.name, "keep", at))
            for at, held in enumerate(size.adjust):
                self.condition(held.where, ("sizes", size.name, "adjust", at, "where"))
        for at, reference in enumerate(study.references):
            self.condition(reference.where, ("references", at, "where"))
            if not reference.scores:
                self.complain(("references", at, "scores"), "a reference has at least one score")
            self.sizes(reference.sizes, ("references", at, "sizes"))
        for at, expectation in enumerate(study.expectations):
            self.expectation(expectation, ("expectations", at))
        for at, show in enumerate(study.shows):
            self.show(show, ("shows", at))

    def unique(self, where: Path, ids: Sequence[str]) -> None:
        for id, count in Counter(ids).items():
            if count > 1:
                self.complain(where, f"'{id}' is given {count} times")

    def part(self, part: Part, where: Path) -> None:
        names = [factor.name for factor in part.factors]
        self.unique((*where, "varies"), names)
        if PART in names:
            self.complain((*where, "varies"), f"a factor cannot be called '{PART}'")
        if not part.seeds or len(set(part.seeds)) < len(part.seeds):
            self.complain((*where, "seeds"), "seeds are at least one number, each of them once")
        for at, factor in enumerate(part.factors):
            self.unique((*where, "varies", at), factor.ids)
        for at, condition in enumerate(part.exclude):
            self.condition(condition, (*where, "exclude", at))
        for at, held in enumerate(part.adjust):
            self.condition(held.where, (*where, "adjust", at, "where"))

    def condition(self, condition: Where, where: Path) -> None:
        for name, allowed in condition.items():
            if name not in self.levels:
                self.complain((*where, name), f"no factor is called '{name}'", suggestion(name, sorted(self.levels)))
                continue
            for level in allowed:
                if level not in self.levels[name]:
                    hint = suggestion(level, sorted(self.levels[name]))
                    self.complain((*where, name), f"{name} has no level '{level}'", hint)

    def sizes(self, sizes: Iterable[str], where: Path) -> None:
        known = [size.name for size in self.study.sizes]
        for size in sizes:
            if size not in known:
                self.complain(where, f"this study has no size '{size}'", f"it has {', '.join(known)}")

    def expectation(self, expectation: Expectation, where: Path) -> None:
        self.sizes(expectation.sizes, (*where, "sizes"))
        test = expectation.test
        if isinstance(test, Ordering):
            kind, conditions = "ordering", {"where": test.where, "higher": test.higher, "lower": test.lower}
            if not test.measure and abs(test.by) > 1:
                self.complain((*where, kind, "by"), "scores are shares of right answers: by is between -1 and 1")
        elif isinstance(test, Equality | Crossing):
            kind = "equality" if isinstance(test, Equality) else "crossing"
            conditions = {"where": test.where, "first": test.first, "second": test.second}
        else:
            kind, conditions = "number" if isinstance(test, Number) else "measure", {"where": test.where}
        for name, condition in conditions.items():
            self.condition(condition, (*where, kind, name))
        if isinstance(test, Crossing):
            self.along(test, (*where, kind, "along"))

    def along(self, test: Crossing, where: Path) -> None:
        """Both sides stand at every level of the factor along which they cross."""
        if test.along == PART:
            self.complain(where, "parts have no order; a crossing runs along a factor", "name a factor")
        elif test.along not in self.levels:
            hint = suggestion(test.along, sorted(self.levels))
            self.complain(where, f"no factor is called '{test.along}'", hint)
        elif test.along in {*test.first, *test.second}:
            self.complain(
                where,
                f"the sides are told apart by '{test.along}', so that they cannot cross along it",
                f"the sides name other factors; where: {{{test.along}: […]}} chooses levels",
            )

    def show(self, show: Show, where: Path) -> None:
        """A table or a figure that leaves out a factor would put two cells into one place."""
        if show.part not in self.levels[PART]:
            hint = suggestion(show.part, sorted(self.levels[PART]))
            self.complain((*where, "part"), f"no part is called '{show.part}'", hint)
            return
        names = [factor.name for factor in self.study.part(show.part).factors]
        layouts: list[tuple[Path, str, list[str]]] = [
            ((*where, "table"), "table", [*show.table.rows, *show.table.columns])
        ]
        layouts += [
            ((*where, "figures", at), "figure", [figure.x, *figure.lines, *figure.panels])
            for at, figure in enumerate(show.figures)
        ]
        for place, what, used in layouts:
            if sorted(used) != sorted(names):
                self.complain(
                    place, f"the {what} shows {', '.join(used)}; it has to show each factor once: {', '.join(names)}"
                )

    def cells(self) -> None:
        for size in self.study.sizes:
            try:
                cells = expand(self.study, size.name)
            except SuiteError as error:
                self.complain(("sizes", size.name), error.message, error.hint)
                continue
            for at, expectation in enumerate(self.study.expectations):
                if expectation.sizes and size.name not in expectation.sizes:
                    continue
                if not _asks(expectation, cells):
                    self.complain(
                        ("expectations", at),
                        f"at the size '{size.name}' there is no cell that '{expectation.id}' speaks of",
                        "name the sizes at which it is asked: sizes: […]",
                    )
                elif isinstance(expectation.test, Crossing):
                    self.places(expectation.test, cells, size.name, ("expectations", at, "crossing", "along"))

    def places(self, test: Crossing, cells: Sequence[Cell], size: str, where: Path) -> None:
        """Every matched pair of a crossing has its place in the order of levels: that of its part, or of the first."""
        for pair in matched(cells, test.where, test.first, test.second):
            part = self.study.part(pair.shared.get(PART, self.study.parts[0].id))
            ordered = next((factor.ids for factor in part.factors if factor.name == test.along), ())
            if pair.shared.get(test.along) in ordered:
                continue
            if PART in pair.shared:
                told = f"pairs of the part '{part.id}' are compared, which has no factor '{test.along}'"
                hint = "say which parts are meant: where: {part: […]}"
            else:
                told = f"'{pair.named()}' has no level of '{test.along}' in the first part, '{part.id}'"
                hint = "where the sides are parts, the first part says the order of the levels"
            self.complain(where, f"at the size '{size}' {told}", hint)
            return


def _asks(expectation: Expectation, cells: Sequence[Cell]) -> bool:
    test = expectation.test
    if isinstance(test, Number | Quantity):
        return bool(selected(cells, test.where))
    first, second = (test.higher, test.lower) if isinstance(test, Ordering) else (test.first, test.second)
    return bool(matched(cells, test.where, first, second))
