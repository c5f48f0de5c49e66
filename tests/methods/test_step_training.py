"""The methods that train on static grids from a start: where steps start, whether they move, and what is told of it."""

from __future__ import annotations

import json

import pytest
import torch
from toys import ToyBench, ToyCheckpoints, toy_bench, toy_setting

from suite.errors import Unsupported
from suite.methods.api import Claims, Diverged
from suite.methods.engines.recipe import Optimizer, Recipe
from suite.methods.engines.step_learning import POINTS_OF_ONE, learn_steps, training_figures
from suite.methods.engines.training import Trained
from suite.methods.engines.trajectories import POINTS_OF_ALL, points_of_each
from suite.methods.lsq import LearnedStepSize, LsqOptions
from suite.methods.lsq_mse import LeastSquaresStart, LsqMseOptions
from suite.methods.mse_fixed import FixedLeastSquaresSteps, MseFixedOptions
from suite.plan import quantizers_of

SHORT = {"steps": 4, "batch_size": 16, "learning_rate": 0.1}


def fixed_bench(**changes: object) -> ToyBench:
    return toy_bench(
        toy_setting(**{**FixedLeastSquaresSteps.recommended, **changes}, step_gradient_scale="not-applicable")
    )


def steps_of(bench: ToyBench) -> dict[str, float]:
    return {name: float(quantizer.scale.detach()) for name, quantizer in quantizers_of(bench.model).items()}


def squared_error(bench: ToyBench, layer: str, step: float) -> float:
    """What a symmetric grid with this step loses of a float weight: nearest code within the limits, by hand."""
    weight = bench.reference.get_submodule(layer).weight.detach().double()
    spec = quantizers_of(bench.model)[f"{layer}:weight"].spec
    codes = (weight / step).round().clamp(spec.qmin, spec.qmax)
    return float((weight - step * codes).square().sum())


@pytest.mark.parametrize("kind", [LeastSquaresStart, FixedLeastSquaresSteps])
def test_steps_start_at_least_squares(kind: type) -> None:
    bench = toy_bench() if kind is LeastSquaresStart else fixed_bench()
    kind.from_mapping({"steps": 1, "learning_rate": 0.0}).quantize(bench)
    found = steps_of(bench)["middle:weight"]
    best = squared_error(bench, "middle", found)
    for factor in [0.3 + 0.01 * place for place in range(200)]:
        assert best <= squared_error(bench, "middle", found * factor) * (1 + 1e-5), factor


def test_the_start_of_lsq_mse_is_learned_and_that_of_mse_fixed_is_kept() -> None:
    start, learned, fixed = toy_bench(), toy_bench(), fixed_bench()
    LeastSquaresStart(LsqMseOptions(steps=1, learning_rate=0.0)).quantize(start)
    LeastSquaresStart(LsqMseOptions(**SHORT)).quantize(learned)
    FixedLeastSquaresSteps(MseFixedOptions(**SHORT)).quantize(fixed)
    before = steps_of(start)
    assert steps_of(fixed) == before
    assert all(step != before[name] for name, step in steps_of(learned).items())
    assert not torch.equal(fixed.model.middle.weight, start.model.middle.weight)


def test_lsq_with_its_mse_start_is_lsq_mse() -> None:
    one, other = toy_bench(), toy_bench()
    LearnedStepSize(LsqOptions(initialization="mse", **SHORT)).quantize(one)
    LeastSquaresStart(LsqMseOptions(**SHORT)).quantize(other)
    for (name, value), (_, again) in zip(one.model.state_dict().items(), other.model.state_dict().items(), strict=True):
        assert torch.equal(value, again), name


