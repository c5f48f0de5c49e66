"""Studies: from checked plain data to the objects of `study.py`; what is wrong between keys is told with its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suite.axes import AXES
from suite.axes.domains import shown
from suite.cards.text import Node
from suite.cards.walker import Walker
from suite.studies.layout import LEVEL_ID, TESTS
from suite.studies.study import (
    Adjustment,
    Choice,
    Crossing,
    DataNeed,
    Equality,
    Expectation,
    Factor,
    FigureLayout,
    Level,
    Number,
    Ordering,
    Part,
    Quantity,
    Reference,
    Show,
    Size,
    Study,
    TableLayout,
    Test,
    WeightsNeed,
    Where,
)

Content = Mapping[str, Any]


def read_study(content: Content, root: Node, walker: Walker, path: Path, text: str) -> Study:
    """The study that the content describes; problems go to the walker."""
    reader = _Reader(root, walker)
    references = {held["id"]: held for held in content.get("references", ())}
    return Study(
        id=content["id"],
        title=content["title"],
        question=content["question"],
        summary=" ".join(content.get("summary", "").split()),
        fixed=choice(content.get("fixed", {})),
        parts=tuple(reader.part(held, ("parts", at)) for at, held in enumerate(content["parts"])),
        sizes=tuple(size(name, held) for name, held in content["sizes"].items()),
        references=tuple(reference(held) for held in content.get("references", ())),
        expectations=tuple(
            Expectation(held["id"], held["says"], test, tuple(held.get("sizes", ())))
            for at, held in enumerate(content.get("expectations", ()))
            if (test := reader.test(held, ("expectations", at), references)) is not None
        ),
        shows=tuple(show(held) for held in content["shows"]),
        path=path,
        text=text,
    )


class _Reader:
    """Reads what needs a place for its messages."""

    def __init__(self, root: Node, walker: Walker) -> None:
        self.root = root
        self.walker = walker

    def complain(self, where: tuple[str | int, ...], message: str, hint: str | None = None) -> None:
        node = node_at(self.root, *where)
        self.walker.report(node.line, node.column, message, hint)

    def part(self, held: Content, where: tuple[str | int, ...]) -> Part:
        return Part(
            id=held["id"],
            title=held["title"],
            fixed=choice(held.get("fixed", {})),
            factors=tuple(
                factor
                for at, one in enumerate(held["varies"])
                if (factor := self.factor(one, (*where, "varies", at))) is not None
            ),
            exclude=tuple(condition(one) for one in held.get("exclude", ())),
            adjust=tuple(adjustment(one) for one in held.get("adjust", ())),
            seeds=tuple(held.get("seeds", (0,))),
        )

    def factor(self, held: Content, where: tuple[str | int, ...]) -> Factor | None:
        """A factor in one of three forms: levels written out, the values of one axis, or axes that vary together."""
        name, title = held["factor"], held.get("title", "")
        forms = [key for key in ("levels", "axis", "zip") if key in held]
        if len(forms) != 1 or ("values" in held) != (forms == ["axis"]):
            self.complain(
                where,
                f"the factor '{name}' needs levels, or an axis with its values, or a zip of axes, and only one of them",
            )
            return None
        if forms == ["levels"]:
            levels = tuple(Level(one["id"], choice(one), one.get("title", "")) for one in held["levels"])
        elif forms == ["axis"]:
            levels = self.zipped({held["axis"]: held["values"]}, None, (*where, "values"))
        else:
            levels = self.zipped(held["zip"]["axes"], held["zip"].get("ids"), (*where, "zip"))
        if not levels and not self.walker.problems:
            self.complain(where, f"the factor '{name}' has no level")
        return Factor(name, levels, title)

    def zipped(
        self, columns: Mapping[str, list[Any]], ids: list[str] | None, where: tuple[str | int, ...]
    ) -> tuple[Level, ...]:
        lengths = {len(values) for values in columns.values()} | ({len(ids)} if ids is not None else set())
        if len(lengths) != 1:
            self.complain(where, "the lists of a zip have different lengths", "one value of every axis for each level")
            return ()
        levels: list[Level] = []
        for at in range(lengths.pop()):
            axes: dict[str, Any] = {}
            for axis, values in columns.items():
                if not AXES[axis].domain.accepts(values[at]):
                    expected = AXES[axis].domain.describe()
                    self.complain(where, f"{axis}: expected {expected}, found {shown(values[at])}")
                    return ()
                axes[axis] = AXES[axis].domain.normalise(values[at])
            id = ids[at] if ids is not None else "-".join(word(value) for value in axes.values())
            if not LEVEL_ID.accepts(id):
                self.complain(where, f"{shown(id)} cannot name a level", "give the levels ids")
                return ()
            levels.append(Level(id, Choice(axes=axes)))
        return tuple(levels)

    def test(self, held: Content, where: tuple[str | int, ...], references: Mapping[str, Any]) -> Test | None:
        forms = [key for key in TESTS if key in held]
        if len(forms) != 1:
            self.complain(where, f"an expectation has exactly one of {', '.join(TESTS)}")
            return None
        kind = forms[0]
        form = held[kind]
        within = condition(form.get("where", {}))
        if kind == "ordering":
            return Ordering(
                within,
                condition(form["higher"]),
                condition(form["lower"]),
                float(form.get("by", 0.0)),
                form.get("of", "all"),
                form.get("measure", ""),
            )
        if kind == "equality":
            return Equality(
                within, condition(form["first"]), condition(form["second"]), form["margin"], form.get("of", "all")
            )
        if kind == "crossing":
            return Crossing(within, condition(form["first"]), condition(form["second"]), form["along"])
        if kind == "measure":
            return Quantity(
                within, form["of"], float(form["value"]), float(form["tolerance"]), form.get("or_better", False)
            )
        return self.number(form, within, (*where, kind), references)

    def number(
        self, form: Content, within: Where, where: tuple[str | int, ...], references: Mapping[str, Any]
    ) -> Number | None:
        if ("value" in form) == ("reference" in form):
            self.complain(where, "a number has a value, or the reference that it is compared with, and not both")
            return None
        name = form.get("reference", "")
        if name and name not in references:
            self.complain((*where, "reference"), f"no reference is called '{name}'")
            return None
        if name:
            held = references[name]
            within = {**condition(held["where"]), **within}
            value = sum(held["scores"]) / max(1, len(held["scores"]))
        else:
            value = form["value"]
        return Number(
            within, value, form["tolerance"], form.get("or_better", False), form.get("same_examples", False), name
        )


def choice(held: Content) -> Choice:
    """What a mapping chooses of a run."""
    return Choice(
        card=held.get("card"),
        method=held.get("method"),
        options=held.get("options", {}),
        task=held.get("task"),
        model=held.get("model"),
        axes=held.get("axes", {}),
    )


def condition(held: Content) -> Where:
    return {name: tuple(word(value) for value in values) for name, values in held.items()}


def adjustment(held: Content) -> Adjustment:
    seeds = held.get("seeds")
    return Adjustment(condition(held["where"]), choice(held), None if seeds is None else tuple(seeds))


def size(name: str, held: Content) -> Size:
    return Size(
        name=name,
        says=" ".join(held["says"].split()),
        weights=tuple(
            WeightsNeed(one["model"], one["name"], one.get("sha256", ""), one.get("says", ""))
            for one in held.get("weights", ())
        ),
        data=tuple(DataNeed(one["task"], one.get("sha256", ""), one.get("says", "")) for one in held.get("data", ())),
        fixed=choice(held.get("fixed", {})),
        keep=tuple(condition(one) for one in held.get("keep", ())),
        adjust=tuple(adjustment(one) for one in held.get("adjust", ())),
    )


def reference(held: Content) -> Reference:
    return Reference(
        held["id"], held["says"], condition(held["where"]), tuple(held["scores"]), tuple(held.get("sizes", ()))
    )


def show(held: Content) -> Show:
    return Show(
        part=held["part"],
        table=TableLayout(
            tuple(held["table"]["rows"]), tuple(held["table"]["columns"]), tuple(held["table"].get("measures", ()))
        ),
        figures=tuple(
            FigureLayout(
                one["x"],
                tuple(one["lines"]),
                tuple(one.get("panels", ())),
                least=one.get("least"),
                at=one.get("at", ""),
            )
            for one in held.get("figures", ())
        ),
    )


def word(value: object) -> str:
    """A level as a condition names it: 4 and 4.0 and "4" are the same level."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "_".join(str(item) for item in value) if isinstance(value, list | tuple) else str(value)


def node_at(root: Node, *where: str | int) -> Node:
    """The node at a path of keys and positions; the last one that exists where the path leads into nothing."""
    node = root
    for step in where:
        below = _below(node, step)
        if below is None:
            break
        node = below
    return node


def _below(node: Node, step: str | int) -> Node | None:
    held: Node | None = None
    if isinstance(node.value, dict):
        held = node.value.get(step)
    elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
        held = node.value[step]
    return held
