"""Learned step size quantizers against vectors that public code produced."""

from __future__ import annotations

import pytest
import torch
from golden_vectors import Vectors, case_parameters, check_close, check_gradient, check_output, load
from torch import Tensor

from suite.quantizers import (
    GradientMask,
    Granularity,
    Quantizer,
    QuantizerSpec,
    StepGradientScale,
    StepRule,
    fake_quantize,
)


def make_quantizer(
    vectors: Vectors, case: str, limits: tuple[str, str], *, channels: bool, symmetric: bool, **spec: object
) -> Quantizer:
    qmin, qmax = (int(vectors.nearest(case, name)) for name in limits)
    made = QuantizerSpec(
        bits=int(vectors.nearest(case, "bits")),
        signed=qmin < 0,
        symmetric=symmetric,
        narrow=qmin == -qmax,
        granularity=Granularity.PER_CHANNEL if channels else Granularity.PER_TENSOR,
        **spec,  # type: ignore[arg-type]
    )
    assert (made.qmin, made.qmax) == (qmin, qmax)
    return Quantizer(made, is_weight=True)


def broadcast(values: Tensor, x: Tensor) -> Tensor:
    """One value, or one per index of axis 0, shaped to broadcast."""
    values = values.float().reshape(-1)
    return values.reshape(()) if values.numel() == 1 else values.reshape([-1] + [1] * (x.dim() - 1))


@pytest.mark.parametrize("case", case_parameters("lsq_zhutmost", "grad_s"))
def test_clip_then_round(case: str) -> None:
    vectors = load("lsq_zhutmost")
    x = vectors.nearest(case, "x").requires_grad_()
    s = vectors.tensor(f"{case}.s")
    quantizer = make_quantizer(
        vectors, case, ("qn", "qp"), channels=s.numel() > 1, symmetric=True,
        mask=GradientMask.CLIP_THEN_ROUND, step_gradient_scale=StepGradientScale.ALL_ELEMENTS,
    )  # fmt: skip
    quantizer.set_parameters(broadcast(s, x))
    step = quantizer.learn_step()
    y = quantizer(x)
    y.backward(vectors.nearest(case, "grad_out"))
    check_output(y, vectors.tensor(f"{case}.y"), step)
    check_gradient(x.grad, vectors.tensor(f"{case}.grad_x"))
    check_gradient(step.grad, vectors.tensor(f"{case}.grad_s"))
    check_close(quantizer._step_gradient(x), vectors.nearest(case, "grad_scale"))


@pytest.mark.parametrize("case", case_parameters("lsq_zhutmost", "s_init"))
def test_lsq_start(case: str) -> None:
    vectors = load("lsq_zhutmost")
    expected = vectors.tensor(f"{case}.s_init")
    quantizer = make_quantizer(vectors, case, ("qn", "qp"), channels=expected.numel() > 1, symmetric=True)
    quantizer.initialize(vectors.tensor(f"{case}.x"), "lsq")
    check_close(quantizer.scale, expected)


@pytest.mark.parametrize("case", case_parameters("lsq_qdrop", "grad_scale_param"))
def test_round_then_clip(case: str) -> None:
    vectors = load("lsq_qdrop")
    x = vectors.nearest(case, "x").requires_grad_()
    scale = broadcast(vectors.nearest(case, "scale"), x)
    qmin, qmax = (int(vectors.nearest(case, name)) for name in ("qmin", "qmax"))
    gradient = vectors.nearest(case, "grad_out")
    if f"{case}.grad_zero_point" in vectors:  # LSQ+: the zero point is learned too, which the module does not do
        zero_point = broadcast(vectors.tensor(f"{case}.zero_point"), x).requires_grad_()
        step = scale.clone().requires_grad_()
        factor = float(vectors.nearest(case, "grad_factor"))
        y = fake_quantize(x, step, zero_point, qmin, qmax, step_gradient=factor)
        y.backward(gradient)
        check_gradient(zero_point.grad, vectors.tensor(f"{case}.grad_zero_point"))
    else:
        fixed = vectors.tensor(f"{case}.zero_point") if f"{case}.zero_point" in vectors else torch.zeros(())
        symmetric = not bool(fixed.any()) and qmin < 0
        quantizer = make_quantizer(
            vectors, case, ("qmin", "qmax"), channels=scale.numel() > 1, symmetric=symmetric,
            step_rule=StepRule.TWO_MAX_OVER_LEVELS, step_gradient_scale=StepGradientScale.ELEMENTS_PER_CHANNEL,
        )  # fmt: skip
        quantizer.set_parameters(scale, broadcast(fixed, x))
        step = quantizer.learn_step()
        y = quantizer(x)
        y.backward(gradient)
        check_close(quantizer._step_gradient(x), vectors.nearest(case, "grad_factor"))
    check_output(y, vectors.tensor(f"{case}.y"), scale)
    check_gradient(x.grad, vectors.tensor(f"{case}.grad_x"))
    check_gradient(step.grad, vectors.tensor(f"{case}.grad_scale_param"))


@pytest.mark.parametrize("case", case_parameters("lsq_qdrop", "scale_after"))
def test_negative_scale_turns_back(case: str) -> None:
    vectors = load("lsq_qdrop")
    x, expected = vectors.tensor(f"{case}.x"), vectors.tensor(f"{case}.y")
    # The case does not repeat its limits; its neighbours in the file, over the same values, have them.
    twin = next(key for key in vectors.arrays if key.endswith(".x") and key != f"{case}.x"
                and vectors.tensor(key).equal(x)).removesuffix(".x")  # fmt: skip
    quantizer = make_quantizer(vectors, twin, ("qmin", "qmax"), channels=False, symmetric=True)
    quantizer.set_parameters(vectors.tensor(f"{case}.scale_before").float())
    quantizer.keep_positive()
    check_close(quantizer.scale, vectors.tensor(f"{case}.scale_after").reshape(()))
    check_output(quantizer(x), expected, quantizer.scale)


@pytest.mark.parametrize("case", case_parameters("lsq_torch_native", "grad_scale"))
def test_torch_learnable_fake_quantize(case: str) -> None:
    vectors = load("lsq_torch_native")
    x = vectors.tensor(f"{case}.x").requires_grad_()
    qmin, qmax = vectors.number(f"{case}.qmin"), vectors.number(f"{case}.qmax")
    step = broadcast(vectors.tensor(f"{case}.scale"), x).requires_grad_()
    zero_point = broadcast(vectors.tensor(f"{case}.zero_point"), x).requires_grad_()
    y = fake_quantize(x, step, zero_point, qmin, qmax, step_gradient=vectors.number(f"{case}.grad_factor"))
    y.backward(vectors.tensor(f"{case}.grad_out"))
    check_output(y, vectors.tensor(f"{case}.y"), step.detach())
    check_gradient(x.grad, vectors.tensor(f"{case}.grad_x"))
    check_gradient(step.grad, vectors.tensor(f"{case}.grad_scale"))
    if f"{case}.grad_zero_point" in vectors:
        check_gradient(zero_point.grad, vectors.tensor(f"{case}.grad_zero_point"))
