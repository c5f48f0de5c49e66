"""Bits by maximum feature map: the byte limit is met exactly and filled, and what cannot fit is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from toys import ToyBench, toy_bench

from suite.axes import Setting
from suite.cards import load_card
from suite.errors import Unsupported
from suite.harness.evaluate import evaluate
from suite.harness.request import resolve
from suite.methods.max_feature_map import MaxFeatureMapOptions, MaximumFeatureMap, feature_map_bits
from suite.models import build_model
from suite.plan import Plan, dissect, make_plan, quantizers_of

CARD = Path(__file__).parents[2] / "cards" / "max_feature_map.yaml"


def setting_for(**changes: Any) -> Setting:
    return Setting.default().replace(**{**MaximumFeatureMap.recommended, **changes})


def plan_of_resnet20(setting: Setting) -> Plan:
    return make_plan(dissect(build_model("resnet20", 10).eval(), torch.zeros(2, 3, 32, 32)), setting)


def sizes(plan: Plan) -> dict[str, int]:
    return {one.name: one.elements for one in plan.counted if not one.is_weight}


@pytest.mark.parametrize("bits", [1, 2, 3, 4.5, 6, 8])
def test_every_map_fits_and_none_could_have_a_wider_grid(bits: float) -> None:
    setting = setting_for(activation_bits=bits, network_input="same", last_layer_activations="same")
    plan = plan_of_resnet20(setting)
    chosen = plan.with_bits(feature_map_bits(plan, setting))
    room = 16 * 32 * 32 * bits
    assert max(sizes(plan).values()) == 16 * 32 * 32
    wider = {**{width: width + 1 for width in range(1, 8)}, 8: 16, 16: 10**9}
    for one in chosen.counted:
        if not one.is_weight:
            width = chosen.bits_on(one)
            assert width * one.elements <= room < wider[width] * one.elements, one.name


def test_resnet20_at_four_bits_by_hand() -> None:
    """Stages of 16,384, 8,192 and 4,096 values share 65,536 bits; the image has 3,072, the pool leaves 64."""
    setting = setting_for()
    plan = plan_of_resnet20(setting)
    chosen = plan.with_bits(feature_map_bits(plan, setting))
    by_size = {one.elements: chosen.bits_on(one) for one in chosen.counted if not one.is_weight}
    assert by_size == {16384: 4, 8192: 8, 4096: 16, 3072: 8, 64: 8}


def test_a_list_of_widths_is_obeyed() -> None:
    setting = setting_for(activation_bits=3, allowed_bit_widths=(2, 4, 8), last_layer_activations="same")
    plan = plan_of_resnet20(setting)
    chosen = plan.with_bits(feature_map_bits(plan, setting))
    by_size = {one.elements: chosen.bits_on(one) for one in chosen.counted if not one.is_weight}
    assert by_size == {16384: 2, 8192: 4, 4096: 8, 3072: 8, 64: 8}


def test_an_integer_mean_keeps_the_grid_of_the_larger_map() -> None:
    setting = setting_for(pooling="low-precision-integer", last_layer_activations="same")
    plan = plan_of_resnet20(setting)
    bits = feature_map_bits(plan, setting)
    (pool,) = (row for row in plan.rows if row.role == "pool-output")
    assert pool.quantizer is not None
    assert bits[pool.quantizer] == 16  # 4,096 values before the mean


def test_a_fixed_map_that_does_not_fit_is_refused_by_its_axis() -> None:
    setting = setting_for(activation_bits=1)
    with pytest.raises(Unsupported, match=r"network_input: 8-bit: network then needs 24,576 bits, .* 16,384"):
        feature_map_bits(plan_of_resnet20(setting), setting)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"activation_constraint": "none"}, "does not support activation_constraint = none"),
        ({"skip_connection": "full-precision", "residual_connection": "full-precision"}, "skip_connection"),
        ({"first_layer_activations": "8-bit"}, "first_layer_activations"),
        ({"labels": "labeled"}, "does not support labels"),
    ],
)
def test_what_it_cannot_honour_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(Unsupported) as caught:
        MaximumFeatureMap.check_setting(setting_for(**changes))
    assert words in str(caught.value)


def quantized(**changes: Any) -> ToyBench:
    bench = toy_bench(setting_for(**changes))
    MaximumFeatureMap(MaxFeatureMapOptions()).quantize(bench)
    return bench


def test_ranges_are_found_for_the_bits_that_were_chosen() -> None:
    """A range of least squared error depends on the bits, so it must be searched after they are chosen."""
    bench = quantized(activation_range="mse", network_input="same", activation_bits=2)
    placed = quantizers_of(bench.model)
    images = bench.data.inputs
    quantizer = placed["network:input"]
    again = type(quantizer)(quantizer.spec, is_weight=False)
    again.initialize(images)
    assert quantizer.spec.bits != bench.plan.quantizer("network:input").spec.bits
    torch.testing.assert_close(quantizer.scale, again.scale)


def test_a_run_meets_its_byte_limit_to_the_byte(tmp_path: Path) -> None:
    record = evaluate(resolve(load_card(CARD), assignments=["time_limit=1e6"]), tmp_path).record
    assert record.audit is not None
    verdicts = {axis: found["verdict"] for axis, found in record.audit["axes"].items()}
    assert "contradicted" not in verdicts.values()
    assert (verdicts["activation_bits"], verdicts["activation_constraint"]) == ("verified", "verified")
    largest = max(row["elements"] for row in record.plan if row["role"] != "weight")
    assert record.feature_map_largest_bytes == largest * 4 // 8
    assert record.average_activation_bits is not None
    assert record.average_activation_bits > 4
    assert record.score is not None
    assert record.float_score is not None
    assert record.score > record.float_score - 0.02
