"""Benchmark: training through the meter, the watch and the engine, over the same steps in a loop by hand.

Both train the same placed ResNet-20 (W4A4 LSQ, batch 128, eager) with the same optimizer and the same images, taking
turns; what is asserted is the median of the ratios of neighbours.
"""

from __future__ import annotations

import copy
import os
import statistics
import time
from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.nn import functional

from suite.axes import Setting
from suite.harness.meter import DataMeter
from suite.harness.progress import Mode, Reporter
from suite.harness.streams import Streams
from suite.harness.watch import InputWatch
from suite.harness.workbench import Bench
from suite.methods.engines.acceleration import channels_last
from suite.methods.engines.optimizers import make_optimizer
from suite.methods.engines.recipe import Compilation, Recipe
from suite.methods.engines.training import train
from suite.methods.lsq import LearnedStepSize
from suite.models import build_model
from suite.plan import Plan, calibrating, dissect, initialize_weights, make_plan, place, prepare, quantizers_of
from suite.tasks import LabelledTensors
from suite.tasks.fingerprints import fingerprint

BATCH, STEPS, ROUNDS, LIMIT = 128, 8, 5, 1.03
RECIPE = Recipe(steps=STEPS, batch_size=BATCH, learning_rate=1e-3, momentum=0.9, compilation=Compilation.NEVER)
SETTING = Setting.default().replace(**LearnedStepSize.recommended)


@pytest.fixture
def examples() -> LabelledTensors:
    generator = torch.Generator().manual_seed(0)
    count = BATCH * STEPS
    images = torch.randn(count, 3, 32, 32, generator=generator)
    return LabelledTensors(images, torch.randint(0, 10, (count,), generator=generator), torch.arange(count))


@pytest.fixture
def placed(examples: LabelledTensors) -> Iterator[tuple[nn.Module, Plan]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    prepared = prepare(build_model("resnet20", classes=10), SETTING)
    plan = make_plan(dissect(prepared, examples.inputs[:2]), SETTING)
    model = place(prepared, plan)
    initialize_weights(model)
    with torch.no_grad(), calibrating(model):
        model.eval()(examples.inputs[:BATCH])
    for quantizer in quantizers_of(model).values():
        quantizer.learn_step()
    yield model, plan
    torch.set_num_threads(threads)


def by_hand(model: nn.Module, examples: LabelledTensors) -> None:
    """The loop one would write without a harness, with the engine's optimizer and memory format."""
    quantizers = [one for one in quantizers_of(model).values() if one.learns_step]
    optimizer = make_optimizer(model, quantizers, RECIPE)
    model.train()
    with channels_last(model) as layout:
        for positions in torch.randperm(len(examples)).split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            images = examples.inputs[positions].contiguous(memory_format=layout)
            functional.cross_entropy(model(images), examples.labels[positions]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            for quantizer in quantizers:
                quantizer.keep_positive()


@pytest.mark.benchmark(group="harness")
def test_the_harness_costs_little(
    benchmark: pytest.FixtureRequest, examples: LabelledTensors, placed: tuple[nn.Module, Plan]
) -> None:
    model, plan = placed
    streams = Streams(0)

    def through_harness(one: nn.Module) -> None:
        meter = DataMeter(examples, SETTING, streams)
        watch = InputWatch((3, 32, 32), fingerprint(examples.inputs[:64] + 1))
        watch.attach(one)
        train(Bench(one, one, plan, SETTING, meter.door, torch.device("cpu"), streams, Reporter(Mode.SILENT)), RECIPE)
        watch.detach()

    def seconds(work: object, *arguments: object) -> float:
        started = time.perf_counter()
        work(*arguments)  # type: ignore[operator]
        return time.perf_counter() - started

    seconds(by_hand, copy.deepcopy(model), examples)  # warm-up
    ratios = []
    for _ in range(ROUNDS):
        ours = seconds(through_harness, copy.deepcopy(model))
        theirs = seconds(by_hand, copy.deepcopy(model), examples)
        ratios.append(ours / theirs)
    ratio = statistics.median(ratios)
    benchmark.extra_info["harness / by hand"] = ratio
    benchmark.pedantic(through_harness, args=(copy.deepcopy(model),), rounds=1)
    print(f"\nharness / by hand: {ratio:.3f} (of {[round(one, 3) for one in sorted(ratios)]})")
    assert ratio <= LIMIT
