"""Reconstruction engine as a whole: what it leaves in the network, and that it leaves the same however it got there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from residual_toys import Block, bench_of, residual_bench
from torch import Tensor, nn
from toys import ToyBench

from suite.errors import SuiteError
from suite.methods.api import Diverged
from suite.methods.engines.reconstruction import PRESETS, ReconstructionOptions, Regularizer, reconstruct
from suite.methods.engines.reconstruction.compiling import Compiler
from suite.methods.engines.reconstruction.losses import power_error
from suite.plan import all_off, initialize_weights, quantizers_of, weights_of
from suite.quantizers.rounding import AdaQuant, AdaQuantFlexRound, AdaRound, FlexRound

REGULARIZER = Regularizer(0.01, 0.2, 20.0, 2.0)
LOW = {"activation_bits": 3, "activation_range": "learned-step"}


def run(bench: ToyBench, rounding: Any = AdaRound, **options: Any) -> ToyBench:
    given = {"preset": "brecq", "iterations": 150, "activation_iterations": 40, "compile": "never", **options}
    reconstruct(bench, ReconstructionOptions(**given), rounding, REGULARIZER if rounding is AdaRound else None)
    return bench


def error(bench: ToyBench) -> float:
    """Mean squared distance of what leaves the blocks from what leaves them in the float network."""
    found: list[Tensor] = []
    for model in (bench.model, bench.reference):
        handle = model.get_submodule("stages").register_forward_hook(lambda *given: found.append(given[2]))
        with torch.no_grad():
            model(bench.data.inputs)
        handle.remove()
    return float((found[0] - found[1]).square().mean())


def nearest(**changes: Any) -> float:
    bench = residual_bench(**changes)
    for quantizer in quantizers_of(bench.model).values():
        if quantizer.is_weight:
            quantizer.start_rule = "brecq"
    initialize_weights(bench.model)
    return error(bench)


def state(bench: ToyBench) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in bench.model.state_dict().items()}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("rounding", [AdaRound, AdaQuant, FlexRound, AdaQuantFlexRound])
def test_learned_rounding_is_closer_to_the_float_network_than_nearest(rounding: Any) -> None:
    rate = 1e-2 if rounding is AdaRound else 3e-3
    bench = run(residual_bench(blocks=2), rounding, learning_rate=rate)
    assert error(bench) < 0.5 * nearest(blocks=2)


@pytest.mark.parametrize("granularity", ["per-tensor", "per-channel"])
@pytest.mark.parametrize("rounding", [AdaRound, FlexRound])
def test_weights_lie_on_their_grids_and_quantizers_reproduce_them(granularity: str, rounding: Any) -> None:
    bench = run(residual_bench(blocks=1, weight_granularity=granularity), rounding, preset="qdrop", iterations=30)
    for quantizer, weight in weights_of(bench.model).values():
        assert torch.equal(quantizer(weight), weight)
        rows = weight.flatten(1) if granularity == "per-channel" else weight.reshape(1, -1)
        assert all(row.unique().numel() <= 4 for row in rows)


def test_the_float_network_is_left_alone_and_every_weight_changed() -> None:
    bench = residual_bench()
    before = {name: value.clone() for name, value in bench.reference.state_dict().items()}
    run(bench)
    assert same(before, dict(bench.reference.state_dict()))
    assert all(quantizer.enabled for quantizer in quantizers_of(bench.model).values())


def test_twice_the_same_bit_for_bit() -> None:
    options = {"preset": "qdrop", "iterations": 20}
    assert same(state(run(residual_bench(**LOW), **options)), state(run(residual_bench(**LOW), **options)))


def test_a_memory_budget_changes_nothing_but_where_rows_lie() -> None:
    options = {"preset": "qdrop", "iterations": 20}
    roomy, tight = (run(residual_bench(**LOW), memory_mebibytes=size, **options) for size in (1000, 0))
    assert same(state(roomy), state(tight))


class _Stop(Exception):
    pass


@pytest.mark.parametrize("preset", ["brecq", "qdrop"])
def test_interrupted_in_the_fifth_unit_it_goes_on_there_and_ends_the_same(preset: str) -> None:
    whole = state(run(residual_bench(**LOW), preset=preset, iterations=20))
    bench = residual_bench(**LOW)
    learned: list[int] = []

    def failing(weight: Tensor, quantizer: Any) -> AdaRound:
        learned.append(weight.numel())
        if len(learned) == 9:  # two convolutions in each of four units before, or the stem and three units
            raise _Stop
        return AdaRound(weight, quantizer)

    given = {"preset": preset, "iterations": 20, "activation_iterations": 40, "compile": "never"}
    with pytest.raises(_Stop):
        reconstruct(bench, ReconstructionOptions(**given), failing, REGULARIZER)
    again = residual_bench(**LOW)
    again.checkpoints = bench.checkpoints
    kept = set(bench.checkpoints.kept)
    made: list[int] = []

    def counting(weight: Tensor, quantizer: Any) -> AdaRound:
        made.append(weight.numel())
        return AdaRound(weight, quantizer)

    reconstruct(again, ReconstructionOptions(**given), counting, REGULARIZER)
    total = 2 * 5 + 1 + (1 if preset == "qdrop" else 0)
    assert len(kept) >= 4
    assert len(made) < total - 6
    assert same(state(again), whole)


def test_compiled_and_eager_agree() -> None:
    """The same batches in the same order; sums are taken in another order."""
    fast, slow = (
        run(residual_bench(blocks=2), FlexRound, iterations=12, compile=compilation)
        for compilation in ("always", "never")
    )
    for (quantizer, weight), (twin, other) in zip(
        weights_of(fast.model).values(), weights_of(slow.model).values(), strict=True
    ):
        torch.testing.assert_close(quantizer.scale, twin.scale, rtol=1e-4, atol=1e-6)
        assert float((weight - other).abs().gt(0.5 * float(twin.scale.max())).float().mean()) < 0.02


@pytest.mark.parametrize(
    "options",
    [
        {"unit": "layer"},
        {"unit_input": "float"},
        {"unit_input": "mixed"},
        {"loss": "fisher"},
        {"loss": "power-2.4"},
        {"final_activation": "outside"},
        {"first_layer": "reconstructed"},
        {"solver": "gram"},
        {"weight_start": "min-max"},
        {"schedule": "cosine"},
    ],
    ids=lambda options: "-".join(f"{name}-{value}" for name, value in options.items()),
)
def test_every_setting_is_obeyed(options: dict[str, Any]) -> None:
    rate = {"learning_rate": 3e-3, "iterations": 80}
    usual = run(residual_bench(blocks=1), FlexRound, **rate)
    other = run(residual_bench(blocks=1), FlexRound, **rate, **options)
    assert not same(state(usual), state(other))
    assert error(other) < 0.8 * nearest(blocks=1)


def test_the_axis_decides_how_examples_are_drawn() -> None:
    given = {"iterations": 40, "learning_rate": 3e-3}
    with_replacement = run(residual_bench(blocks=1, sampling="with-replacement"), FlexRound, **given)
    assert not same(state(with_replacement), state(run(residual_bench(blocks=1), FlexRound, **given)))
    assert with_replacement.data.presented == []  # every example once, past the door's own drawing


def test_steps_outside_of_units_are_named() -> None:
    bench = residual_bench(blocks=1, **LOW)
    options = ReconstructionOptions(preset="qdrop", iterations=3, compile="never")
    claims = reconstruct(bench, options, AdaRound, REGULARIZER)
    kept = claims.figures["activation_steps_not_learned"]
    learned = [name for name, one in quantizers_of(bench.model).items() if not one.is_weight and one.learns_step]
    everything = [name for name, one in quantizers_of(bench.model).items() if not one.is_weight]
    assert learned
    assert sorted([*kept, *learned]) == sorted(everything)  # type: ignore[misc]


def test_an_interruption_puts_quantizers_back() -> None:
    bench = residual_bench(blocks=1)
    with pytest.raises(Diverged):
        run(bench, FlexRound, learning_rate=1e30, iterations=20)
    assert len(weights_of(bench.model)) == 4


def test_the_first_layer_stays_at_nearest_in_brecq_and_is_learned_in_qdrop() -> None:
    stem = residual_bench(blocks=1)
    for quantizer in quantizers_of(stem.model).values():
        quantizer.start_rule = "brecq"
    initialize_weights(stem.model)
    expected = stem.model.stem.weight_quantizer(stem.model.stem.weight)
    kept = run(residual_bench(blocks=1), iterations=5).model.stem
    assert torch.equal(kept.weight_quantizer(kept.weight), expected)
    learned = run(residual_bench(blocks=1), first_layer="reconstructed", learning_rate=1e-2).model.stem
    assert not torch.equal(learned.weight, expected)


def test_activation_steps_are_learned_in_both_frames_and_fixed_where_asked() -> None:
    def scales(bench: ToyBench) -> list[Tensor]:
        found = [one for one in quantizers_of(bench.model).values() if not one.is_weight]
        assert all(one.keep_probability == 1.0 for one in found)
        return [one.scale.detach().clone() for one in found]

    def after(iterations: int, **options: Any) -> list[Tensor]:
        rule = {"activation_range": options.pop("rule", "learned-step")}
        given = {"iterations": iterations, "activation_iterations": iterations, **options}
        return scales(run(residual_bench(blocks=1, **{**LOW, **rule}), **given))

    for preset in ("brecq", "qdrop"):
        assert any(
            not torch.equal(*pair) for pair in zip(after(5, preset=preset), after(9, preset=preset), strict=True)
        )
    fixed = {"preset": "qdrop", "rule": "mse"}
    assert all(torch.equal(*pair) for pair in zip(after(5, **fixed), after(9, **fixed), strict=True))


def test_settings_left_out_come_from_the_preset() -> None:
    for name, settings in PRESETS.items():
        options = ReconstructionOptions(preset=name)  # type: ignore[arg-type]
        assert {key: getattr(options, key) for key in settings} == dict(settings)
    assert ReconstructionOptions(preset="qdrop", unit="layer").unit == "layer"
    assert ReconstructionOptions.from_mapping(options.to_dict()) == options


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iterations": 0}, "expected an integer of at least 1"),
        ({"keep_quantized": 1.5}, "from 0 to 1"),
        ({"unit": "network"}, "one of block, layer"),
        ({"solver": "gram", "unit": "block"}, "cannot have unit=block"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        ReconstructionOptions(**changes)


def test_a_rate_that_explodes_diverges() -> None:
    with pytest.raises(Diverged, match="the loss is"):
        run(residual_bench(blocks=1), FlexRound, learning_rate=1e30, iterations=60)


def test_a_rate_that_saturates_every_choice_diverges_though_the_loss_is_finite() -> None:
    with pytest.raises(Diverged, match="what decides the rounding has grown"):
        run(residual_bench(blocks=1), AdaRound, learning_rate=1e10, iterations=20)
    with pytest.raises(Diverged, match="an activation step has grown"):
        run(residual_bench(blocks=1, **LOW), activation_learning_rate=1e10, preset="qdrop", iterations=20)


def test_weights_that_are_not_finite_are_refused() -> None:
    bench = residual_bench()
    bench.model.head.weight.data[0, 0] = float("nan")
    with pytest.raises(SuiteError, match=r"head\.weight holds values that are not finite"):
        run(bench)


def test_every_unit_says_what_it_did() -> None:
    bench = residual_bench()
    claims = reconstruct(
        bench,
        ReconstructionOptions(preset="qdrop", iterations=10, compile="never"),
        FlexRound,
    )
    units = claims.figures["units"]
    assert isinstance(units, list)
    assert [one["unit"] for one in units] == ["stem", *[f"stages.{index}" for index in range(5)], "head"]
    assert all(one["last_loss"] >= 0 for one in units)
    assert all(one["layer_0_large_weights"] >= 0 for one in units)


@pytest.mark.parametrize("preset", ["brecq", "qdrop"])
def test_every_weight_lies_on_its_grid_at_the_end(preset: str) -> None:
    bench = run(residual_bench(blocks=1), iterations=20, preset=preset)
    with torch.no_grad():
        on = bench.model(bench.data.inputs)
        with all_off(bench.model):
            off = bench.model(bench.data.inputs)
    assert torch.equal(off, on)


class OnlyBlocks(nn.Module):
    """It begins with a block, as networks of tokens do once embeddings are taken out."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(Block(1), Block(1))
        self.head = nn.Linear(1, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stages(x).mean((2, 3)))


