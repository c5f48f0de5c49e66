"""A residual network small enough to reconstruct in a second: seven units, each of its own module."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from toys import ToyBench, ToyDoor

from suite.axes import Setting
from suite.plan import dissect, make_plan, place, prepare

FLOAT_ACTIVATIONS = {
    "activation_bits": 32,
    "activation_range": "min-max",
    "network_input": "full-precision",
    "last_layer_activations": "full-precision",
    "pooling": "full-precision",
}
RECONSTRUCTED = {
    "weight_bits": 2,
    "weight_symmetry": "asymmetric",
    "weight_range": "learned-rounding",
    "first_layer_weights": "same",
    "last_layer_weights": "same",
    "gradient_mask": "round-then-clip",
    "step_gradient_scale": "none",
    "examples": 96,
}


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(inner)) + x)


class SmallResNet(nn.Module):
    def __init__(self, blocks: int = 5) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1)
        self.relu = nn.ReLU()
        self.stages = nn.Sequential(*[Block(6) for _ in range(blocks)])
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stages(self.relu(self.stem(x))).mean((2, 3)))


def residual_bench(*, blocks: int = 5, count: int = 96, **changes: Any) -> ToyBench:
    """`SmallResNet` with random weights, its activations in float unless `changes` give them bits."""
    torch.manual_seed(3)
    reference = SmallResNet(blocks).eval()
    for module in reference.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.2)
    return bench_of(reference, torch.randn(count, 1, 6, 6, generator=torch.Generator().manual_seed(5)), **changes)


def bench_of(reference: nn.Module, inputs: Tensor, **changes: Any) -> ToyBench:
    """Any network in the setting of these tests, its activations in float unless `changes` give them bits."""
    setting = Setting.default().replace(
        **{**RECONSTRUCTED, **({} if "activation_bits" in changes else FLOAT_ACTIVATIONS), **changes}
    )
    prepared = prepare(reference, setting, inputs[:2])
    plan = make_plan(dissect(prepared, inputs[:2]), setting)
    return ToyBench(place(prepared, plan), reference, plan, setting, ToyDoor(inputs, torch.zeros(len(inputs))))
