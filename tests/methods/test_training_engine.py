"""The training engine: recipes are arithmetic, runs repeat bit for bit, and failures end in the right word."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, Never

import pytest
import torch
from torch import nn
from torch.nn import functional
from toys import ToyBench, ToyCheckpoints, toy_bench, toy_setting

from suite.errors import SuiteError
from suite.methods.api import Diverged
from suite.methods.engines import acceleration
from suite.methods.engines.batches import steps_per_epoch
from suite.methods.engines.calibration import calibrate
from suite.methods.engines.divergence import require_better_than_guessing
from suite.methods.engines.optimizers import make_optimizer
from suite.methods.engines.recipe import Compilation, Optimizer, Recipe, Schedule
from suite.methods.engines.training import train
from suite.plan import quantizers_of


def started(setting: dict[str, object] | None = None, *, count: int = 64) -> ToyBench:
    """A toy bench with learned steps, ready for training."""
    bench = toy_bench(toy_setting(**(setting or {})), count=count)
    calibrate(bench)
    for quantizer in quantizers_of(bench.model).values():
        quantizer.learn_step()
    return bench


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_cosine_rate_by_hand() -> None:
    recipe = Recipe(steps=100, learning_rate=0.4)
    assert recipe.rate(0, 100) == pytest.approx(0.4)
    assert recipe.rate(50, 100) == pytest.approx(0.2)
    assert recipe.rate(75, 100) == pytest.approx(0.4 * 0.5 * (1 - math.sqrt(0.5)))


def test_warmup_climbs_linearly_and_then_the_schedule_starts() -> None:
    recipe = Recipe(steps=100, learning_rate=1.0, warmup=0.1)
    assert [recipe.rate(step, 100) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert recipe.rate(10, 100) == pytest.approx(1.0)
    assert recipe.rate(55, 100) == pytest.approx(0.5)


def test_step_schedule_divides_by_ten_at_milestones() -> None:
    recipe = Recipe(steps=100, learning_rate=1.0, schedule=Schedule.STEP, milestones=(0.5, 0.75))
    assert [recipe.rate(step, 100) for step in (49, 50, 74, 75)] == pytest.approx([1.0, 0.1, 0.1, 0.01])


@pytest.mark.parametrize("arguments", [{}, {"epochs": 1, "steps": 1}, {"epochs": 0}, {"steps": 0}])
def test_a_recipe_has_one_length(arguments: dict[str, int]) -> None:
    with pytest.raises(SuiteError, match="training recipe"):
        Recipe(**arguments)


def test_steps_per_epoch_counts_incomplete_batches_as_the_axis_says() -> None:
    assert (steps_per_epoch(65, 32, False), steps_per_epoch(65, 32, True), steps_per_epoch(64, 32, False)) == (3, 2, 2)


def test_only_matrices_decay_and_steps_have_a_rate_of_their_own() -> None:
    bench = started()
    quantizers = list(quantizers_of(bench.model).values())
    recipe = Recipe(steps=1, learning_rate=0.1, weight_decay=0.3, step_rate_ratio=0.5)
    optimizer = make_optimizer(bench.model, quantizers, recipe)
    names = {id(parameter): name for name, parameter in bench.model.named_parameters()}
    groups = [
        ({names[id(one)] for one in group["params"]}, group["weight_decay"], group["lr"])
        for group in optimizer.param_groups
    ]
    assert groups[0] == ({"conv.weight", "middle.weight", "linear.weight"}, 0.3, 0.1)
    assert groups[1] == ({"norm.weight", "norm.bias", "middle.bias", "linear.bias"}, 0.0, 0.1)
    assert all(name.endswith(".scale") for name in groups[2][0])
    assert len(groups[2][0]) == len(quantizers)
    assert groups[2][1:] == (0.0, 0.05)


@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_training_learns_and_repeats_bit_for_bit(optimizer: Optimizer) -> None:
    recipe = Recipe(epochs=6, batch_size=16, learning_rate=0.05, optimizer=optimizer)
    runs = []
    for _ in range(2):
        bench = started()
        trained = train(bench, recipe)
        runs.append((trained, state(bench.model)))
    assert runs[0][0].steps == 24
    assert runs[0][0].losses[-1] < 0.8 * runs[0][0].losses[0]
    assert runs[0][0] == runs[1][0]
    assert same(runs[0][1], runs[1][1])


def test_what_others_draw_from_the_global_generator_changes_nothing() -> None:
    recipe = Recipe(steps=4, batch_size=16)
    states = []
    for draws in (0, 1000):
        bench = started()
        torch.manual_seed(draws)
        torch.rand(draws)
        before = torch.get_rng_state()
        train(bench, recipe)
        assert torch.equal(before, torch.get_rng_state())
        states.append(state(bench.model))
    assert same(*states)


def test_the_model_ends_in_eval_mode_and_ordinary_memory_format() -> None:
    bench = started()
    train(bench, Recipe(steps=2, batch_size=16))
    assert not any(module.training for module in bench.model.modules())
    assert bench.model.conv.weight.is_contiguous()


def test_steps_are_counted_exactly_and_shown() -> None:
    bench = started()
    bench.data.presented.clear()
    train(bench, Recipe(steps=7, batch_size=16))
    assert bench.data.presented == [16] * 7
    assert bench.displays["training"].steps == 7
    assert set(bench.displays["training"].figures[0]) == {"loss", "rate"}


def test_a_batch_larger_than_the_data_is_a_clear_error_when_incomplete_batches_are_dropped() -> None:
    bench = started({"incomplete_batches": "dropped"})
    with pytest.raises(SuiteError, match="64 examples give no training step in batches of 65"):
        train(bench, Recipe(epochs=1, batch_size=65))


def test_learned_steps_stay_positive_whatever_the_rate() -> None:
    bench = started()
    train(bench, Recipe(steps=8, batch_size=16, learning_rate=1e-3, step_rate_ratio=1e5))
    assert all(bool((quantizer.scale > 0).all()) for quantizer in quantizers_of(bench.model).values())


def test_images_of_nan_diverge() -> None:
    bench = started()
    bench.data.inputs[3] = torch.nan
    with pytest.raises(Diverged, match="training loss is nan"):
        train(bench, Recipe(epochs=1, batch_size=16))


def test_an_exploding_rate_diverges() -> None:
    bench = started()
    with pytest.raises(Diverged, match="of 300 steps"):
        train(bench, Recipe(steps=300, batch_size=16, learning_rate=1e30, schedule=Schedule.CONSTANT))


@pytest.mark.parametrize(
    ("first", "last", "diverged"),
    [
        (0.01, 2.31, True),  # ten classes: guessing gives 2.303
        (0.01, 2.2, False),
        (1.0, 3e20, True),
        (2.0, 2.31, False),  # was never better than guessing
        (0.5, 0.9, False),
    ],
)
def test_a_network_that_ends_by_guessing_has_diverged(first: float, last: float, diverged: bool) -> None:
    if diverged:
        with pytest.raises(Diverged, match="which guessing reaches too"):
            require_better_than_guessing(first, [first, *[last] * 9], 10)
    else:
        require_better_than_guessing(first, [first, *[last] * 9], 10)


def test_one_batch_of_many_says_nothing_about_the_end() -> None:
    require_better_than_guessing(0.01, [0.01] * 99 + [2.4], 10)


@pytest.mark.parametrize("killed", [False, True])
def test_steps_of_an_absurd_rate_diverge_although_all_numbers_are_finite(killed: bool) -> None:
    """Also where the first loss was seen by an attempt before."""
    bench = started()
    recipe = Recipe(steps=20, batch_size=16, learning_rate=0.05, schedule=Schedule.CONSTANT)
    train(bench, recipe)
    bench.checkpoints = ToyCheckpoints(eager=killed)
    wild = Recipe(steps=20, batch_size=16, learning_rate=1e-3, step_rate_ratio=1e30, schedule=Schedule.CONSTANT)
    start, requests = state(bench.model), bench.data.requests
    for _ in range(1 + killed):
        bench.model.load_state_dict(start)
        bench.data.requests = requests
        with pytest.raises(Diverged, match="which guessing reaches too"):
            train(bench, wild)
    assert bench.checkpoints.saves == (19 if killed else 0)


def resting_where_guessing_lies(**setting: Any) -> ToyBench:
    """A network that answers the same to everything, and a training that cannot move it."""
    bench = started(setting)
    with torch.no_grad():
        bench.model.linear.weight.zero_()
        bench.model.linear.bias.zero_()
    return bench


def test_what_was_lost_before_a_later_training_counts_as_lost() -> None:
    still = Recipe(steps=10, batch_size=16, learning_rate=0.0)
    bench = resting_where_guessing_lies()
    assert train(bench, still).first == pytest.approx(math.log(2))  # it was never better: it has not learned
    with pytest.raises(Diverged, match="which guessing reaches too"):
        train(bench, still, began=0.1)


def test_the_best_of_many_states_that_guess_is_a_divergence_too() -> None:
    recipe = Recipe(epochs=8, batch_size=16, learning_rate=0.0, validation_fraction=0.25)
    bench = resting_where_guessing_lies(checkpoint="best-on-validation")
    bench.data.labels = torch.arange(len(bench.data.labels)) % 2  # guessing is right half of the time
    with pytest.raises(Diverged, match="which guessing reaches too"):
        train(bench, recipe, began=0.1)


def test_trainings_of_one_run_draw_noise_of_their_own() -> None:
    drawn = []
    for name in ("first", "second", "first"):
        bench = started()
        bench.model.register_forward_pre_hook(lambda *_: drawn.append(float(torch.rand(()))))
        train(bench, Recipe(steps=1, batch_size=16), name=name)
    assert drawn[0] == drawn[2] != drawn[1]


def test_the_best_state_on_validation_is_the_one_that_stays() -> None:
    recipe = Recipe(epochs=8, batch_size=16, learning_rate=0.3, schedule=Schedule.CONSTANT, validation_fraction=0.25)
    bench = started({"checkpoint": "best-on-validation"})
    trained = train(bench, recipe)
    held = bench.data.held
    assert held is not None
    assert held.size == 16
    assert held.requests == 8
    with torch.no_grad():
        score = float((bench.model(held.inputs).argmax(1) == held.labels).float().mean())
    assert trained.best_validation == pytest.approx(score)


def test_the_last_state_asks_for_no_validation() -> None:
    bench = started()
    assert train(bench, Recipe(steps=2, batch_size=16)).best_validation is None
    assert bench.data.held is None


def test_validation_is_looked_at_after_every_epoch_and_at_the_end_where_steps_are_given() -> None:
    recipe = Recipe(steps=8, batch_size=16, learning_rate=0.3, schedule=Schedule.CONSTANT, validation_fraction=0.25)
    bench = started({"checkpoint": "best-on-validation"})
    train(bench, recipe)
    held = bench.data.held
    assert held is not None
    assert held.requests == 3  # 48 examples in batches of 16: after steps 3 and 6, and after step 8


def refuse(*_: object, **__: object) -> Never:
    raise RuntimeError("no C++ compiler\nand a page of advice")


def refuse_when_called(*_: object, **__: object) -> object:
    return refuse


# Some failures show when compilation is asked for (an interpreter too new), others at the first call (no compiler).
FAILURES = pytest.mark.parametrize("broken_compile", [refuse, refuse_when_called])


@FAILURES
def test_where_compiling_fails_training_goes_on_with_one_note(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken_compile: Callable[..., object]
) -> None:
    recipe = Recipe(steps=3, batch_size=16)
    plain = started()
    train(plain, recipe)

    monkeypatch.setattr(torch, "compile", broken_compile)
    monkeypatch.setattr(acceleration, "COMPILE_FROM_STEPS", 1)
    monkeypatch.setattr(acceleration, "COMPILE_FROM_PARAMETERS", 1)
    broken = started()
    with caplog.at_level(logging.WARNING, logger="suite.training"):
        train(broken, Recipe(steps=3, batch_size=16, compilation=Compilation.AUTO))
    assert [record.getMessage() for record in caplog.records] == [
        "compiling the training step failed (RuntimeError); training goes on without"
    ]
    assert same(state(plain.model), state(broken.model))
    assert "forward" not in vars(broken.model)


@FAILURES
def test_where_compiling_fails_although_it_was_asked_for_the_run_ends(
    monkeypatch: pytest.MonkeyPatch, broken_compile: Callable[..., object]
) -> None:
    monkeypatch.setattr(torch, "compile", broken_compile)
    bench = started()
    with pytest.raises(SuiteError, match=r"training step failed: RuntimeError: no C\+\+ compiler \("):
        train(bench, Recipe(steps=3, batch_size=16, compilation=Compilation.ALWAYS))
    assert "forward" not in vars(bench.model)


class Textbook(nn.Module):
    """LSQ written down from the paper's formulas, as an oracle: autograd does the gradients."""

    def __init__(self, model: nn.Module, spec_of: dict[str, tuple[torch.Tensor, int, int, int]]) -> None:
        super().__init__()
        self.weights = nn.ParameterDict({"linear": model.linear.weight.detach().clone()})
        self.bias = nn.Parameter(model.linear.bias.detach().clone())
        self.steps = nn.ParameterDict({name: value[0].detach().clone() for name, value in spec_of.items()})
        self.limits = {name: value[1:] for name, value in spec_of.items()}

    def quantize(self, name: str, values: torch.Tensor) -> torch.Tensor:
        low, high, count = self.limits[name]
        factor = 1 / math.sqrt(count * high)
        step = self.steps[name] * factor + (self.steps[name] * (1 - factor)).detach()
        ratio = torch.clamp(values / step, low, high)
        return ((ratio.round() - ratio).detach() + ratio) * step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(self.quantize("input", x), self.quantize("weight", self.weights["linear"]), self.bias)


class OneLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


def test_three_steps_of_training_equal_the_papers_formulas() -> None:
    from toys import ToyDoor

    from suite.plan import dissect, make_plan, place

    setting = toy_setting(
        first_layer_weights="same", last_layer_weights="same", network_input="same", last_layer_activations="same"
    )
    torch.manual_seed(3)
    model = OneLayer().eval()
    images, labels = torch.randn(8, 6), torch.arange(8) % 3
    plan = make_plan(dissect(model, images[:2]), setting)
    bench = ToyBench(place(model, plan), model, plan, setting, ToyDoor(images, labels))
    calibrate(bench, weight_start="lsq", activation_start="lsq")
    steps = {
        "weight" if quantizer.is_weight else "input": (quantizer.learn_step(), quantizer.spec.qmin, quantizer.spec.qmax)
        for quantizer in quantizers_of(bench.model).values()
    }
    assert set(steps) == {"weight", "input"}
    oracle = Textbook(model, {name: (*value, {"weight": 18, "input": 6}[name]) for name, value in steps.items()})
    assert oracle.limits["weight"][:2] == (-7, 7)

    recipe = Recipe(steps=3, batch_size=8, learning_rate=0.1, momentum=0.0, schedule=Schedule.CONSTANT)
    optimizer = torch.optim.SGD(oracle.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        functional.cross_entropy(oracle(images), labels).backward()
        optimizer.step()
    train(bench, recipe)

    torch.testing.assert_close(bench.model.linear.weight, oracle.weights["linear"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(bench.model.linear.bias, oracle.bias, rtol=1e-5, atol=1e-6)
    for name, (step, _, _) in steps.items():
        torch.testing.assert_close(step, oracle.steps[name], rtol=1e-5, atol=1e-6)
