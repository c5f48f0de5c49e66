"""Distillation: the float model as a teacher beside the labels."""

from __future__ import annotations

import math

import pytest
import torch
from test_training_resumed import Fragile, Killed
from torch import Tensor
from torch.nn import functional
from toys import ToyBench, ToyCheckpoints, toy_bench, toy_setting

from suite.errors import SuiteError
from suite.methods.engines.calibration import calibrate
from suite.methods.engines.distillation import distilled, divergence_from
from suite.methods.engines.recipe import Compilation, Recipe, Schedule
from suite.methods.engines.training import train
from suite.methods.engines.training_options import TrainingOptions
from suite.plan import quantizers_of


def started(checkpoints: ToyCheckpoints | None = None) -> ToyBench:
    bench = toy_bench(toy_setting())
    bench.checkpoints = checkpoints or ToyCheckpoints()
    calibrate(bench)
    for quantizer in quantizers_of(bench.model).values():
        quantizer.learn_step()
    return bench


def recipe(share: float, temperature: float = 1.0, **changes: object) -> Recipe:
    base = {"steps": 6, "batch_size": 16, "learning_rate": 0.05}
    return Recipe(**{**base, **changes}, distillation=share, temperature=temperature)  # type: ignore[arg-type]


def state(bench: ToyBench) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in bench.model.state_dict().items()}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 7)], ids=["images", "sequences"])
def test_the_loss_and_its_gradient_are_those_of_the_formula(temperature: float, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(shape, generator=generator, dtype=torch.float64)
    found = divergence_from(student, teacher, temperature)
    p = (teacher / temperature).exp() / (teacher / temperature).exp().sum(1, keepdim=True)
    q = (student.detach() / temperature).exp() / (student.detach() / temperature).exp().sum(1, keepdim=True)
    compared = student.numel() / shape[1]
    by_hand = temperature**2 * float((p * (p / q).log()).sum()) / compared
    assert float(found.detach()) == pytest.approx(by_hand, rel=1e-12)
    found.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(student.grad, temperature * (q - p) / compared)


def test_the_two_losses_are_weighed_by_their_shares() -> None:
    student, teacher = torch.randn(4, 3), torch.randn(4, 3)
    labels = torch.tensor([0, 1, 2, 0])
    task = functional.cross_entropy(student, labels)
    found = distilled(task, student, teacher, recipe(0.25, 2.0))
    by_hand = 0.75 * float(task) + 0.25 * float(divergence_from(student, teacher, 2.0))
    assert float(found) == pytest.approx(by_hand)


def test_no_share_is_plain_training_bit_for_bit_and_asks_no_teacher() -> None:
    plain, without = started(), started()
    without.reference.register_forward_hook(lambda *_: pytest.fail("the float model was asked"))
    trained = train(plain, Recipe(steps=6, batch_size=16, learning_rate=0.05))
    assert train(without, recipe(0.0, 3.0)) == trained
    assert same(state(plain), state(without))


def test_a_full_share_learns_from_the_teacher_whatever_the_labels_are() -> None:
    honest, wrong = started(), started()
    wrong.data.labels = 1 - wrong.data.labels
    for bench in (honest, wrong):
        train(bench, recipe(1.0, 2.0, learning_rate=0.01))
    assert same(state(honest), state(wrong))


def test_the_network_comes_closer_to_its_teacher() -> None:
    def distance(bench: ToyBench) -> float:
        with torch.no_grad():
            return float(divergence_from(bench.model.eval()(bench.data.inputs), bench.reference(bench.data.inputs), 1))

    bench = started()
    bench.reference.linear.weight.data.mul_(5)
    bench.data.labels = 1 - bench.reference(bench.data.inputs).argmax(1)
    before = distance(bench)
    assert before > 1e-4
    train(bench, recipe(1.0, steps=40))
    assert distance(bench) < 0.5 * before


def test_the_teacher_is_left_as_it_was() -> None:
    bench = started()
    before = {name: value.clone() for name, value in bench.reference.state_dict().items()}
    bench.reference.train()
    train(bench, recipe(0.5))
    assert same(before, dict(bench.reference.state_dict()))
    assert not any(module.training for module in bench.reference.modules())
    assert all(parameter.grad is None for parameter in bench.reference.parameters())
    assert bench.reference.conv.weight.is_contiguous()


def test_the_recorded_loss_is_that_of_the_task() -> None:
    """What ends a diverged run is its distance to guessing, which a teacher's loss does not have."""
    bench = started()
    with torch.no_grad():
        logits = bench.model.train()(bench.data.inputs)
    first = float(functional.cross_entropy(logits, bench.data.labels))
    bench = started()
    trained = train(bench, recipe(1.0, 5.0, steps=1, batch_size=64, schedule=Schedule.CONSTANT))
    assert trained.losses[0] == pytest.approx(first, rel=1e-4)
    assert trained.losses[0] < math.log(2) * 3


def test_a_killed_distillation_ends_as_an_unbroken_one() -> None:
    unbroken = started()
    expected = train(unbroken, recipe(0.5, 2.0))
    kept: Fragile = Fragile(dies_after=3)
    with pytest.raises(Killed):
        train(started(kept), recipe(0.5, 2.0))
    again = started(Fragile(kept=kept.kept))
    assert train(again, recipe(0.5, 2.0)) == expected
    assert same(state(unbroken), state(again))


def test_another_share_does_not_continue_the_same_checkpoint() -> None:
    kept = Fragile(dies_after=3)
    with pytest.raises(Killed):
        train(started(kept), recipe(0.5))
    fresh, other = started(), started(Fragile(kept=kept.kept))
    assert train(fresh, recipe(0.25)) == train(other, recipe(0.25))


def test_both_networks_are_compiled_where_training_is(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bool] = []

    def note(function: object, **_: object) -> object:
        made.append(torch.is_grad_enabled())
        return function

    monkeypatch.setattr(torch, "compile", note)
    eager, fast = started(), started()
    train(eager, recipe(0.5))
    train(fast, recipe(0.5, compilation=Compilation.ALWAYS))
    assert sorted(made) == [False, True]  # the teacher learns nothing
    assert same(state(eager), state(fast))
    assert not any("forward" in vars(one) for one in (fast.model, fast.reference))


def test_options_become_the_recipe() -> None:
    made = TrainingOptions(distillation=0.3, temperature=4.0, validation_fraction=0.2).recipe()
    assert (made.distillation, made.temperature, made.validation_fraction) == (0.3, 4.0, 0.2)
    assert TrainingOptions().recipe().distillation == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("distillation", -0.1), ("distillation", 1.1), ("temperature", 0.0), ("temperature", -1.0)],
)
def test_shares_and_temperatures_that_are_none_are_refused(name: str, value: float) -> None:
    with pytest.raises(SuiteError, match=f"option '{name}' is {value}, expected a number from"):
        TrainingOptions.from_mapping({name: value})


def test_a_teacher_of_another_kind_of_output_is_compared_along_classes() -> None:
    """Of tokens the classes are axis 1, and every position counts the same."""
    student, teacher = torch.zeros(2, 4, 3), torch.zeros(2, 4, 3)
    teacher[0, 0, 0] = 100.0
    expected = math.log(4) / 6
    assert float(divergence_from(student, teacher, 1.0)) == pytest.approx(expected)
