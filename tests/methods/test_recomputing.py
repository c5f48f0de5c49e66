"""Masks of gradients are computed again in the backward half of a compiled step, and change nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, fx
from torch.utils.checkpoint import CheckpointPolicy

from suite.methods.engines.acceleration import compiler_options
from suite.methods.engines.recomputing import LARGE, MasksAnew
from suite.quantizers import GradientMask, fake_quantize


def marked(value: Tensor) -> bool:
    """Whether the pass marks the only operation of a graph, which gives this value."""
    graph = fx.Graph()
    node = graph.call_function(torch.ops.aten.eq.Scalar, (graph.placeholder("x"), 0))
    node.meta["val"] = value
    graph.output(node)
    MasksAnew()(graph)
    return node.meta.get("recompute") is CheckpointPolicy.MUST_RECOMPUTE


@pytest.mark.parametrize(
    ("count", "dtype", "expected"),
    [(LARGE, torch.bool, True), (LARGE - 1, torch.bool, False), (LARGE, torch.float32, False)],
)
def test_large_tensors_of_truth_values_are_marked(count: int, dtype: torch.dtype, expected: bool) -> None:
    assert marked(torch.zeros(count, dtype=dtype)) is expected


def quantized_sum(x: Tensor, scale: Tensor, weight: Tensor) -> Tensor:
    values = fake_quantize(torch.relu(x), scale, None, 0, 15, mask=GradientMask.CLIP_THEN_ROUND)
    return (values @ weight).square().sum()


@pytest.mark.slow
def test_the_forward_half_keeps_no_truth_values_and_gradients_stay_what_they_are() -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(128, 64, generator=generator), torch.randn(64, 8, generator=generator)
    scale = torch.tensor(0.1)
    gradients, kept = [], []
    for step in (quantized_sum, torch.compile(quantized_sum, options=compiler_options())):
        given = x.clone().requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(lambda saved: kept.append(saved.dtype) or saved, lambda one: one):
            value = step(given, scale, weight.clone().requires_grad_())
        value.backward()
        gradients.append(given.grad)
        if step is quantized_sum:
            kept.clear()
    assert torch.float32 in kept
    assert torch.bool not in kept
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-5, atol=1e-5)
    torch.compiler.reset()
