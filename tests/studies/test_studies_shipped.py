"""The studies that come with the suite: every cell is one that its method accepts, and the numbers fit together."""

from __future__ import annotations

import pytest

from suite.axes import AXES, Setting
from suite.methods import METHODS
from suite.studies import Cell, Study, expand, load_study, shipped_studies
from suite.tasks import TASKS

STUDIES = list(shipped_studies())
OBSERVATIONS = [id for id in STUDIES if id.startswith("observation-")]


def cells_of(study: Study) -> list[tuple[str, Cell]]:
    return [(size.name, cell) for size in study.sizes for cell in expand(study, size.name)]


@pytest.mark.parametrize("id", STUDIES)
def test_every_cell_is_one_that_its_method_accepts(id: str) -> None:
    for size, cell in cells_of(load_study(id)):
        where = f"{size}: {cell.id}"
        card = cell.card
        kind = METHODS.get(card.method.id)
        assert kind.from_mapping(card.method.options).options.to_dict().items() >= dict(card.method.options).items()
        kind.check_setting(Setting(card.values))
        assert all(AXES[axis].enforceable(value) for axis, value in card.values.items()), where


@pytest.mark.parametrize("id", STUDIES)
def test_what_is_not_at_hand_is_named_as_a_need(id: str) -> None:
    study = load_study(id)
    for size in study.sizes:
        needed = {need.task for need in size.data}
        for cell in expand(study, size.name):
            assert cell.card.task in needed or (cell.card.task in TASKS and size.name != "paper")
            given = [need.name for need in size.weights if need.model == cell.card.model]
            assert not given or cell.card.values["baseline_weights"] in given


@pytest.mark.parametrize("id", STUDIES)
def test_every_study_has_three_sizes(id: str) -> None:
    study = load_study(id)
    assert [size.name for size in study.sizes] == ["smoke", "small", "paper"]
    assert study.expectations_at("paper")


def test_all_eight_observations_are_asked_at_every_size() -> None:
    assert [int(id.split("-")[1]) for id in OBSERVATIONS] == list(range(1, 9))
    for id in OBSERVATIONS:
        study = load_study(id)
        assert all(study.expectations_at(size.name) for size in study.sizes)


def test_the_smoke_cells_of_all_studies_together_are_few() -> None:
    distinct = {cell.digest for id in STUDIES for cell in expand(load_study(id), "smoke")}
    assert len(distinct) <= 90


def test_runs_that_two_observations_need_are_the_same_runs() -> None:
    """What stands in two studies is run once: labels given (5 and 7), the skip alone quantized (1 and 3)."""
    by_study = {id: {cell.digest for cell in expand(load_study(id), "small")} for id in OBSERVATIONS}
    named = {id.split("-")[1]: held for id, held in by_study.items()}
    assert len(named["5"] & named["7"]) == 9
    assert len(named["1"] & named["3"]) >= 6


def test_symmetric_grids_get_the_bits_that_asymmetric_ones_save() -> None:
    """The second number of a pair is written down by hand: 0.23 bits for ResNet-50, 0.16 and 0.13 measured."""
    study = load_study("observation-1-asymmetric-grids")
    for size, saved in (("paper", 0.23), ("small", 0.16), ("smoke", 0.13)):
        bits = {
            (cell.levels["grid"], cell.levels["average"]): float(str(cell.card.values["weight_bits"]))
            for cell in expand(study, size)
            if cell.levels["part"] == "weights"
        }
        for (grid, average), held in bits.items():
            assert held == pytest.approx(float(average) + (saved if grid == "symmetric+saved" else 0.0))
    for cell in expand(study, "paper"):
        if cell.levels["part"] == "activations":
            more = cell.levels["grid"] == "symmetric+1"
            assert cell.card.values["activation_bits"] == int(cell.levels["bits"]) + more


def test_the_ablations_of_flexround_share_their_runs_with_the_large_study() -> None:
    large = {cell.digest for cell in expand(load_study("post-training-resnet20"), "small")}
    cells = expand(load_study("flexround-resnet20"), "small")
    new = {
        (cell.levels["part"], cell.levels.get("method"), cell.levels.get("images"))
        for cell in cells
        if cell.digest not in large
    }
    images = ("16", "32", "64", "128", "256", "512")
    assert new == {("step", "s1_fixed", None)} | {
        ("samples", method, count) for method in ("adaround", "flexround") for count in images
    }
