"""Benchmark: the squared-error search for the scales of all ResNet-18 weights, per channel, over loops over channels.

Weights are random with ResNet-18's shapes (11.7 million values, 5800 channels, 100 candidates each). Every layer is
searched by all sides in turn, so that a busy machine slows them alike; times are summed over the layers. Loops are
measured on a few channels of every layer and scaled up, which favours them: their small tensors stay in the cache.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from suite.quantizers import Granularity, Quantizer, QuantizerSpec, RangeRule
from suite.quantizers.ranges import SHRINK_FACTORS

LOOP_CHANNELS = 16
ROUNDS = 3
STAGES = ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2))


def shapes() -> Iterator[tuple[int, ...]]:
    """Weights of ResNet-18: stem, two blocks in each of four stages with their shortcuts, classifier."""
    yield 64, 3, 7, 7
    for inputs, outputs, stride in STAGES:
        yield outputs, inputs, 3, 3
        yield from [(outputs, outputs, 3, 3)] * 3
        if stride != 1:
            yield outputs, inputs, 1, 1
    yield 1000, 512


@pytest.fixture(scope="module")
def weights() -> Iterator[list[Tensor]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(shape, generator=generator) * 0.05 for shape in shapes()]
    assert sum(weight.numel() for weight in made) == 11_678_912
    yield made
    torch.set_num_threads(threads)


def suite_search(weight: Tensor, bits: int) -> Tensor:
    spec = QuantizerSpec(
        bits, signed=True, symmetric=True, granularity=Granularity.PER_CHANNEL, range_rule=RangeRule.MSE
    )
    quantizer = Quantizer(spec, is_weight=True)
    quantizer.initialize(weight)
    return quantizer.scale.flatten()


def loop(weight: Tensor, bits: int) -> Tensor:
    """One channel after another, one candidate after another, as published code searches."""
    qmax = 2 ** (bits - 1) - 1
    scales = []
    for channel in weight.flatten(1):
        largest, best_error, best_scale = channel.abs().max(), float("inf"), torch.zeros(())
        for index in range(SHRINK_FACTORS, 0, -1):
            scale = largest * (index / SHRINK_FACTORS) / qmax
            quantized = torch.clamp(torch.round(channel / scale), -qmax, qmax) * scale
            error = float((channel - quantized).square().mean())
            if error < best_error:
                best_error, best_scale = error, scale
        scales.append(best_scale)
    return torch.stack(scales)


def loop_with_candidates_at_once(weight: Tensor, bits: int) -> Tensor:
    """One channel after another, all of its candidates in one tensor: the best that a loop over channels can do."""
    qmax = 2 ** (bits - 1) - 1
    factors = torch.arange(SHRINK_FACTORS, 0, -1) / SHRINK_FACTORS
    scales = []
    for channel in weight.flatten(1):
        candidates = (channel.abs().max() * factors / qmax)[:, None]
        quantized = torch.clamp(torch.round(channel / candidates), -qmax, qmax) * candidates
        scales.append(candidates[(channel - quantized).square().mean(1).argmin(), 0])
    return torch.stack(scales)


def seconds_of(function: Callable[[Tensor, int], Tensor], weight: Tensor, bits: int) -> float:
    start = time.perf_counter()
    function(weight, bits)
    return time.perf_counter() - start


@pytest.mark.parametrize("bits", [4, 8])
def test_search_is_ten_times_a_loop_over_channels(
    benchmark: BenchmarkFixture, weights: list[Tensor], bits: int
) -> None:
    for function in (suite_search, loop, loop_with_candidates_at_once):
        function(weights[-1][:LOOP_CHANNELS], bits)  # warm
    totals = dict.fromkeys(("suite", "loop", "loop, candidates at once"), 0.0)
    for weight in weights:
        few = weight[:LOOP_CHANNELS]
        share = len(weight) / len(few)
        rounds = [
            (
                seconds_of(suite_search, weight, bits),
                seconds_of(loop, few, bits) * share,
                seconds_of(loop_with_candidates_at_once, few, bits) * share,
            )
            for _ in range(ROUNDS)
        ]
        for name, taken in zip(totals, zip(*rounds, strict=True), strict=True):
            totals[name] += min(taken)
        torch.testing.assert_close(suite_search(few, bits), loop(few, bits), rtol=1e-5, atol=0)
    ratios = {name: totals[name] / totals["suite"] for name in totals}
    print(f"W{bits}: " + ", ".join(f"{name} {totals[name]:.2f} s ({ratios[name]:.1f}x)" for name in totals))
    benchmark.extra_info.update({f"{name} over suite": round(value, 2) for name, value in ratios.items()})
    benchmark.pedantic(lambda: [suite_search(weight, bits) for weight in weights], rounds=ROUNDS)
    assert ratios["loop"] >= 10.0
    assert ratios["loop, candidates at once"] >= 1.0
