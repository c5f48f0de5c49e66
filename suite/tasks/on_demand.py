"""Tasks: images that stay on disk until they are asked for, because all of them together do not fit into memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from suite.tasks import vault
from suite.tasks.api import LabelledTensors, Split
from suite.tasks.catalogue import Photographs, TaskFacts
from suite.tasks.images import augment
from suite.tasks.photographs import Decoder
from suite.tasks.stored import StoredTask

HELD_EXAMPLES = 4096
"""A choice of at most so many examples is decoded once and kept (2.3 GiB of images of 224 x 224 pixels)."""


@dataclass(frozen=True)
class ImageFiles:
    """The files of one split: names below `folder` in the order of their examples, labels and sizes int64 [N]."""

    folder: Path
    names: tuple[str, ...]
    labels: NDArray[np.int64]
    sizes_bytes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)

    def ids(self) -> NDArray[np.int64]:
        """63 bits of SHA-256(split + "/" + name): a file keeps its id whatever other files are present.

        Two of n files share an id with probability n² / 2^64, which is 10^-7 for all of ImageNet.
        """
        split = os.fsencode(self.folder.name)
        digests = b"".join(hashlib.sha256(split + b"/" + os.fsencode(name)).digest()[:8] for name in self.names)
        return (np.frombuffer(digests, dtype="<u8") >> np.uint64(1)).astype(np.int64)

    def digest(self) -> str:
        """SHA-256 of names, labels and sizes in bytes. No file is read: that would take hours."""
        sha = hashlib.sha256()
        for name, label, size in zip(self.names, self.labels.tolist(), self.sizes_bytes.tolist(), strict=True):
            sha.update(os.fsencode(name) + f"\0{label} {size}\0".encode())  # no name holds a zero byte
        return sha.hexdigest()


class ImagesOnDemand:
    """Inputs (see `suite.tasks.api.Inputs`) that are decoded each time they are asked for, and not kept.

    `require_allowed` is called before anything is read.
    """

    def __init__(
        self, files: ImageFiles, decoder: Decoder, positions: torch.Tensor, require_allowed: Callable[[], None]
    ) -> None:
        self._files, self._decoder, self._positions = files, decoder, positions
        self._require_allowed = require_allowed

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, positions: slice | torch.Tensor, /) -> torch.Tensor:
        self._require_allowed()
        files = self._files
        return self._decoder.read([files.folder / files.names[index] for index in self._positions[positions].tolist()])

    def part(self, positions: torch.Tensor) -> ImagesOnDemand:
        """The same, of fewer images."""
        return ImagesOnDemand(self._files, self._decoder, self._positions[positions], self._require_allowed)


@dataclass(frozen=True)
class LabelledImages(LabelledTensors):
    """Examples whose inputs are read on demand."""

    inputs: ImagesOnDemand

    def select(self, indices: torch.Tensor) -> LabelledTensors:
        """The examples at `indices`: in memory where they are few, as calibration examples are; else read on demand."""
        if len(indices) <= HELD_EXAMPLES:
            return super().select(indices)
        return LabelledImages(self.inputs.part(indices), self.labels[indices], self.ids[indices])


class PhotographTask(StoredTask[ImageFiles]):
    """Photographs and their classes, decoded when they are asked for."""

    def __init__(self, facts: TaskFacts, train: ImageFiles, test: ImageFiles, notes: tuple[str, ...] = ()) -> None:
        super().__init__(facts, train, test, notes)
        assert isinstance(facts.preprocessing, Photographs)
        self._decoder = Decoder(facts.preprocessing)
        self._how = facts.preprocessing

    def prepared(self, raw: ImageFiles) -> LabelledTensors:
        """Labels and ids, and the promise of images. Those of the test split pass the vault whenever they are read."""
        is_test = raw is self._raw[Split.TEST]
        inputs = ImagesOnDemand(raw, self._decoder, torch.arange(len(raw)), self._require_open if is_test else _nothing)
        return LabelledImages(inputs, torch.from_numpy(raw.labels), torch.from_numpy(raw.ids()))

    def augment(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Training images varied as the preprocessing says; draws come from `generator` alone."""
        return augment(images, self._how, generator)

    def _require_open(self) -> None:
        vault.require_open(self.id)


def _nothing() -> None:
    """What training images ask for."""
