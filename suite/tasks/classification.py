"""Tasks: an image classification task held in memory, with its hashes and the guard in front of its test split."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from suite.tasks import vault
from suite.tasks.api import LabelledTensors, Split
from suite.tasks.catalogue import TaskFacts
from suite.tasks.images import augment, fingerprint, normalise, top1_outcomes


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


class ImageTask:
    """The splits of one data set, its preprocessing and its metric; see `suite.tasks.api.Task`."""

    def __init__(self, facts: TaskFacts, train: RawExamples, test: RawExamples, notes: tuple[str, ...] = ()) -> None:
        self.id = facts.id
        self.title = facts.title
        self.metric = facts.metric
        self.classes = facts.classes
        self.input_shape = facts.input_shape
        self.default_model = facts.default_model
        self.preprocessing = facts.preprocessing.sentence()
        self.notes = notes
        self.train_size = len(train)
        self._facts = facts
        # The calibration pool is the training split itself; both names lead to one set of tensors.
        self._raw = {Split.TRAIN: train, Split.TEST: test}
        self._tensors: dict[Split, LabelledTensors] = {}
        parts = {split.value: raw.digest() for split, raw in self._raw.items()} | {"calibration": "train"}
        self.data_hash = _digest(parts)
        self.identity = _digest(
            {"id": self.id, "metric": self.metric, "preprocessing": self.preprocessing, "data": self.data_hash}
        )

    def split(self, name: Split) -> LabelledTensors:
        """The preprocessed examples of one split; the test split is refused while a method runs."""
        if name is Split.TEST:
            vault.require_open(self.id)
        stored = Split.TEST if name is Split.TEST else Split.TRAIN
        if stored not in self._tensors:
            raw = self._raw[stored]
            self._tensors[stored] = LabelledTensors(
                normalise(torch.from_numpy(raw.pixels), self._facts.preprocessing),
                torch.from_numpy(raw.labels),
                torch.from_numpy(raw.ids),
            )
        return self._tensors[stored]

    def fingerprints(self, name: Split) -> torch.Tensor:
        """int64 [N]: what `fingerprint` gives for every image of a split, to recognise it inside a model."""
        return fingerprint(self.split(name).inputs)

    def augment(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Training images varied as the preprocessing says; draws come from `generator` alone."""
        return augment(images, self._facts.preprocessing, generator)

    def outcomes(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Correct or not, per example; the score is their mean."""
        return top1_outcomes(logits, labels)


def _digest(parts: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
