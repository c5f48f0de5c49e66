"""Tasks: sequences of tokens held in memory, with a label for each sequence or for each of its positions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray

from suite.tasks.api import LabelledTensors
from suite.tasks.stored import StoredTask

NATS = "nats per token"


@dataclass(frozen=True)
class RawSequences:
    """Sequences as stored: tokens int64 [N, T], labels int64 [N] or [N, T], ids int64 [N] in rising order."""

    tokens: NDArray[np.int64]
    labels: NDArray[np.int64]
    ids: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.ids.shape[0])

    def digest(self) -> str:
        """SHA-256 of shapes, ids, labels and tokens."""
        sha = hashlib.sha256()
        sha.update(json.dumps([list(self.tokens.shape), list(self.labels.shape)]).encode())
        for array in (self.ids, self.labels, self.tokens):
            sha.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
        return sha.hexdigest()


class SequenceTask(StoredTask[RawSequences]):
    """Tokens and what is to be said of them; see `suite.tasks.api.Task`. There is no way to vary a sequence."""

    augment = None

    def prepared(self, raw: RawSequences) -> LabelledTensors:
        """The numbers of the tokens themselves."""
        return LabelledTensors(torch.from_numpy(raw.tokens), torch.from_numpy(raw.labels), torch.from_numpy(raw.ids))

    def figures(self, logits: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """-log p(label), once a label: what a language model is trained for, and moves before accuracy does."""
        return {NATS: functional.cross_entropy(logits.double(), labels, reduction="none").flatten()}
