"""AdaQuant's public code against vectors: ranges, quantizer with gradients, and a whole run of thirty iterations."""

from __future__ import annotations

import pytest
import torch
from golden_vectors import Vectors, case_parameters, check_close, check_gradient, check_rounded, load
from torch import Tensor, nn
from torch.nn import functional

from suite.quantizers import GradientMask, Granularity, Quantizer, QuantizerSpec
from suite.quantizers.rounding import RangedAdaQuant
from suite.quantizers.rounding.adaquant_ranged import range_and_minimum, ranged_fake_quantize

RUN_TOLERANCE = 1e-3
PARAMETERS = ("w", "b", "w_range", "w_min", "x_range", "x_min")


def bits_of(case: str) -> int:
    """The file keeps the bits of a case in its name only: quant.b4.channel."""
    return int(case.split(".")[1].removeprefix("b"))


def parameters_of(vectors: Vectors, case: str) -> tuple[Tensor, Tensor]:
    return vectors.tensor(f"{case}.range"), vectors.tensor(f"{case}.min")


@pytest.mark.parametrize("case", [c for c in case_parameters("adaquant_calibtip", "min") if "quant" not in str(c)])
def test_range_and_minimum(case: str) -> None:
    vectors = load("adaquant_calibtip")
    expected = parameters_of(vectors, case)
    found = range_and_minimum(vectors.tensor("w"), per_channel=expected[0].numel() > 1)
    for ours, theirs in zip(found, expected, strict=True):
        check_close(ours, theirs)


@pytest.mark.parametrize("case", case_parameters("adaquant_calibtip", "grad_range"))
def test_quantizer(case: str) -> None:
    vectors = load("adaquant_calibtip")
    w = vectors.tensor("w").requires_grad_()
    extent, minimum = (one.requires_grad_() for one in parameters_of(vectors, case))
    top = float((1 << bits_of(case)) - 1)
    step = extent / top
    y = ranged_fake_quantize(w, step, minimum, top)
    check_rounded(y, vectors.tensor(f"{case}.y"), step, w / step)
    y.backward(vectors.tensor(f"{case}.grad_out"))
    for parameter, name in ((w, "w"), (extent, "range"), (minimum, "min")):
        check_gradient(parameter.grad, vectors.tensor(f"{case}.grad_{name}"))


@pytest.mark.parametrize("case", case_parameters("adaquant_calibtip", "grad_range"))
def test_module_is_that_quantizer(case: str) -> None:
    vectors = load("adaquant_calibtip")
    rounding, step = learned_weight(vectors, vectors.tensor("w"), *parameters_of(vectors, case), bits_of(case))
    y = rounding(rounding.w)
    for found in (y, rounding.hardened(rounding.w)):
        check_rounded(found, vectors.tensor(f"{case}.y"), step, rounding.w / step)
    y.backward(vectors.tensor(f"{case}.grad_out"))
    for parameter, name in ((rounding.w, "w"), (rounding.range, "range"), (rounding.minimum, "min")):
        check_gradient(parameter.grad, vectors.tensor(f"{case}.grad_{name}"))


def learned_weight(
    vectors: Vectors, w: Tensor, extent: Tensor, minimum: Tensor, bits: int
) -> tuple[RangedAdaQuant, Tensor]:
    """The module in the state of a case, and its step."""
    spec = QuantizerSpec(
        bits=bits, signed=False, symmetric=False, mask=GradientMask.CLIP_THEN_ROUND,
        granularity=Granularity.PER_CHANNEL if extent.numel() > 1 else Granularity.PER_TENSOR,
    )  # fmt: skip
    if spec.granularity is Granularity.PER_TENSOR:
        extent, minimum = extent.reshape(()), minimum.reshape(())
    step = extent / (spec.qmax - spec.qmin)
    quantizer = Quantizer(spec, is_weight=True)
    quantizer.set_parameters(step, (-minimum / step).round().clamp(spec.qmin, spec.qmax))
    rounding = RangedAdaQuant(w, quantizer)
    with torch.no_grad():
        rounding.minimum.copy_(minimum)  # which lies between two codes; the module starts on one
    return rounding, step


class TwinRun(nn.Module):
    """The linear layer of the run: learned weight, inputs quantized likewise, a bias with the bits of both together."""

    def __init__(self, vectors: Vectors, case: str, bits: int) -> None:
        super().__init__()
        start = [vectors.tensor(f"{case}.{name}") for name in ("w_range0", "w_min0")]
        self.weight, _ = learned_weight(vectors, vectors.tensor("w"), *start, bits)
        self.bias = nn.Parameter(vectors.tensor(f"{case}.bias"))
        self.x_range, self.x_min = (
            nn.Parameter(vectors.tensor(f"{case}.{name}").reshape(())) for name in ("x_range0", "x_min0")
        )
        self.bits = bits

    def forward(self, x: Tensor) -> Tensor:
        top = float((1 << self.bits) - 1)
        inputs = ranged_fake_quantize(x, self.x_range / top, self.x_min, top)
        return functional.linear(inputs, self.weight(self.weight.w), self.bias_on_grid())

    def bias_on_grid(self) -> Tensor:
        """On a grid that starts at the smallest value instead of having zero on it; gradients pass straight through."""
        bias, top = self.bias.detach(), (1 << 2 * self.bits) - 1
        extent, minimum = range_and_minimum(bias, per_channel=False)
        step = extent / top
        return self.bias + (((bias - minimum) / step).round() * step + minimum - bias)

    def learned(self) -> dict[str, Tensor]:
        weight = self.weight
        values = (weight.w, self.bias, weight.range, weight.minimum, self.x_range, self.x_min)
        return dict(zip(PARAMETERS, values, strict=True))


@pytest.mark.parametrize("case", case_parameters("adaquant_calibtip", "iters"))
def test_whole_run(case: str) -> None:
    vectors = load("adaquant_calibtip")
    x, target, first = (vectors.tensor(key) for key in ("x", f"{case}.target", f"{case}.y0"))
    # The file does not say how many bits the layer has; its first output does.
    twins = [TwinRun(vectors, case, bits) for bits in range(2, 9)]
    twin = min(twins, key=lambda one: float((one(x).detach() - first).abs().max()))
    check_close(twin(x), first, RUN_TOLERANCE)
    assert functional.mse_loss(twin(x), target).item() == pytest.approx(vectors.number(f"{case}.mse_before"), rel=1e-3)
    rates = {name: vectors.number(f"{case}.lr_{name}") for name in ("w", "bias", "qparams_w", "qparams_in")}
    twin.weight.weight_rate_ratio = rates["w"] / rates["qparams_w"]
    groups = twin.weight.parameter_groups(rates["qparams_w"])
    groups += [{"params": [twin.bias], "lr": rates["bias"]}]
    groups += [{"params": [twin.x_range, twin.x_min], "lr": rates["qparams_in"]}]
    optimizer = torch.optim.Adam(groups)
    for _ in range(int(vectors.number(f"{case}.iters"))):
        optimizer.zero_grad()
        functional.mse_loss(twin(x), target).backward()
        optimizer.step()
        twin.weight.keep_valid()
    assert functional.mse_loss(twin(x), target).item() == pytest.approx(vectors.number(f"{case}.mse_after"), rel=1e-3)
    check_close(twin(x), vectors.tensor(f"{case}.y"), RUN_TOLERANCE)
    for name, value in twin.learned().items():
        check_close(value, vectors.tensor(f"{case}.{name}"), RUN_TOLERANCE)
