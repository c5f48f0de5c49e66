"""The starts of published reconstruction code, against plain loops over every candidate."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from suite.quantizers import Granularity, Quantizer, QuantizerSpec, StepRule
from suite.quantizers.published_starts import qdrop_range

RULES = ("brecq", "qdrop")


def rows_of_kind(kind: str) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    normal = torch.randn(7, 61, generator=generator)
    return {
        "normal": normal,
        "skewed": torch.exp(normal) - 0.6,
        "positive": normal.abs(),
        "negative": -normal.abs(),
        "outlier": torch.cat([normal, torch.full((7, 1), 40.0)], dim=1),
        "one constant row": torch.cat([normal, torch.zeros(1, 61)]),
    }[kind]


def mean_error(row: Tensor, scale: Tensor, zero_point: Tensor, qmin: int, qmax: int) -> Tensor:
    codes = (torch.round(row.double() / scale.double()) + zero_point.double()).clamp(qmin, qmax)
    return (row.double() - scale.double() * (codes - zero_point.double())).abs().pow(2.4).mean()


def every_two_sided(low: float, high: float, bits: int) -> list[tuple[float, float]]:
    """Scale and zero point of every width and every place of zero."""
    levels = 2**bits - 1
    return [((high - low) / 100 * step / levels, float(code)) for step in range(1, 101) for code in range(levels + 1)]


@pytest.mark.parametrize("bits", [2, 3, 4, 6])
@pytest.mark.parametrize("kind", ["normal", "skewed", "outlier", "one constant row"])
def test_ruling_out_ranges_loses_none(kind: str, bits: int) -> None:
    rows = rows_of_kind(kind)
    spec = QuantizerSpec(bits, signed=False, symmetric=False, granularity=Granularity.PER_CHANNEL)
    found = qdrop_range(rows, spec)
    assert found.zero_point is not None
    for row, scale, zero_point in zip(rows, found.scale, found.zero_point, strict=True):
        reached = mean_error(row, scale, zero_point, spec.qmin, spec.qmax)
        if not bool(row.any()):
            assert float(reached) == 0.0
            continue
        tried = every_two_sided(float(row.min()), float(row.max()), bits)
        table = torch.tensor(tried, dtype=torch.float64)
        codes = (torch.round(row.double() / table[:, :1]) + table[:, 1:]).clamp(spec.qmin, spec.qmax)
        errors = (row.double() - table[:, :1] * (codes - table[:, 1:])).abs().pow(2.4).mean(1)
        assert float(reached) == pytest.approx(float(errors.min()), rel=1e-5)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("granularity", ["per-tensor", "per-channel"])
@pytest.mark.parametrize("kind", ["normal", "skewed", "positive", "negative", "outlier", "one constant row"])
def test_starts_lie_on_a_grid_that_the_spec_allows(rule: str, symmetric: bool, granularity: str, kind: str) -> None:
    weight = rows_of_kind(kind)
    for bits in (1, 2, 4, 8):
        spec = QuantizerSpec(
            bits, signed=symmetric, symmetric=symmetric, granularity=Granularity(granularity), narrow=bits > 1
        )
        quantizer = Quantizer(spec, is_weight=True)
        quantizer.initialize(weight, rule)  # type: ignore[arg-type]
        assert bool((quantizer.scale > 0).all())
        assert quantizer.zero_point.equal(quantizer.zero_point.round().clamp(spec.qmin, spec.qmax))
        assert quantizer(torch.zeros_like(weight)).abs().max() == 0 or spec.binary  # zero stays exact


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("symmetric", [True, False])
def test_starts_are_better_than_the_whole_range(rule: str, symmetric: bool) -> None:
    weight = rows_of_kind("normal")
    spec = QuantizerSpec(2, signed=symmetric, symmetric=symmetric, granularity=Granularity.PER_CHANNEL)
    errors = {}
    for start in (rule, "min-max"):
        quantizer = Quantizer(spec, is_weight=True)
        quantizer.initialize(weight, start)  # type: ignore[arg-type]
        errors[start] = (quantizer(weight) - weight).abs().pow(2.4).mean(1)
    assert bool((errors[rule] <= errors["min-max"] * (1 + 1e-5)).all())
    assert bool((errors[rule] < errors["min-max"] * 0.95).any())


def test_many_rows_are_searched_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of_kind("skewed")
    spec = QuantizerSpec(4, signed=False, symmetric=False, granularity=Granularity.PER_CHANNEL)
    whole = qdrop_range(rows, spec)
    monkeypatch.setattr("suite.quantizers.published_starts.CANDIDATES_IN_MEMORY", 3 * 100 * spec.levels)
    for together, apart in zip(whole, qdrop_range(rows, spec), strict=True):
        assert together is not None
        assert apart is not None
        assert together.equal(apart)


def test_a_symmetric_step_follows_the_setting_of_the_step() -> None:
    """The threshold found is max(t) of the spec's own step rule, so no rule is silently replaced."""
    weight = rows_of_kind("normal")
    for rule, divisor in ((StepRule.MAX_OVER_QMAX, 7.0), (StepRule.TWO_MAX_OVER_LEVELS, 7.5)):
        found = qdrop_range(weight, QuantizerSpec(4, signed=True, symmetric=True, step_rule=rule))
        assert found.zero_point is None
        assert torch.allclose(found.high / divisor, found.scale)
        assert torch.allclose(found.low, -found.high)
