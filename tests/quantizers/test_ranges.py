"""Range rules and searches: against loops over channels, brute force and numpy, and in awkward cases."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from suite.quantizers import Granularity, Quantizer, QuantizerSpec, RangeRule, StepRule, search
from suite.quantizers.ranges import Summary, iterative_mse, mse_parameters, percentile_range
from suite.quantizers.search import alternate, best_candidate

RULES = [RangeRule.MIN_MAX, RangeRule.EMA_MIN_MAX, RangeRule.PERCENTILE, RangeRule.MSE, RangeRule.ITERATIVE_MSE, "lsq"]


def weights(seed: int = 0, shape: tuple[int, ...] = (6, 4, 3, 3)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    scales = torch.logspace(-2, 0, shape[0]).reshape([-1] + [1] * (len(shape) - 1))
    return torch.randn(shape, generator=generator) * scales


def brute_force_mse(row: np.ndarray, steps: np.ndarray, z: int, qmin: int, qmax: int) -> int:
    """Index of the best step, one candidate after another, in float64."""
    errors = []
    for step in steps:
        codes = np.clip(np.round(row / step) + z, qmin, qmax)
        errors.append(float(np.mean((row - step * (codes - z)) ** 2)))
    return int(np.argmin(errors))


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("rule", RULES)
def test_per_channel_equals_loop_over_channels(rule: RangeRule, symmetric: bool) -> None:
    w = weights()
    spec = QuantizerSpec(4, signed=True, symmetric=symmetric, granularity=Granularity.PER_CHANNEL)
    whole = Quantizer(spec, is_weight=True)
    whole.initialize(w, rule)
    assert whole.scale.shape == (6, 1, 1, 1)
    for channel in range(6):
        single = Quantizer(QuantizerSpec(4, signed=True, symmetric=symmetric), is_weight=True)
        single.initialize(w[channel], rule)
        torch.testing.assert_close(whole.scale[channel].reshape(()), single.scale, rtol=1e-6, atol=0)
        assert whole.zero_point[channel].item() == single.zero_point.item()
        torch.testing.assert_close(whole(w)[channel], single(w[channel]), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize(
    ("signed", "symmetric", "narrow", "step_rule"),
    [
        (True, True, True, StepRule.MAX_OVER_QMAX),
        (True, True, False, StepRule.MAX_OVER_QMAX),
        (True, True, True, StepRule.TWO_MAX_OVER_LEVELS),
        (True, True, False, StepRule.TWO_MAX_OVER_LEVELS),
        (False, True, True, StepRule.MAX_OVER_QMAX),
        (False, False, True, StepRule.MAX_OVER_QMAX),
    ],
)
def test_mse_search_equals_brute_force(
    bits: int, signed: bool, symmetric: bool, narrow: bool, step_rule: StepRule
) -> None:
    spec = QuantizerSpec(bits, signed=signed, symmetric=symmetric, narrow=narrow, step_rule=step_rule)
    rows = torch.cat([weights(1, (5, 300)), torch.rand(2, 300), torch.randn(2, 300) ** 3])
    low, high = rows.aminmax(dim=1)
    found = mse_parameters(rows, low, high, spec)
    for index, row in enumerate(rows.double().numpy()):
        if symmetric:
            extent = max(abs(row.min()), abs(row.max())) if signed else max(row.max(), 0.0)
            whole = extent / ((2**bits - 1) / 2 if signed and step_rule == "two-max-over-levels" else spec.qmax)
            z = 0
        else:
            whole = (max(row.max(), 0.0) - min(row.min(), 0.0)) / (2**bits - 1)
            assert found.zero_point is not None
            z = int(found.zero_point[index])
        steps = whole * np.arange(100, 0, -1) / 100
        best = brute_force_mse(row, steps, z, spec.qmin, spec.qmax)
        assert found.scale[index].item() == pytest.approx(steps[best], rel=1e-5)


@pytest.mark.parametrize("power", [2.0, 2.4])
def test_pruning_never_changes_the_choice(power: float) -> None:
    rows = torch.cat([weights(2, (20, 97)), torch.rand(20, 97), torch.randn(20, 97) ** 5, torch.zeros(1, 97)])
    steps = rows.abs().amax(1, keepdim=True).clamp(min=1e-6) / 7 * torch.arange(100, 0, -1) / 100
    exhaustive = best_candidate(rows, steps, None, -7, 7, power=power)
    pruned = best_candidate(rows, steps, None, -7, 7, power=power, nested=True)
    assert torch.equal(exhaustive.candidate, pruned.candidate)
    torch.testing.assert_close(exhaustive.error, pruned.error)


def test_tiles_do_not_change_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = weights(3, (7, 501))
    low, high = rows.aminmax(dim=1)
    spec = QuantizerSpec(4, signed=False, symmetric=False)
    at_once = mse_parameters(rows, low, high, spec)
    alternated = alternate(rows, at_once.scale, at_once.zero_point, 0, 15)
    monkeypatch.setattr(search, "TILE_ELEMENTS", 64)
    in_pieces = mse_parameters(rows, low, high, spec)
    assert torch.equal(at_once.scale, in_pieces.scale)
    again = alternate(rows, at_once.scale, at_once.zero_point, 0, 15)
    torch.testing.assert_close(alternated.scale, again.scale, rtol=1e-5, atol=0)


def test_percentiles_equal_numpy_for_every_row() -> None:
    rows = weights(4, (5, 1003))
    for percentile in (90.0, 99.0, 99.99, 100.0):
        low, high = percentile_range(rows, percentile)
        expected = np.percentile(rows.double().numpy(), [100 - percentile, percentile], axis=1)
        np.testing.assert_allclose(low.numpy(), expected[0], rtol=1e-5)
        np.testing.assert_allclose(high.numpy(), expected[1], rtol=1e-5)


def test_percentile_keeps_zero_inside() -> None:
    low, high = percentile_range(torch.tensor([[3.0, 4.0, 5.0], [-5.0, -4.0, -3.0]]), 99.0)
    assert low[0].item() == 0.0
    assert high[1].item() == 0.0


def seen_in(rows: torch.Tensor) -> Summary:
    low, high = rows.aminmax(dim=1)
    return Summary(low, high, rows.abs().mean(1), rows)


@given(seed=st.integers(0, 10_000), bits=st.sampled_from([2, 3, 4, 8]), symmetric=st.booleans())
@settings(max_examples=40, deadline=None)
def test_alternation_never_raises_the_error(seed: int, bits: int, symmetric: bool) -> None:
    rows = torch.randn(3, 64, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    spec = QuantizerSpec(bits, signed=True, symmetric=symmetric)
    parameters, winner, runs = iterative_mse(rows, seen_in(rows), spec)
    best = torch.full((3,), torch.inf, dtype=torch.float64)
    for run in runs.values():
        errors = torch.stack([
            search.squared_errors(rows, step, parameters.zero_point, spec.qmin, spec.qmax) for step in run.trajectory
        ])  # fmt: skip
        assert bool((errors.diff(dim=0) <= 1e-9 * errors[:-1]).all())
        best = torch.minimum(best, errors[-1])
    chosen = search.squared_errors(rows, parameters.scale, parameters.zero_point, spec.qmin, spec.qmax)
    torch.testing.assert_close(chosen, best)
    assert best.equal(torch.stack([run.error for run in runs.values()]).gather(0, winner[None])[0])


@pytest.mark.parametrize(("bits", "deviations"), [(2, 1.6), (3, 2.8), (4, 4.2), (6, 8.9), (8, 18.0)])
def test_the_lsq_start_clips_far_out_on_wide_grids(bits: int, deviations: float) -> None:
    """Normal values: at 8 bits nothing is clipped, and most codes are never used."""
    rows = torch.randn(1, 200_000, generator=torch.Generator().manual_seed(7))
    spec = QuantizerSpec(bits, signed=True, symmetric=True)
    quantizer = Quantizer(spec, is_weight=True)
    quantizer.initialize(rows, "lsq")
    clip = float(quantizer.scale) * spec.qmax
    assert clip == pytest.approx(deviations, rel=0.02)
    outside = float((rows.abs() > clip).double().mean())
    assert outside == 0.0 if bits >= 6 else outside > 1e-6


def test_many_starts_beat_the_lsq_start_at_8_bits() -> None:
    """The LSQ step is several times too large at 8 bits, and the alternation cannot leave it."""
    rows = weights(5, (1, 4000))
    runs = iterative_mse(rows, seen_in(rows), QuantizerSpec(8, signed=True, symmetric=True)).runs
    assert runs["lsq"].error.item() > 5 * min(run.error.item() for run in runs.values())


def test_long_rows_are_added_up_to_the_last_digits() -> None:
    """Half a million values of like size: added one by one in single precision, their squares lose the third digit."""
    rows = (1.7 + 0.3 * torch.rand(1, 1 << 20, generator=torch.Generator().manual_seed(1))).float()
    scale = torch.tensor([0.0102])
    expected = torch.round(rows.double() / scale.double()).clamp(0, 255)
    lost = (rows.double() - expected * scale.double()).square().sum()
    torch.testing.assert_close(search.squared_errors(rows, scale, None, 0, 255)[0], lost, rtol=1e-5, atol=0)
    errors = [
        float(search.squared_errors(rows, step, None, 0, 255)[0]) for step in alternate(rows, scale, None, 0, 255)[2]
    ]
    assert all(after <= before * (1 + 1e-5) for before, after in itertools.pairwise(errors))


def test_codes_that_are_all_zero_shrink_the_step() -> None:
    rows = torch.tensor([[0.1, -0.2, 0.15, 0.05]])
    found = alternate(rows, torch.tensor([100.0]), None, -7, 7)
    assert found.scale.item() < 0.2
    assert found.error.item() < float(rows.square().sum())


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("value", [0.0, 2.5, -2.5, 1e-30])
def test_constant_tensors(bits: int, rule: RangeRule, value: float) -> None:
    x = torch.full((4, 9), value)
    for signed, symmetric in ((True, True), (True, False), (False, False)):
        spec = QuantizerSpec(bits, signed=signed, symmetric=symmetric, granularity=Granularity.PER_CHANNEL)
        quantizer = Quantizer(spec, is_weight=True)
        quantizer.initialize(x, rule)
        assert bool((quantizer.scale > 0).all())
        y = quantizer(x)
        assert bool(y.isfinite().all())
        if abs(value) > 1 and rule != "lsq":  # the LSQ start is made for spread-out values and may clip a constant
            torch.testing.assert_close(y, x, rtol=2e-2, atol=0)
        if value == 0.0:
            assert float(y.abs().max()) <= 2e-7
