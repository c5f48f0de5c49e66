"""Tasks: the protocol every task obeys and the names of its splits (no torch at import)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

TOP1 = "top-1 accuracy"
NEXT_TOKEN = "next-token accuracy"


class Split(StrEnum):
    """The parts of a task's data.

    The calibration pool is a part of the training data: what separates calibrating from training is the budget and the
    labels, which the data meter counts, not other images. The test split is touched by evaluation only.
    """

    TRAIN = "train"
    CALIBRATION = "calibration"
    TEST = "test"


class Inputs(Protocol):
    """What networks read, one entry an example: a tensor, or what reads the examples when they are asked for.

    `inputs[positions]` is a tensor [n, ...] of the examples at a slice or at int64 positions. Whoever walks through
    all of a split takes it in pieces, because all of it together may not fit into memory.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, positions: slice | torch.Tensor, /) -> torch.Tensor: ...


@dataclass(frozen=True)
class LabelledTensors:
    """Examples, already preprocessed: labels and ids in memory, inputs there too or read when they are asked for.

    Inputs are images (float32 [N, C, H, W]) or tokens (int64 [N, T]); labels int64 [N], or [N, T] with one a position;
    ids int64 [N].

    An id names an example for ever (its index in the official data set), whatever part of the data is present.
    """

    inputs: Inputs
    labels: torch.Tensor
    ids: torch.Tensor

    def __len__(self) -> int:
        return int(self.ids.shape[0])

    def select(self, indices: torch.Tensor) -> LabelledTensors:
        """The examples at `indices` (int64 positions, not ids), copied."""
        return LabelledTensors(self.inputs[indices], self.labels[indices], self.ids[indices])


class Task(Protocol):
    """A data set with its splits, its preprocessing and its metric."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def classes(self) -> int: ...
    @property
    def input_shape(self) -> tuple[int, ...]: ...
    @property
    def input_type(self) -> str:
        """The type of inputs as torch names it: float32, or int64 for the numbers of tokens."""
        ...

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Of the labels of one example. A network's output is [N, classes, *label_shape]."""
        ...

    @property
    def default_model(self) -> str: ...
    @property
    def preprocessing(self) -> str: ...
    @property
    def data_hash(self) -> str:
        """SHA-256 of the examples that are present: pixels, labels, ids and their split.

        Where they are too many to read, names and sizes of files stand for the pixels.
        """
        ...

    @property
    def identity(self) -> str:
        """SHA-256 of everything that decides a score: id, metric, preprocessing and `data_hash`."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences a report must show, for example that only a part of the data set is present."""
        ...

    @property
    def train_size(self) -> int: ...
    def split(self, name: Split) -> LabelledTensors: ...
    def fingerprints(self, name: Split) -> torch.Tensor: ...
    @property
    def augment(self) -> Callable[[torch.Tensor, torch.Generator], torch.Tensor] | None:
        """Varies training inputs; None where the task has no way to."""
        ...

    def outcomes(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Right or wrong, once a label: bool [labels]."""
        ...

    def figures(self, logits: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Further figures beside the score, by name, one number a label; a record keeps their means."""
        ...
