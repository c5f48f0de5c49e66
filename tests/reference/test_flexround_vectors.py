"""FlexRound and AdaQuant against vectors: public code's logarithmic form, and the printed formulas in float64."""

from __future__ import annotations

import pytest
import torch
from golden_vectors import Vectors, case_parameters, check_close, check_gradient, check_rounded, load
from torch import Tensor

from suite.methods.engines.reconstruction.losses import squared_error
from suite.quantizers import Granularity, Quantizer, QuantizerSpec
from suite.quantizers.rounding import AdaQuant, AdaQuantFlexRound, FlexRound
from suite.quantizers.rounding.division import DividedRounding

DERIVED_TOLERANCE = 1e-10


def bits_of(case: str) -> int:
    """The file keeps the bits of a case in its name only: b3.tensor.…"""
    return int(case.split(".")[0].removeprefix("b"))


def logarithmic_quantizer(vectors: Vectors, case: str) -> Quantizer:
    scale = vectors.tensor(f"{case}.init.delta").float()
    asymmetric = ".asym." in case
    spec = QuantizerSpec(
        bits=bits_of(case), signed=not asymmetric, symmetric=not asymmetric, narrow=False,
        granularity=Granularity.PER_CHANNEL if scale.numel() > 1 else Granularity.PER_TENSOR,
    )  # fmt: skip
    quantizer = Quantizer(spec, is_weight=True)
    quantizer.set_parameters(scale, vectors.tensor(f"{case}.init.zero_point").float())
    return quantizer


@pytest.mark.parametrize("case", case_parameters("flexround_lrq", "grad_log_s3"))
def test_logarithmic_form(case: str) -> None:
    vectors = load("flexround_lrq")
    w, quantizer = vectors.tensor("w"), logarithmic_quantizer(load("flexround_lrq"), case)
    rounding = FlexRound(w, quantizer)
    assert rounding.s4 is None  # linear layers have none
    check_close(rounding.scale.log(), vectors.tensor(f"{case}.init.log_s1"))
    check_rounded(rounding(w), vectors.tensor(f"{case}.init.y"), rounding.scale, w / rounding.scale)
    log_s1 = vectors.tensor(f"{case}.log_s1")
    with torch.no_grad():  # the step's logarithm is kept relative to its start
        rounding.s1.copy_(log_s1 - rounding.scale.log())
        rounding.s2.copy_(vectors.tensor(f"{case}.log_S2"))
        rounding.s3.copy_(vectors.tensor(f"{case}.log_s3"))
    y = rounding(w)
    divisor = (log_s1 + vectors.tensor(f"{case}.log_S2") + vectors.tensor(f"{case}.log_s3")).exp()
    for found in (y, rounding.hardened(w)):
        check_rounded(found, vectors.tensor(f"{case}.y"), log_s1.exp(), w / divisor)
    y.backward(vectors.tensor("grad_out"))
    for parameter, name in ((rounding.s1, "log_s1"), (rounding.s2, "log_S2"), (rounding.s3, "log_s3")):
        check_gradient(parameter.grad, vectors.tensor(f"{case}.grad_{name}"))


@pytest.mark.parametrize("case", case_parameters("flexround_lrq", "lp2"))
def test_loss_of_the_logarithmic_code(case: str) -> None:
    vectors = load("flexround_lrq")
    found = squared_error(vectors.tensor(f"{case}.pred"), vectors.tensor(f"{case}.target"))
    check_close(found, vectors.tensor(f"{case}.lp2"))


def derived(case: str, start: float) -> tuple[Vectors, DividedRounding]:
    """The rounding of a case, made on a grid with step `start`, its factors put in place afterwards."""
    vectors = load("derived_flexround_adaquant")
    outer, _, kind = case.rpartition(".")
    w = vectors.tensor(f"{outer}.w")
    qmin, qmax = (int(vectors.number(f"{outer}.{name}")) for name in ("qn", "qp"))
    spec = QuantizerSpec(
        bits=int(vectors.number(f"{outer}.bits")), signed=qmin < 0, symmetric=True, narrow=qmin == -qmax
    )
    assert (spec.qmin, spec.qmax) == (qmin, qmax)
    quantizer = Quantizer(spec, is_weight=True)
    quantizer.set_parameters(torch.tensor(start, dtype=torch.float64))
    makers = {
        "flexround": lambda: FlexRound(w, quantizer, positivity="direct"),
        "adaquant": lambda: AdaQuant(w, quantizer),
        "adaquant_flexround": lambda: AdaQuantFlexRound(w, quantizer, positivity="direct"),
    }
    rounding = makers[kind]()
    s1 = vectors.tensor(f"{outer}.s1")
    with torch.no_grad():
        rounding.s1.copy_((s1 / start).log() if rounding.logarithms else s1)
        for parameter, name in ((rounding.s2, "S2"), (rounding.s3, "s3"), (rounding.s4, "s4")):
            if parameter is not None:
                parameter.copy_(vectors.tensor(f"{outer}.{name}"))
        if rounding.v is not None:
            rounding.v.copy_(vectors.tensor(f"{outer}.V") / start)
    return vectors, rounding


@pytest.mark.parametrize("factor", [1.0, 0.7])  # the grid it starts from must not matter
@pytest.mark.parametrize("case", case_parameters("derived_flexround_adaquant", "grad_s1"))
def test_printed_formulas(case: str, factor: float) -> None:
    vectors = load("derived_flexround_adaquant")
    outer = case.rpartition(".")[0]
    s1 = vectors.number(f"{outer}.s1")
    vectors, rounding = derived(case, s1 * factor)
    y = rounding(vectors.tensor(f"{outer}.w"))
    expected = vectors.tensor(f"{case}.y")
    check_close(y, expected, DERIVED_TOLERANCE)
    check_close(rounding.hardened(vectors.tensor(f"{outer}.w")), expected, DERIVED_TOLERANCE)
    y.backward(vectors.tensor(f"{outer}.grad_out"))
    # A logarithm's gradient is the factor times the factor's; V is kept in units of the starting step.
    in_s1 = rounding.s1.grad / s1 if rounding.logarithms else rounding.s1.grad
    check_gradient(in_s1, vectors.tensor(f"{case}.grad_s1"), DERIVED_TOLERANCE)
    found: dict[str, Tensor] = {
        name: parameter.grad
        for name, parameter in (("S2", rounding.s2), ("s3", rounding.s3), ("s4", rounding.s4))
        if parameter is not None
    }
    if rounding.v is not None:
        found["V"] = rounding.v.grad / (s1 * factor)
    stored = {key.rpartition(".grad_")[2] for key in vectors.arrays if key.startswith(f"{case}.grad_")}
    assert found.keys() == stored - {"s1"}
    for name, gradient in found.items():
        check_gradient(gradient, vectors.tensor(f"{case}.grad_{name}"), DERIVED_TOLERANCE)
