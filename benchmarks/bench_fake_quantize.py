"""Benchmark: one fake quantization, forward and backward, eager and compiled, over the textbook composition.

The tensor is the activation of ResNet-20's first stage at batch 128. All sides take turns inside one run; what is
asserted is the median of the ratios of neighbours.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from suite.quantizers import GradientMask, fake_quantize

SHAPE = (128, 16, 32, 32)
LEVELS = 15
FACTOR = 0.01
ROUNDS = 25
Operation = Callable[[Tensor, Tensor], Tensor]


def textbook(x: Tensor, step: Tensor) -> Tensor:
    """Learned step size quantization as it is usually written."""
    scaled_step = (step - step * FACTOR).detach() + step * FACTOR
    ratio = torch.clamp(x / scaled_step, 0, LEVELS)
    return ((ratio.round() - ratio).detach() + ratio) * scaled_step


def suite(x: Tensor, step: Tensor) -> Tensor:
    return fake_quantize(x, step, None, 0, LEVELS, mask=GradientMask.CLIP_THEN_ROUND, step_gradient=FACTOR)


@pytest.fixture(scope="module")
def tensors() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(SHAPE, generator=generator).relu_().requires_grad_()
    yield x, torch.tensor(0.15, requires_grad=True), torch.randn(SHAPE, generator=generator)
    torch.set_num_threads(threads)


def seconds_of(operation: Operation, tensors: tuple[Tensor, Tensor, Tensor]) -> float:
    x, step, gradient = tensors
    x.grad = step.grad = None
    start = time.perf_counter()
    operation(x, step).backward(gradient)  # type: ignore[no-untyped-call]
    return time.perf_counter() - start


@pytest.mark.parametrize(("kind", "bound"), [("eager", 1.2), ("compiled", 2.0)])
def test_fake_quantization_is_faster_than_textbook_code(
    benchmark: BenchmarkFixture, tensors: tuple[Tensor, Tensor, Tensor], kind: str, bound: float
) -> None:
    operation = suite if kind == "eager" else torch.compile(suite, fullgraph=True)
    for _ in range(3):
        seconds_of(operation, tensors)
        seconds_of(textbook, tensors)
    ratios = [seconds_of(textbook, tensors) / seconds_of(operation, tensors) for _ in range(ROUNDS)]
    ratio = statistics.median(ratios)
    print(f"textbook, eager / suite, {kind}: {ratio:.2f}")
    benchmark.extra_info["textbook over suite"] = round(ratio, 2)
    benchmark.pedantic(lambda: seconds_of(operation, tensors), rounds=ROUNDS)
    assert ratio >= bound
