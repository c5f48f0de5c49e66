"""The audit of mixed precision: what a method says it chose is held against what is observed, tensor by tensor."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from honest import digits, dissected

from suite.audit import AuditReport, audit
from suite.axes import Setting
from suite.plan import calibrating, choose_bits, initialize_weights, make_plan, place
from suite.tasks import Split

MIXED = Setting.default().replace(
    weight_symmetry="asymmetric", weight_precision="mixed", weight_bits=4, activation_precision="mixed",
    activation_bits=5, first_layer_weights="same", last_layer_weights="same", last_layer_activations="same",
)  # fmt: skip


def audited(
    bits: dict[str, int], *, said: dict[str, int] | None = None, setting: Setting = MIXED, known: bool = True
) -> AuditReport:
    """A model with these bits by quantizer (4 elsewhere), whose method may say it chose others."""
    prepared, anatomy = dissected("folded")
    plan = make_plan(anatomy, setting)
    model = place(prepared, plan).eval()
    bits = {**dict.fromkeys(plan.chosen_bits, 4), **bits}
    chosen = choose_bits(model, plan, bits)
    initialize_weights(model)
    images = digits()[0].split(Split.TEST).inputs
    with torch.no_grad(), calibrating(model):
        model(images[:128])
    if said is not None:
        chosen = chosen.with_bits(said)
    return audit(
        model, anatomy=anatomy, plan=plan, setting=setting, batches=images[:96].split(32),
        chosen=chosen if known else None,
    )  # fmt: skip


def test_bits_within_their_targets_are_verified() -> None:
    report = audited({"layer1.0.conv1:weight": 2, "linear:weight": 8, "layer2.1.conv2:input": 8})
    assert report.contradicted == ()
    for axis in ("weight_bits", "weight_precision", "activation_bits", "activation_precision"):
        assert report.axes[axis].verdict.value == "verified", axis


@pytest.mark.parametrize(
    ("quantizer", "axis"), [("layer2.0.conv2:weight", "weight_bits"), ("layer1.0.add:sum", "activation_bits")]
)
def test_a_grid_wider_than_was_said_is_contradicted(quantizer: str, axis: str) -> None:
    assert audited({quantizer: 6}, said={quantizer: 3}).contradicted == (axis,)


def test_an_average_above_its_target_is_contradicted() -> None:
    wide = dict.fromkeys(("layer2.0.conv2:weight", "layer2.1.conv1:weight"), 5)
    assert audited(wide).contradicted == ("weight_bits",)
    assert audited({**wide, "layer2.1.conv2:weight": 2}).contradicted == ()


def test_codes_that_happen_to_stay_unused_earn_no_bits() -> None:
    """Eight bits were chosen; that the audit's few images reach fewer codes does not make the map smaller."""
    maps = {name: 8 for name in make_plan(dissected("folded")[1], MIXED).chosen_bits if not name.endswith("weight")}
    report = audited(maps, setting=MIXED.replace(activation_bits=8))
    assert report.figures.average_activation_bits == 8.0


def test_the_ends_of_the_network_count() -> None:
    """Four bits in all inner layers, eight in the last: above four on average, as the figures say, too."""
    setting = MIXED.replace(last_layer_weights="8-bit")
    report = audited({}, setting=setting)
    assert report.figures.average_weight_bits > 4
    assert report.contradicted == ("weight_bits",)


def test_what_is_declared_float_is_left_to_its_own_axis() -> None:
    setting = MIXED.replace(skip_connection="full-precision", residual_connection="full-precision")
    report = audited({}, setting=setting)
    assert report.contradicted == ()
    assert report.figures.average_activation_bits > 5


def test_a_width_that_is_not_allowed_is_contradicted() -> None:
    setting = MIXED.replace(allowed_bit_widths=(2, 4, 8))
    assert audited({}, setting=setting).contradicted == ()
    assert audited({"layer1.0.conv1:weight": 3}, setting=setting).contradicted == ("allowed_bit_widths",)


@pytest.mark.parametrize(("bits", "contradicted"), [(4, ()), (5, ("activation_bits", "activation_constraint"))])
def test_the_largest_map_is_held_to_the_byte(bits: int, contradicted: tuple[str, ...]) -> None:
    setting = MIXED.replace(activation_bits=4, activation_constraint="maximum-feature-map")
    assert audited({"layer1.0.add:sum": bits}, setting=setting).contradicted == contradicted


def test_small_maps_may_have_more_bits_than_the_bound_of_the_largest() -> None:
    setting = MIXED.replace(activation_bits=4, activation_constraint="maximum-feature-map")
    small = dict.fromkeys(("layer2.0.conv2:input", "layer2.1.conv2:input", "layer2.1.add:sum"), 8)
    report = audited(small, setting=setting)
    assert report.contradicted == ()
    assert report.axes["activation_bits"].verdict.value == "verified"


def test_without_a_word_of_the_method_the_observed_bits_count() -> None:
    wide: dict[str, Any] = dict.fromkeys(("layer2.0.conv2:weight", "layer2.1.conv1:weight"), 5)
    assert audited(wide, known=False).contradicted == ("weight_bits",)
    assert audited({}, known=False).contradicted == ()
