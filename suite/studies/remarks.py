"""Studies: remarks. What whoever ran a study found out about its results, for the page: never part of the study itself.

A study is run by many, on other machines and other data; why an expectation fails is about one set of runs. So remarks
have a file of their own:

    remarks: 1
    study: observation-1-asymmetric-grids
    size: small
    whole: A paragraph about all of it.
    expectations:
      one-bit-more: A paragraph about this verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suite.axes.domains import Choice, Integer, is_integer, shown
from suite.cards.layout import PROSE, Object, Scalar, Table
from suite.cards.text import parse, read_text
from suite.cards.walker import Walker
from suite.errors import CardError, Place, StudyError
from suite.registry import suggestion
from suite.studies.layout import SIZES, STUDY_ID
from suite.studies.study import Study

VERSION = 1
WHAT = "file of remarks"

LAYOUT = Object(
    "remarks",
    {
        "remarks": Scalar(Integer(VERSION, maximum=VERSION)),
        "study": Scalar(STUDY_ID),
        "size": Scalar(Choice(SIZES)),
        "whole": Scalar(PROSE),
        "expectations": Table("expectations", STUDY_ID, Scalar(PROSE), most=100),
    },
    required=("remarks", "study", "size"),
)


@dataclass(frozen=True)
class Remarks:
    """Paragraphs about the results of a study at one size."""

    whole: str = ""
    expectations: Mapping[str, str] = field(default_factory=dict)
    """By the ids of expectations."""


NO_REMARKS = Remarks()


class _Checker(Walker):
    """Walks the layout of remarks."""

    error = StudyError


def load_remarks(path: Path, study: Study, size: str) -> Remarks:
    """The remarks in a file, which have to be about this study at this size; the first problem is a `StudyError`."""
    file = str(path)
    try:
        root = parse(read_text(path, WHAT), file, WHAT)
    except CardError as error:
        raise StudyError(error.message, place=error.place, hint=error.hint) from None
    checker = _Checker(file, LAYOUT)
    if not isinstance(root.value, dict):
        raise StudyError("remarks are a mapping of keys to values", place=Place(file, root.line, root.column))
    version = root.value.get("remarks")
    if version is not None and is_integer(version.value) and version.value != VERSION:
        raise StudyError(
            f"remarks: version {shown(version.value)} is not the version {VERSION} that this suite reads",
            place=Place(file, version.line, version.column),
            hint="update the suite" if version.value > VERSION else None,
        )
    content: Any = checker.shape(LAYOUT, root, "remarks")
    if checker.problems:
        raise checker.in_order[0].error()
    for key, wanted in (("study", study.id), ("size", size)):
        if content[key] != wanted:
            node = root.value[key]
            raise StudyError(
                f"the remarks are about the {key} '{content[key]}', and the page is of '{wanted}'",
                place=Place(file, node.line, node.column),
            )
    asked = [expectation.id for expectation in study.expectations_at(size)]
    for id in content.get("expectations", {}):
        if id not in asked:
            raise StudyError(
                f"at the size '{size}' no expectation is called '{id}'",
                place=Place(file, root.value["expectations"].line, root.value["expectations"].column),
                hint=suggestion(id, asked),
            )
    told = {id: " ".join(text.split()) for id, text in content.get("expectations", {}).items()}
    return Remarks(" ".join(content.get("whole", "").split()), told)
