"""Reconstruction of transformer layers: BERT, OPT and GPT-Neo, unedited, 8 bits asymmetric per tensor."""

from __future__ import annotations

import copy

import pytest
import torch
from language_models import LAYERS, language_model, tokens
from toys import ToyBench, ToyDoor

from suite.axes import Setting
from suite.methods.engines.reconstruction import ReconstructionOptions, reconstruct
from suite.plan import dissect, initialize_weights, make_plan, place, prepare, quantizers_of, weights_of
from suite.quantizers.rounding import FlexRound

SETTING = {
    "weight_symmetry": "asymmetric",
    "weight_granularity": "per-tensor",
    "weight_range": "learned-rounding",
    "activation_range": "learned-step",
    "gradient_mask": "round-then-clip",
    "step_gradient_scale": "elements-per-channel",
    "skip_connection": "full-precision",
    "residual_connection": "full-precision",
    "examples": 16,
}


def language_bench(name: str, **changes: object) -> ToyBench:
    setting = Setting.default().replace(**{**SETTING, **changes})
    reference = copy.deepcopy(language_model(name))
    inputs = tokens(16)
    prepared = prepare(reference, setting, inputs[:2])
    plan = make_plan(dissect(prepared, inputs[:2]), setting)
    return ToyBench(place(prepared, plan), reference, plan, setting, ToyDoor(inputs, torch.zeros(16)))


def error(bench: ToyBench) -> float:
    with torch.no_grad():
        return float((bench.model(bench.data.inputs) - bench.reference(bench.data.inputs)).square().mean())


@pytest.mark.parametrize("name", ["bert", "opt", "gpt-neo"])
def test_transformer_layers_are_reconstructed_whole(name: str) -> None:
    bench = language_bench(name)
    options = ReconstructionOptions(preset="qdrop", iterations=4, batch_size=8, compile="never", weight_start="min-max")
    claims = reconstruct(bench, options, FlexRound)
    units = claims.figures["units"]
    assert isinstance(units, list)
    layers = [one["unit"] for one in units if str(one["unit"]).startswith(LAYERS[name])]
    assert layers == [f"{LAYERS[name]}{index}" for index in range(2)]
    for quantizer, weight in weights_of(bench.model).values():
        assert quantizer.spec.bits == 8
        assert torch.equal(quantizer(weight), weight)
    with torch.no_grad():
        assert bool(torch.isfinite(bench.model(tokens(3, 9))).all())


def test_learned_rounding_of_a_transformer_is_closer_than_nearest_at_3_bits() -> None:
    low = {"weight_bits": 3, "activation_bits": 32, "activation_range": "min-max",
           "last_layer_activations": "full-precision", "gradient_mask": "round-then-clip",
           "step_gradient_scale": "none"}  # fmt: skip
    nearest = language_bench("opt", **low)
    for quantizer in quantizers_of(nearest.model).values():
        quantizer.start_rule = "brecq"
    initialize_weights(nearest.model)
    learned = language_bench("opt", **low)
    options = ReconstructionOptions(
        preset="brecq", first_layer="reconstructed", iterations=80, batch_size=8, learning_rate=3e-3, compile="never"
    )
    reconstruct(learned, options, FlexRound)
    assert error(learned) < 0.7 * error(nearest)
