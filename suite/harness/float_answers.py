"""Laboratory, harness: what the float model answered, remembered beside the runs that begin from it.

All cells of a study have the same float model and the same test examples. Its answers depend on nothing that a method
or a card decides, so the first run keeps them and the others read them.
"""

from __future__ import annotations

import json
import math
import platform
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from suite.harness.environment import processor_name
from suite.harness.kept import keep
from suite.records.identity import Identity
from suite.records.plain import digest_of
from suite.records.sources import source_hashes

FOLDER = ".float-answers"
DECIDES = ("task", "model", "data", "weights", "library", "torch", "device", "dtype", "threads")
"""The parts of a run's identity that the float model's answers depend on."""
CORRECT, FIGURES = "correct", "figures"
LARGEST_EXTRA_BYTES = 64 * 1024
"""Of a file, beside one byte for each answer."""


@dataclass(frozen=True)
class Answers:
    """Per test label whether the model was right, and by name what else the task measures."""

    correct: Tensor
    figures: dict[str, float]


class FloatAnswers:
    """The place of one float model's answers. A file that is damaged costs an evaluation, never a run."""

    def __init__(self, root: Path, identity: Identity, *, modules: set[str], batch_size: int) -> None:
        """`modules` are where the sources of the model and of its task are followed from."""
        named = {name: identity.parts[name] for name in DECIDES}
        key = {
            **named,
            "sources": source_hashes(sorted(modules)),
            "batch_size": batch_size,
            "processor": processor_name(),
            "machine": platform.node(),
        }
        self.file = root / FOLDER / f"{digest_of(key, 'float answers')[:32]}.safetensors"

    def load(self, labels: int) -> Answers | None:
        """The answers to that many labels, where they are kept and whole."""
        try:
            if self.file.is_symlink() or self.file.stat().st_size > labels + LARGEST_EXTRA_BYTES:
                return None
            with safe_open(self.file, framework="pt") as held:
                correct = held.get_tensor(CORRECT)
                figures = json.loads((held.metadata() or {}).get(FIGURES, ""))
        except (OSError, SafetensorError, ValueError):
            return None
        whole = correct.dtype is torch.bool and correct.shape == (labels,) and isinstance(figures, dict)
        if not whole or not all(isinstance(value, float) and math.isfinite(value) for value in figures.values()):
            return None
        return Answers(correct, figures)

    def keep(self, answers: Answers) -> None:
        content = save({CORRECT: answers.correct.contiguous()}, {FIGURES: json.dumps(answers.figures)})
        keep(self.file, content)
