"""Benchmark: one iteration of block reconstruction on ResNet-20's three block shapes, over a textbook loop.

"Textbook" is what an author writes from the formulas, as public code is: eager, floor and rectified sigmoid computed
again for every use, one optimizer for each kind of parameter, the graph retained, images with their channels outside.
Both learn the same block on the same examples with batches of 32. They take turns inside one run, so that a busy
machine slows both alike; what is asserted is the median of the ratios of neighbours.
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
from suite.methods.engines.acceleration import channels_last
from suite.methods.engines.reconstruction import Regularizer
from suite.methods.engines.reconstruction.compiling import Compiler
from suite.methods.engines.reconstruction.flow import Flow
from suite.methods.engines.reconstruction.gram import GramMatrices
from suite.methods.engines.reconstruction.learning import (
    Descent,
    Examples,
    Falling,
    Learnable,
    Stage,
    sampled_loss,
)
from suite.methods.engines.reconstruction.rows import RowStore
from suite.methods.engines.reconstruction.units import walk_of
from suite.models import build_model
from suite.plan import calibrating, dissect, initialize_weights, make_plan, place, prepare
from suite.quantizers import Quantizer
from suite.quantizers.rounding import AdaRound

EXAMPLES, BATCH, ROUNDS, STEPS = 1024, 32, 9, 12
THREADS = min(2, os.cpu_count() or 1)
SHAPES = {"layer1.1": (16, 32), "layer2.1": (32, 16), "layer3.1": (64, 8)}
REGULARIZER = Regularizer(0.01, 0.2, 20.0, 2.0)
WEIGHTS_ONLY = {
    "weight_bits": 4, "weight_symmetry": "asymmetric", "weight_range": "learned-rounding",
    "activation_bits": 32, "network_input": "full-precision", "pooling": "full-precision",
    "last_layer_activations": "full-precision",
}  # fmt: skip
WITH_ACTIVATIONS = {
    "weight_bits": 4, "weight_symmetry": "asymmetric", "weight_range": "learned-rounding", "activation_bits": 4,
    "activation_range": "learned-step", "gradient_mask": "round-then-clip",
    "step_gradient_scale": "elements-per-channel", "network_input": "full-precision",
    "residual_connection": "full-precision",
}  # fmt: skip

Step = Callable[[], object]


class TextbookWeight(nn.Module):
    """AdaRound's soft weight and its penalty, every time from the beginning."""

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        low, high = (function(weight.flatten(1), 1).reshape(-1, 1, 1, 1) for function in (torch.amin, torch.amax))
        self.levels = 2**bits - 1
        self.delta = (high - low) / self.levels
        self.zero = (-low / self.delta).round()
        rest = weight / self.delta - torch.floor(weight / self.delta)
        self.alpha = nn.Parameter(-torch.log(1.2 / (rest + 0.1) - 1))

    def up(self) -> Tensor:
        return torch.clamp(torch.sigmoid(self.alpha) * 1.2 - 0.1, 0, 1)

    def forward(self, weight: Tensor) -> Tensor:
        codes = torch.clamp(torch.floor(weight / self.delta) + self.up() + self.zero, 0, self.levels)
        return (codes - self.zero) * self.delta

    def penalty(self, beta: float) -> Tensor:
        return (1 - ((self.up() - 0.5).abs() * 2).pow(beta)).sum()


class TextbookActivation(nn.Module):
    """A learned step with random dropping: round passed straight through, then a choice by uniform numbers."""

    def __init__(self, step: float, bits: int = 4) -> None:
        super().__init__()
        self.step, self.levels = nn.Parameter(torch.tensor(step)), 2**bits - 1

    def forward(self, x: Tensor) -> Tensor:
        ratio = x / self.step
        rounded = (ratio.round() - ratio).detach() + ratio
        quantized = torch.clamp(rounded, 0, self.levels) * self.step
        return torch.where(torch.rand_like(x) < 0.5, quantized, x)


def textbook(channels: int, size: int, *, activations: bool) -> Step:
    """One iteration of the textbook loop for a basic block."""
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2)]
    weights = [TextbookWeight(one.weight.detach(), 4) for one in convolutions]
    steps = [TextbookActivation(0.2) for _ in range(3)] if activations else []
    inputs, other, targets = (torch.randn(EXAMPLES, channels, size, size).relu() for _ in range(3))
    optimizer = torch.optim.Adam([one.alpha for one in weights])
    step_optimizer = torch.optim.Adam([one.step for one in steps], lr=4e-5) if activations else None
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(step_optimizer, 20_000) if step_optimizer else None
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        chosen = torch.randperm(EXAMPLES)[:BATCH]
        x, target = inputs[chosen], targets[chosen]
        if activations:
            x = torch.where(torch.rand_like(x) < 0.5, x, other[chosen])
        optimizer.zero_grad()
        if step_optimizer:
            step_optimizer.zero_grad()
        entering = steps[0](x) if steps else x
        first, second = convolutions
        inner = functional.relu(functional.conv2d(entering, weights[0](first.weight), first.bias, padding=1))
        inner = steps[1](inner) if steps else inner
        result = functional.conv2d(inner, weights[1](second.weight), second.bias, padding=1)
        result = functional.relu(result + entering)
        result = steps[2](result) if steps else result
        loss = (result - target).abs().pow(2).sum(1).mean()
        for weight in weights:
            loss = loss + 0.01 * weight.penalty(20.0 - 1e-3 * count)
        loss.backward(retain_graph=True)  # type: ignore[no-untyped-call]
        optimizer.step()
        if step_optimizer and scheduler:
            step_optimizer.step()
            scheduler.step()

    return step


