"""The training engine, killed and continued: the same end as an unbroken training, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toys import ToyBench, ToyCheckpoints, toy_bench, toy_setting

from suite.methods.api import Checkpoint, Fact
from suite.methods.engines.calibration import calibrate
from suite.methods.engines.recipe import Optimizer, Recipe, Schedule
from suite.methods.engines.training import Trained, train
from suite.plan import quantizers_of


class Killed(BaseException):
    """What no `except Exception` swallows, like the end of a process."""


class Fragile(ToyCheckpoints):
    """Due after every step; dies after the save number `dies_after`, or never."""

    def __init__(self, dies_after: int | None = None, kept: Mapping[str, Checkpoint] | None = None) -> None:
        super().__init__(eager=True, kept=dict(kept or {}))
        self.dies_after = dies_after

    def save(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Fact] | None = None) -> None:
        super().save(name, tensors, facts)
        if self.saves == self.dies_after:
            raise Killed


def prepared(setting: dict[str, Any], checkpoints: ToyCheckpoints, *, dropout: bool = False) -> ToyBench:
    bench = toy_bench(toy_setting(**setting))
    bench.checkpoints = checkpoints
    calibrate(bench)
    for quantizer in quantizers_of(bench.model).values():
        quantizer.learn_step()
    if dropout:
        bench.model.middle.register_forward_hook(
            lambda module, _, output: nn.functional.dropout(output, 0.3, module.training)
        )
    return bench


def outcome(bench: ToyBench, trained: Trained) -> dict[str, Any]:
    """All that a training leaves: its words, the model, and what it asked the doors for."""
    held = bench.data.held
    return {
        "trained": trained,
        "model": {name: value.tolist() for name, value in bench.model.state_dict().items()},
        "presented": list(bench.data.presented),
        "requests": bench.data.requests,
        "validated": None if held is None else (held.requests, held.presented),
        "shown": bench.displays["training"].steps,
    }


def killed_after(saves: list[int], setting: dict[str, Any], recipe: Recipe, **options: Any) -> dict[str, Any]:
    """Train in attempts of which each dies after so many more saves, and the last one does not."""
    kept: Mapping[str, Checkpoint] = {}
    for count in saves:
        bench = prepared(setting, Fragile(count, kept), **options)
        with pytest.raises(Killed):
            train(bench, recipe)
        kept = bench.checkpoints.kept
    bench = prepared(setting, Fragile(None, kept), **options)
    return outcome(bench, train(bench, recipe))


def unbroken(setting: dict[str, Any], recipe: Recipe, **options: Any) -> dict[str, Any]:
    bench = prepared(setting, ToyCheckpoints(), **options)
    return outcome(bench, train(bench, recipe))


RECIPE = Recipe(epochs=5, batch_size=24, learning_rate=0.05, weight_decay=1e-3)  # 64 examples: 24, 24, 16


@pytest.mark.parametrize(
    ("optimizer", "saves"),
    [
        (Optimizer.SGD, [1]),
        (Optimizer.SGD, [3, 1, 5]),
        (Optimizer.SGD, [14]),
        (Optimizer.ADAM, [7]),
        (Optimizer.ADAMW, [2, 9]),
    ],
    ids=str,
)
def test_a_killed_training_ends_like_an_unbroken_one(optimizer: Optimizer, saves: list[int]) -> None:
    recipe = Recipe(epochs=5, batch_size=24, learning_rate=0.02, weight_decay=1e-3, optimizer=optimizer)
    assert killed_after(saves, {}, recipe) == unbroken({}, recipe)


@pytest.mark.parametrize("saves", [[3], [8, 2]], ids=str)
def test_the_best_state_so_far_is_not_forgotten(saves: list[int]) -> None:
    setting = {"checkpoint": "best-on-validation"}
    # A rate so large that the best state comes early: a keeper that forgot it would keep another one.
    recipe = Recipe(epochs=6, batch_size=16, learning_rate=0.3, schedule=Schedule.CONSTANT, validation_fraction=0.25)
    expected = unbroken(setting, recipe)
    assert expected["validated"] == (6, [16] * 6)
    assert killed_after(saves, setting, recipe) == expected


@pytest.mark.parametrize(
    "setting",
    [
        {"incomplete_batches": "dropped"},
        {"batch_norm": "folded"},
        {"batch_norm_statistics": "frozen"},
        {"batch_norm_statistics": "re-estimated"},
        {"activation_range": "three"},
    ],
    ids=str,
)
def test_other_settings_continue_too(setting: dict[str, Any]) -> None:
    assert killed_after([4], setting, RECIPE) == unbroken(setting, RECIPE)


def test_steps_that_go_through_the_data_several_times_continue() -> None:
    recipe = Recipe(steps=11, batch_size=24, learning_rate=0.05)  # a request to the door for every three steps
    assert killed_after([5, 2], {}, recipe) == unbroken({}, recipe)


def test_noise_of_the_network_goes_on_where_it_was() -> None:
    expected = unbroken({}, RECIPE, dropout=True)
    assert expected["model"] != unbroken({}, RECIPE)["model"]
    torch.manual_seed(99)
    assert killed_after([4, 4], {}, RECIPE, dropout=True) == expected


def test_a_sum_of_losses_between_two_looks_is_kept() -> None:
    """With more than a hundred steps a look comes only after several: here after every second."""
    recipe = Recipe(steps=210, batch_size=32, learning_rate=0.01)
    assert killed_after([101], {}, recipe) == unbroken({}, recipe)


def test_nothing_is_saved_before_it_is_due() -> None:
    bench = prepared({}, ToyCheckpoints(eager=False))
    train(bench, RECIPE)
    assert bench.checkpoints.saves == 0


def test_a_finished_training_saves_no_more() -> None:
    bench = prepared({}, Fragile())
    trained = train(bench, RECIPE)
    assert bench.checkpoints.saves == trained.steps - 1


@pytest.mark.parametrize("change", ["start", "recipe"])
def test_another_training_under_the_same_name_starts_anew(change: str) -> None:
    first = prepared({}, Fragile(4))
    with pytest.raises(Killed):
        train(first, RECIPE)
    results = []
    for kept in ({}, first.checkpoints.kept):
        bench = prepared({}, Fragile(None, kept))
        recipe = Recipe(epochs=5, batch_size=24, learning_rate=0.06) if change == "recipe" else RECIPE
        if change == "start":
            with torch.no_grad():
                bench.model.linear.bias.add_(0.5)
        results.append(outcome(bench, train(bench, recipe)))
    assert results[0] == results[1]


def test_two_trainings_with_names_of_their_own_both_continue() -> None:
    def both(bench: ToyBench) -> dict[str, Any]:
        train(bench, RECIPE, name="first")
        return outcome(bench, train(bench, RECIPE, name="second"))

    expected = both(prepared({}, ToyCheckpoints()))
    first = prepared({}, Fragile(14 + 6))
    with pytest.raises(Killed):
        both(first)
    assert sorted(first.checkpoints.kept) == ["first", "second"]
    again = prepared({}, Fragile(None, first.checkpoints.kept))
    assert both(again) == expected
    assert again.checkpoints.saves == 8  # steps 7 to 14 of the second; the last one is the end
