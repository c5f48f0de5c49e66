"""Benchmark: one training step of every trained method on ResNet-20, batch 128, over the same float step.

What is timed is what a run does: each method works on a bench of its own, in the training engine, and a step is what
happens between two batches that it takes from its data door. The doors give batches in turns, one method after the
other, so that a busy machine slows all of them alike; what is asserted is the median of the ratios of neighbours.
Everything is compiled, the float network too. Beside that, what it costs to load and to augment a batch.

SUITE_BENCH_MODEL, SUITE_BENCH_ROUNDS and SUITE_BENCH_COMPILE make a quick look of it (digits-resnet, 2, never), which
shows that everything runs and is held to no bound.
"""

from __future__ import annotations

import itertools
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from suite.axes import Setting
from suite.harness.meter import DataMeter
from suite.harness.progress import Mode, Reporter
from suite.harness.streams import Streams
from suite.harness.workbench import Bench
from suite.methods import METHODS
from suite.methods.api import Batch
from suite.methods.engines.recipe import Compilation, Recipe
from suite.methods.engines.training import train
from suite.models import build_model
from suite.plan import dissect, make_plan, place, prepare
from suite.tasks import LabelledTensors
from suite.tasks.catalogue import FACTS, Preprocessing
from suite.tasks.images import augment

MODEL = os.environ.get("SUITE_BENCH_MODEL", "resnet20")
ROUNDS = int(os.environ.get("SUITE_BENCH_ROUNDS", "11"))
COMPILE = Compilation(os.environ.get("SUITE_BENCH_COMPILE", "always"))
MEASURES = MODEL == "resnet20" and COMPILE is Compilation.ALWAYS
BATCH = 128
WARM_UP = 3
"""Steps that are not looked at: the first is compiled, and memory finds its places."""
ENDLESS = 10**6
THREADS = min(2, os.cpu_count() or 1)
CHANNELS, SIDE = (1, 8) if MODEL.startswith("digits") else (3, 32)

FLOAT = "float"
BOUNDS: dict[str, float | None] = {
    "lsq": 1.25,
    "lsq_mse": 1.25,
    "mse_fixed": 1.25,
    "linear_qat": 1.4,  # beside its grids it looks for the smallest and the largest value of every tensor
    "dorefa": 1.4,
    "pact": 1.4,
    "smol": 2.0,
    "smol_layer": 2.0,
    "bsq": None,  # every weight is eight planes of bits, each as large as the weight: stated, not bounded
}
"""Most that a step may cost in float steps. Of methods with two phases the first is timed, where bits are learned."""
LOADING_BOUND = 0.05
"""Most that loading and augmenting a batch may cost in float steps."""


class Stopped(BaseException):
    """Ends the thread of a method at its data door."""


@dataclass
class Turns(threading.Thread):
    """One training in a thread of its own, which goes on by a step whenever it is told to."""

    work: Callable[[Turns], object]
    batch: Batch
    seconds: float = 0.0
    error: BaseException | None = None
    stopped: bool = False
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    done: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        try:
            self.work(self)
        except Stopped:
            pass
        except BaseException as error:  # told to whoever asked for the step
            self.error = error
        self.done.release()

    def step(self) -> float:
        """Seconds of the next step."""
        self.go.release()
        self.done.acquire()
        if self.error is not None:
            raise self.error
        return self.seconds

    def stop(self) -> None:
        self.stopped = True
        self.go.release()
        self.join()

    # What a data door is asked for.
    size = 50_000

    def batches(
        self, batch_size: int, *, labels: bool = False, passes: int = 1, shuffle: bool = False
    ) -> Iterator[Batch]:
        """One batch to calibrate on; without an end, and in turns, where labels are wanted."""
        if not labels:
            yield self.batch
            return
        for _ in itertools.count():
            self.go.acquire()
            if self.stopped:
                raise Stopped
            start = time.perf_counter()
            yield self.batch
            self.seconds = time.perf_counter() - start
            self.done.release()

    def fixed(self, count: int) -> Tensor:
        return self.batch.inputs[:count]


