"""Cards: the layout of the document, said once. The checker walks it, and `schema_file` turns it into JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from suite.axes import AXES, Section
from suite.axes.domains import Boolean, Choice, Domain, Integer, Number, Text

VERSION = 1
KINDS = ("run", "transcribed")
STATUSES = ("completed", "diverged", "failed")
VERDICTS = ("verified", "contradicted", "not observable")
LARGEST_SEED = 2**31 - 1

METHOD_ID = Text(pattern="^[a-z0-9][a-z0-9_-]*$", longest=64, says="a method id (small letters, digits, '_', '-')")
NAME = Text(pattern="^[A-Za-z0-9][A-Za-z0-9._:-]*$", longest=120, says="an id (letters, digits, '.', '_', ':', '-')")
MODEL_ID = Text(
    pattern="^[A-Za-z0-9][A-Za-z0-9._:/-]*$", longest=120, says="a model id (letters, digits, '.', '_', ':', '/', '-')"
)
LINE = Text(longest=300, says="a text on one line of at most 300 characters")
PROSE = Text(lines=True, says="a text")
EVIDENCE = Text(lines=True, longest=4000, says="a text")
LINK = Text(pattern="^https?://[^\\s<>\"']+$", longest=500, says="a link that starts with https://")
SHARE = Number(least=0)
BITS = Number(least=0, most=64)
BYTES = Integer(0)


@dataclass(frozen=True)
class Scalar:
    """One value of a domain."""

    domain: Domain


@dataclass(frozen=True)
class AnyScalar:
    """A text, a number, true or false; with `lists` also a list of those, with `empty` also nothing (null)."""

    lists: bool = False
    empty: bool = False


@dataclass(frozen=True)
class Sequence:
    """A list; with `length`, of exactly so many items; with `one`, a single item stands for a list of one."""

    item: Shape
    length: int | None = None
    most: int = 200
    one: bool = False


@dataclass(frozen=True)
class Object:
    """A closed mapping. `says` names it in messages; `hints` answer keys that people try but that do not exist."""

    says: str
    fields: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    hints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A mapping from keys of a pattern (or of a fixed list) to values of one shape."""

    says: str
    key: Text | Choice
    value: Shape
    most: int = 200


@dataclass(frozen=True)
class SectionShape:
    """One of the five sections; its keys and values are axes."""

    section: Section


Shape = Scalar | AnyScalar | Sequence | Object | Table | SectionShape

METHOD = Object(
    "method",
    {"id": Scalar(METHOD_ID), "options": Table("options", Text(pattern="^[a-z][a-z0-9_]*$", longest=64), AnyScalar())},
    required=("id",),
)

SOURCE = Object(
    "source",
    {
        "paper": Scalar(LINE),
        "table": Scalar(LINE),
        "authors": Scalar(LINE),
        "year": Scalar(Integer(1900)),
        "url": Scalar(LINK),
    },
    required=("paper",),
)

RESULTS = Object(
    "results",
    {
        "status": Scalar(Choice(STATUSES)),
        "run_id": Scalar(Text(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$", longest=200, says="a run id")),
        "metric": Scalar(LINE),
        "float_score": Scalar(Number()),
        "score": Scalar(Number()),
        "difference": Scalar(Number()),
        "difference_interval": Sequence(Scalar(Number()), length=2),
        "average_weight_bits": Scalar(BITS),
        "average_activation_bits": Scalar(BITS),
        "model_bytes": Scalar(BYTES),
        "feature_map_largest_bytes": Scalar(BYTES),
        "feature_map_total_bytes": Scalar(BYTES),
        "seconds": Scalar(SHARE),
        "epoch_fraction": Scalar(SHARE),
        "examples": Scalar(Integer(0)),
        "labels": Scalar(Boolean()),
        "pointer": Scalar(LINE),
    },
)

AUDIT = Object(
    "audit",
    {
        "verdict": Scalar(Choice(VERDICTS)),
        "axes": Table(
            "audit axes",
            Choice(tuple(AXES)),
            Object(
                "audit of an axis",
                {
                    "declared": AnyScalar(lists=True),
                    "observed": AnyScalar(lists=True, empty=True),
                    "verdict": Scalar(Choice(VERDICTS)),
                    "evidence": Scalar(EVIDENCE),
                },
                required=("declared", "verdict"),
            ),
        ),
    },
    required=("verdict", "axes"),
)

CARD = Object(
    "card",
    {
        "card": Scalar(Integer(VERSION, maximum=VERSION)),
        "kind": Scalar(Choice(KINDS)),
        "title": Scalar(LINE),
        "method": METHOD,
        "task": Scalar(NAME),
        "model": Scalar(MODEL_ID),
        "seed": Scalar(Integer(0, maximum=LARGEST_SEED)),
        **{section.value: SectionShape(section) for section in Section},
        "remarks": Sequence(Scalar(PROSE)),
        "source": SOURCE,
        "results": RESULTS,
        "audit": AUDIT,
    },
    required=("card", "kind", "title", "method", *(section.value for section in Section)),
)

# What only one kind of card has: results copied from a paper were audited by nobody, a run is its own source.
ONLY_RUN = ("audit",)
ONLY_TRANSCRIBED = ("source",)

# Keys that people try, and where the thing they mean is said.
MISPLACED = {
    "zero_point": "a symmetric grid has none and an asymmetric one finds its own: weight_symmetry, activation_symmetry",
    "symmetry": "weights and activations have one each: weight_symmetry, activation_symmetry",
    "granularity": "weights and activations have one each: weight_granularity, activation_granularity",
    "bits": "weights and activations have one each: weight_bits, activation_bits",
    "first_layer": "see first_layer_weights, first_layer_activations",
    "last_layer": "see last_layer_weights, last_layer_activations",
    "setting": "this is the layout of version 0: suite card migrate brings it up to date",
    "notes": "did you mean 'remarks'?",
    "version": "the version of the schema is the value of 'card'",
}
