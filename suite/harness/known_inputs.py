"""Laboratory, harness: the fingerprints of test inputs, remembered beside the runs where the inputs are on disk.

The watch must know every test input before a method begins. To decode 50,000 photographs for that takes as long as to
decode them for an evaluation, so the first run keeps what it found. What is kept is tried on some inputs before it is
believed: another decoder gives other pixels, and files may have been changed.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from suite.harness.kept import keep
from suite.tasks import Split, Task
from suite.tasks.fingerprints import fingerprint

FOLDER = ".test-fingerprints"
TRIED = 32
NAME = "fingerprints"
LARGEST_EXTRA_BYTES = 4096
"""Of a file, beside eight bytes for each fingerprint."""


def fingerprints_of_test(task: Task, root: Path) -> Tensor:
    """int64 [N]: those of all test inputs of `task`; `root` is the folder of the runs."""
    inputs = task.split(Split.TEST).inputs
    if isinstance(inputs, Tensor):
        return task.fingerprints(Split.TEST)
    file = root / FOLDER / f"{task.identity[:32]}.safetensors"
    kept = _load(file, len(inputs))
    some = torch.linspace(0, len(inputs) - 1, min(TRIED, len(inputs))).long()
    if kept is not None and torch.equal(kept[some], fingerprint(inputs[some])):
        return kept
    found = task.fingerprints(Split.TEST)
    keep(file, save({NAME: found.contiguous()}))
    return found


def _load(file: Path, count: int) -> Tensor | None:
    """What is kept, where it is whole; a file that is damaged costs a pass over the inputs, never a run."""
    try:
        if file.is_symlink() or file.stat().st_size > 8 * count + LARGEST_EXTRA_BYTES:
            return None
        with safe_open(file, framework="pt") as held:
            kept: Tensor = held.get_tensor(NAME)
    except (OSError, SafetensorError):
        return None
    return kept if kept.dtype is torch.int64 and kept.shape == (count,) else None
