"""BSQ: planes that are trained and dropped, bits that are counted, what is left, and a run that was killed."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from toys import ToyBench, ToyCheckpoints, ToyProgress, toy_bench, toy_setting

from suite.cards import load_card
from suite.errors import SuiteError, Unsupported
from suite.harness.evaluate import evaluate
from suite.harness.request import resolve
from suite.methods.api import Claims, Diverged
from suite.methods.bsq import BitLevelSparsity, BsqOptions
from suite.methods.engines.bit_sparsity import SparsityRecipe, bit_penalty
from suite.methods.engines.recipe import Recipe
from suite.plan import chosen_plan, quantizers_of
from suite.quantizers import Quantizer
from suite.quantizers.bit_planes import TrainedPlanes, TrainedWhole

SHORT: dict[str, Any] = {
    "steps": 12, "batch_size": 16, "adjust_every": 4, "fine_tuning_steps": 4, "learning_rate": 0.2, "penalty": 0.3,
}  # fmt: skip
CARD = Path(__file__).parents[2] / "cards" / "bsq.yaml"
WEIGHTS = ("conv:weight", "middle:weight", "linear:weight")


def bench_of(checkpoints: ToyCheckpoints | None = None, **changes: Any) -> ToyBench:
    start = {"initialization_examples": "all", "activation_parameters": "dynamic", "activation_range": "min-max"}
    bench = toy_bench(toy_setting(**{**BitLevelSparsity.recommended, **start, **changes}))
    bench.checkpoints = checkpoints or ToyCheckpoints()
    return bench


def quantized(bench: ToyBench, **options: Any) -> Claims:
    claims = BitLevelSparsity(BsqOptions(**{**SHORT, **options})).quantize(bench)
    assert claims is not None
    return claims


def figures_of(bench: ToyBench, **options: Any) -> dict[str, Any]:
    return dict(quantized(bench, **options).figures)


def layers_of(model: nn.Module) -> dict[str, nn.Module]:
    return {name: model.get_submodule(name.removesuffix(":weight")) for name in WEIGHTS}


def every_step(bench: ToyBench, look: Callable[[nn.Module], None]) -> None:
    """Look at the model in every pass of a training."""

    def hook(model: nn.Module, _: object) -> None:
        if model.training:
            look(model)

    bench.model.register_forward_pre_hook(hook)


def test_what_is_left_are_ordinary_grids_that_reproduce_the_weights_bit_for_bit() -> None:
    bench = bench_of()
    figures = figures_of(bench)
    planes = {name: counts[-1] for name, counts in figures["precision"]["planes"].items()}
    assert planes.keys() == set(WEIGHTS)
    assert len(set(planes.values())) > 1
    for name, layer in layers_of(bench.model).items():
        quantizer, weight = layer.weight_quantizer, layer.weight
        assert type(quantizer) is Quantizer
        assert quantizer.spec.bits == planes[name] + 1
        assert torch.equal(quantizer(weight), weight)
        codes = (weight.double() / quantizer.scale.double()).round()
        assert float(codes.abs().max()) <= 2 ** planes[name] - 1
        assert weight.requires_grad
    left = chosen_plan(bench.model, bench.plan)
    assert left is not None
    assert left.chosen_bits == {name: count + 1 for name, count in planes.items()}


def test_with_a_rate_of_zero_the_codes_are_those_nearest_to_the_weight() -> None:
    bench = bench_of()
    figures = figures_of(bench, learning_rate=0.0, fine_tuning_rate=0.0, weight_decay=0.0)
    for name, layer in layers_of(bench.model).items():
        before = bench.reference.get_submodule(name.removesuffix(":weight")).weight.detach().double()
        step = before.abs().max() / 127
        torch.testing.assert_close(layer.weight.detach().double(), (before / step).round() * step, rtol=1e-5, atol=1e-7)
    assert figures["average_bits"] == 8.0
    assert figures["average_planes"] == 7.0


def test_a_larger_penalty_leaves_fewer_bits() -> None:
    averages = [figures_of(bench_of(), penalty=penalty)["average_bits"] for penalty in (0.0, 0.3, 0.5)]
    assert averages[0] > averages[1] > averages[2]


def test_averages_are_those_of_the_layers_by_their_sizes() -> None:
    figures = figures_of(bench_of())
    sizes = {"conv:weight": 36, "middle:weight": 16, "linear:weight": 8}
    way = figures["precision"]
    assert way["after"] == [0, 4, 8, 12]
    for place in range(4):
        counts = {name: way["planes"][name][place] for name in WEIGHTS}
        bits = sum(sizes[name] * (count + 1 if count else 0) for name, count in counts.items()) / 60
        assert way["average_bits"][place] == pytest.approx(bits, rel=1e-5)
        assert way["average_planes"][place] == pytest.approx(
            sum(sizes[name] * count for name, count in counts.items()) / 60, rel=1e-5
        )
    assert figures["average_bits"] == way["average_bits"][-1]


def test_both_phases_leave_their_losses_along_the_way() -> None:
    figures = figures_of(bench_of())
    assert figures["training"]["after"] == list(range(13))
    assert len(figures["training"]["loss"]) == 12
    assert figures["fine_tuning"]["after"] == list(range(5))


def test_weights_of_zeros_count_nothing_and_lie_on_the_narrowest_grid() -> None:
    bench = bench_of()
    with torch.no_grad():
        bench.model.middle.weight.zero_()
    still = {"learning_rate": 0.0, "fine_tuning_rate": 0.0, "start_planes": 3}
    claims = quantized(bench, **still)
    assert claims.figures["precision"]["planes"]["middle:weight"] == [0] * 4
    assert claims.average_weight_bits == pytest.approx((36 + 8) * 4 / 60)
    assert bench.model.middle.weight_quantizer.spec.bits == 2
    assert not bool(bench.model.middle.weight.any())
    assert torch.equal(bench.model.middle.weight_quantizer(bench.model.middle.weight), bench.model.middle.weight)


def test_bits_that_another_axis_fixes_stay_and_count() -> None:
    bench = bench_of(first_layer_weights="8-bit")
    before = bench.model.conv.weight.detach().clone()
    claims = quantized(bench, penalty=10.0)
    assert claims.figures["precision"]["planes"].keys() == {"middle:weight", "linear:weight"}
    conv = bench.model.conv
    assert conv.weight_quantizer.spec.bits == 8
    assert not torch.equal(conv.weight, before)
    assert torch.equal(conv.weight_quantizer(conv.weight), conv.weight)
    counts = {name: planes[-1] for name, planes in claims.figures["precision"]["planes"].items()}
    others = sum(size * (counts[name] + 1 if counts[name] else 0) for name, size in zip(counts, (16, 8), strict=True))
    assert list(counts) == ["middle:weight", "linear:weight"]
    assert claims.average_weight_bits == pytest.approx((36 * 8 + others) / 60)


def test_a_layer_in_float_counts_in_the_claim_and_not_in_the_bound() -> None:
    claims = quantized(bench_of(last_layer_weights="full-precision"), learning_rate=0.0, fine_tuning_rate=0.0)
    assert claims.figures["average_bits"] == 8.0
    assert claims.average_weight_bits == pytest.approx((52 * 8 + 8 * 32) / 60)


def test_planes_stay_valid_and_nothing_else_is_limited() -> None:
    bench = bench_of()
    with torch.no_grad():
        bench.model.norm.bias.fill_(-3.0)
        bench.model.linear.bias.fill_(-3.0)
    seen: dict[str, list[torch.Tensor]] = {"planes": [], "values": [], "scales": []}

    def look(model: nn.Module) -> None:
        for module in model.modules():
            if isinstance(module, TrainedPlanes):
                seen["planes"] += [module.positive.detach().clone(), module.negative.detach().clone()]
            if isinstance(module, TrainedWhole):
                seen["values"].append(module.value.detach().clone())
            if isinstance(module, TrainedPlanes | TrainedWhole):
                seen["scales"].append(module.scale.detach().clone())

    every_step(bench, look)
    quantized(bench, learning_rate=0.5, fine_tuning_rate=0.5)
    for kind, low, high in (("planes", 0.0, 2.0), ("values", -1.0, 1.0), ("scales", 1e-7, float("inf"))):
        assert seen[kind]
        assert all(float(one.min()) >= low and float(one.max()) <= high for one in seen[kind]), kind
    assert any(bool(((one > 0) & (one < 1)).any()) for one in seen["planes"])
    assert float(bench.model.norm.bias.detach().max()) < 0
    assert float(bench.model.linear.bias.detach().max()) < 0


def test_the_weights_of_the_layers_neither_learn_nor_decay_meanwhile() -> None:
    bench = bench_of()
    before = {name: layer.weight.detach().clone() for name, layer in layers_of(bench.model).items()}
    looks: list[bool] = []

    def look(model: nn.Module) -> None:
        layers = layers_of(model)
        looks.append(all(torch.equal(layers[name].weight, before[name]) for name in WEIGHTS))

    every_step(bench, look)
    quantized(bench, weight_decay=0.1)
    assert looks == [True] * 16


@pytest.mark.parametrize("when", ["throughout", "fine-tuning"])
def test_activations_are_on_their_grids_when_it_is_said(when: str) -> None:
    bench = bench_of(activation_parameters="static", activation_range="learned-step", step_gradient_scale="none")
    at_work: list[set[bool]] = []

    def look(model: nn.Module) -> None:
        at_work.append({one.enabled for one in quantizers_of(model).values() if not one.is_weight})

    every_step(bench, look)
    figures = figures_of(bench, activations=when)
    assert at_work == [{when == "throughout"}] * 12 + [{True}] * 4
    assert "step_sizes" in figures["fine_tuning"]
    assert ("step_sizes" in figures["training"]) is (when == "throughout")
    assert all(one.enabled for one in quantizers_of(bench.model).values())


def test_steps_of_activations_go_on_from_one_interval_to_the_next() -> None:
    bench = bench_of(activation_parameters="static", activation_range="learned-step", step_gradient_scale="none")
    training = figures_of(bench)["training"]
    assert training["after"] == list(range(13))
    for way in training["step_sizes"].values():
        assert len(way) == 13
        assert len(set(way)) > 4  # they learned in every interval


def test_the_penalty_is_that_of_the_formula() -> None:
    random = torch.Generator().manual_seed(3)
    layers = {name: TrainedPlanes(torch.randn(shape, generator=random), count)
              for name, shape, count in (("a", (3, 4), 3), ("b", (2, 5, 2), 5))}  # fmt: skip
    by_hand = {}
    for reweigh in (True, False):
        total = 0.0
        for layer, elements, count in ((layers["a"], 12, 3), (layers["b"], 20, 5)):
            norms = 0.0
            for plane in range(count):
                squares = [float((part[..., plane] ** 2).sum()) for part in (layer.positive, layer.negative)]
                norms += (1e-8 + sum(squares)) ** 0.5
            total += norms * (elements * count / 32 if reweigh else 1.0)
        by_hand[reweigh] = 0.7 * total
    for reweigh, expected in by_hand.items():
        recipe = SparsityRecipe(
            Recipe(steps=2), None, penalty=0.7, interval=1, start_planes=7, adjust_at_start=True, reweigh=reweigh
        )
        penalty = bit_penalty(recipe, layers)
        assert penalty is not None
        assert float(penalty()) == pytest.approx(expected, rel=1e-6)
    assert bit_penalty(dataclasses.replace(recipe, penalty=0.0), layers) is None


def test_all_intervals_share_one_schedule() -> None:
    @dataclasses.dataclass
    class Told(ToyBench):
        rates: list[float] = dataclasses.field(default_factory=list)

        @contextmanager
        def progress(self, total: int, label: str) -> Iterator[ToyProgress]:
            with super().progress(total, label) as shown:
                yield shown
            self.rates += [figures["rate"] for figures in shown.figures if "rate" in figures]

    bench = Told(**vars(bench_of()))
    quantized(bench, steps=10, adjust_every=4, learning_rate=0.2, fine_tuning_rate=0.1, fine_tuning_steps=2)
    whole, after = Recipe(steps=10, learning_rate=0.2), Recipe(steps=2, learning_rate=0.1)
    expected = [whole.rate(step, 10) for step in range(10)] + [after.rate(step, 2) for step in range(2)]
    assert bench.rates == pytest.approx(expected)


def test_without_fine_tuning_the_planes_themselves_are_left() -> None:
    bench = bench_of()
    figures = figures_of(bench, fine_tuning_steps=None, fine_tuning_epochs=0)
    assert "fine_tuning" not in figures
    for layer in layers_of(bench.model).values():
        assert torch.equal(layer.weight_quantizer(layer.weight), layer.weight)


def test_an_average_above_the_bound_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="suite.bsq"):
        assert figures_of(bench_of(weight_bits=4), penalty=0.0)["within_bound"] is False
        assert "penalty 0 left 8.000 bits on average, above the declared 4" in caplog.text
        caplog.clear()
        assert figures_of(bench_of(weight_bits=8), penalty=0.0)["within_bound"] is True
        assert not caplog.text


class Killed(BaseException):
    pass


class Dying(ToyCheckpoints):
    """Due after every step; dies after so many saves."""

    def __init__(self, dies_after: int, kept: dict[str, Any] | None = None) -> None:
        super().__init__(eager=True, kept=dict(kept or {}))
        self.dies_after = dies_after

    def save(self, *arguments: Any, **more: Any) -> None:
        super().save(*arguments, **more)
        if self.saves == self.dies_after:
            raise Killed


def outcome(bench: ToyBench, **options: Any) -> dict[str, Any]:
    claims = quantized(bench, **options)
    state = {name: value.tolist() for name, value in bench.model.state_dict().items()}
    return {"claims": claims, "state": state, "presented": bench.data.presented, "requests": bench.data.requests}


# Each interval of four steps saves after each of them, the last one because another training follows.
@pytest.mark.parametrize("deaths", [[1], [4], [6], [8, 1], [11, 2], [12], [14]], ids=str)
def test_a_killed_run_finds_its_planes_again(deaths: list[int]) -> None:
    setting = {"activation_parameters": "static", "activation_range": "learned-step", "step_gradient_scale": "none"}
    whole = outcome(bench_of(**setting))
    counts = whole["claims"].figures["precision"]["planes"]
    assert any(len(set(way)) > 1 for way in counts.values())
    kept: dict[str, Any] = {}
    for dies_after in deaths:
        dying = Dying(dies_after, kept)
        with pytest.raises(Killed):
            quantized(bench_of(dying, **setting))
        kept = dying.kept
    assert outcome(bench_of(ToyCheckpoints(kept=kept), **setting)) == whole


def test_what_was_trained_before_the_kill_is_not_trained_again() -> None:
    dying = Dying(10)  # two intervals are done, and two steps of the third
    with pytest.raises(Killed):
        quantized(bench_of(dying))
    bench = bench_of(ToyCheckpoints(kept=dying.kept))
    passes: list[int] = []
    every_step(bench, lambda model: passes.append(1))
    quantized(bench)
    assert len(passes) == 2 + 4


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"penalty": -0.1}, "option 'penalty' is -0.1, expected a number of at least 0"),
        ({"start_planes": 8}, "option 'start_planes' is 8, expected an integer from 1 to 7"),
        ({"epochs": 5, "adjust_every": 6}, "'adjust_every' is 6, but the first phase has 5 passes"),
        ({"epochs": 50, "steps": 5, "adjust_every": 6}, "'adjust_every' is 6, but the first phase has 5 steps"),
        ({"fine_tuning_steps": 0}, "option 'fine_tuning_steps' is 0"),
        ({"activations": "never"}, "expected one of throughout, fine-tuning"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(SuiteError, match=text):
        BsqOptions(**options)


@pytest.mark.parametrize(
    ("axis", "value"),
    [("weight_granularity", "per-channel"), ("weight_symmetry", "asymmetric"), ("weight_range", "percentile"),
     ("checkpoint", "best-on-validation")],
)  # fmt: skip
def test_settings_that_no_planes_can_have_are_refused(axis: str, value: str) -> None:
    # Whatever else a learned range asks for is off, so that nothing but the axis itself can be refused.
    changes = {"step_gradient_scale": "not-applicable", axis: value}
    with pytest.raises(Unsupported, match=f"does not support {axis} = {value}"):
        BitLevelSparsity.check_setting(bench_of().setting.replace(**changes))


def test_a_plan_without_a_choice_is_refused() -> None:
    bench = bench_of()
    bench.plan = dataclasses.replace(
        bench.plan, quantizers=tuple(dataclasses.replace(one, mixed=False) for one in bench.plan.quantizers)
    )
    with pytest.raises(Unsupported, match="no weight has mixed precision"):
        quantized(bench)


def test_a_rate_that_explodes_ends_in_divergence() -> None:
    with pytest.raises(Diverged):
        quantized(bench_of(), learning_rate=1e30, penalty=0.0)


def test_a_penalty_that_empties_the_network_is_named() -> None:
    """A network that knew its task is reduced to guessing, at a rate that does it no harm without the penalty."""
    bench = bench_of(activation_bits=8)
    quantized(bench, penalty=0.0, steps=40, adjust_every=40, fine_tuning_steps=1)
    trained = bench.model.state_dict()

    def again(penalty: float) -> None:
        other = bench_of(activation_bits=8)
        other.model.load_state_dict(
            {name: value for name, value in trained.items() if "quantizer" not in name}, strict=False
        )
        quantized(other, penalty=penalty, steps=40, adjust_every=40, fine_tuning_steps=1)

    again(0.0)
    with pytest.raises(Diverged, match="or the penalty 1000 is: it has emptied 3 of 3 weights"):
        again(1000.0)


def test_the_audit_counts_what_the_method_counted(tmp_path: Path) -> None:
    options = ["steps=60", "adjust_every=20", "fine_tuning_steps=10", "penalty=20.0"]
    request = resolve(load_card(CARD), assignments=["weight_bits=7", "time_limit=1e6"], options=options)
    record = evaluate(request, tmp_path).record
    assert record.audit is not None
    verdicts = {axis: found["verdict"] for axis, found in record.audit["axes"].items()}
    assert "contradicted" not in verdicts.values()
    assert {verdicts[axis] for axis in ("weight_bits", "weight_precision", "sign_bit")} == {"verified"}
    assert record.average_weight_bits == pytest.approx(record.figures["average_bits"], rel=1e-5)
    assert record.figures["within_bound"] is True
    assert 0 < record.figures["average_planes"] < record.figures["average_bits"] < 7


def test_the_audit_contradicts_an_average_above_the_bound(tmp_path: Path) -> None:
    options = ["steps=2", "adjust_every=2", "fine_tuning_steps=1", "penalty=0.0"]
    record = evaluate(resolve(load_card(CARD), assignments=["time_limit=1e6"], options=options), tmp_path).record
    assert record.audit is not None
    contradicted = [axis for axis, found in record.audit["axes"].items() if found["verdict"] == "contradicted"]
    assert contradicted == ["weight_bits"]
    assert record.figures["within_bound"] is False
