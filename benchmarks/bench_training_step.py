"""Benchmark: one training step of LSQ at W4A4 on ResNet-20, batch 128, over the same float step and over textbook code.

The steps take turns inside one run, so that a busy machine slows all of them alike; what is asserted is the median of
the ratios of neighbours. "Textbook" is what an author writes from the formulas of the paper: eager, one rounding for
every quantizer, the optimizer as it comes. It quantizes the same tensors as the plan of the suite.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from suite.axes import Setting
from suite.methods.engines.acceleration import channels_last, compiled
from suite.methods.engines.optimizers import make_optimizer
from suite.methods.engines.recipe import Recipe
from suite.methods.lsq import LearnedStepSize
from suite.models import build_model
from suite.plan import calibrating, dissect, initialize_weights, make_plan, place, prepare, quantizers_of

BATCH = 128
ROUNDS = 11
THREADS = min(2, os.cpu_count() or 1)
RECIPE = Recipe(steps=1, batch_size=BATCH, learning_rate=1e-3)
SETTING = Setting.default().replace(**LearnedStepSize.recommended)
"""W4A4 as on the card: weights, what matrix products read, residual branches, their sums, and 8 bits at both ends."""

Step = Callable[[], None]


@pytest.fixture(scope="module")
def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(BATCH, 3, 32, 32, generator=generator), torch.randint(0, 10, (BATCH,), generator=generator)


def quantized(images: Tensor) -> nn.Module:
    """ResNet-20 as LSQ trains it."""
    prepared = prepare(build_model("resnet20", classes=10), SETTING)
    model = place(prepared, make_plan(dissect(prepared, images[:2]), SETTING))
    initialize_weights(model)
    with torch.no_grad(), calibrating(model):
        model.eval()(images)
    for quantizer in quantizers_of(model).values():
        quantizer.learn_step()
    return model


def suite_step(model: nn.Module, batch: tuple[Tensor, Tensor], stack: contextlib.ExitStack) -> Step:
    """One step as the training engine takes it: channels last, compiled, fused optimizer."""
    layout = stack.enter_context(channels_last(model))
    stack.enter_context(compiled(model, BATCH))
    quantizers = [one for one in quantizers_of(model).values() if one.learns_step]
    optimizer = make_optimizer(model, quantizers, RECIPE)
    images, labels = batch[0].contiguous(memory_format=layout), batch[1]
    model.train()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        for quantizer in quantizers:
            quantizer.keep_positive()

    return step


class TextbookQuantizer(nn.Module):
    """v̂ = s round(clip(v / s)) and the gradient scale, in the words of the paper; s starts at the first batch."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.step = nn.Parameter(torch.ones(()))
        self.started = False

    def forward(self, values: Tensor) -> Tensor:
        if not self.started:
            self.step.data.copy_(2 * values.detach().abs().mean() / self.high**0.5)
            self.started = True
        factor = 1 / (values.numel() * self.high) ** 0.5
        step = (self.step - self.step * factor).detach() + self.step * factor
        scaled = torch.clamp(values / step, self.low, self.high)
        rounded = (scaled.round() - scaled).detach() + scaled
        return rounded * step


def signed(bits: int) -> TextbookQuantizer:
    return TextbookQuantizer(1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1)


def unsigned(bits: int) -> TextbookQuantizer:
    return TextbookQuantizer(0, 2**bits - 1)


class TextbookLayer(nn.Module):
    """A convolution or linear layer whose weight passes a quantizer."""

    def __init__(self, layer: nn.Conv2d | nn.Linear, bits: int) -> None:
        super().__init__()
        self.layer = layer
        self.quantizer = signed(bits)

    def forward(self, inputs: Tensor) -> Tensor:
        layer, weight = self.layer, self.quantizer(self.layer.weight)
        if isinstance(layer, nn.Linear):
            return functional.linear(inputs, weight, layer.bias)
        return functional.conv2d(inputs, weight, layer.bias, layer.stride, layer.padding)


def textbook_model() -> nn.Module:
    """ResNet-20 with the quantizers that SETTING places: one behind every module whose result is on a grid."""
    model = build_model("resnet20", classes=10)
    layers = [(name, one) for name, one in model.named_modules() if isinstance(one, nn.Conv2d | nn.Linear)]
    for position, (name, layer) in enumerate(layers):
        model.set_submodule(name, TextbookLayer(layer, 8 if position in (0, len(layers) - 1) else 4))
    for name, module in list(model.named_modules()):
        kind = name.rpartition(".")[2]
        if kind in ("relu", "relu1", "relu2"):
            model.set_submodule(name, nn.Sequential(module, unsigned(4)))
        elif kind == "bn2":
            model.set_submodule(name, nn.Sequential(module, signed(4)))
        elif kind == "avgpool":
            model.set_submodule(name, nn.Sequential(module, unsigned(8)))
    return nn.Sequential(signed(8), model)


def textbook_step(batch: tuple[Tensor, Tensor]) -> Step:
    model = textbook_model().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, nesterov=True)

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(batch[0]), batch[1]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


@pytest.fixture(scope="module")
def steps(batch: tuple[Tensor, Tensor]) -> Iterator[dict[str, Step]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    with contextlib.ExitStack() as stack:
        made = {
            "float, compiled": suite_step(build_model("resnet20", classes=10), batch, stack),
            "LSQ W4A4, compiled": suite_step(quantized(batch[0]), batch, stack),
            "LSQ W4A4, textbook, eager": textbook_step(batch),
        }
        for step in made.values():
            step()
            step()
        yield made
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def seconds(steps: dict[str, Step]) -> dict[str, list[float]]:
    """Seconds of every step, taken in turns."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            taken[name].append(time.perf_counter() - start)
    for name, values in taken.items():
        print(f"{name}: median {statistics.median(values):.3f} s")
    return taken


def ratio(seconds: dict[str, list[float]], over: str, under: str) -> float:
    found = statistics.median(a / b for a, b in zip(seconds[over], seconds[under], strict=True))
    print(f"{over} / {under}: {found:.2f}")
    return found


def test_lsq_costs_little_more_than_float(seconds: dict[str, list[float]]) -> None:
    assert ratio(seconds, "LSQ W4A4, compiled", "float, compiled") <= 1.25


def test_lsq_is_faster_than_textbook_code(seconds: dict[str, list[float]]) -> None:
    assert ratio(seconds, "LSQ W4A4, textbook, eager", "LSQ W4A4, compiled") >= 2.0


def test_both_quantize_the_same_tensors(batch: tuple[Tensor, Tensor]) -> None:
    textbook = [module for module in textbook_model().modules() if isinstance(module, TextbookQuantizer)]
    assert len(textbook) == len(quantizers_of(quantized(batch[0])))


@pytest.mark.parametrize("name", ["float, compiled", "LSQ W4A4, compiled", "LSQ W4A4, textbook, eager"])
def test_step(benchmark: object, steps: dict[str, Step], name: str) -> None:
    benchmark.pedantic(steps[name], rounds=5, warmup_rounds=1)  # type: ignore[attr-defined]
