"""SMOL and its kin: precisions that are learned, counted and stored, maps that are read again, killed runs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from toys import ToyBench, ToyCheckpoints, toy_bench, toy_setting

from suite.errors import DataMissing, SuiteError, Unsupported, WeightsError
from suite.methods.api import Claims, Diverged, Method
from suite.methods.engines.noise_precision.figures import ends_above_late_layers
from suite.methods.retrain_precision_map import MapRetraining
from suite.methods.smol import TrainableNoise
from suite.methods.smol_layer import LayerNoise
from suite.plan import chosen_plan, quantizers_of
from suite.quantizers import Quantizer

WEIGHTS = ("conv", "middle", "linear")
SHORT: dict[str, Any] = {
    "steps": 24, "batch_size": 16, "fine_tuning_steps": 5, "start_precision": 4.0, "precision_learning_rate": 0.1,
    "penalty": 1e-3,
}  # fmt: skip
NO_TRAINING: dict[str, Any] = {"learning_rate": 0.0, "precision_learning_rate": 0.0, "fine_tuning_rate": 0.0}


def bench_of(method: type[Method] = TrainableNoise, checkpoints: ToyCheckpoints | None = None, **axes: Any) -> ToyBench:
    start = {"step_gradient_scale": "not-applicable", "initialization_examples": "all"}
    bench = toy_bench(toy_setting(**{**start, **method.recommended, **axes}))
    bench.checkpoints = checkpoints or ToyCheckpoints()
    return bench


def quantized(bench: ToyBench, method: type[Method] = TrainableNoise, **options: Any) -> Claims:
    claims = method.from_mapping({**SHORT, **options}).quantize(bench)
    assert claims is not None
    return claims


def codes_of(layer: nn.Module) -> Tensor:
    """Whole multiples of the layer's step, in integer arithmetic from here on."""
    return (layer.weight.detach().double() / layer.weight_quantizer.scale.double()).round().long()


def precision_of_codes(codes: Tensor, finest: int) -> Tensor:
    """Bits of codes k on a grid whose finest weights have P bits: k = odd 2^(P - p), and none for 0."""
    result = torch.zeros_like(codes)
    for place, code in enumerate(codes.flatten().tolist()):
        twos = (code & -code).bit_length() - 1
        result.view(-1)[place] = finest - twos if code else 0
    return result


def counted(codes: Tensor, finest: int) -> dict[str, int]:
    bits = precision_of_codes(codes, finest).flatten().tolist()
    return {str(one): bits.count(one) for one in sorted(set(bits))}


@pytest.mark.parametrize("options", [{}, {"span": "unit"}, {"allocate_zero": True}, {"rounding": "ceil"}], ids=str)
def test_one_ordinary_grid_holds_all_precisions_and_shows_them(options: dict[str, Any]) -> None:
    bench = bench_of()
    claims = quantized(bench, **options)
    for name in WEIGHTS:
        layer, figures = bench.model.get_submodule(name), claims.figures["layers"][f"{name}:weight"]
        quantizer = layer.weight_quantizer
        assert type(quantizer) is Quantizer
        assert torch.equal(quantizer(layer.weight), layer.weight)
        finest = max(map(int, figures["histogram"]))
        assert quantizer.spec.bits == max(2, finest + 1)
        assert int(codes_of(layer).abs().max()) <= 2**finest - 1
        assert counted(codes_of(layer), finest) == figures["histogram"]
    bits = {name: one["average_bits"] for name, one in claims.figures["layers"].items()}
    sizes = {"conv:weight": 36, "middle:weight": 16, "linear:weight": 8}
    average = sum(bits[name] * size for name, size in sizes.items()) / 60
    assert claims.figures["average_bits"] == pytest.approx(average, rel=1e-4)
    assert claims.average_weight_bits == pytest.approx(average, rel=1e-4)
    assert chosen_plan(bench.model, bench.plan) is not None


