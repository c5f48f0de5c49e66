"""The audit of a vision transformer: honest runs are verified, and what a method hides inside attention is found."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest
import torch
from honest import run
from liar import Liar, change, codes, largest, layers

from suite.audit import AuditReport, Verdict
from suite.axes import Setting
from suite.methods.api import Workbench
from suite.methods.rtn import RoundToNearest
from suite.plan import quantizers_of

FOUR = {"weight_bits": 4, "activation_bits": 4, "examples": 128, "time_limit": 1e5}
SYMMETRIC = {"activation_symmetry": "symmetric"}
EVERYTHING = {"softmax": "quantized", "normalization": "quantized", "activation_function": "quantized"}
FLOAT_SUMS = {"skip_connection": "full-precision", "residual_connection": "full-precision"}


def judged(method: RoundToNearest | Liar, **values: object) -> AuditReport:
    return run(method, Setting.default().replace(**{**FOUR, **values}), baseline="digits-vit")


def contradicted(report: AuditReport) -> dict[str, str]:
    return {axis: found.evidence for axis, found in report.axes.items() if found.verdict is Verdict.CONTRADICTED}


HONEST: tuple[tuple[Mapping[str, object], tuple[str, ...]], ...] = (
    ({"weight_bits": 8, "activation_bits": 8}, ("weight_bits", "activation_bits", "skip_connection")),
    ({"weight_bits": 6, "activation_bits": 6, **SYMMETRIC}, ("activation_symmetry", "unsigned_activations")),
    ({}, ("weight_granularity", "activation_granularity", "activation_parameters", "residual_connection")),
    (SYMMETRIC, ("activation_bits", "signed_range", "extra_level", "unsigned_activations")),
    ({**SYMMETRIC, "unsigned_activations": "never"}, ("unsigned_activations",)),
    (EVERYTHING, ("softmax", "normalization", "activation_function")),
    ({**EVERYTHING, **SYMMETRIC, **FLOAT_SUMS}, ("softmax", "skip_connection", "residual_connection")),
    ({"activation_granularity": "per-channel"}, ("activation_granularity", "activation_bits")),
    ({"activation_granularity": "per-token", "activation_parameters": "dynamic"}, ("activation_granularity",)),
    ({"activation_parameters": "dynamic"}, ("activation_parameters", "activation_bits")),
    ({"weight_granularity": "per-group", "weight_group_size": 8}, ("weight_granularity", "weight_group_size")),
    ({"weight_range": "mse", "activation_range": "mse", **SYMMETRIC}, ("weight_bits", "activation_bits")),
)


@pytest.mark.parametrize(
    ("values", "verified"), HONEST, ids=[" ".join(map(str, values.values())) or "defaults" for values, _ in HONEST]
)
def test_honest_runs_are_verified(values: Mapping[str, object], verified: tuple[str, ...]) -> None:
    report = judged(RoundToNearest(), **values)
    assert contradicted(report) == {}
    assert {axis: report.axes[axis].verdict for axis in verified} == dict.fromkeys(verified, Verdict.VERIFIED)


class KeysInFloat(Liar):
    """Q K^T reads keys that no quantizer has touched."""

    id = "keys-in-float"
    axes = ("activation_bits",)

    def lie(self, work: Workbench) -> None:
        quantizers_of(work.model)["blocks.1.attn.matmul:right"].enabled = False


class ProbabilitiesWithoutSign(Liar):
    """The card says that all grids are signed; behind the softmax the sign bit is used for twice as many codes."""

    id = "probabilities-without-sign"
    declares = MappingProxyType({**SYMMETRIC, "unsigned_activations": "never"})
    axes = ("unsigned_activations", "activation_bits")

    def lie(self, work: Workbench) -> None:
        for name in quantizers_of(work.model):
            if name.endswith("attn.matmul_1:left"):
                change(work.model, name, lambda x: codes(x, 1 / 15, 0, 15))


class ScalesPerFeature(Liar):
    """Tokens [N, T, C] enter the linear layers with a scale for every feature."""

    id = "scales-per-feature"
    axes = ("activation_granularity",)

    def lie(self, work: Workbench) -> None:
        steps = torch.linspace(0.13, 0.57, 40)
        for name in quantizers_of(work.model):
            if name.endswith(("attn.qkv:input", "mlp.fc1:input")):
                change(work.model, name, lambda x: codes(x, steps, 0, 15, 8))


class ProjectionOfManyBits(Liar):
    """The packed projection to queries, keys and values keeps six bits."""

    id = "projection-of-many-bits"
    axes = ("weight_bits",)

    def lie(self, work: Workbench) -> None:
        for path, layer in layers(work.model).items():
            if path.endswith("attn.qkv"):
                layer.weight_quantizer.forward = lambda x: codes(x, largest(x, len(x)) / 31, -31, 31)  # type: ignore[method-assign,union-attr]


class SoftmaxStaysFloat(Liar):
    """The card has the probabilities on a grid; they only are where the next product reads them."""

    id = "softmax-stays-float"
    declares = EVERYTHING
    axes = ("softmax",)

    def lie(self, work: Workbench) -> None:
        for name, quantizer in quantizers_of(work.model).items():
            if name.endswith("attn.softmax:output"):
                quantizer.enabled = False


LIARS = (KeysInFloat, ProbabilitiesWithoutSign, ScalesPerFeature, ProjectionOfManyBits, SoftmaxStaysFloat)


@pytest.mark.parametrize("liar", LIARS, ids=lambda kind: kind.id)
def test_a_lie_inside_attention_is_found(liar: type[Liar]) -> None:
    torch.manual_seed(0)
    found = contradicted(judged(liar(), **liar.declares))
    assert set(found) & set(liar.axes), found