def suite_steps(setting: Setting, stack: contextlib.ExitStack) -> dict[str, Step]:
    """One iteration of the engine for each of the three blocks, compiled as in a long run."""
    torch.manual_seed(0)
    example = torch.randn(2, 3, 32, 32)
    prepared = prepare(build_model("resnet20").eval(), setting, example)
    plan = make_plan(dissect(prepared, example), setting)
    model = place(prepared, plan).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    initialize_weights(model)
    with torch.no_grad(), calibrating(model):
        model(example)
    stack.enter_context(channels_last(model))
    compiler = Compiler("always")
    store = stack.enter_context(RowStore(1 << 32, torch.device("cpu")))
    joint = setting["activation_bits"] != 32
    stage = Stage("rounding", "rounding", 20_000, BATCH, joint, "mixed" if joint else "quantized", 0.5, "plain",
                  REGULARIZER)  # fmt: skip
    found: dict[str, Step] = {}
    for unit in walk_of(model, plan, blocks=True, final_activation=True).units:
        if unit.name not in SHAPES:
            continue
        channels, size = SHAPES[unit.name]
        walk = walk_of(model, plan, blocks=True, final_activation=True)
        rows = [Flow(walk, [torch.randn(EXAMPLES, channels, size, size).relu()], store) for _ in range(3)]
        inputs, other, targets = (next(iter(flow._values.values())) for flow in rows)
        examples = Examples((inputs,), (other,), targets, None, EXAMPLES)
        roundings = []
        for layer in unit.module.modules():
            if isinstance(getattr(layer, "weight_quantizer", None), Quantizer):
                layer.weight_quantizer = AdaRound(layer.weight, layer.weight_quantizer)
                roundings.append(layer.weight_quantizer)
        quantizers = [one for one in unit.module.modules() if isinstance(one, Quantizer)]
        groups = [Falling(group, cosine=False) for one in roundings for group in one.parameter_groups(1e-3)]
        if quantizers:
            groups.append(Falling({"params": [one.learn_step() for one in quantizers], "lr": 4e-5}, cosine=True))
        for quantizer in quantizers:
            quantizer.keep_probability = 0.5
        learnable = Learnable(roundings, quantizers, groups)
        loss = sampled_loss(unit, examples, stage, learnable, compiler, torch.Generator().manual_seed(0))
        found[unit.name] = Descent(stage, learnable, loss, torch.device("cpu")).step
    return found


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


def seconds(step: Step, steps: int = STEPS) -> float:
    started = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - started) / steps


def compared(ours: list[Step], theirs: list[Step]) -> tuple[float, float, float]:
    """Median ratio of the sums over all shapes, and the median milliseconds of both."""
    for step in (*ours, *theirs):
        for _ in range(5):
            step()
    rounds = [(sum(seconds(step) for step in ours), sum(seconds(step) for step in theirs)) for _ in range(ROUNDS)]
    ratio = statistics.median(mine / other for mine, other in rounds)
    return ratio, *(1e3 * statistics.median(column) for column in zip(*rounds, strict=True))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("axes", "most"), [(WEIGHTS_ONLY, 0.6), (WITH_ACTIVATIONS, 0.5)], ids=["adaround-brecq", "adaround-qdrop"]
)
def test_iteration_of_block_reconstruction(
    axes: dict[str, object], most: float, record_property: Callable[[str, object], None]
) -> None:
    with contextlib.ExitStack() as stack:
        ours = suite_steps(Setting.default().replace(**axes), stack)
        theirs = {name: textbook(*shape, activations="activation_range" in axes) for name, shape in SHAPES.items()}
        for name in SHAPES:
            ratio, mine, other = compared([ours[name]], [theirs[name]])
            print(f"{name}: {mine:.2f} ms, textbook {other:.2f} ms, ratio {ratio:.2f}")
        ratio, mine, other = compared(list(ours.values()), list(theirs.values()))
    print(f"all three: {mine:.2f} ms, textbook {other:.2f} ms, ratio {ratio:.2f}")
    record_property("ratio", ratio)
    assert ratio <= most


def test_gram_path_against_the_convolution() -> None:
    """64 channels, 1,024 images of 8 x 8: one exact iteration against one that convolves all of them."""
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 64, 3, padding=1)
    inputs = torch.randn(EXAMPLES, 64, 8, 8).relu().contiguous(memory_format=torch.channels_last)
    quantizer = Quantizer(make_spec(), is_weight=True)
    quantizer.initialize(layer.weight.detach())
    rounding = AdaRound(layer.weight, quantizer)
    matrices = GramMatrices(layer)
    matrices.add(inputs)
    gram = matrices.loss()
    with torch.no_grad():
        target = layer(inputs)

    def exact() -> None:
        gram.loss(rounding(layer.weight)).backward()  # type: ignore[no-untyped-call]

    def convolved() -> None:
        output = functional.conv2d(inputs, rounding(layer.weight), layer.bias, padding=1)
        (functional.mse_loss(output, target) * 64).backward()

    ratio, mine, other = compared([exact], [convolved])
    print(f"gram: {mine:.2f} ms, convolution {other:.2f} ms, {1 / ratio:.0f} times as fast")
    assert ratio <= 0.2


def make_spec() -> object:
    from suite.quantizers import QuantizerSpec

    return QuantizerSpec(bits=4, signed=False, symmetric=False, granularity="per-channel")  # type: ignore[arg-type]
