"""Range rules and searches against vectors that public code produced."""

from __future__ import annotations

import pytest
import torch
from golden_vectors import Vectors, case_parameters, check_close, check_gradient, check_output, load
from torch import Tensor

from suite.quantizers import Granularity, Quantizer, QuantizerSpec, RangeRule, StepRule, fake_quantize
from suite.quantizers.grids import Parameters
from suite.quantizers.observers import EMA_MOMENTUM
from suite.quantizers.published_starts import BRECQ_FACTORS, ERROR_EXPONENT, qdrop_range, shrink_parameters
from suite.quantizers.ranges import percentile_range
from suite.quantizers.search import best_candidate


def rows_of(x: Tensor, *, channels: bool) -> Tensor:
    return x.reshape(x.shape[0] if channels else 1, -1)


def spec_for(bits: int, *, symmetric: bool, signed: bool, channels: bool, rule: RangeRule) -> QuantizerSpec:
    return QuantizerSpec(
        bits,
        signed=signed,
        symmetric=symmetric,
        narrow=False,
        step_rule=StepRule.TWO_MAX_OVER_LEVELS,
        granularity=Granularity.PER_CHANNEL if channels else Granularity.PER_TENSOR,
        range_rule=rule,
    )


@pytest.mark.parametrize("case", case_parameters("observers_qdrop", "scale"))
def test_qdrop_observers(case: str) -> None:
    vectors = load("observers_qdrop")
    tensor, observer, bits_text, symmetry, granularity = case.split(".")
    x, bits = vectors.tensor(f"{tensor}.x"), int(bits_text.removeprefix("b"))
    symmetric, channels = symmetry == "sym", granularity != "tensor"
    rows = rows_of(x, channels=channels)
    # An averaging observer that is called once is the plain one.
    if observer.removeprefix("Avg") == "MinMaxObserver":
        spec = spec_for(bits, symmetric=symmetric, signed=symmetric, channels=channels, rule=RangeRule.MIN_MAX)
        quantizer = Quantizer(spec, is_weight=True)
        quantizer.initialize(x)
        scale, zero_point = quantizer.scale, quantizer.zero_point
        low, high = rows.aminmax(dim=1)
    else:
        assert observer.removeprefix("Avg") == "MSEObserver"
        spec = spec_for(bits, symmetric=symmetric, signed=symmetric, channels=channels, rule=RangeRule.MSE)
        low, high, scale, found = qdrop_range(rows, spec)
        zero_point = torch.zeros_like(scale) if found is None else found
    for name, actual in (("min", low), ("max", high), ("scale", scale), ("zero_point", zero_point)):
        check_close(actual, vectors.tensor(f"{case}.{name}"))


@pytest.mark.parametrize("case", case_parameters("observers_fqvit", "scale"))
def test_fqvit_observers(case: str) -> None:
    vectors = load("observers_fqvit")
    batches = vectors.tensor("batches")
    kind, observer = case.split(".")
    bits, symmetric = int(kind.removeprefix("u").removeprefix("int")), kind.startswith("int")
    qmin, qmax = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if symmetric else (0, 2**bits - 1)
    scale: Tensor
    zero_point: Tensor
    if observer == "omse":
        low, high = batches.aminmax()
        spec = spec_for(bits, symmetric=False, signed=symmetric, channels=False, rule=RangeRule.MSE)
        assert (spec.qmin, spec.qmax) == (qmin, qmax)
        shrunk = shrink_parameters(
            batches[-1].reshape(1, -1), low.reshape(1), high.reshape(1), spec, factors=90, power=2.0
        )
        assert shrunk.zero_point is not None
        scale, zero_point = shrunk
    else:
        rule = {"minmax": RangeRule.MIN_MAX, "ema": RangeRule.EMA_MIN_MAX, "percentile": RangeRule.EMA_MIN_MAX}[
            observer
        ]
        quantizer = Quantizer(
            spec_for(bits, symmetric=symmetric, signed=symmetric, channels=False, rule=rule), is_weight=False
        )
        low = high = None
        for batch in batches:
            seen = batch.reshape(1, -1)
            if observer == "percentile":  # per batch, then joined by the moving average
                seen = torch.stack(percentile_range(seen, 99.999), dim=1)
            quantizer.observe(seen)
            now_low, now_high = seen.aminmax()
            if low is None or high is None:
                low, high = now_low, now_high
            elif observer == "minmax":
                low, high = torch.minimum(low, now_low), torch.maximum(high, now_high)
            else:
                low, high = (old + EMA_MOMENTUM * (now - old) for old, now in ((low, now_low), (high, now_high)))
        quantizer.finish()
        scale, zero_point = quantizer.scale, quantizer.zero_point
    assert low is not None
    assert high is not None
    for name, actual in (("min", low), ("max", high), ("scale", scale), ("zero_point", zero_point)):
        check_close(actual, vectors.tensor(f"{case}.{name}"))