def bench_of(model: nn.Module, setting: Setting, door: Turns, *, quantized: bool) -> Bench:
    """The model as `suite evaluate` would hand it to a method; as it is where nothing is to be quantized."""
    prepared = prepare(model, setting)
    plan = make_plan(dissect(prepared, door.batch.inputs[:2]), setting)
    placed = place(prepared, plan) if quantized else prepared
    return Bench(
        placed, model, plan, setting, door, torch.device("cpu"), Streams(0), Reporter(Mode.SILENT)  # type: ignore[arg-type]
    )  # fmt: skip


def float_training(door: Turns) -> object:
    setting = Setting.default().replace(batch_norm="float", labels="labeled")
    bench = bench_of(build_model(MODEL, classes=10).eval(), setting, door, quantized=False)
    return train(bench, Recipe(steps=ENDLESS, batch_size=BATCH, learning_rate=1e-3, compilation=COMPILE))


def training_of(name: str) -> Callable[[Turns], object]:
    kind = METHODS.get(name)

    def work(door: Turns) -> object:
        setting = Setting.default().replace(**dict(kind.recommended))
        bench = bench_of(build_model(MODEL, classes=10).eval(), setting, door, quantized=True)
        options = {"steps": ENDLESS, "batch_size": BATCH, "learning_rate": 1e-3, "compile": COMPILE.value}
        if name == "bsq":  # a training of its own from one adjustment to the next
            options["adjust_every"] = ENDLESS
        return kind.from_mapping(options).quantize(bench)

    return work


@pytest.fixture(scope="module")
def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, CHANNELS, SIDE, SIDE, generator=generator)
    return Batch(images, torch.randint(0, 10, (BATCH,), generator=generator))


@pytest.fixture(scope="module")
def seconds(batch: Batch) -> Iterator[dict[str, list[float]]]:
    """Seconds of every step, taken in turns."""
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    trainings = {FLOAT: Turns(float_training, batch)}
    trainings |= {name: Turns(training_of(name), batch) for name in BOUNDS}
    taken: dict[str, list[float]] = {name: [] for name in trainings}
    try:
        for name, one in trainings.items():
            one.start()
            for _ in range(WARM_UP):
                one.step()
            print(f"{name}: ready")
        for _ in range(ROUNDS):
            for name, one in trainings.items():
                taken[name].append(one.step())
        yield taken
    finally:
        for one in trainings.values():
            if one.is_alive():
                one.stop()
        torch.set_num_threads(threads)


@pytest.mark.parametrize("name", BOUNDS)
def test_a_step_costs_little_more_than_a_float_step(seconds: dict[str, list[float]], name: str) -> None:
    ratios = [one / other for one, other in zip(seconds[name], seconds[FLOAT], strict=True)]
    ratio, bound = statistics.median(ratios), BOUNDS[name]
    median = statistics.median(seconds[name])
    print(f"{name}: {median * 1000:.0f} ms, {ratio:.2f} float steps (at most {bound})")
    assert len(ratios) == ROUNDS
    assert not MEASURES or bound is None or ratio <= bound


@pytest.mark.parametrize("transform", ["test", "augmented"])
def test_loading_a_batch_is_never_the_bottleneck(seconds: dict[str, list[float]], transform: str) -> None:
    how = FACTS["cifar10"].preprocessing
    assert isinstance(how, Preprocessing)
    count = 16 * BATCH
    pool = LabelledTensors(torch.randn(count, 3, 32, 32), torch.randint(0, 10, (count,)), torch.arange(count))
    setting = Setting.default().replace(examples=count, labels="labeled", training_transform=transform)
    meter = DataMeter(pool, setting, Streams(0), augment=lambda images, generator: augment(images, how, generator))
    taken = []
    batches = meter.door.batches(BATCH, labels=True, passes=2, shuffle=True)
    for _ in range(2 * 16):
        start = time.perf_counter()
        next(batches)
        taken.append(time.perf_counter() - start)
    share = statistics.median(taken[1:]) / statistics.median(seconds[FLOAT])
    print(f"a batch of 128 images in '{transform}' preprocessing: {share:.1%} of a float step")
    assert not MEASURES or share <= LOADING_BOUND
