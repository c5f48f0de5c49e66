"""Plain linear training: what its grids are in the end, what stands in meanwhile, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from toys import ToyBench, ToyCheckpoints, toy_bench, toy_setting

from suite.errors import Unsupported
from suite.methods.linear_qat import LinearOptions, LinearTraining
from suite.plan import quantizers_of, standing_in
from suite.quantizers import Quantizer

SHORT = LinearOptions(steps=5, batch_size=16, learning_rate=0.1)


def bench_of(checkpoints: ToyCheckpoints | None = None, **changes: object) -> ToyBench:
    setting = {**LinearTraining.recommended, "activation_symmetry": "asymmetric", **changes}
    bench = toy_bench(toy_setting(step_gradient_scale="not-applicable", **setting))
    bench.checkpoints = checkpoints or ToyCheckpoints()
    return bench


def test_the_final_step_of_every_weight_is_that_of_the_final_weight() -> None:
    bench = bench_of(weight_bits=4)
    LinearTraining(SHORT).quantize(bench)
    for layer in (bench.model.conv, bench.model.middle, bench.model.linear):
        spec = layer.weight_quantizer.spec
        torch.testing.assert_close(layer.weight_quantizer.scale, layer.weight.detach().abs().max() / spec.qmax)
    assert not torch.equal(bench.model.middle.weight, bench.reference.middle.weight)


def test_the_ranges_of_activations_moved_and_quantizers_are_ordinary_again() -> None:
    bench, still = bench_of(), bench_of()
    LinearTraining(SHORT).quantize(bench)
    LinearTraining(LinearOptions(steps=5, batch_size=16, learning_rate=0.1, range_momentum=1.0)).quantize(still)
    placed, rested = quantizers_of(bench.model), quantizers_of(still.model)
    assert placed.keys() == {row.quantizer for row in bench.plan.rows if row.quantizer}
    assert all(type(one) is Quantizer and not one.learns_step for one in placed.values())
    inputs = [name for name, one in placed.items() if not one.is_weight]
    assert inputs
    assert any(not torch.equal(placed[name].scale, rested[name].scale) for name in inputs)


def test_a_killed_training_goes_on_to_the_same_end() -> None:
    class Killed(BaseException):
        pass

    class Dying(ToyCheckpoints):
        def save(self, *arguments: object, **more: object) -> None:
            super().save(*arguments, **more)
            if self.saves == 3:
                raise Killed

    dying, whole = Dying(eager=True), bench_of()
    with pytest.raises(Killed):
        LinearTraining(SHORT).quantize(bench_of(dying))
    resumed = bench_of(ToyCheckpoints(kept=dying.kept))
    told = [LinearTraining(SHORT).quantize(one).figures for one in (resumed, whole)]
    assert told[0] == told[1]
    for (name, value), (_, again) in zip(
        resumed.model.state_dict().items(), whole.model.state_dict().items(), strict=True
    ):
        assert torch.equal(value, again), name


def test_learned_steps_are_refused() -> None:
    with pytest.raises(Unsupported, match="does not support weight_range = learned-step"):
        LinearTraining.check_setting(toy_setting())


class Doubling(nn.Module):
    def __init__(self, quantizer: Quantizer) -> None:
        super().__init__()
        self.quantizer = quantizer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def only(names: set[str], placed: dict[str, Quantizer]) -> Callable[[Quantizer], nn.Module | None]:
    chosen = {id(placed[name]) for name in names}
    return lambda quantizer: Doubling(quantizer) if id(quantizer) in chosen else None


def test_stand_ins_take_the_places_asked_for_and_leave_them_after_an_error() -> None:
    bench = bench_of()
    placed = quantizers_of(bench.model)
    activation = next(name for name, one in placed.items() if not one.is_weight)
    wanted = {"middle:weight", activation}

    def within() -> None:
        with standing_in(bench.model, only(wanted, placed)) as standing:
            assert standing.keys() == wanted
            assert isinstance(bench.model.middle.weight_quantizer, Doubling)
            assert quantizers_of(bench.model).keys() == placed.keys() - wanted
            raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        within()
    assert quantizers_of(bench.model) == placed
