"""DoReFa and PACT: what they leave behind, what the audit's raw material looks like, what decays, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toys import ToyBench, ToyCheckpoints, toy_bench, toy_setting

from suite.errors import SettingError, Unsupported
from suite.methods.api import Method
from suite.methods.dorefa import Dorefa
from suite.methods.lsq import LearnedStepSize
from suite.methods.pact import Pact
from suite.methods.rtn import RoundToNearest
from suite.plan import quantizers_of
from suite.quantizers import Quantizer

SHORT = {"steps": 5, "batch_size": 16, "learning_rate": 0.1}
BOTH = pytest.mark.parametrize("kind", [Dorefa, Pact])


def bench_of(kind: type[Method], checkpoints: ToyCheckpoints | None = None, **changes: Any) -> ToyBench:
    setting = {**kind.recommended, "weight_range": "min-max", "step_gradient_scale": "not-applicable", **changes}
    bench = toy_bench(toy_setting(**setting))
    bench.checkpoints = checkpoints or ToyCheckpoints()
    return bench


def quantized(kind: type[Method], bench: ToyBench, **options: object) -> ToyBench:
    kind.from_mapping({**SHORT, **options}).quantize(bench)
    return bench


@BOTH
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_the_weight_that_is_left_lies_on_its_grid_and_is_never_zero(kind: type[Method], bits: int) -> None:
    bench = quantized(kind, bench_of(kind, weight_bits=bits))
    weight, quantizer = bench.model.middle.weight.detach(), bench.model.middle.weight_quantizer
    assert type(quantizer) is Quantizer
    assert torch.equal(quantizer(weight), weight)
    assert weight.unique().numel() <= 2**bits
    codes = weight / quantizer.scale
    torch.testing.assert_close(codes, codes.round())
    assert bool((codes.round().abs() % 2 == 1).all())


@BOTH
def test_the_network_that_is_left_computes_what_was_trained(kind: type[Method]) -> None:
    """Folding changes no output: the ordinary quantizers give in evaluation what the stand-ins gave."""
    bench, again = bench_of(kind), bench_of(kind)
    for one in (bench, again):
        quantized(kind, one)
    inputs = bench.data.inputs
    first = bench.model(inputs)
    for quantizer in quantizers_of(again.model).values():
        if quantizer.is_weight:
            quantizer.enabled = False  # the stored weight alone
    assert torch.equal(again.model(inputs), first)


def test_an_ordinary_grid_may_stand_behind_the_tangent() -> None:
    bench = quantized(Dorefa, bench_of(Dorefa, weight_symmetry="symmetric", weight_bits=3))
    weight = bench.model.middle.weight.detach()
    assert set((weight / bench.model.middle.weight_quantizer.scale).round().flatten().tolist()) <= set(range(-3, 4))


def test_the_unit_range_ends_at_one() -> None:
    bench = quantized(Dorefa, bench_of(Dorefa), form="unit-range")
    assert float(bench.model.middle.weight.detach().abs().max()) == pytest.approx(1.0)


def test_activations_of_dorefa_end_at_one() -> None:
    bench = quantized(Dorefa, bench_of(Dorefa))
    for name, quantizer in quantizers_of(bench.model).items():
        if not quantizer.is_weight:
            assert float(quantizer.limits()[1]) == pytest.approx(1.0), name


def test_clips_start_where_the_option_says_move_and_are_told() -> None:
    bench = bench_of(Pact)
    figures = Pact.from_mapping({**SHORT, "clip_start": 0.5}).quantize(bench).figures
    activations = {name: one for name, one in quantizers_of(bench.model).items() if not one.is_weight}
    assert figures["step_sizes"].keys() == activations.keys()
    for name, quantizer in activations.items():
        way = figures["step_sizes"][name]
        assert way[0] == pytest.approx(0.5 / quantizer.spec.qmax, rel=1e-5)
        assert way[-1] == pytest.approx(float(quantizer.scale), rel=1e-5)
        assert way[-1] != way[0]


def test_a_clip_that_clips_nothing_only_decays() -> None:
    """One step of plain descent: a <- a - rate decay a, because no value reaches a."""
    bench = quantized(
        Pact, bench_of(Pact), steps=1, momentum=0.0, clip_start=1000.0, clip_decay=0.2, schedule="constant"
    )
    for quantizer in quantizers_of(bench.model).values():
        if not quantizer.is_weight:
            assert float(quantizer.limits()[1]) == pytest.approx(1000.0 * (1 - 0.1 * 0.2))


@BOTH
def test_a_killed_training_goes_on_to_the_same_end(kind: type[Method]) -> None:
    class Killed(BaseException):
        pass

    class Dying(ToyCheckpoints):
        def save(self, *arguments: object, **more: object) -> None:
            super().save(*arguments, **more)
            if self.saves == 3:
                raise Killed

    dying = Dying(eager=True)
    with pytest.raises(Killed):
        quantized(kind, bench_of(kind, dying))
    resumed, whole = (quantized(kind, bench_of(kind, ToyCheckpoints(kept=kept))) for kept in (dying.kept, {}))
    for (name, value), (_, again) in zip(
        resumed.model.state_dict().items(), whole.model.state_dict().items(), strict=True
    ):
        assert torch.equal(value, again), name


@BOTH
@pytest.mark.parametrize(
    "changes", [{"weight_symmetry": "asymmetric"}, {"activation_symmetry": "asymmetric"}, {"weight_bits": 16}]
)
def test_settings_that_the_transform_cannot_honour_are_refused(kind: type[Method], changes: dict[str, object]) -> None:
    # A rule of the axes refuses asymmetric grids on [0, 1] before the method is asked.
    with pytest.raises((Unsupported, SettingError), match=r"does not support|a given range has zero at its end"):
        kind.check_setting(bench_of(kind).setting.replace(**changes))


@pytest.mark.parametrize("kind", [LearnedStepSize, RoundToNearest])
def test_other_methods_refuse_grids_without_zero(kind: type[Method]) -> None:
    setting = toy_setting(**{**kind.recommended, "weight_symmetry": "symmetric-without-zero"})
    with pytest.raises(Unsupported, match="weight_symmetry = symmetric-without-zero"):
        kind.check_setting(setting)


def test_a_unit_range_cannot_be_dynamic() -> None:
    with pytest.raises(SettingError, match="dynamic ranges"):
        bench_of(Dorefa).setting.replace(activation_parameters="dynamic", initialization_examples="all")