def brecq_min_max(rows: Tensor, bits: int, *, symmetric: bool, factor: float) -> Parameters:
    """BRECQ's `max` and `max_scale` as published: [min(v, 0), max(v, 0)] times a factor, zero point not clamped.

    The symmetric form widens the range to +-max|v|, or to [0, max|v|] where nothing is negative. In float64, because
    -low / s of a symmetric range is a rounding tie.
    """
    low, high = (end.double() for end in (rows.amin(1), rows.amax(1)))
    low, high = low.clamp(max=0.0) * factor, high.clamp(min=0.0) * factor
    if symmetric:
        magnitude = torch.maximum(-low, high)
        low, high = torch.where(low < 0, -magnitude, 0.0), magnitude
    return brecq_parameters(low, high, bits, rows.dtype)


def brecq_parameters(low: Tensor, high: Tensor, bits: int, dtype: torch.dtype) -> Parameters:
    scale = ((high - low) / float((1 << bits) - 1)).clamp(min=1e-8)
    return Parameters(scale.to(dtype), (-low / scale).round().to(dtype))


def brecq_mse(rows: Tensor, bits: int) -> Parameters:
    """BRECQ's `mse` as published, on ranges that need not contain zero: the suite's search over its candidates."""
    factors = torch.tensor([1.0 - 0.01 * index for index in range(BRECQ_FACTORS)], dtype=rows.dtype)
    low, high = (end[:, None] * factors for end in (rows.amin(1), rows.amax(1)))
    candidates = brecq_parameters(low, high, bits, rows.dtype)
    index = best_candidate(rows, *candidates, 0, (1 << bits) - 1, power=ERROR_EXPONENT).candidate[:, None]
    return Parameters(*(table.gather(1, index)[:, 0] for table in candidates if table is not None))


@pytest.mark.parametrize("case", case_parameters("brecq_uniform_affine", "delta"))
def test_brecq_uniform_affine(case: str) -> None:
    vectors = load("brecq_uniform_affine")
    tensor, method, symmetry, granularity, bits_text = case.split(".")
    x, gradient = vectors.tensor(f"{tensor}.x").requires_grad_(), vectors.tensor(f"{tensor}.grad_out")
    bits = int(bits_text.removeprefix("b"))
    rows = rows_of(x.detach(), channels=granularity == "channel")
    if method == "mse":
        scale, zero_point = brecq_mse(rows, bits)  # the published code ignores the symmetric flag here
        check_brecq_start(x.detach(), bits, vectors, case, channels=granularity == "channel")
    else:
        factor = {"max": 1.0, "max_scale": (bits + 2) / 8}[method]
        scale, zero_point = brecq_min_max(rows, bits, symmetric=symmetry == "sym", factor=factor)
    assert zero_point is not None
    check_close(scale, vectors.tensor(f"{case}.delta").reshape(-1))
    check_close(zero_point, vectors.tensor(f"{case}.zero_point").reshape(-1))
    shape = [rows.shape[0]] + [1] * (x.dim() - 1)
    scale, zero_point = scale.reshape(shape), zero_point.reshape(shape)
    y = fake_quantize(x, scale, zero_point, 0, 2**bits - 1)
    y.backward(gradient)
    check_output(y, vectors.tensor(f"{case}.y"), scale)
    check_gradient(x.grad, vectors.tensor(f"{case}.grad_x"))


def check_brecq_start(x: Tensor, bits: int, vectors: Vectors, case: str, *, channels: bool) -> None:
    """The start rule `brecq` is the published search wherever a row has both signs, or ends at zero."""
    spec = spec_for(bits, symmetric=False, signed=False, channels=channels, rule=RangeRule.LEARNED_ROUNDING)
    quantizer = Quantizer(spec, is_weight=True)
    quantizer.initialize(x, "brecq")
    rows = rows_of(x, channels=channels)
    same = (rows.amin(1) <= 0) & (rows.amax(1) >= 0)
    assert bool(same.any())
    for name, actual in (("delta", quantizer.scale), ("zero_point", quantizer.zero_point)):
        check_close(actual.reshape(-1)[same], vectors.tensor(f"{case}.{name}").reshape(-1)[same])
    assert bool(((quantizer.zero_point >= spec.qmin) & (quantizer.zero_point <= spec.qmax)).all())


@pytest.mark.parametrize("case", case_parameters("brecq_act_delta", "grad_delta"))
def test_brecq_activation_step(case: str) -> None:
    vectors = load("brecq_act_delta")
    x = vectors.nearest(case, "x").requires_grad_()
    bits = next(int(part[1:]) for part in case.split(".") if part[0] == "b" and part[1:].isdigit())
    delta = vectors.tensor(f"{case}.delta").float().requires_grad_()
    y = fake_quantize(x, delta, vectors.nearest(case, "zero_point").float(), 0, 2**bits - 1)
    y.backward(vectors.nearest(case, "grad_out"))
    check_output(y, vectors.tensor(f"{case}.y"), delta.detach())
    check_gradient(x.grad, vectors.tensor(f"{case}.grad_x"))
    check_gradient(delta.grad, vectors.tensor(f"{case}.grad_delta"))
