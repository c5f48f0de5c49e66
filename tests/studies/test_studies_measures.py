"""Measures: numbers of a run that are computed from what it recorded."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from suite.studies.measures import measure


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ({"a": [1.0, 3.0, 2.0]}, 2.0),
        ({"a": [0.5, 0.25], "b": [0.1, 0.2]}, 2.0),
        ({"a": [0.1, 0.1], "b": [0.1, 0.4]}, 2.0),
        ({"a": [0.1]}, None),
        ({"a": [0.1, 0.0]}, None),
        ({"a": [0.1, None]}, None),
        ({"a": [0.1, math.inf]}, None),
        ({"a": "long"}, None),
        ([0.1, 0.2], None),
        (None, None),
    ],
)
def test_the_change_of_learned_steps_is_a_geometric_mean_in_either_direction(
    steps: Any, expected: float | None
) -> None:
    record = SimpleNamespace(figures={"step_sizes": steps})
    found = measure("step_change").of(record)  # type: ignore[arg-type]
    assert found is None if expected is None else found == pytest.approx(expected)
