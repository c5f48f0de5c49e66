"""Cards: the JSON Schema (draft 2020-12) of a card, generated from the layout and the axes, and shipped as a file.

After a change of the axes: `python -m suite.cards.schema_file > suite/cards/schema/card-1.json`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from suite.axes.domains import Choice
from suite.axes.schema import axes_schema, section_schema
from suite.cards.layout import (
    CARD,
    EVIDENCE,
    KINDS,
    ONLY_RUN,
    ONLY_TRANSCRIBED,
    VERSION,
    AnyScalar,
    Object,
    Scalar,
    SectionShape,
    Sequence,
    Shape,
    Table,
)


def shape_schema(shape: Shape, *, transcribed: bool = False) -> dict[str, Any]:
    """JSON Schema of a shape."""
    match shape:
        case Scalar(domain):
            return domain.schema()
        case AnyScalar(lists, empty):
            one: list[dict[str, Any]] = [EVIDENCE.schema(), {"type": "number"}, {"type": "boolean"}]
            if lists:
                one.append({"type": "array", "items": {"anyOf": list(one)}, "maxItems": 200})
            return {"anyOf": [*one, {"type": "null"}] if empty else one}
        case Sequence(item, length, most, single):
            bounds = {"maxItems": most} if length is None else {"minItems": length, "maxItems": length}
            inner = shape_schema(item, transcribed=transcribed)
            several = {"type": "array", "items": inner, **bounds}
            return {"anyOf": [several, inner]} if single else several
        case Table(_, key, value, most):
            return {
                "type": "object",
                "propertyNames": key.schema(),
                "additionalProperties": shape_schema(value),
                "maxProperties": most,
            }
        case SectionShape(section):
            return section_schema(section, transcribed=transcribed)
        case Object(_, fields, required):
            return {
                "type": "object",
                "properties": {name: shape_schema(inner, transcribed=transcribed) for name, inner in fields.items()},
                "required": list(required),
                "additionalProperties": False,
            }


def card_schema() -> dict[str, Any]:
    """The JSON Schema of a card, as shipped in `suite/cards/schema/`.

    It says everything that a single key or value can do wrong. Contradictions between axes are rules of the checker.
    """

    def whole(kind: str, without: tuple[str, ...], extra: tuple[str, ...] = ()) -> dict[str, Any]:
        fields = {name: shape for name, shape in CARD.fields.items() if name not in without}
        fields["kind"] = Scalar(Choice((kind,)))
        return shape_schema(Object("card", fields, (*CARD.required, *extra)), transcribed=kind == "transcribed")

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:quantization-suite:card:{VERSION}",
        "title": f"Quantization card, version {VERSION}",
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": list(KINDS)}},
        "if": {"properties": {"kind": {"const": "run"}}},
        "then": {"$ref": "#/$defs/run"},
        "else": {"$ref": "#/$defs/transcribed"},
        "$defs": {
            "run": whole("run", ONLY_TRANSCRIBED),
            "transcribed": whole("transcribed", ONLY_RUN, ONLY_TRANSCRIBED),
            **axes_schema(),
        },
    }


def schema_text() -> str:
    """The JSON Schema as the file that is shipped."""
    return json.dumps(card_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
