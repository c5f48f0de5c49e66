"""Benchmark: one learned rounding, forward and backward, over the formulas as they are usually written; and dropping.

The weight is that of a 3 x 3 convolution with 64 channels, the dropped activation that of ResNet-20's first stage at
batch 32. Both sides take turns inside one run; what is asserted is the median of the ratios of neighbours.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from suite.quantizers import Granularity, Quantizer, QuantizerSpec
from suite.quantizers.dropping import drop
from suite.quantizers.rounding import AdaQuant, AdaRound, FlexRound, LearnedRounding

BITS, BETA, ROUNDS, REPEATS = 4, 7.0, 25, 10
LEVELS = 2**BITS - 1
WEIGHT = (64, 64, 3, 3)
ACTIVATION = (32, 16, 32, 32)
Step = Callable[[], object]


class TextbookAdaRound(nn.Module):
    """Floor, rectified sigmoid and powers, each computed again for every use."""

    def __init__(self, weight: Tensor, quantizer: Quantizer) -> None:
        super().__init__()
        self.delta, self.zero = quantizer.scale, quantizer.zero_point
        rest = weight / self.delta - torch.floor(weight / self.delta)
        self.alpha = nn.Parameter(-torch.log(1.2 / (rest + 0.1) - 1))

    def up(self) -> Tensor:
        return torch.clamp(torch.sigmoid(self.alpha) * 1.2 - 0.1, 0, 1)

    def forward(self, weight: Tensor) -> Tensor:
        codes = torch.clamp(torch.floor(weight / self.delta) + self.up() + self.zero, 0, LEVELS)
        return (codes - self.zero) * self.delta

    def penalty(self, beta: Tensor) -> Tensor:
        return (1 - ((self.up() - 0.5).abs() * 2).pow(beta)).sum()


class TextbookDivision(nn.Module):
    """Division by logarithmic factors, or addition; rounding is passed straight through by detaching."""

    def __init__(self, weight: Tensor, quantizer: Quantizer, *, additive: bool) -> None:
        super().__init__()
        self.zero = quantizer.zero_point
        self.log_step = nn.Parameter(quantizer.scale.log())
        shapes = [weight.shape] if additive else [weight.shape, (WEIGHT[0], 1, 1, 1), (1, WEIGHT[1], 1, 1)]
        self.learned = nn.ParameterList(nn.Parameter(torch.zeros(shape)) for shape in shapes)

    def forward(self, weight: Tensor) -> Tensor:
        step = self.log_step.exp()
        if len(self.learned) == 1:
            ratio = (weight + self.learned[0]) / step
        else:
            ratio = weight / (step * (self.learned[0] + self.learned[1] + self.learned[2]).exp())
        rounded = (ratio.round() - ratio).detach() + ratio
        return (torch.clamp(rounded + self.zero, 0, LEVELS) - self.zero) * step

    def penalty(self, beta: Tensor) -> None:
        return None


PAIRS: dict[str, tuple[Callable[..., LearnedRounding], Callable[..., nn.Module], float]] = {
    "adaround": (AdaRound, TextbookAdaRound, 1.5),
    "adaquant": (AdaQuant, lambda w, q: TextbookDivision(w, q, additive=True), 1.0),
    "flexround": (FlexRound, lambda w, q: TextbookDivision(w, q, additive=False), 1.1),
}


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def microseconds(step: Step) -> float:
    started = time.perf_counter()
    for _ in range(REPEATS):
        step()
    return 1e6 * (time.perf_counter() - started) / REPEATS


def compared(ours: Step, theirs: Step) -> tuple[float, float, float]:
    """Median of theirs over ours, and the least microseconds of both."""
    for step in (ours, theirs):
        microseconds(step)
    rounds = [(microseconds(ours), microseconds(theirs)) for _ in range(ROUNDS)]
    mine, other = zip(*rounds, strict=True)
    return statistics.median(their / own for own, their in rounds), min(mine), min(other)


@pytest.mark.parametrize("penalty", [False, True], ids=["alone", "with-regularizer"])
@pytest.mark.parametrize("name", PAIRS)
def test_learned_rounding_is_faster_than_its_formula(name: str, penalty: bool) -> None:
    if penalty and name != "adaround":
        pytest.skip("nothing is added to its loss")
    weight, gradient = torch.randn(WEIGHT) * 0.05, torch.randn(WEIGHT)
    spec = QuantizerSpec(bits=BITS, signed=False, symmetric=False, granularity=Granularity.PER_CHANNEL)
    quantizer = Quantizer(spec, is_weight=True)
    quantizer.initialize(weight, "min-max")
    made, written, bound = PAIRS[name]
    beta = torch.tensor(BETA)

    def step_of(module: nn.Module, *, compiled: bool = False) -> Step:
        def forward(beta: Tensor) -> tuple[Tensor, ...]:
            return (module(weight), module.penalty(beta)) if penalty else (module(weight),)

        run = torch.compile(forward, fullgraph=True) if compiled else forward
        arriving = [gradient, torch.ones(())][: 1 + penalty]

        def step() -> None:
            torch.autograd.backward(list(run(beta)), arriving)
            module.zero_grad()

        return step

    theirs = step_of(written(weight, quantizer))
    ratio, mine, other = compared(step_of(made(weight, quantizer)), theirs)
    _, fast, _ = compared(step_of(made(weight, quantizer), compiled=True), theirs)
    print(f"{name}: {mine:.0f} us eager, {fast:.0f} us compiled, textbook {other:.0f} us, ratio {ratio:.2f}")
    assert ratio >= bound


def test_dropping_is_faster_than_choosing_among_uniform_numbers() -> None:
    raw, quantized = (torch.randn(ACTIVATION, requires_grad=True) for _ in range(2))

    def step_of(mixed: Callable[[], Tensor]) -> Step:
        def step() -> None:
            mixed().sum().backward()  # type: ignore[no-untyped-call]
            raw.grad = quantized.grad = None

        return step

    ratio, mine, other = compared(
        step_of(lambda: drop(quantized, raw, 0.5)),
        step_of(lambda: torch.where(torch.rand_like(raw) < 0.5, quantized, raw)),
    )
    print(f"dropping: {mine:.0f} us, textbook {other:.0f} us, ratio {ratio:.1f}")
    assert ratio >= 3
