"""Plan, mixed precision: what a method may choose, what an average counts, and what was chosen in the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from suite.errors import Unsupported
from suite.plan import Plan, choose_bits, chosen_plan, make_plan, place, quantizers_of

MIXED = {"weight_precision": "mixed", "activation_precision": "mixed"}
MODELS = ["tiny-resnet", "tiny-mixed", "resnet20", "mobilenet_v2", "deit_tiny"]


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_and_every_feature_map_is_counted_once(zoo, base, name):
    plan = make_plan(zoo.anatomy(name), base)
    weights = sum(row.elements for row in plan.weight_rows)
    assert sum(one.elements for one in plan.counted if one.is_weight) == weights
    names = [one.name for one in plan.counted]
    assert len(names) == len(set(names))
    counted = {site for one in plan.counted for site in one.sites}
    assert {row.site for row in plan.rows if row.spec is not None and row.role != "network-output"} <= counted


def test_feature_maps_of_resnet20_by_hand(zoo, base):
    """Input, stem, per block two inputs of convolutions, branch and sum; a sum is the input of the next block."""
    plan = make_plan(zoo.anatomy("resnet20"), base)
    maps = {one.name: one.elements for one in plan.counted if not one.is_weight}
    blocks = 3 * 3 * (16 * 32 * 32 + 32 * 16 * 16 + 64 * 8 * 8)  # inner input, branch, sum of three blocks a stage
    assert sum(maps.values()) == 3 * 32 * 32 + 16 * 32 * 32 + blocks + 64


def test_the_average_of_one_width_is_that_width(zoo, base):
    plan = make_plan(zoo.anatomy("tiny-resnet"), base)
    assert (plan.average_bits(weights=True), plan.average_bits(weights=False)) == (4.0, 4.0)


def test_what_an_axis_keeps_in_float_counts_only_where_asked(zoo, base):
    floats = make_plan(zoo.anatomy("tiny-resnet"), base.replace(first_layer_weights="full-precision"))
    assert floats.average_bits(weights=True) == 4.0
    rows = floats.weight_rows
    total = sum(row.elements * row.bits for row in rows) / sum(row.elements for row in rows)
    assert floats.average_bits(weights=True, floats=True) == pytest.approx(total)
    assert total > 4.0


def test_only_tensors_of_mixed_precision_are_choices(zoo, base):
    anatomy = zoo.anatomy("tiny-resnet")
    assert make_plan(anatomy, base).choices() == ()
    ends = make_plan(anatomy, base.replace(**MIXED, first_layer_weights="8-bit", network_input="8-bit"))
    free = make_plan(anatomy, base.replace(**MIXED))
    fixed = {one.name for one in free.choices()} - {one.name for one in ends.choices()}
    assert len(fixed) == 2
    assert all(ends.quantizer(name).spec.bits == 8 for name in fixed)


def test_with_an_integer_mean_a_pool_and_what_it_reads_are_one_choice(zoo, base):
    plan = make_plan(zoo.anatomy("tiny-resnet"), base.replace(**MIXED, pooling="low-precision-integer"))
    (pool,) = (row for row in plan.rows if row.role == "pool-output")
    (choice,) = (one for one in plan.choices() if pool.quantizer in one.quantizers)
    assert len(choice.tensors) == 2
    assert len({name for one in plan.choices() for name in one.quantizers}) == len(plan.chosen_bits)


def with_other_bits(plan: Plan) -> dict[str, int]:
    return {name: 1 + index % 8 for index, name in enumerate(plan.chosen_bits)}


def test_chosen_bits_reach_plan_and_model(zoo, base):
    plan = make_plan(zoo.anatomy("tiny-resnet"), base.replace(**MIXED, weight_symmetry="asymmetric"))
    model = place(zoo.model("tiny-resnet"), plan)
    bits = with_other_bits(plan)
    chosen = choose_bits(model, plan, bits)
    assert chosen.chosen_bits == bits == {name: one.spec.bits for name, one in quantizers_of(model).items()}
    assert all(row.spec.bits == bits[row.quantizer] for row in chosen.rows if row.spec is not None)
    assert chosen_plan(model, plan) == chosen
    assert Plan.from_dict(chosen.to_dict()) == chosen
    by_hand = [(row.elements, bits[row.quantizer]) for row in chosen.weight_rows]
    expected = sum(count * width for count, width in by_hand) / sum(count for count, _ in by_hand)
    assert chosen.average_bits(weights=True) == pytest.approx(expected)


def test_a_method_cannot_choose_what_the_setting_fixes(zoo, base):
    plan = make_plan(zoo.anatomy("tiny-resnet"), base)
    model = place(zoo.model("tiny-resnet"), plan)
    name = plan.quantizers[0].name
    with pytest.raises(Unsupported, match="the setting fixes the bits of"):
        choose_bits(model, plan, {name: 2})
    quantizers_of(model)[name].spec = replace(plan.quantizers[0].spec, bits=2)
    assert chosen_plan(model, plan) == plan  # whatever a quantizer of fixed bits says of itself


def test_whoever_removes_a_quantizer_says_nothing_of_its_bits(zoo, base):
    plan = make_plan(zoo.anatomy("tiny-resnet"), base.replace(**MIXED))
    model = place(zoo.model("tiny-resnet"), plan)
    next(iter(quantizers_of(model).values())).spec = "four bits, honestly"
    assert chosen_plan(model, plan) is None
