"""Studies: the layout of a study file, said once. The loader walks it, and its JSON Schema is generated from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suite.axes import AXES
from suite.axes.domains import Boolean, Choice, Integer, Number, Text
from suite.cards.layout import (
    LARGEST_SEED,
    LINE,
    METHOD_ID,
    MODEL_ID,
    NAME,
    PROSE,
    AnyScalar,
    Object,
    Scalar,
    Sequence,
    Table,
)
from suite.cards.schema_file import shape_schema
from suite.studies.measures import KNOWN

VERSION = 1
MEASURE_PATTERN = rf"^({'|'.join(KNOWN)}|figures\.[a-z][a-z0-9_]*)$"
SIZES = ("smoke", "small", "paper")

STUDY_ID = Text(pattern="^[a-z0-9][a-z0-9-]*$", longest=60, says="an id (small letters, digits, '-')")
LEVEL_ID = Text(pattern="^[A-Za-z0-9][A-Za-z0-9+._-]*$", longest=40, says="an id (letters, digits, '+', '.', '_', '-')")
FACTOR = Text(pattern="^[a-z][a-z0-9_]*$", longest=40, says="the name of a factor (small letters, digits, '_')")
HASH = Text(pattern="^[0-9a-f]{64}$", longest=64, says="a SHA-256 (64 hexadecimal digits)")
CARD_FILE = Text(longest=200, says="the path of a card beside the study")
OPTION = Text(pattern="^[a-z][a-z0-9_]*$", longest=64)
SHARE = Number(least=0, most=1)
MEASURE = Text(pattern=MEASURE_PATTERN, longest=80, says=f"a measure ({', '.join(KNOWN)}, or figures.NAME)")

NAMES = Sequence(Scalar(FACTOR), most=8, one=True)
SEEDS = Sequence(Scalar(Integer(0, maximum=LARGEST_SEED)), most=100, one=True)
SIZE_NAMES = Sequence(Scalar(Choice(SIZES)), most=3, one=True)
WHERE = Table("condition", FACTOR, Sequence(AnyScalar(), most=50, one=True), most=10)
AMOUNT = Scalar(Choice(("all", "majority")))


AXES_SHAPE = Object("axes", {id: Scalar(axis.domain) for id, axis in AXES.items()})
CHOICES: Mapping[str, Any] = {
    "method": Scalar(METHOD_ID),
    "options": Table("options", OPTION, AnyScalar(empty=True)),
    "task": Scalar(NAME),
    "model": Scalar(MODEL_ID),
    "axes": AXES_SHAPE,
}
FIXED = Object("fixed", {"card": Scalar(CARD_FILE), **CHOICES})
SIZE_FIXED = Object("fixed", CHOICES)
ADJUST = Sequence(Object("adjust", {"where": WHERE, "seeds": SEEDS, **CHOICES}, required=("where",)))

LEVEL = Object("level", {"id": Scalar(LEVEL_ID), "title": Scalar(LINE), **CHOICES}, required=("id",))
FACTOR_SHAPE = Object(
    "factor",
    {
        "factor": Scalar(FACTOR),
        "title": Scalar(LINE),
        "levels": Sequence(LEVEL, most=50),
        "axis": Scalar(Choice(tuple(AXES))),
        "values": Sequence(AnyScalar(), most=50),
        "zip": Object(
            "zip",
            {
                "ids": Sequence(Scalar(LEVEL_ID), most=50),
                "axes": Table("axes", Choice(tuple(AXES)), Sequence(AnyScalar(), most=50)),
            },
            required=("axes",),
        ),
    },
    required=("factor",),
)

PART_SHAPE = Object(
    "part",
    {
        "id": Scalar(LEVEL_ID),
        "title": Scalar(LINE),
        "fixed": SIZE_FIXED,
        "varies": Sequence(FACTOR_SHAPE, most=8),
        "exclude": Sequence(WHERE),
        "adjust": ADJUST,
        "seeds": SEEDS,
    },
    required=("id", "title", "varies"),
)

SIZE = Object(
    "size",
    {
        "says": Scalar(PROSE),
        "weights": Sequence(
            Object(
                "weights",
                {"model": Scalar(MODEL_ID), "name": Scalar(LINE), "sha256": Scalar(HASH), "says": Scalar(LINE)},
                required=("model", "name"),
            )
        ),
        "data": Sequence(
            Object(
                "data",
                {"task": Scalar(NAME), "sha256": Scalar(HASH), "says": Scalar(LINE)},
                required=("task",),
            )
        ),
        "fixed": SIZE_FIXED,
        "keep": Sequence(WHERE),
        "adjust": ADJUST,
    },
    required=("says",),
)

ORDERING = Object(
    "ordering",
    {
        "where": WHERE,
        "higher": WHERE,
        "lower": WHERE,
        "by": Scalar(Number()),
        "of": AMOUNT,
        "measure": Scalar(MEASURE),
    },
    required=("higher", "lower"),
)
EQUALITY = Object(
    "equality",
    {"where": WHERE, "first": WHERE, "second": WHERE, "margin": Scalar(Number(above=0, most=1)), "of": AMOUNT},
    required=("first", "second", "margin"),
)
CROSSING = Object(
    "crossing",
    {"where": WHERE, "first": WHERE, "second": WHERE, "along": Scalar(FACTOR)},
    required=("first", "second", "along"),
)
NUMBER = Object(
    "number",
    {
        "where": WHERE,
        "value": Scalar(SHARE),
        "reference": Scalar(STUDY_ID),
        "tolerance": Scalar(SHARE),
        "or_better": Scalar(Boolean()),
        "same_examples": Scalar(Boolean()),
    },
    required=("tolerance",),
)
QUANTITY = Object(
    "measure",
    {
        "where": WHERE,
        "of": Scalar(MEASURE),
        "value": Scalar(Number()),
        "tolerance": Scalar(Number(least=0)),
        "or_better": Scalar(Boolean()),
    },
    required=("of", "value", "tolerance"),
)
TESTS = {"ordering": ORDERING, "equality": EQUALITY, "crossing": CROSSING, "number": NUMBER, "measure": QUANTITY}

STUDY = Object(
    "study",
    {
        "study": Scalar(Integer(VERSION, maximum=VERSION)),
        "id": Scalar(STUDY_ID),
        "title": Scalar(LINE),
        "question": Scalar(LINE),
        "summary": Scalar(PROSE),
        "fixed": FIXED,
        "parts": Sequence(PART_SHAPE, most=20),
        "sizes": Object("sizes", dict.fromkeys(SIZES, SIZE)),
        "references": Sequence(
            Object(
                "reference",
                {
                    "id": Scalar(STUDY_ID),
                    "says": Scalar(LINE),
                    "where": WHERE,
                    "scores": Sequence(Scalar(SHARE), most=100, one=True),
                    "sizes": SIZE_NAMES,
                },
                required=("id", "says", "where", "scores"),
            )
        ),
        "expectations": Sequence(
            Object(
                "expectation",
                {"id": Scalar(STUDY_ID), "says": Scalar(LINE), "sizes": SIZE_NAMES, **TESTS},
                required=("id", "says"),
            )
        ),
        "shows": Sequence(
            Object(
                "show",
                {
                    "part": Scalar(LEVEL_ID),
                    "table": Object(
                        "table",
                        {"rows": NAMES, "columns": NAMES, "measures": Sequence(Scalar(MEASURE), most=6, one=True)},
                        required=("rows", "columns"),
                    ),
                    "figures": Sequence(
                        Object(
                            "figure",
                            {
                                "x": Scalar(FACTOR),
                                "lines": NAMES,
                                "panels": NAMES,
                                "least": Scalar(SHARE),
                                "at": Scalar(MEASURE),
                            },
                            required=("x", "lines"),
                        ),
                        most=6,
                    ),
                },
                required=("part", "table"),
            ),
            most=20,
        ),
    },
    required=("study", "id", "title", "question", "parts", "sizes", "shows"),
)


def study_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a study file. What joins several keys is checked by the loader.

    Axes may be given in many places; the schema says once what they are.
    """
    axes = shape_schema(AXES_SHAPE)
    schema: dict[str, Any] = _referring(shape_schema(STUDY), axes, "#/$defs/axes")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:quantization-suite:study:{VERSION}",
        "title": f"Quantization study, version {VERSION}",
        **schema,
        "$defs": {"axes": axes},
    }


def _referring(held: Any, part: dict[str, Any], reference: str) -> Any:
    """The same schema with every occurrence of `part` replaced by a reference to it."""
    if held == part:
        return {"$ref": reference}
    if isinstance(held, dict):
        return {key: _referring(value, part, reference) for key, value in held.items()}
    return [_referring(value, part, reference) for value in held] if isinstance(held, list) else held
