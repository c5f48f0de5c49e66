"""DoReFa's weights and activations, PACT's clipping: against vectors that public code produced."""

from __future__ import annotations

import re

import pytest
import torch
from golden_vectors import case_parameters, check_close, check_gradient, check_output, check_rounded, load

from suite.quantizers import GradientMask, Quantizer, QuantizerSpec, RangeRule
from suite.quantizers.learned_clip import LearnedClip, learned_clip
from suite.quantizers.tanh_weights import TanhWeights


def number(case: str, letters: str) -> float:
    """The number behind `letters` in the name of a case: b4, alpha10."""
    found = re.search(rf"\.{letters}([0-9.]+?)(?=\.[a-z]|$)", case)
    assert found is not None, case
    return float(found[1])


def unsigned(bits: int, **spec: object) -> Quantizer:
    made = QuantizerSpec(bits=bits, signed=False, symmetric=True, mask=GradientMask.CLIP_THEN_ROUND, **spec)
    return Quantizer(made, is_weight=False)


@pytest.mark.parametrize("case", case_parameters("dorefa", "grad_w"))
def test_weights(case: str) -> None:
    vectors, bits = load("dorefa"), int(number(case, "b"))
    weight = vectors.nearest(case, "w").requires_grad_()
    spec = QuantizerSpec(bits=bits, signed=True, symmetric=True, without_zero=True)
    transform = TanhWeights(Quantizer(spec, is_weight=True), rescaled="rescaled" in case)
    y = transform(weight)
    y.backward(vectors.nearest(case, "grad_out"))
    check_output(y, vectors.tensor(f"{case}.y"), 2 * transform.quantizer.scale)
    check_gradient(weight.grad, vectors.tensor(f"{case}.grad_w"))


@pytest.mark.parametrize("case", case_parameters("dorefa", "grad_a"))
def test_activations(case: str) -> None:
    vectors, bits = load("dorefa"), int(number(case, "b"))
    x = vectors.nearest(case, "a").requires_grad_()
    quantizer = unsigned(bits, range_rule=RangeRule.UNIT)
    quantizer.initialize(x.detach())
    y = quantizer(x)
    y.backward(vectors.nearest(case, "grad_out_a"))
    expected = vectors.tensor(f"{case}.y")
    if bits == 1:  # this code takes the sign of the clipped value instead of rounding it: 1 wherever it is not zero
        expected = (expected * (x.detach().clamp(0, 1) > 0.5)).to(expected.dtype)
    check_rounded(y, expected, quantizer.scale, x.detach().double().clamp(0, 1) * quantizer.spec.qmax)
    check_gradient(x.grad, vectors.tensor(f"{case}.grad_a"))


@pytest.mark.parametrize("case", case_parameters("pact", "grad_alpha"))
def test_clipped_and_rounded(case: str) -> None:
    vectors = load("pact")
    x = vectors.nearest(case, "x").requires_grad_()
    quantizer = unsigned(int(number(case, "b")))
    quantizer.set_parameters(torch.tensor(1.0))
    clip = LearnedClip(quantizer, number(case, "alpha"))
    y = clip(x)
    y.backward(vectors.nearest(case, "grad_out"))
    check_output(y, vectors.tensor(f"{case}.y"), quantizer.scale)
    check_gradient(x.grad, vectors.tensor(f"{case}.grad_x"))
    check_gradient(clip.limit.grad, vectors.tensor(f"{case}.grad_alpha"))


def clip_cases() -> list[object]:
    return [case for case in case_parameters("pact", "y") if not isinstance(case, str) or ".b" not in case]


@pytest.mark.parametrize("case", clip_cases())
def test_clipped_alone(case: str) -> None:
    vectors = load("pact")
    found = learned_clip(vectors.nearest(case, "x"), torch.tensor(number(case, "alpha")))
    check_close(found, vectors.tensor(f"{case}.y"))
