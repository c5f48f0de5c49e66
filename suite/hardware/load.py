"""Hardware: loading profiles, by the name of a shipped one or from a file; problems carry file, line and column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suite.axes import AXES
from suite.axes.axis import nearest_word
from suite.axes.domains import Integer, Number, shown
from suite.cards.text import Node, parse, read_text
from suite.cards.walker import MISSING, Walker
from suite.errors import CardError, DataMissing, HardwareError
from suite.hardware.layout import PROFILE
from suite.hardware.profile import WIDTHS, Document, Profile, Restriction
from suite.registry import suggestion, unknown

SHIPPED = Path(__file__).parent / "shipped"


class _Checker(Walker):
    """Walks the layout of a profile; what a layout cannot say are the values that each axis has."""

    error = HardwareError

    def rules(self, root: Node, content: Mapping[str, Any]) -> None:
        documents = [held["id"] for held in content.get("documents", ())]
        for id, count in Counter(documents).items():
            if count > 1:
                node = root.value["documents"]
                self.report(node.line, node.column, f"the document '{id}' is given {count} times")
        for axis, held in content["axes"].items():
            node = root.value["axes"].value[axis]
            self.restriction(axis, held, node)
            if "source" in held and held["source"] not in documents:
                place = node.value["source"]
                self.report(
                    place.line,
                    place.column,
                    f"no document is called '{held['source']}'",
                    suggestion(held["source"], documents),
                )
        for at, axis in enumerate(content.get("not_stated", ())):
            if axis in content["axes"]:
                node = root.value["not_stated"].value[at]
                self.report(node.line, node.column, f"{axis} is restricted above, and is said here not to be stated")

    def restriction(self, axis: str, held: Mapping[str, Any], node: Node) -> None:
        domain = AXES[axis].domain
        if axis == WIDTHS:
            self.report(
                node.line,
                node.column,
                f"{WIDTHS} follows from weight_bits and activation_bits",
                "restrict those instead",
            )
            return
        for value in held.get("allowed", ()):
            if not domain.accepts(value):
                place = node.value["allowed"]
                self.report(
                    place.line,
                    place.column,
                    f"{axis}: expected {domain.describe()}, found {shown(value)}",
                    nearest_word(value, domain),
                )
        ends = [held[end] for end in ("at_least", "at_most") if end in held]
        if ends and not isinstance(domain, Integer | Number):
            self.report(node.line, node.column, f"{axis} has no numbers that could be bounded", domain.describe())
        if len(ends) == 2 and ends[0] > ends[1]:
            self.report(node.line, node.column, f"{axis}: at_least {ends[0]:g} is above at_most {ends[1]:g}")
        if not held.get("allowed") and not ends:
            self.report(
                node.line, node.column, f"{axis}: nothing is said of its values", "allowed, at_least or at_most"
            )


def load_profile(name: str) -> Profile:
    """The shipped profile of that name, or the one in a file."""
    shipped = {path.stem: path for path in SHIPPED.glob("*.yaml")}
    if name in shipped:
        return read_profile(shipped[name])
    path = Path(name).expanduser()
    if path.suffix in (".yaml", ".yml") or path.exists():
        if not path.is_file():
            raise DataMissing(f"no hardware profile at {path}", hint=f"shipped: {', '.join(sorted(shipped))}")
        return read_profile(path)
    raise unknown("hardware profile", name, sorted(shipped))


def shipped_profiles() -> tuple[Profile, ...]:
    """Every profile that comes with the suite, by name."""
    return tuple(read_profile(path) for path in sorted(SHIPPED.glob("*.yaml")))


def read_profile(path: Path) -> Profile:
    """The profile in a file; the first of its problems is a `HardwareError` that counts the others."""
    what = "hardware profile"
    try:
        root = parse(read_text(path, what), str(path), what)
    except CardError as error:
        raise HardwareError(error.message, place=error.place, hint=error.hint) from None
    checker = _Checker(str(path), PROFILE)
    content = checker.shape(PROFILE, root, what)
    if content is not MISSING and not checker.problems:
        checker.rules(root, content)
    if checker.in_order:
        first = checker.in_order[0].error()
        if len(checker.in_order) > 1:
            more = f"{len(checker.in_order) - 1} more"
            first.hint = f"{first.hint}; {more}" if first.hint else more
        raise first
    return _profile(content, path)


def _profile(content: Mapping[str, Any], path: Path) -> Profile:
    held = content["axes"]
    return Profile(
        id=content["id"],
        title=content["title"],
        documents=tuple(Document(one["id"], one["title"], one.get("url", "")) for one in content.get("documents", ())),
        restrictions={axis: _restriction(axis, held[axis]) for axis in AXES if axis in held},
        not_stated=tuple(content.get("not_stated", ())),
        remarks=tuple(content.get("remarks", ())),
        file=path,
    )


def _restriction(axis: str, held: Mapping[str, Any]) -> Restriction:
    return Restriction(
        axis,
        allowed=tuple(AXES[axis].domain.normalise(value) for value in held.get("allowed", ())),
        at_least=held.get("at_least"),
        at_most=held.get("at_most"),
        source=held.get("source", ""),
        says=held.get("says", ""),
    )
