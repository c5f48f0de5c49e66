"""Axes: the catalogue of all axes, in the order in which a card lists them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from suite.axes import mixed_precision, pretrained_model, quantization_method, quantized_operations, resource_complexity
from suite.axes.axis import Axis, Section

AXES: Mapping[str, Axis] = MappingProxyType(
    {
        axis.id: axis
        for section in (
            quantization_method,
            quantized_operations,
            mixed_precision,
            resource_complexity,
            pretrained_model,
        )
        for axis in section.AXES
    }
)


def axes_of(section: Section) -> tuple[Axis, ...]:
    """The axes of one section, in order."""
    return tuple(axis for axis in AXES.values() if axis.section == section)
