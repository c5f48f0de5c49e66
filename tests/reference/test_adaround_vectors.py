"""AdaRound against vectors that public code produced: quantizer, regularizer, schedules, reconstruction losses."""

from __future__ import annotations

import pytest
import torch
from golden_vectors import Vectors, case_parameters, check_close, check_gradient, check_output, check_rounded, load
from torch import Tensor

from suite.methods.engines.reconstruction import losses
from suite.quantizers import Granularity, Quantizer, QuantizerSpec, StepRule
from suite.quantizers.rounding import AdaRound, cosine_beta, linear_beta
from suite.quantizers.rounding.rectified_sigmoid import GAMMA, ZETA, rectified_sigmoid, regularizer
from suite.quantizers.rounding.schedules import warming_up


def shaped(values: Tensor, x: Tensor) -> Tensor:
    """One value, or one per index of axis 0, shaped to broadcast."""
    values = values.float().reshape(-1)
    return values.reshape(()) if values.numel() == 1 else values.reshape([-1] + [1] * (x.dim() - 1))


def grid(x: Tensor, scale: Tensor, zero_point: Tensor, bits: int, *, signed: bool = False) -> Quantizer:
    """The quantizer of a case; a signed grid has all 2^bits codes and its zero at code zero."""
    scale = shaped(scale, x)
    spec = QuantizerSpec(
        bits=bits, signed=signed, symmetric=signed, narrow=False, step_rule=StepRule.TWO_MAX_OVER_LEVELS,
        granularity=Granularity.PER_CHANNEL if scale.numel() > 1 else Granularity.PER_TENSOR,
    )  # fmt: skip
    quantizer = Quantizer(spec, is_weight=True)
    quantizer.set_parameters(scale, shaped(zero_point, x))
    return quantizer


def check_rounding(vectors: Vectors, case: str, rounding: AdaRound, quantizer: Quantizer) -> None:
    """The start, and a state away from it with its gradient."""
    x, scale = vectors.nearest(case, "x"), rounding.scale
    check_rounded(quantizer(x), vectors.tensor(f"{case}.nearest"), scale, x / scale)
    check_close(rounding.v, vectors.tensor(f"{case}.alpha_init"), tolerance=1e-5)  # a logarithm near its pole
    check_output(rounding(x), vectors.tensor(f"{case}.soft_at_init"), scale)
    alpha = vectors.tensor(f"{case}.alpha")
    with torch.no_grad():
        rounding.v.copy_(alpha)
    check_close(rectified_sigmoid(alpha), vectors.tensor(f"{case}.h"))
    soft = rounding(x)
    check_output(soft, vectors.tensor(f"{case}.soft"), scale)
    check_output(rounding.hardened(x), vectors.tensor(f"{case}.hard"), scale)
    soft.backward(vectors.nearest(case, "grad_out"))
    check_gradient(rounding.v.grad, vectors.tensor(f"{case}.grad_alpha"))


@pytest.mark.parametrize("case", case_parameters("adaround_brecq", "hard_at_init"))
def test_brecq_quantizer(case: str) -> None:
    vectors = load("adaround_brecq")
    x = vectors.tensor(f"{case}.x")
    parameters = vectors.tensor(f"{case}.delta"), vectors.tensor(f"{case}.zero_point")
    quantizer = grid(x, *parameters, bits=int(vectors.number(f"{case}.bits")))
    rounding = AdaRound(x, quantizer)
    check_rounded(rounding.hardened(x), vectors.tensor(f"{case}.hard_at_init"), rounding.scale, x / rounding.scale)
    check_rounding(vectors, case, rounding, quantizer)


@pytest.mark.parametrize("case", case_parameters("adaround_qdrop", "alpha_init"))
def test_qdrop_quantizer(case: str) -> None:
    vectors = load("adaround_qdrop")
    x = vectors.tensor("x")
    qmin, qmax = (int(vectors.number(f"{case}.{name}")) for name in ("qmin", "qmax"))
    parameters = vectors.tensor(f"{case}.scale"), vectors.tensor(f"{case}.zero_point")
    quantizer = grid(x, *parameters, bits=(qmax - qmin + 1).bit_length() - 1, signed=qmin < 0)
    assert (quantizer.spec.qmin, quantizer.spec.qmax) == (qmin, qmax)
    check_rounding(vectors, case, AdaRound(x, quantizer), quantizer)


@pytest.mark.parametrize("case", case_parameters("adaround_brecq", "reg"))
def test_regularizer(case: str) -> None:
    vectors = load("adaround_brecq")
    alpha = vectors.nearest(case, "alpha").requires_grad_()
    beta = float(case.rpartition(".beta")[2])
    for given in (beta, torch.tensor(beta)):
        alpha.grad = None
        value = regularizer(alpha, given)
        check_close(value, vectors.tensor(f"{case}.reg"), tolerance=1e-5)
        value.backward()
        check_gradient(alpha.grad, vectors.tensor(f"{case}.grad_alpha"))


@pytest.mark.parametrize("case", case_parameters("adaround_brecq", "gamma"))
def test_stretch(case: str) -> None:
    vectors = load("adaround_brecq")
    assert pytest.approx((vectors.number("gamma"), vectors.number("zeta"))) == (GAMMA, ZETA)


@pytest.mark.parametrize("case", case_parameters("adaround_brecq", "warmup"))
def test_schedules(case: str) -> None:
    vectors = load("adaround_brecq")
    total, warmup, start, end = (vectors.number(f"{case}.{name}") for name in ("T", "warmup", "start", "end"))
    schedule = cosine_beta if "cosine" in case else linear_beta
    steps = vectors.tensor(f"{case}.t").tolist()
    found = [schedule(step, int(total), warmup=warmup, start=start, end=end) for step in steps]
    assert found == pytest.approx(vectors.tensor(f"{case}.beta").tolist(), rel=1e-9)
    if f"{case}.round_loss" not in vectors:
        return
    alpha, factor = vectors.tensor(f"{case}.alpha"), vectors.number(f"{case}.reg_param")
    losses_found = [
        0.0 if warming_up(step, int(total), warmup) else factor * float(regularizer(alpha, beta))
        for step, beta in zip(steps, found, strict=True)
    ]
    assert losses_found == pytest.approx(vectors.tensor(f"{case}.round_loss").tolist(), rel=1e-4)


FORMULAS = {
    "lp2": lambda p, t, g: losses.squared_error(p, t),
    "lp24": lambda p, t, g: losses.power_error(p, t, 2.4),
    "lp24_all": lambda p, t, g: losses.mean_power_error(p, t, 2.4),
    "fisher_diag": losses.fisher_diagonal,
    "fisher_full": losses.fisher_full,
    "aimet_frobenius": lambda p, t, g: losses.squared_norm(p, t),
}


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("case", case_parameters("adaround_brecq", "fisher_diag"))
def test_reconstruction_losses(case: str, formula: str) -> None:
    vectors = load("adaround_brecq")
    given = [vectors.tensor(f"{case}.{name}") for name in ("pred", "target", "grad")]
    check_close(FORMULAS[formula](*given), vectors.tensor(f"{case}.{formula}"))
