"""Laboratory, harness: what a run costs: seconds, memory, and training epochs of the float model on this machine.

Seconds do not travel between machines; epochs do, roughly. So the time a method took is divided by the time one epoch
of ordinary float training of the same model takes here: a few warmed-up steps are timed and extrapolated to the
training split.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import json
import math
import platform
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from suite.harness.environment import processor_name
from suite.harness.kept import keep
from suite.harness.streams import undisturbed
from suite.tasks import Inputs

WARM_UP_STEPS = 2
LEAST_STEPS = 3
DEFAULT_BUDGET_SECONDS = 2.0
CACHE_FOLDER = ".epoch-seconds"
CACHE_AGE_SECONDS = 600.0
"""The load of a machine changes, and a stale figure would blame a method for it: nothing is remembered for long."""
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class EpochTime:
    """How long one epoch of float training takes here."""

    seconds: float
    seconds_per_step: float
    steps_timed: int
    batch_size: int
    processor_seconds: float
    """The same in processor time, summed over the process's threads; what an accelerator does is not in it."""


@dataclass
class Spent:
    """What a `spending` block has cost so far; final when it has ended."""

    seconds: float = 0.0
    peak_bytes: int = 0
    processor_seconds: float = 0.0

    def plus(self, earlier: Spent) -> Spent:
        """Together with an attempt before: times add up, peaks do not."""
        return Spent(
            self.seconds + earlier.seconds,
            max(self.peak_bytes, earlier.peak_bytes),
            self.processor_seconds + earlier.processor_seconds,
        )

    def epochs(self, epoch: EpochTime, device: torch.device) -> float:
        """The time spent in training epochs of the float model.

        On the processor both are taken as processor time, which other programs on the machine hardly change; where an
        accelerator does the work, as wall time.
        """
        if device.type == "cpu":
            return self.processor_seconds / epoch.processor_seconds
        return self.seconds / epoch.seconds


@dataclass
class Stopwatch(Spent):
    """Costs that run on until they are looked at."""

    started: float = dataclasses.field(default_factory=time.perf_counter)
    worked: float = dataclasses.field(default_factory=time.process_time)

    def look(self) -> None:
        """Bring the costs up to this moment."""
        accelerated = _accelerated()
        if accelerated:
            torch.cuda.synchronize()
        self.seconds = time.perf_counter() - self.started
        self.processor_seconds = time.process_time() - self.worked
        self.peak_bytes = _peak_bytes() + (torch.cuda.max_memory_allocated() if accelerated else 0)


@contextmanager
def spending() -> Iterator[Stopwatch]:
    """Measure the wall time and the peak resident memory of the process during a block.

    Where the system lets a process reset its own peak (Linux), the peak is that of the block; elsewhere it is that of
    the process so far. On an accelerator, the peak of its allocated memory is added.
    """
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5", encoding="ascii")
    if _accelerated():
        torch.cuda.reset_peak_memory_stats()
    spent = Stopwatch()
    try:
        yield spent
    finally:
        spent.look()


def _accelerated() -> bool:
    return torch.cuda.is_available() and bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def _peak_bytes() -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def measure_epoch(
    model: nn.Module,
    inputs: Inputs,
    labels: Tensor,
    *,
    batch_size: int,
    train_size: int,
    budget_seconds: float = DEFAULT_BUDGET_SECONDS,
) -> EpochTime:
    """Time training steps (forward, backward, SGD) of a copy of `model`; neither it nor any random stream moves.

    epoch seconds = median seconds of a step · train_size / batch_size. Warm-up steps are not counted; at least
    `LEAST_STEPS` are timed, more while the budget lasts. The batch is repeated from `inputs` where there are too few.
    """
    batch_size = min(batch_size, train_size)
    positions = torch.arange(batch_size) % len(inputs)
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    batch, answers = inputs[positions].to(device), labels[positions].to(device)
    with undisturbed(), torch.enable_grad():
        trained = copy.deepcopy(model).train().requires_grad_(True)
        # No step is taken with a rate of zero: the arithmetic is the same, and no weight can run away.
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.0, momentum=0.9)
        times: list[float] = []
        work: list[float] = []
        started = time.perf_counter()
        for step in range(10_000):
            before, worked = time.perf_counter(), time.process_time()
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(trained(batch), answers).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            now = time.perf_counter()
            if step >= WARM_UP_STEPS:
                times.append(now - before)
                work.append(time.process_time() - worked)
            if len(times) >= LEAST_STEPS and now - started > budget_seconds / 2:
                break
    seconds, steps = statistics.median(times), train_size / batch_size
    return EpochTime(seconds * steps, seconds, len(times), batch_size, statistics.fmean(work) * steps)


def epoch_time(
    model: nn.Module,
    inputs: Inputs,
    labels: Tensor,
    *,
    batch_size: int,
    train_size: int,
    names: tuple[str, ...],
    cache: Path | None,
) -> EpochTime:
    """`measure_epoch`, remembered for ten minutes in the folder `cache` (a store's root) under `names` (weights, data).

    The key also covers the machine, threads and torch version. A cache that cannot be read or written costs two
    seconds, never a run.
    """
    device = next((str(parameter.device) for parameter in model.parameters()), "cpu")
    key = hashlib.sha256(
        json.dumps(
            [
                *names,
                str(batch_size),
                str(train_size),
                device,
                str(torch.get_num_threads()),
                torch.__version__,
                processor_name(),
                platform.node(),
            ]
        ).encode()
    ).hexdigest()[:24]
    file = cache / CACHE_FOLDER / f"{key}.json" if cache is not None else None
    remembered = _remembered(file) if file is not None else None
    if remembered is not None:
        return remembered
    measured = measure_epoch(model, inputs, labels, batch_size=batch_size, train_size=train_size)
    if file is not None:
        keep(file, json.dumps(asdict(measured)).encode("ascii"))
    return measured


def _remembered(file: Path) -> EpochTime | None:
    try:
        if time.time() - file.stat().st_mtime > CACHE_AGE_SECONDS or file.stat().st_size > 4096:
            return None
        stored = EpochTime(**json.loads(file.read_text(encoding="ascii")))
        good = all(
            isinstance(value, int | float) and math.isfinite(value) and value > 0 for value in asdict(stored).values()
        )
        return stored if good else None
    except (OSError, ValueError, TypeError):
        return None
