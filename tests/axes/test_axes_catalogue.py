"""The axes against the table in docs/architecture.md, and the honesty of what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from suite.axes import AXES, Section, axes_of
from suite.axes.document import axes_markdown
from suite.axes.domains import Choice, Integer, IntegerSet, Number, Text

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"


def documented() -> list[tuple[str, str, str]]:
    """(section, axis, values) of every row of the table; an empty section cell repeats the one above."""
    rows, section = [], ""
    for line in ARCHITECTURE.read_text(encoding="utf-8").split("## The axes")[1].split("## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 3 and cells[1] not in ("axis", "---") and not set(cells[1]) <= {"-"}:
            section = cells[0] or section
            rows.append((section, cells[1], cells[2]))
    return rows


def test_catalogue_has_exactly_the_documented_axes_in_order():
    assert [(section, axis) for section, axis, _ in documented()] == [
        (axis.section.value, axis.id) for axis in AXES.values()
    ]
    assert len(AXES) == 54


@pytest.mark.parametrize(("axis", "values"), [row[1:] for row in documented() if not row[2].startswith("the same")])
def test_default_is_the_first_documented_value(axis: str, values: str):
    first = re.split(r"[,\s(]", values)[0].removesuffix(r"\*")
    assert str(AXES[axis].default) == first


@pytest.mark.parametrize("axis", AXES.values(), ids=list(AXES))
def test_starred_values_are_exactly_the_describable_ones(axis):
    values = {row[1]: row[2] for row in documented()}[axis.id]
    starred = set(re.findall(r"([a-z-]+)\\\*", values))
    # The table may lag behind the code by a value, never lead it.
    assert starred <= axis.describable_only
    for word in axis.domain.words:
        assert axis.enforceable(word) == (word not in axis.describable_only)
    assert axis.enforceable(axis.default)


@pytest.mark.parametrize("axis", AXES.values(), ids=list(AXES))
def test_every_value_states_its_cost_in_one_sentence_with_a_source(axis):
    samples = [*axis.domain.words, axis.default]
    match axis.domain:
        case Integer(minimum=minimum):
            samples.append(minimum)
        case Number(most=most):
            samples.append(most if most is not None else 1.0)
        case IntegerSet():
            samples.append([2, 8])
        case Text():
            samples.append("weights of somebody")
        case Choice():
            pass
    for value in samples:
        cost = axis.cost(value)
        assert cost.sentence.endswith(".")
        assert not re.search(r"\.\s+[A-Z]", cost.sentence), "one sentence, not two"
        assert len(cost.source) >= 8


@pytest.mark.parametrize("axis", AXES.values(), ids=list(AXES))
def test_every_axis_asks_a_question_and_says_how_it_is_observed_or_why_not(axis):
    assert axis.question.endswith("?")
    assert (axis.observation.how is None) != (axis.observation.why_not is None)
    assert len(axis.observation.how or axis.observation.why_not or "") > 15


def test_sections_partition_the_axes():
    together = [axis.id for section in Section for axis in axes_of(section)]
    assert together == list(AXES)


def test_costs_are_keyed_by_values_that_the_axis_has():
    for axis in AXES.values():
        for key in axis.costs:
            known = key in axis.domain.words or (key.isdigit() and axis.domain.accepts(int(key)))
            assert known, f"{axis.id} prices the unknown value {key}"


def test_the_reference_page_is_up_to_date():
    page = (ARCHITECTURE.parent / "axes.md").read_text(encoding="utf-8")
    assert page == axes_markdown(), "run python -m suite.axes.document > docs/axes.md"