def test_the_bound_is_on_all_weights_on_grids_as_the_audit_counts_them(caplog: pytest.LogCaptureFixture) -> None:
    bench = bench_of(weight_bits=4, first_layer_weights="8-bit", last_layer_weights="full-precision")
    figures = quantized(bench, start_precision=2.0, **NO_TRAINING).figures
    assert figures["average_bits"] == pytest.approx((36 * 8 + 16 * 2) / 52, rel=1e-4)  # the last layer is in float
    assert figures["within_bound"] is False
    assert "above the declared 4" in caplog.text


@pytest.mark.parametrize(
    ("bits", "more"),
    [([5, 1], None), ([5, 2, 4], 2.5), ([6, 9, 9, 9, 9, 2, 4, 4], 2.0), ([6, 9, 9, 9, 9, 3, 2, 4], 2.5)],
)
def test_the_ends_are_held_against_the_later_third_of_what_lies_between(bits: list[float], more: float | None) -> None:
    assert ends_above_late_layers(bits) == more


@pytest.mark.parametrize("precision", [2.0, 5.0, 8.0])
def test_without_a_rate_the_weights_fall_to_the_nearest_level(precision: float) -> None:
    bench = bench_of()
    claims = quantized(bench, start_precision=precision, **NO_TRAINING)
    assert claims.average_weight_bits == precision
    assert claims.figures["rounding"]["nearest"] == precision
    for name in WEIGHTS:
        before = bench.reference.get_submodule(name).weight.detach().double()
        after = bench.model.get_submodule(name).weight.detach().double()
        half = before.abs().max() / 2**precision  # α h = (max / 2) 2^(1 - p)
        torch.testing.assert_close((after - before).abs().max(), half, rtol=0.5, atol=0.0)
        assert float((after - before).abs().max()) <= float(half) * 1.001
        assert bool(((after / half).round().long() % 2 == 1).all())


def test_a_larger_penalty_leaves_fewer_bits() -> None:
    averages = [quantized(bench_of(), penalty=penalty).average_weight_bits for penalty in (0.0, 1e-3, 3e-3, 3e-2)]
    assert averages == sorted(averages, reverse=True)
    assert averages[0] > averages[-1] + 0.5


def test_removing_weights_lowers_the_average_below_one_bit() -> None:
    rate = {"penalty": 0.05, "precision_learning_rate": 0.5}
    kept = quantized(bench_of(), **rate).average_weight_bits
    bench = bench_of()
    removed = quantized(bench, allocate_zero=True, **rate)
    assert kept == 1.0
    assert removed.average_weight_bits < kept
    zeros = sum(int((bench.model.get_submodule(name).weight == 0).sum()) for name in WEIGHTS)
    assert removed.average_weight_bits == pytest.approx(1 - zeros / 60)


def test_the_trajectory_begins_at_the_start_and_ends_where_precisions_became_whole() -> None:
    figures = quantized(bench_of(), penalty=0.0, precision_learning_rate=0.0).figures["precision"]
    assert figures["after"][0] == 0
    assert figures["after"][-1] == 24
    assert figures["average"] == pytest.approx([4.0] * len(figures["after"]), rel=1e-4)
    falling = quantized(bench_of()).figures["precision"]
    assert falling["average"][-1] < falling["average"][0]
    assert set(falling["layers"]) == {f"{name}:weight" for name in WEIGHTS}


def test_a_layer_has_one_precision_on_a_grid_without_zero() -> None:
    bench = bench_of(LayerNoise)
    figures = quantized(bench, LayerNoise, precision_learning_rate=0.03).figures
    for name in WEIGHTS:
        layer, histogram = bench.model.get_submodule(name), figures["layers"][f"{name}:weight"]["histogram"]
        assert len(histogram) == 1
        (bits,) = map(int, histogram)
        spec = layer.weight_quantizer.spec
        assert (spec.bits, spec.without_zero) == (bits, True)
        assert torch.equal(layer.weight_quantizer(layer.weight), layer.weight)
        codes = codes_of(layer)
        assert bool((codes % 2 == 1).all())
        assert int(codes.abs().max()) <= 2**bits - 1


