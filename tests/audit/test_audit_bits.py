"""The account that the audit writes: what a digits network stores, counted again from its tensors by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from honest import digits, dissected

from suite.audit import AuditReport, audit
from suite.audit.evidence import Evidence
from suite.audit.sites import SiteEvidence
from suite.axes import Setting
from suite.bits import Convention, Widths, read_account
from suite.plan import calibrating, choose_bits, initialize_weights, make_plan, place
from suite.plan.table import PlanRow
from suite.tasks import Split

FOUR = Setting.default().replace(weight_bits=4, activation_bits=4)
MIXED = Setting.default().replace(weight_precision="mixed", weight_bits=4)


def report_of(setting: Setting, bits: dict[str, int] | None = None, zeros: str | None = None) -> AuditReport:
    """The audit of a network rounded to nearest, some of its bits chosen, or one weight all zeros."""
    prepared, anatomy = dissected("folded")
    plan = make_plan(anatomy, setting)
    model = place(prepared, plan).eval()
    chosen = choose_bits(model, plan, {**dict.fromkeys(plan.chosen_bits, 4), **bits}) if bits is not None else None
    if zeros is not None:
        with torch.no_grad():
            model.get_parameter(f"{zeros}.weight").zero_()
    initialize_weights(model)
    images = digits()[0].split(Split.TEST).inputs
    with torch.no_grad(), calibrating(model):
        model(images[:64])
    return audit(model, anatomy=anatomy, plan=plan, setting=setting, batches=images[:64].split(32), chosen=chosen)


@cache
def four() -> AuditReport:
    return report_of(FOUR)


def test_one_row_for_every_weight_with_what_it_stores() -> None:
    _, reference = digits()
    weights = {name: value for name, value in reference.state_dict().items() if value.dim() > 1}
    rows = {layer.site.removesuffix(":weight") + ".weight": layer for layer in four().bits.layers}
    assert set(rows) == set(weights)
    for name, value in weights.items():
        ends = name in ("conv1.weight", "linear.weight")
        row = rows[name]
        assert (row.shape, row.precisions) == (tuple(value.shape), {8 if ends else 4: value.numel()})
        assert (row.scales, row.zero_points, row.map_bytes) == (len(value), 0, 0)
        assert row.convention is Convention.SIGNED
        assert row.levels is not None
        assert 2 < row.levels <= (255 if ends else 15)
        assert row.bytes == -(-value.numel() * (8 if ends else 4) // 8) + 4 * len(value)


def test_figures_are_the_sums_over_the_account() -> None:
    report = four()
    account, figures = report.bits, report.figures
    assert figures.model_bytes == account.model_bytes() == figures.model_bytes_without_scales + figures.scale_bytes
    assert figures.average_weight_bits == account.average_weight_bits()
    assert figures.precision_map_bytes == 0
    assert figures.feature_map_largest_bytes == 16 * 8 * 8 // 2
    assert max(account.feature_maps, key=lambda one: one.bytes).bits == 4
    # Every weight has a sign here, so that the convention without signs tells one bit less.
    assert account.average_weight_bits(Convention.IMPLICIT_SIGN) == pytest.approx(figures.average_weight_bits - 1)
    assert read_account(account.to_dict()) == account


def test_an_asymmetric_grid_has_zero_points_and_no_sign() -> None:
    account = report_of(FOUR.replace(weight_symmetry="asymmetric")).bits
    assert all(layer.zero_points == layer.scales == layer.shape[0] for layer in account.layers)
    assert account.average_weight_bits(Convention.IMPLICIT_SIGN) == account.average_weight_bits()


def test_layers_in_float_count_thirty_two_bits_and_no_scale() -> None:
    account = report_of(FOUR.replace(first_layer_weights="full-precision")).bits
    first = account.layers[0]
    assert (first.site, first.convention, first.bits, first.scales) == ("conv1:weight", None, 32, 0)
    assert account.average_weight_bits(Convention.IMPLICIT_SIGN) == pytest.approx(
        account.average_weight_bits() - 1 + first.elements / account.elements
    )


def test_a_layer_has_the_bits_that_were_chosen_for_it() -> None:
    account = report_of(MIXED, {"layer1.0.conv1:weight": 2, "layer2.0.conv2:weight": 6}).bits
    bits = {layer.site: layer.bits for layer in account.layers}
    assert (bits["layer1.0.conv1:weight"], bits["layer2.0.conv2:weight"], bits["layer1.0.conv2:weight"]) == (2, 6, 4)


@pytest.mark.parametrize(("setting", "bits", "counted"), [(FOUR, None, 4), (MIXED, {}, 0), (MIXED, None, 0)])
def test_a_weight_of_zeros_counts_nothing_only_where_bits_are_chosen(
    setting: Setting, bits: dict[str, int] | None, counted: int
) -> None:
    report = report_of(setting, bits, zeros="layer2.1.conv1")
    (row,) = (layer for layer in report.bits.layers if layer.site == "layer2.1.conv1:weight")
    assert row.bits == counted
    assert row.bytes == row.elements * counted // 8 + (4 * row.shape[0] if counted else 0)


def test_precisions_of_single_weights_and_their_map_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """One layer as if precisions had been read off each of its weights."""
    site, precisions = "layer1.0.conv1:weight", {0: 304, 2: 1000, 3: 500, 4: 500}
    looked_at = Evidence._site

    def with_precisions(self: Evidence, row: PlanRow) -> SiteEvidence:
        one = looked_at(self, row)
        return replace(one, seen_precisions=precisions) if row.site == site else one

    setting = MIXED.replace(bit_width_granularity="per-weight", weight_granularity="per-weight")
    before = report_of(setting, {})
    monkeypatch.setattr(Evidence, "_site", with_precisions)
    report = report_of(setting, {})
    (row,) = (layer for layer in report.bits.layers if layer.site == site)
    assert (row.precisions, row.widths, row.elements) == (precisions, Widths.PER_WEIGHT, 2304)
    assert row.weight_bytes == (2 * 1000 + 3 * 500 + 4 * 500) // 8 + 1
    # Four widths are told apart by 2 bits, for each weight; the map is there to decode them, so it is in the size.
    assert report.figures.precision_map_bytes == row.map_bytes == 2304 * 2 // 8
    saved = 2304 * 4 // 8 - row.weight_bytes
    assert report.figures.model_bytes == before.figures.model_bytes - saved + row.map_bytes
    fewer = 4 - row.bits
    assert report.figures.average_weight_bits == pytest.approx(
        before.figures.average_weight_bits - fewer * 2304 / report.bits.elements
    )
