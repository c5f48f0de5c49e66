"""Tasks: an image classification task held in memory."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from suite.tasks.api import LabelledTensors
from suite.tasks.catalogue import Pixels, TaskFacts
from suite.tasks.images import augment, normalise
from suite.tasks.stored import StoredTask


@dataclass(frozen=True)
class RawExamples:
    """Examples as stored: pixels uint8 [N, C, H, W], labels int64 [N], ids int64 [N] in rising order."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    ids: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.labels.shape[0])

    def select(self, positions: NDArray[np.int64]) -> RawExamples:
        return RawExamples(self.pixels[positions], self.labels[positions], self.ids[positions])

    def digest(self) -> str:
        """SHA-256 of ids, labels and pixels, so the same images in another file layout have the same hash."""
        sha = hashlib.sha256()
        sha.update(json.dumps([list(self.pixels.shape), "uint8, int64"]).encode())
        for array, kind in ((self.ids, "<i8"), (self.labels, "<i8"), (self.pixels, "u1")):
            sha.update(np.ascontiguousarray(array, dtype=kind).tobytes())
        return sha.hexdigest()


class ImageTask(StoredTask[RawExamples]):
    """Images and their classes; see `suite.tasks.api.Task`."""

    def __init__(self, facts: TaskFacts, train: RawExamples, test: RawExamples, notes: tuple[str, ...] = ()) -> None:
        super().__init__(facts, train, test, notes)
        assert isinstance(facts.preprocessing, Pixels)
        self._how = facts.preprocessing

    def prepared(self, raw: RawExamples) -> LabelledTensors:
        """Normalised images."""
        return LabelledTensors(
            normalise(torch.from_numpy(raw.pixels), self._how),
            torch.from_numpy(raw.labels),
            torch.from_numpy(raw.ids),
        )

    def augment(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Training images varied as the preprocessing says; draws come from `generator` alone."""
        return augment(images, self._how, generator)