def test_activations_are_float_in_the_first_phase_and_on_grids_in_the_second() -> None:
    bench, seen = bench_of(activation_range="percentile"), []

    def note(model: nn.Module, _: object) -> None:
        if model.training:
            seen.append(any(one.enabled for one in quantizers_of(model).values() if not one.is_weight))

    bench.model.register_forward_pre_hook(note)
    quantized(bench)
    assert seen == [False] * 24 + [True] * 5


def test_weights_of_fixed_bits_are_left_to_their_axis() -> None:
    bench = bench_of(first_layer_weights="8-bit")
    claims = quantized(bench)
    assert set(claims.figures["layers"]) == {"middle:weight", "linear:weight"}
    assert bench.model.conv.weight_quantizer.spec.bits == 8
    rest = {"middle:weight": 16, "linear:weight": 8}
    bits = sum(claims.figures["layers"][name]["average_bits"] * size for name, size in rest.items())
    assert claims.average_weight_bits == pytest.approx((8 * 36 + bits) / 60, rel=1e-4)


def test_an_average_above_the_bound_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        claims = quantized(bench_of(weight_bits=3), **NO_TRAINING)
    assert claims.figures["within_bound"] is False
    assert "weights have 4.000 bits on average, above the declared 3" in caplog.text


@pytest.mark.parametrize("method", [TrainableNoise, LayerNoise, MapRetraining])
def test_bad_options_and_settings_are_refused(method: type[Method]) -> None:
    with pytest.raises(SuiteError, match=r"option 'penalty' is -1\.0, expected a number of at least 0"):
        method.from_mapping({"penalty": -1.0})
    with pytest.raises(SuiteError, match="start_precision"):
        method.from_mapping({"start_precision": 1.0})
    bench = bench_of(method)
    with pytest.raises(Unsupported, match="weight_precision = fixed"):
        method.check_setting(bench.setting.replace(weight_precision="fixed", bit_width_granularity="per-layer"))
    with pytest.raises(Unsupported, match="weight_granularity = per-weight"):
        method.check_setting(bench.setting.replace(weight_granularity="per-weight"))


def test_weights_of_fixed_bits_have_no_precision_to_learn() -> None:
    with pytest.raises(Unsupported, match="no precisions to learn"):
        quantized(toy_bench(toy_setting()))


def test_a_rate_that_explodes_is_a_divergence() -> None:
    with pytest.raises(Diverged):
        quantized(bench_of(), learning_rate=1e30)


class Dying(ToyCheckpoints):
    """Due after every step; dies after so many saves."""

    def __init__(self, saves: int) -> None:
        super().__init__(eager=True)
        self.left = saves

    def save(self, *arguments: object, **more: object) -> None:
        super().save(*arguments, **more)  # type: ignore[arg-type]
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("method", "saves"),
    [(TrainableNoise, 5), (TrainableNoise, 8), (TrainableNoise, 10), (LayerNoise, 10), (MapRetraining, 11)],
)
def test_a_killed_run_leaves_what_an_unbroken_one_leaves(method: type[Method], saves: int) -> None:
    """Eight steps of precisions, the end of which is kept, and five more: it dies in either phase, and between."""
    short = {"steps": 8}
    whole = bench_of(method)
    expected = quantized(whole, method, **short)
    dying = bench_of(method, Dying(saves))
    with pytest.raises(KeyboardInterrupt):
        quantized(dying, method, **short)
    again = bench_of(method, ToyCheckpoints(kept=dying.checkpoints.kept))
    assert quantized(again, method, **short) == expected
    for name, value in whole.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name
    assert again.data.presented == whole.data.presented


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, dict[str, dict[str, int]], dict[str, Tensor]]:
    """A folder with the model that smol left, what it says of its precisions, and its tensors."""
    bench = bench_of()
    claims = quantized(bench, allocate_zero=True)
    tensors = {name: value.detach().contiguous() for name, value in bench.model.state_dict().items()}
    save_file(tensors, tmp_path / "model.safetensors")
    return tmp_path, {name: one["histogram"] for name, one in claims.figures["layers"].items()}, tensors


