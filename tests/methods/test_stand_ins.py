"""What stands in for quantizers while a network is trained: compiled, in attention, and on cards that ask for it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import ToyBench, toy_bench, toy_setting

from suite.axes import Setting
from suite.cards import load_card
from suite.methods import METHODS
from suite.methods.api import Method
from suite.methods.dorefa import Dorefa
from suite.methods.linear_qat import LinearTraining
from suite.methods.pact import Pact
from suite.models import get_baseline
from suite.plan import calibrating, dissect, initialize_weights, make_plan, place, prepare, quantizers_of, standing_in
from suite.plan.layers import Quantizers, at_work
from suite.quantizers import Quantizer, QuantizerSpec
from suite.quantizers.following import FollowingQuantizer
from suite.tasks import get_task

CARDS = Path(__file__).parents[2] / "cards"


def bench_of(kind: type[Method]) -> ToyBench:
    base: dict[str, Any] = {"activation_symmetry": "asymmetric", "weight_range": "min-max"}
    return toy_bench(toy_setting(**{**base, **kind.recommended, "step_gradient_scale": "not-applicable"}))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [LinearTraining, Dorefa, Pact])
def test_a_compiled_training_ends_where_an_eager_one_does(kind: type[Method]) -> None:
    eager, fast = (bench_of(kind) for _ in range(2))
    for bench, compilation in ((eager, "never"), (fast, "always")):
        kind.from_mapping(
            {"steps": 6, "batch_size": 16, "learning_rate": 0.1, "compile": compilation},
        ).quantize(bench)
    for (name, value), (_, again) in zip(
        eager.model.state_dict().items(), fast.model.state_dict().items(), strict=True
    ):
        torch.testing.assert_close(value, again, rtol=1e-4, atol=1e-5, msg=name)


def test_a_quantizer_inside_of_what_stands_in_is_at_work() -> None:
    """Blocks fall back to fused attention, which hides the products, only where no quantizer works."""
    holder = Quantizers()
    quantizer = Quantizer(QuantizerSpec(bits=4, signed=True, symmetric=True), is_weight=False)
    quantizer.set_parameters(torch.tensor(0.1))
    holder.hold("product:left", "", quantizer)
    assert at_work(holder)
    with standing_in(holder, partial(FollowingQuantizer, momentum=0.99)):
        assert at_work(holder)
        quantizer.enabled = False
        assert not at_work(holder)


def test_a_transformer_computes_the_same_in_evaluation_while_others_stand_in() -> None:
    setting = Setting.default().replace(
        weight_bits=4, activation_bits=4, skip_connection="full-precision", residual_connection="full-precision"
    )
    task = get_task("digits", None)
    model = get_baseline("digits-vit", None).load_for(task).eval()
    inputs = torch.rand(4, *task.input_shape, generator=torch.Generator().manual_seed(0))
    prepared = prepare(model, setting)
    placed = place(prepared, make_plan(dissect(prepared, inputs), setting))
    initialize_weights(placed)
    with torch.no_grad(), calibrating(placed):
        placed(inputs)
    with torch.no_grad():
        expected = placed(inputs)
        count = len(quantizers_of(placed))
        with standing_in(placed, partial(FollowingQuantizer, momentum=0.99)) as standing:
            assert len(standing) == count
            assert torch.equal(placed(inputs), expected)


@pytest.mark.parametrize("name", ["lsq_mse", "mse_fixed", "linear_qat", "dorefa", "pact"])
def test_the_card_asks_for_what_the_method_recommends(name: str) -> None:
    card = load_card(CARDS / f"{name}.yaml")
    kind = METHODS.get(name)
    kind.check_setting(card.setting)
    assert card.method.id == name
    assert {axis: card.setting[axis] for axis in kind.recommended} == dict(kind.recommended)
    assert card.setting == Setting.default().replace(**kind.recommended)
