"""Harness: streams are named, independent, and leave the world as they found it."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from suite.harness.streams import Streams, deterministic, undisturbed


def test_a_seed_is_the_documented_hash() -> None:
    digest = hashlib.sha256(b"7/order of examples").hexdigest()
    assert Streams(7).seed_of("order of examples") == int(digest[:16], 16) >> 1


def test_streams_differ_by_seed_and_by_purpose_and_repeat() -> None:
    def draw(seed: int, purpose: str) -> list[float]:
        return torch.rand(4, generator=Streams(seed).generator(purpose)).tolist()

    assert draw(0, "a") == draw(0, "a")
    assert len({tuple(draw(seed, purpose)) for seed in (0, 1, 10) for purpose in ("a", "b", "0/a")}) == 9


def test_a_stream_is_the_same_in_another_process() -> None:
    program = (
        "import torch\nfrom suite.harness.streams import Streams\n"
        "print(torch.randint(0, 2**40, (3,), generator=Streams(3).generator('x')).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    expected = torch.randint(0, 2**40, (3,), generator=Streams(3).generator("x")).tolist()
    assert done.stdout.strip() == str(expected)


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_undisturbed_code_moves_no_global_stream() -> None:
    with undisturbed():
        expected = draws()
    with undisturbed():
        draws()
        random.seed(5)
        torch.manual_seed(5)
        np.random.seed(5)
    assert draws() == expected


def test_undisturbed_restores_after_an_error() -> None:
    with undisturbed():
        expected = draws()

    def fail() -> None:
        with undisturbed():
            draws()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert draws() == expected


def test_deterministic_starts_global_streams_from_the_seed_and_restores_everything() -> None:
    threads = torch.get_num_threads()
    before = (torch.are_deterministic_algorithms_enabled(), os.environ.get("CUBLAS_WORKSPACE_CONFIG"))
    with undisturbed():
        outside = draws()
    found = []
    for seed in (1, 1, 2):
        with deterministic(Streams(seed), threads=1):
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.get_num_threads() == 1
            found.append(draws())
    assert found[0] == found[1] != found[2]
    assert draws() == outside
    assert torch.get_num_threads() == threads
    assert (torch.are_deterministic_algorithms_enabled(), os.environ.get("CUBLAS_WORKSPACE_CONFIG")) == before


def test_deterministic_refuses_what_torch_cannot_repeat() -> None:
    with deterministic(Streams(0)), pytest.raises(RuntimeError, match="deterministic"):
        torch.zeros(4).put_(torch.tensor([0, 0]), torch.ones(2), accumulate=False)
