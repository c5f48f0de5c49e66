"""What batch-norm statistics do in training: follow the batches, rest, or be computed anew at the end."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from toys import ToyBench, ToyDoor, toy_bench, toy_setting

from suite.methods.bsq import BitLevelSparsity
from suite.methods.engines.calibration import calibrate
from suite.methods.engines.normalization import re_estimate
from suite.methods.engines.recipe import Recipe
from suite.methods.engines.training import train
from suite.methods.smol import TrainableNoise
from suite.plan import quantizers_of

RECIPE = Recipe(steps=3, batch_size=16, learning_rate=0.05)


def started(statistics: str, count: int = 64) -> ToyBench:
    bench = toy_bench(toy_setting(batch_norm_statistics=statistics), count=count)
    calibrate(bench)
    for quantizer in quantizers_of(bench.model).values():
        quantizer.learn_step()
    return bench


def statistics_of(bench: ToyBench) -> tuple[Tensor, Tensor]:
    return bench.model.norm.running_mean.clone(), bench.model.norm.running_var.clone()


def convolved(bench: ToyBench) -> Tensor:
    """What reaches the normalization, in evaluation: [channels, all values of all examples]."""
    seen = []
    with bench.model.norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])), torch.no_grad():
        bench.model.eval()(bench.data.inputs)
    return seen[0].transpose(0, 1).flatten(1).double()


def test_statistics_follow_the_batches_by_default() -> None:
    bench = started("running")
    before = statistics_of(bench)
    train(bench, RECIPE)
    assert not any(torch.equal(one, two) for one, two in zip(before, statistics_of(bench), strict=True))


def test_frozen_statistics_rest_and_normalize_while_the_rest_is_trained() -> None:
    bench = started("frozen")
    before, weight = statistics_of(bench), bench.model.norm.weight.detach().clone()
    modes = []
    bench.model.norm.register_forward_hook(lambda norm, *_: modes.append(norm.training))
    train(bench, RECIPE)
    assert all(torch.equal(one, two) for one, two in zip(before, statistics_of(bench), strict=True))
    assert not torch.equal(weight, bench.model.norm.weight)
    assert modes == [False] * 3


@pytest.mark.parametrize("batch_size", [7, 16, 64])
def test_re_estimated_statistics_are_those_of_all_examples_whatever_the_batches(batch_size: int) -> None:
    bench = started("re-estimated")
    train(bench, Recipe(steps=3, batch_size=batch_size, learning_rate=0.05))
    mean, variance = statistics_of(bench)
    values = convolved(bench)
    torch.testing.assert_close(mean.double(), values.mean(1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(variance.double(), values.var(1), rtol=1e-5, atol=1e-6)


def test_re_estimation_leaves_everything_else_as_training_left_it() -> None:
    running, anew = started("running"), started("re-estimated")
    for bench in (running, anew):
        train(bench, RECIPE)
    left, right = running.model.state_dict(), anew.model.state_dict()
    changed = {name for name in left if not torch.equal(left[name], right[name])}
    assert changed == {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}
    assert not any(module.training for module in anew.model.modules())


def test_re_estimation_takes_one_unlabelled_pass_through_training_examples() -> None:
    bench = started("re-estimated", count=40)
    bench.data.presented.clear()
    train(bench, RECIPE)
    assert bench.data.presented == [16, 16, 8] * 2
    assert bench.displays["batch-norm statistics"].steps == 3


def test_examples_held_out_for_validation_give_no_statistics() -> None:
    bench = toy_bench(toy_setting(batch_norm_statistics="re-estimated", checkpoint="best-on-validation"))
    calibrate(bench)
    train(bench, Recipe(steps=4, batch_size=16, learning_rate=0.05, validation_fraction=0.25))
    held = bench.data.held
    assert held is not None
    mean = statistics_of(bench)[0]
    bench.data = ToyDoor(bench.data.inputs[held.size :], bench.data.labels[held.size :])
    torch.testing.assert_close(mean.double(), convolved(bench).mean(1), rtol=1e-5, atol=1e-6)


def test_a_training_that_another_follows_does_not_re_estimate() -> None:
    bench = started("re-estimated")
    train(bench, RECIPE, keep_end=True)
    assert "batch-norm statistics" not in bench.displays


class TwoNorms(nn.Module):
    """The second normalization reads what the first gives, and the first is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.BatchNorm1d(3), nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.second(torch.relu(self.first(x)) + self.first(2 * x))
        return result


def test_later_normalizations_see_what_training_gives_them() -> None:
    bench = toy_bench()
    torch.manual_seed(0)
    inputs = torch.randn(48, 3) * 4 + 1
    bench.model, bench.data = TwoNorms(), ToyDoor(inputs, torch.zeros(48))
    re_estimate(bench, bench.data, 48)
    both = torch.cat([inputs, 2 * inputs]).double()
    first, second = bench.model.first, bench.model.second
    torch.testing.assert_close(first.running_mean.double(), both.mean(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(first.running_var.double(), both.var(0), rtol=1e-5, atol=1e-6)

    def normalized(x: Tensor) -> Tensor:
        return (x - x.mean(0)) / (x.var(0, correction=0) + first.eps).sqrt()

    given = torch.relu(normalized(inputs.double())) + normalized(2 * inputs.double())
    torch.testing.assert_close(second.running_mean.double(), given.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(second.running_var.double(), given.var(0), rtol=1e-4, atol=1e-5)


def test_a_network_without_batch_norm_asks_for_no_examples() -> None:
    bench = toy_bench()
    bench.model = nn.Linear(4, 2)
    requests = bench.data.requests
    re_estimate(bench, bench.data, 16)
    assert bench.data.requests == requests


def test_precisions_without_a_second_phase_leave_re_estimated_statistics_too() -> None:
    """Nothing is trained on the grids, but what reaches a normalization has changed all the same."""
    axes = {"step_gradient_scale": "not-applicable", "initialization_examples": "all", **TrainableNoise.recommended}
    options = {"steps": 4, "batch_size": 16, "fine_tuning_epochs": 0, "start_precision": 3.0}
    bench = toy_bench(toy_setting(**{**axes, "batch_norm_statistics": "re-estimated"}))
    TrainableNoise.from_mapping(options).quantize(bench)
    mean, variance = statistics_of(bench)
    values = convolved(bench)
    torch.testing.assert_close(mean.double(), values.mean(1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(variance.double(), values.var(1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("activations", ["throughout", "fine-tuning"])
def test_planes_without_a_second_phase_leave_re_estimated_statistics_too(activations: str) -> None:
    start = {"initialization_examples": "all", "activation_range": "min-max", "step_gradient_scale": "not-applicable"}
    axes = {**BitLevelSparsity.recommended, **start, "batch_norm_statistics": "re-estimated"}
    options = {"steps": 4, "adjust_every": 2, "batch_size": 16, "fine_tuning_epochs": 0, "activations": activations}
    bench = toy_bench(toy_setting(**axes))
    BitLevelSparsity.from_mapping(options).quantize(bench)
    values = convolved(bench)
    torch.testing.assert_close(statistics_of(bench)[0].double(), values.mean(1), rtol=1e-5, atol=1e-6)