@pytest.mark.parametrize("start", ["new", "pretrained"])
def test_a_saved_map_is_kept_or_shuffled(start: str, saved: Any) -> None:
    folder, histograms, tensors = saved
    kept, mixed = bench_of(MapRetraining), bench_of(MapRetraining)
    for bench, shuffle in ((kept, False), (mixed, True)):
        claims = quantized(bench, MapRetraining, map_from=str(folder), shuffle=shuffle, weights=start)
        assert {name: one["histogram"] for name, one in claims.figures["layers"].items()} == histograms
        assert len(claims.figures["map_sha256"]) == 64
        assert "precision" not in claims.figures
    differ = 0
    for name in WEIGHTS:
        finest = max(map(int, histograms[f"{name}:weight"]))
        codes = (tensors[f"{name}.weight"].double() / tensors[f"{name}.weight_quantizer.scale"].double()).round().long()
        wanted = precision_of_codes(codes, finest)
        assert torch.equal(precision_of_codes(codes_of(kept.model.get_submodule(name)), finest), wanted)
        differ += int((precision_of_codes(codes_of(mixed.model.get_submodule(name)), finest) != wanted).sum())
    assert differ > 0


def test_new_weights_depend_on_the_seed_alone_and_pretrained_ones_are_the_float_models() -> None:
    still = {"fine_tuning_rate": 0.0, "start_precision": 8.0, "precision_learning_rate": 0.0}
    first, second, old = (bench_of(MapRetraining) for _ in range(3))
    quantized(first, MapRetraining, **still)
    torch.rand(7)  # whoever draws from the global generator meanwhile
    quantized(second, MapRetraining, **still)
    quantized(old, MapRetraining, weights="pretrained", **still)
    for name in WEIGHTS:
        before = first.reference.get_submodule(name).weight.detach()
        step = float(before.abs().max()) / 2**7
        assert torch.equal(first.model.get_submodule(name).weight, second.model.get_submodule(name).weight)
        assert float((first.model.get_submodule(name).weight.detach() - before).abs().max()) > 2 * step
        assert float((old.model.get_submodule(name).weight.detach() - before).abs().max()) < step


def refused(file: Path) -> SuiteError:
    with pytest.raises((WeightsError, DataMissing)) as caught:
        quantized(bench_of(MapRetraining), MapRetraining, map_from=str(file))
    assert "\n" not in str(caught.value)
    return caught.value


def test_maps_that_are_none_or_of_another_model_are_refused(saved: Any, tmp_path: Path) -> None:
    _, _, tensors = saved
    weight, step = tensors["conv.weight"], tensors["conv.weight_quantizer.scale"]

    def error(**changes: Tensor | None) -> str:
        changed = {**tensors, **{name.replace("__", "."): value for name, value in changes.items()}}
        save_file({name: value for name, value in changed.items() if value is not None}, tmp_path / "other.safetensors")
        return str(refused(tmp_path / "other.safetensors"))

    assert "no saved model at" in str(refused(tmp_path / "absent"))
    (tmp_path / "text.safetensors").write_text("not tensors")
    assert "is not a readable safetensors file" in str(refused(tmp_path / "text.safetensors"))
    assert "map of another model: it has no conv.weight" in error(conv__weight=None)
    assert "conv.weight is 8x1x3x3, not 4x1x3x3" in error(conv__weight=torch.cat([weight, weight]))
    assert "conv.weight_quantizer.scale is 4, not one number" in error(conv__weight_quantizer__scale=step.repeat(4))
    assert "no finite real numbers" in error(conv__weight=weight * float("nan"))
    assert "no finite real numbers" in error(conv__weight=torch.zeros(4, 1, 3, 3, dtype=torch.int32))
    assert "no multiples of their step" in error(conv__weight_quantizer__scale=-step)
    assert "no multiples of their step" in error(conv__weight=weight + 0.37 * step)
