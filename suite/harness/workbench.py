"""Laboratory, harness: the workbench a method is handed (`suite.methods.api.Workbench`)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from suite.axes import Setting
from suite.harness.meter import Door
from suite.harness.progress import Bar, Reporter
from suite.harness.streams import Streams
from suite.methods.api import Checkpoint, Checkpoints, Fact
from suite.plan import Plan


class NoCheckpoints:
    """For a bench outside a run: keeps nothing, finds nothing."""

    def save(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Fact] | None = None) -> None:
        """There is no run that could continue."""

    def load(self, name: str) -> Checkpoint | None:
        return None

    def due(self) -> bool:
        return False


@dataclass(frozen=True)
class Bench:
    """What to quantize, under which setting, with which data and which randomness; nothing else is in reach."""

    model: nn.Module
    reference: nn.Module
    plan: Plan
    setting: Setting
    data: Door
    device: torch.device
    streams: Streams
    reporter: Reporter
    checkpoints: Checkpoints = field(default_factory=NoCheckpoints)

    @property
    def seed(self) -> int:
        return self.streams.seed

    def random(self, purpose: str) -> torch.Generator:
        """A stream of the method's own; the harness's streams have other names and cannot be moved from here."""
        return self.streams.generator(f"method: {purpose}")

    def progress(self, total: int, label: str) -> AbstractContextManager[Bar]:
        return self.reporter.bar(total, label)
