"""Laboratory, harness: named random streams, and the switches that make torch repeat itself bit for bit.

Every random stream is derived from (run seed, name of its purpose). Two purposes never share a stream, so one more
evaluation, one more batch looked at, one more figure drawn never moves the numbers another purpose will see.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Streams:
    """All random streams of one run."""

    seed: int

    def seed_of(self, purpose: str) -> int:
        """The first 63 bits of SHA-256("<seed>/<purpose>"): a seed for this purpose alone."""
        digest = hashlib.sha256(f"{self.seed}/{purpose}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1

    def generator(self, purpose: str) -> torch.Generator:
        """A fresh generator at the start of the stream called `purpose`; asked again, it starts again.

        It lives on the CPU, so that a run draws the same numbers whatever device it computes on.
        """
        return torch.Generator().manual_seed(self.seed_of(purpose))


@contextmanager
def undisturbed() -> Iterator[None]:
    """Whatever happens inside draws from the global generators without moving them for the code outside."""
    python_state, numpy_state, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.set_rng_state(torch_state)
        if devices is not None:
            torch.cuda.set_rng_state_all(devices)


@contextmanager
def deterministic(streams: Streams, *, threads: int | None = None) -> Iterator[None]:
    """Make what happens inside a function of the run's seed and its thread count, and put everything back afterwards.

    The global generators of Python, numpy and torch start from streams of their own, for code that insists on them. The
    number of threads is part of a run's identity because it decides the order in which floating-point sums are taken.
    """
    modes = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark,
        torch.get_num_threads(),
    )
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    with undisturbed():
        try:
            if threads is not None:
                torch.set_num_threads(threads)
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
            # Filling every new tensor costs time and only matters to code that reads memory it never wrote.
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
            torch.backends.cudnn.benchmark = False
            random.seed(streams.seed_of("global python"))
            np.random.seed(streams.seed_of("global numpy") % 2**32)
            torch.manual_seed(streams.seed_of("global torch"))
            yield
        finally:
            torch.use_deterministic_algorithms(modes[0], warn_only=modes[1])
            torch.utils.deterministic.fill_uninitialized_memory = modes[2]  # type: ignore[attr-defined]
            torch.backends.cudnn.benchmark = modes[3]
            torch.set_num_threads(modes[4])
            if workspace is None:
                os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
