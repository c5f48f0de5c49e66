"""Fingerprints of test inputs on disk: kept by the first run, tried before they are believed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from suite.harness.known_inputs import FOLDER, fingerprints_of_test
from suite.tasks import LabelledTensors, Split, get_task
from suite.tasks.fingerprints import fingerprint

COUNT = 100


class OnDisk:
    """Inputs that count how many of them were read."""

    def __init__(self, inputs: Tensor) -> None:
        self.inputs, self.read = inputs, 0

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, positions: slice | Tensor, /) -> Tensor:
        self.read += len(self.inputs[positions])
        return self.inputs[positions]


class TaskOnDisk:
    """As much of a task as is asked for its fingerprints."""

    identity = "a" * 64

    def __init__(self) -> None:
        self.inputs = OnDisk(torch.randn(COUNT, 1, 4, 4, generator=torch.Generator().manual_seed(0)))

    def split(self, name: Split) -> LabelledTensors:
        assert name is Split.TEST
        return LabelledTensors(self.inputs, torch.zeros(COUNT), torch.arange(COUNT))

    def fingerprints(self, name: Split) -> Tensor:
        return fingerprint(self.split(name).inputs[:])


def test_the_second_run_reads_a_few_inputs_only(tmp_path: Path) -> None:
    task = TaskOnDisk()
    first = fingerprints_of_test(task, tmp_path)
    assert task.inputs.read == COUNT
    assert torch.equal(first, fingerprint(task.inputs.inputs))
    assert torch.equal(fingerprints_of_test(task, tmp_path), first)
    assert task.inputs.read == COUNT + 32


def test_other_pixels_of_the_same_files_are_not_taken_for_known(tmp_path: Path) -> None:
    task = TaskOnDisk()
    fingerprints_of_test(task, tmp_path)
    task.inputs.inputs += 0.01
    assert torch.equal(fingerprints_of_test(task, tmp_path), fingerprint(task.inputs.inputs))
    task.inputs.read = 0
    fingerprints_of_test(task, tmp_path)
    assert task.inputs.read == 32, "what was found again is kept"


@pytest.mark.parametrize("damage", [b"", b"no tensors", b"\xff" * 9000])
def test_a_damaged_file_costs_a_pass_and_no_run(tmp_path: Path, damage: bytes) -> None:
    task = TaskOnDisk()
    first = fingerprints_of_test(task, tmp_path)
    (file,) = (tmp_path / FOLDER).iterdir()
    file.write_bytes(damage)
    assert torch.equal(fingerprints_of_test(task, tmp_path), first)


def test_a_folder_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file where a folder should be")
    task = TaskOnDisk()
    assert torch.equal(fingerprints_of_test(task, tmp_path), fingerprint(task.inputs.inputs))


def test_inputs_in_memory_leave_no_file(tmp_path: Path) -> None:
    task = get_task("digits")
    assert torch.equal(fingerprints_of_test(task, tmp_path), task.fingerprints(Split.TEST))
    assert not list(tmp_path.iterdir())
