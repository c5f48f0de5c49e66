"""Studies: loading. From a file or the name of a shipped study to a checked `Study`, or to its problems with places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from suite.axes import AXES
from suite.axes.domains import is_integer, shown
from suite.cards.text import Node, parse, read_text
from suite.cards.walker import MISSING, Problem, Walker
from suite.errors import CardError, Place, StudyError
from suite.registry import suggestion
from suite.studies.layout import CHOICES, STUDY, VERSION
from suite.studies.read import read_study
from suite.studies.rules import rule_problems
from suite.studies.study import Study

SHIPPED = Path(__file__).parent / "shipped"


class _Checker(Walker):
    """Walks the layout of a study."""

    error = StudyError

    def __init__(self, file: str) -> None:
        super().__init__(file, STUDY)

    def hint_for(self, key: str, known: Sequence[str]) -> str:
        if key in AXES and "axes" in known:
            return f"axes stand together: axes: {{{key}: …}}"
        if key in CHOICES and "fixed" in known:
            return f"what is fixed stands together: fixed: {{{key}: …}}"
        return super().hint_for(key, known)

    def study(self, root: Node) -> Any:
        if not isinstance(root.value, dict):
            self.report(root.line, root.column, "a study is a mapping of keys to values")
            return MISSING
        version = root.value.get("study")
        if version is not None and is_integer(version.value) and version.value != VERSION:
            self.report(
                version.line,
                version.column,
                f"study: version {shown(version.value)} is not the version {VERSION} that this suite reads",
                "update the suite" if version.value > VERSION else None,
            )
            return MISSING
        return self.shape(STUDY, root, "study")


def examine_text(text: str, file: str = "study.yaml") -> tuple[Study | None, tuple[Problem, ...]]:
    """A study or all its problems, in the order of the file; broken YAML counts as one problem."""
    try:
        root = parse(text, file, "study")
    except CardError as error:
        return None, (Problem(error.place or Place(file), error.message, error.hint, StudyError),)
    checker = _Checker(file)
    content = checker.study(root)
    if checker.problems or content is MISSING:
        return None, checker.in_order
    study = read_study(content, root, checker, Path(file), text)
    if not checker.problems:
        rule_problems(study, root, checker)
    return (None, checker.in_order) if checker.problems else (study, ())


def load_study(name: str | Path) -> Study:
    """The checked study in a file, or the shipped study of that name; the first problem is a `StudyError`."""
    path = find_study(name)
    try:
        text = read_text(path, "study")
    except CardError as error:
        raise StudyError(error.message, place=error.place, hint=error.hint) from None
    study, problems = examine_text(text, str(path))
    if study is not None:
        return study
    first = problems[0]
    if len(problems) == 1:
        raise first.error()
    more = f"{len(problems) - 1} more"
    raise StudyError(first.message, place=first.place, hint=f"{first.hint}; {more}" if first.hint else more)


def find_study(name: str | Path) -> Path:
    """The file that is meant: a path if it looks like one or exists, else a shipped study."""
    path = Path(name)
    if path.is_file() or path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        return path
    known = shipped_studies()
    if str(name) not in known:
        raise StudyError(
            f"no study is called '{name}'",
            hint=f"{suggestion(str(name), list(known))}; or give a file; `suite study list` has all",
        )
    return known[str(name)]


def shipped_studies() -> Mapping[str, Path]:
    """The studies that come with the suite, by id."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.yaml"))}
