"""Golden vectors: where they are, which cases a file holds, and how close is close enough."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

VARIABLE = "SUITE_REFERENCE_VECTORS"
OUTPUT_TOLERANCE = 1e-6  # of the largest output
GRADIENT_TOLERANCE = 1e-4  # of the largest entry: sums cancel
TIE_FRACTION = 1e-3  # entries that may sit one step away, at rounding ties


class Vectors:
    """The arrays of one file, by dotted key."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as arrays:
            self.arrays = {key: arrays[key] for key in arrays.files}

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    def tensor(self, key: str) -> Tensor:
        return torch.from_numpy(np.array(self.arrays[key]))

    def number(self, key: str) -> float:
        return self.arrays[key].item()

    def nearest(self, case: str, name: str) -> Tensor:
        """The array `name` of a case, or of the case it is a variant of (the keys are inherited by dots)."""
        while f"{case}.{name}" not in self.arrays:
            if "." not in case:
                return self.tensor(name)
            case = case.rpartition(".")[0]
        return self.tensor(f"{case}.{name}")


@cache
def load(file: str) -> Vectors:
    return Vectors(Path(os.environ[VARIABLE]) / f"{file}.npz")


def case_parameters(file: str, last: str) -> list[object]:
    """One parameter for every case of a file that has an array called `last`; a skip where there are no vectors."""
    if not os.environ.get(VARIABLE):
        return [pytest.param("", marks=pytest.mark.skip(reason=f"{VARIABLE} is not set"))]
    cases = sorted(key.rpartition(".")[0] for key in load(file).arrays if key.rpartition(".")[2] == last)
    # A file without cases must not pass for a file whose cases all pass.
    assert cases, f"{file} holds no array called {last}"
    return list(cases)


def check_output(actual: Tensor, expected: Tensor, step: Tensor | float) -> None:
    """Equal to a millionth of the largest output, but for a few single steps at rounding ties."""
    actual, expected = actual.detach().double(), expected.double().reshape(actual.shape)
    difference = (actual - expected).abs()
    allowed = OUTPUT_TOLERANCE * float(expected.abs().max())
    wrong = difference > allowed
    assert float(wrong.double().mean()) < TIE_FRACTION, f"{int(wrong.sum())} of {wrong.numel()} outputs differ"
    single_step = torch.as_tensor(step).double().expand_as(actual) * (1 + 1e-3) + allowed
    assert bool((difference <= single_step).all())


def check_rounded(actual: Tensor, expected: Tensor, step: Tensor | float, ratio: Tensor) -> None:
    """Equal to a millionth of the largest output, but for single steps where `ratio`, what is rounded, is a tie."""
    actual, expected = actual.detach().double(), expected.double().reshape(actual.shape)
    difference = (actual - expected).abs()
    allowed = OUTPUT_TOLERANCE * float(expected.abs().max())
    ratio = ratio.detach().double()
    tie = (ratio - ratio.floor() - 0.5).abs() <= OUTPUT_TOLERANCE * ratio.abs().clamp(min=1.0)
    single_step = torch.as_tensor(step).double().expand_as(actual) * (1 + 1e-3)
    limit = allowed + torch.where(tie, single_step, 0.0)
    assert bool((difference <= limit).all()), f"{int((difference > limit).sum())} of {limit.numel()} outputs differ"


def check_gradient(actual: Tensor | None, expected: Tensor, tolerance: float = GRADIENT_TOLERANCE) -> None:
    assert actual is not None
    expected = expected.double().reshape(actual.shape)
    difference = float((actual.detach().double() - expected).abs().max())
    assert difference <= tolerance * max(float(expected.abs().max()), 1e-30), difference


def check_close(actual: Tensor | float, expected: Tensor, tolerance: float = OUTPUT_TOLERANCE) -> None:
    actual = torch.as_tensor(actual).detach().double().reshape(expected.shape)
    difference = float((actual - expected.double()).abs().max())
    assert difference <= tolerance * max(float(expected.double().abs().max()), 1e-30), (actual, expected)
