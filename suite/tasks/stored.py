"""Tasks: what every task of the suite has: splits, hashes, and the guard in front of its test split."""

from __future__ import annotations

import hashlib
import json
from typing import Generic, Protocol, TypeVar

import torch

from suite.tasks import vault
from suite.tasks.api import LabelledTensors, Split
from suite.tasks.catalogue import TaskFacts
from suite.tasks.fingerprints import fingerprint
from suite.tasks.scoring import top1_outcomes


class Raw(Protocol):
    """Examples as stored, before preprocessing."""

    def __len__(self) -> int: ...
    def digest(self) -> str:
        """SHA-256 of all that is in them."""
        ...


_AT_A_TIME = 256  # inputs in memory together, where a task reads them from disk
R = TypeVar("R", bound=Raw)


class StoredTask(Generic[R]):
    """The splits of one data set with their hashes; see `suite.tasks.api.Task` for what a kind of task adds."""

    def __init__(self, facts: TaskFacts, train: R, test: R, notes: tuple[str, ...] = ()) -> None:
        self.id = facts.id
        self.title = facts.title
        self.metric = facts.metric
        self.classes = facts.classes
        self.input_shape = facts.input_shape
        self.input_type = facts.input_type
        self.label_shape = facts.label_shape
        self.default_model = facts.default_model
        self.preprocessing = facts.preprocessing.sentence()
        self.notes = notes
        self.train_size = len(train)
        # The calibration pool is the training split itself; both names lead to one set of tensors.
        self._raw: dict[Split, R] = {Split.TRAIN: train, Split.TEST: test}
        self._tensors: dict[Split, LabelledTensors] = {}
        parts = {split.value: raw.digest() for split, raw in self._raw.items()} | {"calibration": "train"}
        self.data_hash = digest_of(parts)
        self.identity = digest_of(
            {"id": self.id, "metric": self.metric, "preprocessing": self.preprocessing, "data": self.data_hash}
        )

    def prepared(self, raw: R) -> LabelledTensors:
        """The examples as a network reads them."""
        raise NotImplementedError

    def split(self, name: Split) -> LabelledTensors:
        """The preprocessed examples of one split; the test split is refused while a method runs."""
        if name is Split.TEST:
            vault.require_open(self.id)
        stored = Split.TEST if name is Split.TEST else Split.TRAIN
        if stored not in self._tensors:
            self._tensors[stored] = self.prepared(self._raw[stored])
        return self._tensors[stored]

    def fingerprints(self, name: Split) -> torch.Tensor:
        """int64 [N]: what `fingerprint` gives for every input of a split, to recognise it inside a model."""
        inputs = self.split(name).inputs
        pieces = range(0, max(1, len(inputs)), _AT_A_TIME)
        return torch.cat([fingerprint(inputs[start : start + _AT_A_TIME]) for start in pieces])

    def outcomes(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Whether the largest logit is the label's, once a label; the score is their mean."""
        return top1_outcomes(logits, labels)

    def figures(self, logits: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Further figures beside the score, by name, one number a label."""
        return {}


def digest_of(parts: dict[str, str]) -> str:
    """SHA-256 of named texts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
