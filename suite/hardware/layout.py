"""Hardware: the layout of a profile, said once; the loader walks it."""

from __future__ import annotations

from suite.axes import AXES
from suite.axes.domains import Choice, Integer, Number, Text
from suite.cards.layout import LINE, LINK, AnyScalar, Object, Scalar, Sequence, Table

VERSION = 1
PROFILE_ID = Text(pattern="^[a-z0-9][a-z0-9-]*$", longest=60, says="an id (small letters, digits, '-')")

RESTRICTION = Object(
    "restriction",
    {
        "allowed": Sequence(AnyScalar(), most=50, one=True),
        "at_least": Scalar(Number()),
        "at_most": Scalar(Number()),
        "source": Scalar(PROFILE_ID),
        "says": Scalar(LINE),
    },
)
PROFILE = Object(
    "profile",
    {
        "hardware": Scalar(Integer(VERSION, maximum=VERSION)),
        "id": Scalar(PROFILE_ID),
        "title": Scalar(LINE),
        "documents": Sequence(
            Object(
                "document",
                {"id": Scalar(PROFILE_ID), "title": Scalar(LINE), "url": Scalar(LINK)},
                required=("id", "title"),
            ),
            most=50,
        ),
        "axes": Table("axes", Choice(tuple(AXES)), RESTRICTION),
        "not_stated": Sequence(Scalar(Choice(tuple(AXES)))),
        "remarks": Sequence(Scalar(LINE), most=50),
    },
    required=("hardware", "id", "title", "axes"),
)
