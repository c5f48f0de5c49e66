"""A workbench small enough to know every number of it; no part of the harness is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from suite.axes import Setting
from suite.methods.api import Batch, Checkpoint, Fact
from suite.methods.lsq import LearnedStepSize
from suite.plan import Plan, dissect, make_plan, place, prepare


class TinyNet(nn.Module):
    """One convolution with batch norm, one linear layer: 1x4x4 images, two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.middle = nn.Conv2d(4, 4, 1)
        self.linear = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.conv(x)))
        return self.linear(self.middle(x).mean((2, 3)))


@dataclass
class ToyDoor:
    """Hands out tensors in order, or shuffled by its own seed, and remembers what it handed out."""

    inputs: Tensor
    labels: Tensor
    dropped: bool = False
    held: ToyDoor | None = None
    presented: list[int] = field(default_factory=list)
    requests: int = 0

    @property
    def size(self) -> int:
        return len(self.inputs)

    def batches(
        self, batch_size: int, *, labels: bool = False, passes: int = 1, shuffle: bool = False
    ) -> Iterator[Batch]:
        self.requests += 1
        generator = torch.Generator().manual_seed(self.requests)
        for _ in range(passes):
            order = torch.randperm(self.size, generator=generator) if shuffle else torch.arange(self.size)
            for chosen in order.split(batch_size):
                if self.dropped and len(chosen) < batch_size:
                    continue
                self.presented.append(len(chosen))
                yield Batch(self.inputs[chosen], self.labels[chosen] if labels else None)

    def fixed(self, count: int) -> Tensor:
        return self.inputs[:count]

    def hold_out(self, fraction: float) -> tuple[ToyDoor, ToyDoor]:
        held = max(1, round(self.size * fraction))
        self.held = ToyDoor(self.inputs[:held], self.labels[:held])
        return ToyDoor(self.inputs[held:], self.labels[held:]), self.held


class ToyProgress:
    def __init__(self) -> None:
        self.steps = 0
        self.figures: list[dict[str, float]] = []

    def advance(self, steps: int = 1, **figures: float) -> None:
        self.steps += steps
        self.figures.append(figures)


@dataclass
class ToyCheckpoints:
    """Keeps copies in memory; `eager` ones are due after every step."""

    eager: bool = False
    kept: dict[str, Checkpoint] = field(default_factory=dict)
    saves: int = 0

    def save(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Fact] | None = None) -> None:
        self.saves += 1
        self.kept[name] = Checkpoint({key: value.detach().clone() for key, value in tensors.items()}, dict(facts or {}))

    def load(self, name: str) -> Checkpoint | None:
        return self.kept.get(name)

    def due(self) -> bool:
        return self.eager


@dataclass
class ToyBench:
    model: nn.Module
    reference: nn.Module
    plan: Plan
    setting: Setting
    data: ToyDoor
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seed: int = 0
    displays: dict[str, ToyProgress] = field(default_factory=dict)
    checkpoints: ToyCheckpoints = field(default_factory=ToyCheckpoints)

    def random(self, purpose: str) -> torch.Generator:
        return torch.Generator().manual_seed(sum(purpose.encode()))

    @contextmanager
    def progress(self, total: int, label: str) -> Iterator[ToyProgress]:
        self.displays[label] = ToyProgress()
        yield self.displays[label]


def examples(count: int = 64) -> tuple[Tensor, Tensor]:
    """Noise whose first class is brighter at the top, the second at the bottom: easy to learn."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    images = torch.randn(count, 1, 4, 4, generator=generator)
    slope = torch.tensor([1.5, 0.5, -0.5, -1.5]).reshape(1, 1, 4, 1)
    return images + slope * (1 - 2 * labels).reshape(-1, 1, 1, 1) + labels.reshape(-1, 1, 1, 1), labels


def toy_setting(**changes: Any) -> Setting:
    return Setting.default().replace(**{**LearnedStepSize.recommended, **changes})


def toy_bench(setting: Setting | None = None, *, count: int = 64) -> ToyBench:
    """TinyNet with random weights, placed under `setting` (LSQ's recommended one by default)."""
    setting = toy_setting() if setting is None else setting
    torch.manual_seed(1)
    reference = TinyNet().eval()
    images, labels = examples(count)
    prepared = prepare(reference, setting)
    plan = make_plan(dissect(prepared, images[:2]), setting)
    data = ToyDoor(images, labels, dropped=setting["incomplete_batches"] == "dropped")
    return ToyBench(place(prepared, plan), reference, plan, setting, data)
