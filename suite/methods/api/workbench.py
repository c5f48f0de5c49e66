"""Methods API: the workbench a method works on, and the one door through which it sees data.

Protocols only: the harness implements them, so that a method never imports the harness.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from suite.axes import Setting
    from suite.plan import Plan


Fact = bool | int | float | str
"""What a checkpoint remembers besides tensors."""


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


@dataclass(frozen=True)
class Checkpoint:
    """A state that an attempt at this very run saved before it was killed; its tensors are on the processor."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Fact]


class Checkpoints(Protocol):
    """Where a method keeps what would be lost if the process were killed, so that the same command continues.

    They belong to one run: a changed option, setting or source of the method is another run, which never sees them.
    The harness deletes them when the record is written. A method that continues asks the data door for the same things
    in the same order as one that starts (it need not compute on what it gets), and must leave the very same model.
    """

    def save(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Fact] | None = None) -> None:
        """Keep `tensors` and `facts` under `name` in place of what was there before, wholly or not at all.

        A disk that is full costs a warning and the checkpoint, never the run.
        """
        ...

    def load(self, name: str) -> Checkpoint | None:
        """What was saved under `name`; None where nothing was, or where what is there is damaged."""
        ...

    def due(self) -> bool:
        """Whether a loop should save now: not too soon after the last time, and never for more than 1 % of all time."""
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
    def checkpoints(self) -> Checkpoints: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def seed(self) -> int: ...

    def random(self, purpose: str) -> torch.Generator:
        """A random stream of its own for each purpose, derived from the run's seed and the purpose's name."""
        ...

    def progress(self, total: int, label: str) -> AbstractContextManager[Progress]: ...
