"""What the audit sees of a model, against counts made by hand, and that looking changes nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from honest import digits, dissected
from honest import run as run_honestly
from liar import Does, codes, largest

from suite.audit import AuditReport, Verdict, audit, observe
from suite.audit.fits import State, fit_site
from suite.audit.verdicts import OBSERVERS
from suite.audit.views import Sharing, view
from suite.axes import AXES, Setting
from suite.methods.api import Claims
from suite.methods.rtn import RoundToNearest
from suite.plan import calibrating, initialize_weights, make_plan, place, quantizers_of
from suite.quantizers.spec import Granularity, QuantizerSpec
from suite.tasks import Split

FOUR = Setting.default().replace(weight_bits=4, activation_bits=4, examples=128)


def placed(setting: Setting) -> torch.nn.Module:
    task, _ = digits()
    prepared, anatomy = dissected(str(setting["batch_norm"]))
    model = place(prepared, make_plan(anatomy, setting))
    initialize_weights(model)
    with torch.no_grad(), calibrating(model):
        model(task.split(Split.TRAIN).inputs[:128])
    return model


def report_of(model: torch.nn.Module, setting: Setting) -> AuditReport:
    task, _ = digits()
    anatomy = dissected(str(setting["batch_norm"]))[1]
    plan = make_plan(anatomy, setting)
    return audit(
        model, anatomy=anatomy, plan=plan, setting=setting, batches=task.split(Split.TEST).inputs[:96].split(32)
    )


def test_every_axis_has_one_observer() -> None:
    assert set(OBSERVERS) == set(AXES)


def test_every_verdict_is_json_and_says_why() -> None:
    report = run_honestly(RoundToNearest(), FOUR)
    axes = json.loads(json.dumps(report.to_dict(), allow_nan=False))["axes"]
    assert list(axes) == list(AXES)
    assert all(entry["evidence"] for entry in axes.values())
    assert report.verdict is Verdict.VERIFIED


def test_what_was_declared_is_seen_and_not_only_never_contradicted() -> None:
    axes = run_honestly(RoundToNearest(), FOUR).axes
    seen = {id for id, found in axes.items() if found.verdict is Verdict.VERIFIED}
    assert seen >= {
        "grid", "weight_symmetry", "activation_symmetry", "weight_granularity", "activation_granularity",
        "activation_parameters", "signed_range", "extra_level", "skip_connection", "residual_connection",
        "first_layer_weights", "last_layer_weights", "first_layer_activations", "last_layer_activations",
        "network_input", "network_output", "shortcut_weights", "pooling", "batch_norm", "weight_bits",
        "activation_bits", "weight_precision", "activation_precision", "sign_bit", "scales_in_size", "examples",
        "data_source", "labels", "training_transform", "time_limit", "baseline_accuracy",
    }  # fmt: skip


def test_bytes_and_bits_as_counted_by_hand() -> None:
    _, reference = digits()
    weights = {name: value.numel() for name, value in reference.state_dict().items() if value.dim() > 1}
    bits = {name: 8 if name in ("conv1.weight", "linear.weight") else 4 for name in weights}
    channels = sum(len(value) for value in reference.state_dict().values() if value.dim() > 1)
    # Every layer has a bias once batch norm is folded; an activation grid has a scale and a zero point.
    grids = len(
        {row.quantizer for row in make_plan(dissected("folded")[1], FOUR).rows if row.spec and not row.spec.symmetric}
    )
    report = report_of(placed(FOUR), FOUR)
    packed = sum(weights[name] * bits[name] for name in weights) // 8
    assert report.figures.model_bytes == packed + 4 * channels + 4 * channels + 8 * grids
    assert report.figures.average_weight_bits == pytest.approx(
        sum(weights[name] * bits[name] for name in weights) / sum(weights.values())
    )
    # The largest tensor that is read is 16 maps of 8 x 8 at 4 bits.
    assert report.figures.feature_map_largest_bytes == 16 * 8 * 8 // 2


def test_quantizer_objects_are_not_asked() -> None:
    """The same numbers through anonymous functions, with no quantizer left to ask, give the same verdicts."""
    honest, anonymous = placed(FOUR), placed(FOUR)
    for module in list(anonymous.modules()):
        for name, child in list(module.named_children()):
            if type(child).__name__ == "Quantizer":
                module.register_module(name, Does(child.forward))
    assert not quantizers_of(anonymous)
    assert report_of(anonymous, FOUR).to_dict() == report_of(honest, FOUR).to_dict()


def test_a_quantizer_may_call_itself_what_it_likes() -> None:
    eight = FOUR.replace(weight_bits=8)
    model = placed(eight)
    for quantizer in quantizers_of(model).values():
        quantizer.extra_repr = lambda: "4 bits"
        quantizer.bits = 4
    assert "weight_bits" in report_of(model, FOUR).contradicted


def test_looking_leaves_the_model_as_it_was() -> None:
    task, _ = digits()
    model, anatomy = placed(FOUR).train(), dissected("folded")[1]
    images = task.split(Split.TEST).inputs[:16]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen = observe(model, anatomy, make_plan(anatomy, FOUR), [images, images * 0.5])
    assert seen.unfaithful is None
    assert seen.missing == {}
    assert model.training
    assert not any("forward" in vars(module) for module in model.modules())
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_weight_that_is_seen_is_the_one_that_multiplies() -> None:
    task, _ = digits()
    model, anatomy = placed(FOUR), dissected("folded")[1]
    layer = model.get_submodule("layer1.0.conv1")
    seen = observe(model, anatomy, make_plan(anatomy, FOUR), [task.split(Split.TEST).inputs[:4]])
    rows = seen.weights["layer1.0.conv1.weight"].rows[Sharing.CHANNEL]
    expected = (layer.weight.detach().reshape(16, -1).abs().amax(1) / 7).numpy()
    multiples = expected / rows.spacing  # a channel that uses few codes shows a coarser grid, never a finer one
    np.testing.assert_allclose(1 / multiples, np.rint(1 / multiples), rtol=1e-5)


def mixed_report(widths: tuple[int, ...]) -> AuditReport:
    """Inner layers of different widths, under a card that declares mixed precision with 4 bits on average."""
    setting = FOUR.replace(weight_precision="mixed", allowed_bit_widths=(2, 3, 4, 5, 6, 8))
    model = placed(setting)
    inner = [
        layer
        for path, layer in model.named_modules()
        if path.startswith("layer") and hasattr(layer, "weight_quantizer")
    ]
    for number, layer in enumerate(inner):
        limit = 2 ** (widths[number % len(widths)] - 1) - 1
        layer.weight_quantizer = Does(lambda w, limit=limit: codes(w, largest(w, len(w)) / limit, -limit, limit))
    return report_of(model, setting)


def test_mixed_widths_keep_an_average() -> None:
    report = mixed_report((5, 2, 5, 3))
    assert report.contradicted == ()
    assert report.axes["weight_precision"].verdict is Verdict.VERIFIED
    assert report.axes["allowed_bit_widths"].verdict is Verdict.VERIFIED
    assert report.axes["weight_bits"].verdict is Verdict.VERIFIED


def test_mixed_widths_above_their_average_are_contradicted() -> None:
    assert "weight_bits" in mixed_report((6, 5)).contradicted


SPEC = QuantizerSpec(bits=4, signed=False, symmetric=False)


def values(step: float, seed: int, high: int = 16) -> torch.Tensor:
    return step * torch.randint(0, high, (4, 3, 5, 5), generator=torch.Generator().manual_seed(seed)).float()


def test_one_grid_in_two_batches_is_static_even_where_one_batch_uses_few_codes() -> None:
    found = fit_site([view(values(0.1, 0), 17), view(2 * values(0.1, 1, 4), 17)], SPEC, is_weight=False)
    assert found.state is State.ON_GRID
    assert found.moved is False


def test_two_grids_in_two_batches_move() -> None:
    found = fit_site([view(values(0.1, 0), 17), view(values(0.037, 1), 17)], SPEC, is_weight=False)
    assert found.state is State.MOVING


def test_zeros_say_nothing() -> None:
    assert fit_site([view(torch.zeros(3, 4), 17)], SPEC, is_weight=False).state is State.SILENT


def test_grids_of_channels_are_finer_than_one_for_the_tensor() -> None:
    steps = torch.tensor([0.1, 0.213, 0.0317]).reshape(1, 3, 1, 1)
    found = fit_site([view(values(1.0, 3) * steps, 17, (Sharing.CHANNEL,), axis=1)], SPEC, is_weight=False)
    assert found.state is State.FINER_SHARING
    per_channel = QuantizerSpec(
        bits=4, signed=False, symmetric=False, granularity=Granularity.PER_CHANNEL, channel_axis=1
    )
    found = fit_site([view(values(1.0, 3) * steps, 17, (Sharing.CHANNEL,), axis=1)], per_channel, is_weight=False)
    assert found.state is State.ON_GRID
    np.testing.assert_allclose(found.spacing, steps.flatten().numpy(), rtol=1e-5)


EXTRA = Setting.default().replace(
    weight_bits=4,
    activation_bits=8,
    weight_symmetry="symmetric",
    symmetric_step="two-max-over-levels",
    signed_range="full",
    extra_level="present",
    first_layer_weights="same",
    last_layer_weights="same",
)


def extra_report(claimed: float | None, setting: Setting = EXTRA) -> AuditReport:
    """17 codes in the weights of every layer, as a card with an extra level has them."""
    model, (_, anatomy) = placed(setting), dissected("folded")
    for layer in model.modules():
        if hasattr(layer, "weight_quantizer"):
            layer.weight_quantizer = Does(lambda w: codes(w, largest(w, len(w)) / 8, -8, 8))
    images = digits()[0].split(Split.TEST).inputs[:96].split(32)
    claims = None if claimed is None else Claims(average_weight_bits=claimed)
    plan = make_plan(anatomy, setting)
    return audit(model, anatomy=anatomy, plan=plan, setting=setting, batches=images, claims=claims)


def extra_bits_by_hand() -> list[tuple[int, int]]:
    """(numbers, bits) of each layer: 5 bits where some channel has 17 codes, 4 elsewhere."""
    found = []
    for layer in placed(EXTRA).modules():
        if hasattr(layer, "weight_quantizer"):
            rows = layer.weight.detach().reshape(len(layer.weight), -1)
            whole = (rows / rows.abs().amax(1, keepdim=True) * 8).round()
            spans = whole.amax(1) - whole.amin(1) + 1
            found.append((rows.numel(), 5 if float(spans.max()) == 17 else 4))
    return found


def test_an_extra_level_costs_a_bit_of_storage_and_contradicts_nothing() -> None:
    counted, report = extra_bits_by_hand(), extra_report(None)
    assert {bits for _, bits in counted} == {4, 5}
    assert report.contradicted == ()
    assert report.axes["extra_level"].verdict is Verdict.VERIFIED
    packed, numbers = sum(count * bits for count, bits in counted), sum(count for count, _ in counted)
    assert report.figures.average_weight_bits == pytest.approx(packed / numbers)
    biases = sum(len(value) for value in digits()[1].state_dict().values() if value.dim() > 1)
    assert report.figures.model_bytes_without_scales == packed // 8 + 4 * biases


@pytest.mark.parametrize(
    ("claimed", "contradicted"), [(5.0, ()), (4.0, ()), (3.5, ("weight_bits",)), (3.0, ("sign_bit",))]
)
def test_the_bits_of_an_extra_level_may_be_claimed_without_it(claimed: float, contradicted: tuple[str, ...]) -> None:
    assert extra_report(claimed).contradicted == contradicted


def test_mixed_widths_with_an_extra_level_keep_their_average_and_their_widths() -> None:
    mixed = EXTRA.replace(weight_precision="mixed", allowed_bit_widths=(2, 4))
    report = extra_report(None, mixed)
    assert report.contradicted == ()
    assert report.figures.average_weight_bits > 4.9


@pytest.mark.parametrize(
    ("axis", "site"),
    [("residual_connection", "layer1.0.add:residual"), ("skip_connection", "layer1.0.add:skip"),
     ("pooling", "avgpool:pool-output"), ("activation_function", "layer1.0.relu1:output")],
)  # fmt: skip
def test_a_plan_that_quantizes_what_the_card_has_in_float_is_no_excuse(axis: str, site: str) -> None:
    """The plan is as wrong as the model: it has a grid where the card has none."""
    asked = FOUR.replace(residual_connection="quantized", skip_connection="quantized", activation_function="quantized")
    floats = {"residual_connection", axis} if axis == "skip_connection" else {axis}
    declared = asked.replace(**dict.fromkeys(floats, "full-precision"))
    anatomy = dissected("folded")[1]
    plan = make_plan(anatomy, asked)
    assert plan.row(site).spec is not None
    images = digits()[0].split(Split.TEST).inputs[:96].split(32)
    report = audit(placed(asked), anatomy=anatomy, plan=plan, setting=declared, batches=images)
    assert axis in report.contradicted
    assert axis not in audit(placed(asked), anatomy=anatomy, plan=plan, setting=asked, batches=images).contradicted