def test_a_first_block_is_learned_in_brecq_too() -> None:
    torch.manual_seed(0)
    bench = bench_of(OnlyBlocks().eval(), torch.randn(32, 1, 6, 6))
    given = {"preset": "brecq", "iterations": 5, "compile": "never"}
    claims = reconstruct(bench, ReconstructionOptions(**given), AdaRound, REGULARIZER)
    assert [one["unit"] for one in claims.figures["units"]] == ["stages.0", "stages.1", "head"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("preset", ["brecq", "qdrop"])
def test_units_without_a_quantized_weight_are_passed_by(preset: str) -> None:
    """Only the head has weights on a grid, and steps follow a rule, so that nothing is learned in the blocks."""
    only_head = {"weight_bits": 32, "first_layer_weights": "full-precision", "last_layer_weights": "8-bit"}
    bench = residual_bench(blocks=1, activation_bits=3, activation_range="min-max", **only_head)
    before = bench.model.get_submodule("stages").state_dict()["0.conv1.weight"].clone()
    run(bench, preset=preset, iterations=3)
    assert torch.equal(bench.model.get_submodule("stages").state_dict()["0.conv1.weight"], before)


def test_examples_that_are_all_dropped_are_an_error_and_no_crash() -> None:
    bench = residual_bench(blocks=1, count=20)
    bench.data.dropped = True
    with pytest.raises(SuiteError, match="20 examples fill none of 32"):
        run(bench)


def test_what_was_compiled_for_one_size_of_images_is_not_taken_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.compile", lambda graph, **_: graph)

    class Objective(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer = nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return power_error(self.layer(x), x)

    traced, eager = Compiler("always"), Compiler("never")
    for size in (8, 4):
        x = torch.randn(3, 2, size, size)
        one, other = Objective(), Objective()
        torch.testing.assert_close(traced(one, 1)(x), eager(other, 1)(x))
        torch.testing.assert_close(one.layer.weight.grad, other.layer.weight.grad)


class Sequence(nn.Module):
    """Two linear layers behind layer norms: each reads a tensor of its own, and no activation function is between."""

    def __init__(self) -> None:
        super().__init__()
        self.ln1, self.fc1 = nn.LayerNorm(6), nn.Linear(6, 6)
        self.ln2, self.fc2 = nn.LayerNorm(6), nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.fc2(self.ln2(self.fc1(self.ln1(x)))))


@pytest.mark.parametrize("options", [{"preset": "brecq"}, {"preset": "qdrop"}, {"solver": "gram"}], ids=str)
def test_layers_learn_the_steps_of_what_they_read(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network, x = Sequence().eval(), torch.randn(32, 6)

    def steps(iterations: int) -> dict[str, Tensor]:
        bench = bench_of(network, x, **{**LOW, "last_layer_activations": "same"})
        given = {"unit": "layer", "first_layer": "reconstructed", "compile": "never", **options}
        length = {"iterations": iterations, "activation_iterations": iterations}
        reconstruct(bench, ReconstructionOptions(**given, **length), FlexRound)
        found = quantizers_of(bench.model).items()
        return {name: one.scale.detach().clone() for name, one in found if not one.is_weight}

    short, long = steps(2), steps(9)
    for layer in ("fc1", "fc2", "head"):
        assert not torch.equal(short[f"{layer}:input"], long[f"{layer}:input"])


@pytest.mark.parametrize("unit_input", ["quantized", "float"])
def test_the_exact_error_sees_the_grid_of_what_a_layer_reads(unit_input: str) -> None:
    """Where activations follow a rule, they are on their grids while weights are learned."""
    torch.manual_seed(0)
    network, x = Sequence().eval(), torch.randn(32, 6)
    losses = []
    for solver in ("gram", "sampled"):
        bench = bench_of(network, x, activation_bits=3, activation_range="min-max")
        given = {"unit": "layer", "loss": "plain", "final_activation": "outside", "unit_input": unit_input}
        options = ReconstructionOptions(**given, solver=solver, iterations=1, batch_size=32, compile="never")
        claims = reconstruct(bench, options, FlexRound)
        losses.append([one["first_loss"] for one in claims.figures["units"]])  # type: ignore[attr-defined]
    assert losses[0][0] == pytest.approx(losses[1][0], rel=0.5)
    assert all(value > 0 for value in losses[0])
