"""Axes: JSON Schema (draft 2020-12) of the sections of a card, generated from the axes."""

from __future__ import annotations

from typing import Any

from suite.axes.axis import NOT_REPORTED, Axis, Section
from suite.axes.catalogue import AXES, axes_of
from suite.axes.setting import plain


def axis_schema(axis: Axis) -> dict[str, Any]:
    """One axis: its values, its question and its default."""
    return {"description": axis.question, "default": plain(axis.default), **axis.domain.schema()}


def section_schema(section: Section, *, transcribed: bool) -> dict[str, Any]:
    """One section, closed and complete. A transcribed card may also say that its source is silent."""

    def reference(id: str) -> dict[str, Any]:
        known = {"$ref": f"#/$defs/axis.{id}"}
        return {"anyOf": [known, {"const": NOT_REPORTED}]} if transcribed else known

    ids = [axis.id for axis in axes_of(section)]
    return {
        "type": "object",
        "properties": {id: reference(id) for id in ids},
        "required": ids,
        "additionalProperties": False,
    }


def axes_schema() -> dict[str, Any]:
    """All axes by id, for the `$defs` of the card's schema."""
    return {f"axis.{id}": axis_schema(axis) for id, axis in AXES.items()}
