"""Axes: the confounding tradeoffs, the settings made of them, and their schema. Never imports torch."""

from __future__ import annotations

from suite.axes.axis import NOT_REPORTED, Axis, Cost, Observation, Section
from suite.axes.catalogue import AXES, axes_of
from suite.axes.domains import Value
from suite.axes.rules import Contradiction, contradictions
from suite.axes.setting import Difference, Setting, axis_of, differences, parse_assignment, plain

__all__ = [
    "AXES",
    "NOT_REPORTED",
    "Axis",
    "Contradiction",
    "Cost",
    "Difference",
    "Observation",
    "Section",
    "Setting",
    "Value",
    "axes_of",
    "axis_of",
    "contradictions",
    "differences",
    "parse_assignment",
    "plain",
]
