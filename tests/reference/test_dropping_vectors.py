"""Random dropping against vectors that public code produced."""

from __future__ import annotations

import pytest
import torch
from golden_vectors import case_parameters, check_close, check_gradient, check_output, load

from suite.quantizers import Quantizer, QuantizerSpec, StepGradientScale, StepRule
from suite.quantizers.dropping import mix


@pytest.mark.parametrize("case", case_parameters("qdrop_drop", "keep_quantized_mask"))
def test_dropped_activation(case: str) -> None:
    vectors = load("qdrop_drop")
    x, scale = vectors.tensor("x").requires_grad_(), torch.tensor(vectors.number("scale")).float()
    qmin, qmax = int(vectors.number("qmin")), int(vectors.number("qmax"))
    symmetric = qmin < 0 and not vectors.number("zero_point")
    spec = QuantizerSpec(
        bits=int(vectors.number("bits")), signed=qmin < 0, symmetric=symmetric, narrow=qmin == -qmax,
        step_rule=StepRule.TWO_MAX_OVER_LEVELS, step_gradient_scale=StepGradientScale.ELEMENTS_PER_CHANNEL,
    )  # fmt: skip
    assert (spec.qmin, spec.qmax) == (qmin, qmax)
    quantizer = Quantizer(spec, is_weight=False)
    quantizer.set_parameters(scale, torch.tensor(float(vectors.number("zero_point"))))
    step = quantizer.learn_step()
    quantized = quantizer(x)
    check_output(quantized, vectors.tensor("y_all_quantized"), step)
    # The parameter that is called a probability of dropping is that of keeping the quantized value.
    keep = vectors.tensor(f"{case}.uniform") < vectors.number(f"{case}.drop_prob")
    assert torch.equal(keep, vectors.tensor(f"{case}.keep_quantized_mask").bool())
    y = mix(quantized, x, keep)
    assert torch.equal(y[~keep], x[~keep])
    assert torch.equal(y[keep], quantized[keep])
    check_output(y, vectors.tensor(f"{case}.y"), step)
    y.backward(vectors.tensor("grad_out"))
    check_gradient(x.grad, vectors.tensor(f"{case}.grad_x"))
    check_gradient(step.grad, vectors.tensor(f"{case}.grad_scale_param"))


@pytest.mark.parametrize("case", case_parameters("qdrop_drop", "mixed"))
def test_mixed_input(case: str) -> None:
    vectors = load("qdrop_drop")
    keep = vectors.tensor(f"{case}.uniform") < vectors.number(f"{case}.prob")
    mixed = mix(vectors.tensor(f"{case}.quant_input"), vectors.tensor(f"{case}.fp_input"), keep)
    check_close(mixed, vectors.tensor(f"{case}.mixed"))
