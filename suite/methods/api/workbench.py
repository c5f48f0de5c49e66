"""Methods API: the workbench a method works on, and the one door through which it sees data.

Protocols only: the harness implements them, so that a method never imports the harness.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from suite.axes import Setting
    from suite.plan import Plan


@dataclass(frozen=True)
class Batch:
    """Preprocessed `inputs` (images [N, C, H, W] or tokens [N, T]) and, where they were asked for, `labels` [N]."""

    inputs: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return int(self.inputs.shape[0])


class DataDoor(Protocol):
    """The only way to data. It counts what passes, and refuses what the setting does not declare.

    The axes of the section `resource_complexity` are obeyed behind the door: number of examples, labels, augmentation,
    sampling, incomplete batches. A forbidden request raises `DataAccessError`, which names the axis. Test examples are
    unreachable.
    """

    @property
    def size(self) -> int:
        """Distinct examples behind this door; 0 where the setting declares none."""
        ...

    def batches(
        self, batch_size: int, *, labels: bool = False, passes: int = 1, shuffle: bool = False
    ) -> Iterator[Batch]:
        """`passes` times through the examples, in batches; `shuffle` draws a new order for every pass."""
        ...

    def fixed(self, count: int) -> Tensor:
        """The first `count` inputs as the test would see them, always the same ones: [count, …]."""
        ...

    def hold_out(self, fraction: float) -> tuple[DataDoor, DataDoor]:
        """Part the examples into two doors, for training and for validation, the latter in test preprocessing.

        Both count on the same meter.
        """
        ...


class Progress(Protocol):
    """A running display of one loop; figures (a loss, a rate) are shown beside the time left."""

    def advance(self, steps: int = 1, **figures: float) -> None: ...


class Workbench(Protocol):
    """All that a method is given: what to quantize, under which setting, with which data and which randomness."""

    @property
    def model(self) -> nn.Module:
        """The model with quantizers placed as the plan says. A method changes it in place."""
        ...

    @property
    def reference(self) -> nn.Module:
        """An untouched float copy of the model, in eval mode."""
        ...

    @property
    def plan(self) -> Plan: ...

    @property
    def setting(self) -> Setting: ...

    @property
    def data(self) -> DataDoor: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def seed(self) -> int: ...

    def random(self, purpose: str) -> torch.Generator:
        """A random stream of its own for each purpose, derived from the run's seed and the purpose's name."""
        ...

    def progress(self, total: int, label: str) -> AbstractContextManager[Progress]: ...
