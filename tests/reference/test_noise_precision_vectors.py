"""Precisions learned by noise, against vectors computed from the printed formulas."""

from __future__ import annotations

import pytest
import torch
from golden_vectors import case_parameters, check_close, check_gradient, check_rounded, load

from suite.quantizers import Quantizer, QuantizerSpec
from suite.quantizers.half_range import HalfRange
from suite.quantizers.noise_precision import (
    PrecisionGrid,
    Span,
    noise_half_width,
    noisy,
    observed_precision,
    parameter_of,
    precision_of,
    precision_penalty,
)
from suite.quantizers.spec import RangeRule

FILE = "derived_smol"
TOLERANCE = 1e-10
SPANS = {"grid_2pow1mj": Span.TWO, "grid_unit": Span.UNIT}


def cases(last: str, *kinds: str) -> list[object]:
    """The cases of some kinds that have an array called `last`; a file without them must not pass."""
    found = [case for case in case_parameters(FILE, last) if not isinstance(case, str) or case.startswith(kinds)]
    assert found, f"{FILE} holds no {kinds} with {last}"
    return found


@pytest.mark.parametrize("case", cases("precision", "maps"))
def test_precision_noise_and_penalty(case: str) -> None:
    vectors = load(FILE)
    s = vectors.tensor(f"{case}.s").requires_grad_()
    precision, width = precision_of(s), noise_half_width(s)
    check_close(precision, vectors.tensor(f"{case}.precision"), TOLERANCE)
    check_close(width, vectors.tensor(f"{case}.noise_halfwidth"), TOLERANCE)
    check_close(torch.exp2(1 - precision), vectors.tensor(f"{case}.check_2_pow_1_minus_p"), TOLERANCE)
    penalty = precision_penalty(s)
    penalty.backward()
    check_close(penalty, vectors.tensor(f"{case}.penalty_sum"), TOLERANCE)
    check_gradient(s.grad, vectors.tensor(f"{case}.grad_penalty"), TOLERANCE)


@pytest.mark.parametrize("case", cases("p", "init"))
def test_where_a_wished_precision_starts(case: str) -> None:
    check_close(parameter_of(load(FILE).tensor(f"{case}.p")), load(FILE).tensor(f"{case}.s"), TOLERANCE)


@pytest.mark.parametrize("case", cases("eps", "noise"))
def test_weights_under_noise(case: str) -> None:
    vectors = load(FILE)
    theta = vectors.tensor(f"{case}.theta").requires_grad_()
    s = vectors.tensor(f"{case}.s").requires_grad_()
    y = noisy(theta, s, vectors.tensor(f"{case}.eps"))
    y.backward(vectors.tensor(f"{case}.grad_out"))
    check_close(y, vectors.tensor(f"{case}.y"), TOLERANCE)
    check_gradient(theta.grad, vectors.tensor(f"{case}.grad_theta"), TOLERANCE)
    check_gradient(s.grad, vectors.tensor(f"{case}.grad_s"), TOLERANCE)


@pytest.mark.parametrize("case", cases("levels", *SPANS))
def test_grids_of_one_precision(case: str) -> None:
    vectors = load(FILE)
    levels = vectors.tensor(f"{case}.levels")
    bits = len(levels).bit_length() - 1
    span = SPANS[case.partition(".")[0]]
    grid = PrecisionGrid.of(torch.tensor(float(bits), dtype=levels.dtype), span)
    check_close(grid.levels(), levels, TOLERANCE)
    # The levels are those of this precision and of no other.
    assert observed_precision(levels, span).tolist() == [bits] * len(levels)
    v = vectors.tensor(f"{case}.v")
    # An edge of two cells is a tie; half a step is added because ties of `check_rounded` are those of rounding.
    check_rounded(grid.quantize(v), vectors.tensor(f"{case}.q"), grid.step, v / grid.step + 0.5)


@pytest.mark.parametrize("case", cases("levels", "act"))
def test_activations_over_half_of_their_range(case: str) -> None:
    vectors = load(FILE)
    levels, x = vectors.tensor(f"{case}.levels"), vectors.tensor(f"{case}.x")
    bits, step = len(levels).bit_length() - 1, float(levels.max()) / (len(levels) - 1)
    spec = QuantizerSpec(bits, signed=False, symmetric=True, range_rule=RangeRule.THREE)
    quantizer = Quantizer(spec, is_weight=False)
    quantizer.initialize(x)
    quantized = HalfRange(quantizer)(x)
    check_rounded(quantized, vectors.tensor(f"{case}.q"), step, x / step)
    check_close(quantizer(levels), levels, TOLERANCE)
