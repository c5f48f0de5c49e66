"""The study of bits at a fixed memory budget: every network in it is the largest that fits, and fills its budget."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from suite.cli.scale import parse_size
from suite.models.fitting import Fit, Network, Scaling, fit, float_footprint
from suite.models.footprint import dimensions_of
from suite.models.scaling import find_architecture
from suite.studies import Cell, expand, load_study
from suite.tasks import FACTS

STUDY = load_study("edge-tradeoff")
K = 2
MOST_BITS_OF_A_GRID = 8
LEAST_USED = {"smoke": 0.98, "small": 0.98, "paper": 0.95}


def one_of_each(size: str) -> dict[str, Cell]:
    """One cell of those that differ in the seed alone."""
    return {cell.group: cell for cell in expand(STUDY, size)}


def base_of(cell: Cell) -> Network:
    facts = FACTS[cell.card.task]
    entry, _ = find_architecture(cell.card.model)
    return Network(entry.id, facts.classes, facts.input_shape)


def budget_of(cell: Cell) -> Fraction:
    """Bytes: a level is a size as people write it, or `C` and the divisor of the float network's footprint."""
    level = cell.levels["budget"]
    if level.startswith("C"):
        return Fraction(float_footprint(base_of(cell)), int(level[1:]))
    return parse_size(level)


def bits_of(cell: Cell) -> tuple[int, int]:
    return int(str(cell.card.values["weight_bits"])), int(str(cell.card.values["activation_bits"]))


def search(cell: Cell) -> Fit:
    return fit(base_of(cell), Scaling(cell.levels["scaling"]), *bits_of(cell), budget_of(cell))


@pytest.mark.parametrize("size", ["smoke", "small", "paper"])
def test_activations_have_two_bits_more_as_far_as_grids_have_them(size: str) -> None:
    for group, cell in one_of_each(size).items():
        weights, activations = bits_of(cell)
        assert activations == min(weights + K, MOST_BITS_OF_A_GRID), group
        assert cell.levels["bits"].removesuffix("-linear") == f"W{weights}A{activations}"


@pytest.mark.parametrize("size", ["smoke", "small", "paper"])
def test_every_network_fills_its_budget_and_does_not_exceed_it(size: str) -> None:
    for group, cell in one_of_each(size).items():
        base = base_of(cell)
        weights, activations = bits_of(cell)
        found = dimensions_of(cell.card.model, base.classes, base.input_shape)
        held = Fraction(found.parameters * weights + found.largest_activation * activations, 8)
        assert LEAST_USED[size] <= held / budget_of(cell) <= 1, group
        # The network's input has 8 bits whatever the others have: it must not be what decides the memory.
        input_bits = 8 * math.prod(base.input_shape)
        assert found.largest_activation * activations >= input_bits, group


@pytest.mark.parametrize("size", ["smoke", "small"])
def test_every_network_is_the_one_that_the_search_returns(size: str) -> None:
    for group, cell in one_of_each(size).items():
        assert search(cell).name == cell.card.model, group


@pytest.mark.parametrize("bits", ["W8A8", "W2A4"])
@pytest.mark.parametrize("part", ["budgets", "efficientnet"])
def test_networks_of_the_paper_are_those_that_the_search_returns(part: str, bits: str) -> None:
    """At its smallest budget, because larger networks take longer to build."""
    cells = one_of_each("paper")
    for scaling in ("width", "compound") if part == "budgets" else ("compound",):
        cell = cells[f"{part}.C10.{scaling}.{bits}"]
        assert search(cell).name == cell.card.model


def test_both_ways_to_scale_and_at_least_two_budgets_are_asked() -> None:
    for size in ("small", "paper"):
        asked = {(cell.levels["budget"], cell.levels["scaling"], cell.levels["bits"]) for cell in expand(STUDY, size)}
        budgets = {budget for budget, _, _ in asked}
        assert len(budgets) >= 2
        some = ("W8A8", "W4A6", "W3A5", "W2A4")
        assert {(budget, way.value, bits) for budget in budgets for way in Scaling for bits in some} <= asked


def test_everything_begins_from_random_weights_and_gets_the_bits_that_its_footprint_counts() -> None:
    for size in ("smoke", "small", "paper"):
        for cell in expand(STUDY, size):
            values = cell.card.values
            assert values["baseline_weights"] == "untrained"
            assert values["first_layer_weights"] == values["last_layer_weights"] == "same"
            assert values["skip_connection"] == values["residual_connection"] == "quantized"


def test_both_recipes_are_those_that_the_paper_gives_to_each_way() -> None:
    """Section 4.1: SGD at 0.1 in batches of 128 for the width, Adam at 0.001 in batches of 1,024 for both."""
    given = {
        (cell.levels["scaling"], options["optimizer"], options["learning_rate"], options["batch_size"])
        for cell in expand(STUDY, "paper")
        if (options := cell.card.method.options)
    }
    assert given == {("width", "sgd", 0.1, 128), ("compound", "adam", 0.001, 1024)}
