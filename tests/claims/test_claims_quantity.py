"""Printed values, as numbers where they are numbers."""

from __future__ import annotations

import pytest

from suite.claims.claim import Measure
from suite.claims.quantity import quantities, quantity


@pytest.mark.parametrize(
    ("text", "number", "unit", "relation"),
    [
        ("71.6", 71.6, "", ""),
        ("-0.09", -0.09, "", ""),
        ("2e-5", 2e-5, "", ""),
        ("50k", 50_000, "", ""),
        ("20K", 20_000, "", ""),
        ("5.3M", 5_300_000, "", ""),
        ("1.3 million", 1_300_000, "", ""),
        (">100 million", 100_000_000, "", "above"),
        ("<0.2%", 0.2, "%", "below"),
        ("within 0.5%", 0.5, "%", "below"),
        ("12.8%", 12.8, "%", ""),
        ("8.2x", 8.2, "x", ""),
        ("x4", 4, "x", ""),
        ("16 kHz", 16, "kHz", ""),
        ("lowest available", None, "", ""),
        ("2, 5, 10", None, "", ""),
        ("256-480", None, "", ""),
        ("1 to 2", None, "", ""),
        ("<20 min V100", None, "", ""),
        ("0, 1/5, ..., 15/5", None, "", ""),
        ("1e400", None, "", ""),  # no number that anything could be compared with
    ],
)
def test_printed_values(text: str, number: float | None, unit: str, relation: str) -> None:
    found = quantity("value", text)
    assert (found.text, found.unit, found.relation) == (text, unit, relation)
    assert found.number == (None if number is None else pytest.approx(number))


@pytest.mark.parametrize(
    ("metric", "texts", "names", "unit"),
    [
        ("memory baseline / budget (MB)", ("26", "2.6"), ["memory baseline", "budget"], "MB"),
        ("size (KB, about)", ("400",), ["size"], "KB"),
        ("scaling (most ratios)", ("3",), ["scaling (most ratios)"], ""),
        ("learning rate 3-/4-bit", ("4e-4",), ["learning rate 3-/4-bit"], ""),
        ("range", ("256", "1024"), ["range", "second value"], ""),
    ],
)
def test_metrics_that_nobody_declared_name_their_values(
    metric: str, texts: tuple[str, ...], names: list[str], unit: str
) -> None:
    found = quantities(None, metric, texts)
    assert [held.name for held in found] == names
    assert {held.unit for held in found} == {unit}


def test_a_declared_measure_names_and_counts_its_values() -> None:
    measure = Measure("Top-1/Top-5 (%)", ("top-1", "top-5"), "%")
    first, second = quantities(measure, measure.metric, ("63.67", "85.72"))
    assert (first.name, str(first), second.name, str(second)) == ("top-1", "63.67%", "top-5", "85.72%")
    assert [held.name for held in quantities(measure, measure.metric, ("63.67",))] == ["top-1"]


@pytest.mark.parametrize(
    ("text", "explained"),
    [("5k", "5k (5,000)"), ("<1.5%", "<1.5% (below 1.5)"), ("0.50", "0.50"), ("8.2x", "8.2x"), ("median", "median")],
)
def test_values_are_explained_where_they_are_not_plain(text: str, explained: str) -> None:
    assert quantity("value", text).explained == explained