def test_the_figures_tell_the_way_of_every_step_from_its_start_to_its_end() -> None:
    bench, start = toy_bench(), toy_bench()
    LeastSquaresStart(LsqMseOptions(steps=1, learning_rate=0.0)).quantize(start)
    figures = LeastSquaresStart(LsqMseOptions(**SHORT)).quantize(bench).figures
    assert figures["after"] == [0, 1, 2, 3, 4]
    assert len(figures["loss"]) == 4
    sizes = figures["step_sizes"]
    assert sizes.keys() == quantizers_of(bench.model).keys()
    for name, way in sizes.items():
        assert way[0] == pytest.approx(steps_of(start)[name], rel=1e-5)
        assert way[-1] == pytest.approx(steps_of(bench)[name], rel=1e-5)


def test_steps_that_are_not_learned_have_no_way() -> None:
    claims = FixedLeastSquaresSteps(MseFixedOptions(**SHORT)).quantize(fixed_bench())
    assert "step_sizes" not in claims.figures
    assert len(claims.figures["loss"]) == 4


def test_a_killed_training_tells_the_same_way() -> None:
    class Killed(BaseException):
        pass

    class Dying(ToyCheckpoints):
        def save(self, *arguments: object, **more: object) -> None:
            super().save(*arguments, **more)
            if self.saves == 3:
                raise Killed

    def run(checkpoints: ToyCheckpoints) -> Claims:
        bench = toy_bench()
        bench.checkpoints = checkpoints
        return LeastSquaresStart(LsqMseOptions(**{**SHORT, "steps": 6})).quantize(bench)

    dying = Dying(eager=True)
    with pytest.raises(Killed):
        run(dying)
    assert run(ToyCheckpoints(kept=dying.kept)).figures == run(ToyCheckpoints()).figures


def test_many_long_ways_stay_within_what_a_record_keeps() -> None:
    looks, names = 200, [f"layer{number}.with.a.rather.long.name:weight" for number in range(2000)]
    sizes = {name: tuple(0.1234567890 * look for look in range(looks + 1)) for name in names}
    trained = Trained(looks, tuple(float(look) / 3 for look in range(looks)), 0.0, None, tuple(range(looks + 1)), sizes)
    figures = training_figures(trained)
    assert len(json.dumps(figures)) < 256 * 1024
    assert (figures["after"][0], figures["after"][-1]) == (0, looks)
    assert points_of_each(3, POINTS_OF_ONE) == POINTS_OF_ONE
    assert points_of_each(2000, POINTS_OF_ONE) == POINTS_OF_ALL // 2000
    assert points_of_each(10**6, POINTS_OF_ONE) == 2


def test_a_step_that_runs_away_in_the_last_update_is_recorded_as_divergence() -> None:
    bench = toy_bench()
    recipe = Recipe(steps=1, batch_size=16, learning_rate=1e38, step_rate_ratio=1e300, optimizer=Optimizer.SGD)
    with pytest.raises(Diverged, match="step is not finite after 1 of 1"):
        learn_steps(bench, recipe, start="lsq", method="lsq")


@pytest.mark.parametrize("kind", [LeastSquaresStart, FixedLeastSquaresSteps])
def test_a_setting_without_any_grid_is_refused(kind: type) -> None:
    ends = (
        "first_layer_weights", "last_layer_weights", "first_layer_activations", "last_layer_activations",
        "network_input",
    )  # fmt: skip
    floats = {"weight_bits": 32, "activation_bits": 32, **dict.fromkeys(ends, "same")}
    bench = toy_bench(toy_setting(**floats)) if kind is LeastSquaresStart else fixed_bench(**floats)
    with pytest.raises(Unsupported, match="puts no grid on any weight or activation"):
        kind.from_mapping({"steps": 1}).quantize(bench)
    assert bench.data.requests == 0


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (LeastSquaresStart, {"weight_range": "iterative-mse"}),
        (LeastSquaresStart, {"labels": "unlabeled"}),
        (FixedLeastSquaresSteps, {}),
    ],
)
def test_settings_of_the_other_methods_are_refused(kind: type, changes: dict[str, str]) -> None:
    with pytest.raises(Unsupported, match="does not support"):
        kind.check_setting(toy_setting(**changes))
