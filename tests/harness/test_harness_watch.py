"""Harness: the watch sees every image that flows into a model, its copies and its compiled forms, at a small cost."""

from __future__ import annotations

import copy
import time

import pytest
import torch
from torch import Tensor, fx, nn

from suite.harness import watch as watch_module
from suite.harness.watch import InputWatch
from suite.models import build_model
from suite.tasks.fingerprints import fingerprint

SHAPE = (1, 6, 6)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(36, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(images.flatten(1)).relu()


def images(count: int, seed: int) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(seed))


MODELS = {"eager": Small, "graph module": lambda: fx.symbolic_trace(Small())}
every_kind = pytest.mark.parametrize("kind", MODELS)


@every_kind
def test_distinct_inputs_are_counted_across_batches_and_calls(kind: str) -> None:
    model, watch = MODELS[kind](), InputWatch(SHAPE)
    watch.attach(model)
    pictures = images(10, seed=1)
    model(pictures)
    model(pictures[3:].to(memory_format=torch.channels_last))
    for one in pictures:
        model(one[None])
    report = watch.report()
    assert (report.distinct_inputs, report.inputs, report.forbidden_inputs, report.saturated) == (10, 27, 0, False)


@every_kind
def test_copies_and_copies_of_copies_report_to_the_same_watch_once(kind: str) -> None:
    model, watch = MODELS[kind](), InputWatch(SHAPE)
    watch.attach(model)
    first = copy.deepcopy(model)
    second = copy.deepcopy(first)
    first(images(4, seed=1))
    second(images(4, seed=2))
    assert (watch.report().distinct_inputs, watch.report().inputs) == (8, 8)


@every_kind
def test_after_detaching_nothing_is_seen_of_the_model_or_its_copies(kind: str) -> None:
    model, watch = MODELS[kind](), InputWatch(SHAPE)
    watch.attach(model)
    before = copy.deepcopy(model)
    watch.detach()
    for one in (model, before, copy.deepcopy(model), copy.deepcopy(before)):
        one(images(4, seed=1))
    assert watch.report().inputs == 0


def test_smuggled_test_images_are_recognised() -> None:
    test = images(50, seed=9)
    model, watch = Small(), InputWatch(SHAPE, forbidden=fingerprint(test))
    watch.attach(model)
    model(images(20, seed=1))
    assert watch.report().forbidden_inputs == 0
    model(torch.cat([images(5, seed=2), test[10:13]]))
    model(test[12:14])
    assert watch.report().forbidden_inputs == 4


def test_watching_changes_neither_outputs_nor_gradients_nor_random_streams() -> None:
    torch.manual_seed(0)
    model = Small()
    plain, watched = copy.deepcopy(model), copy.deepcopy(model)
    InputWatch(SHAPE).attach(watched)
    state = torch.get_rng_state()
    for one in (plain, watched):
        one(images(8, seed=3)).square().sum().backward()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(plain(images(8, seed=3)), watched(images(8, seed=3)))
    gradients = [one.linear.weight.grad for one in (plain, watched)]
    assert gradients[0] is not None
    assert gradients[1] is not None
    assert torch.equal(gradients[0], gradients[1])
    assert list(plain.state_dict()) == list(watched.state_dict())


def test_the_suites_own_evaluation_can_be_left_out() -> None:
    model, watch = Small(), InputWatch(SHAPE)
    watch.attach(model)
    with watch.paused():
        model(images(8, seed=1))
    assert watch.report().inputs == 0
    model(images(8, seed=1))
    assert watch.report().inputs == 8


def test_keyword_images_are_seen_and_other_tensors_are_not() -> None:
    model, watch = Small(), InputWatch(SHAPE)
    watch.attach(model)
    model(images=images(3, seed=1))
    model(torch.rand(2, 36))  # not of the task's shape: it cannot be one of its images
    assert watch.report().inputs == 3


def test_a_method_may_still_trace_a_watched_model() -> None:
    model, watch = Small(), InputWatch(SHAPE)
    watch.attach(model)
    traced = fx.symbolic_trace(model)
    assert traced(images(2, seed=1)).shape == (2, 3)


def test_memory_is_bounded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "COMPACT_EVERY", 8)
    monkeypatch.setattr(watch_module, "MOST_DISTINCT", 20)
    test = images(4, seed=99)
    model, watch = Small(), InputWatch(SHAPE, forbidden=fingerprint(test))
    watch.attach(model)
    for seed in range(10):
        model(images(4, seed=seed))
    model(test)
    report = watch.report()
    assert (report.distinct_inputs, report.saturated, report.inputs) == (20, True, 44)
    assert report.forbidden_inputs == 4, "test images are recognised even when counting has stopped"


@pytest.mark.slow
@every_kind
def test_compiled_models_and_compiled_steps_are_seen(kind: str) -> None:
    model, watch = MODELS[kind](), InputWatch(SHAPE)
    watch.attach(model)
    compiled = torch.compile(model, backend="eager")
    compiled(images(4, seed=1))
    compiled(images(4, seed=2))
    assert watch.report().distinct_inputs == 8
    step = torch.compile(lambda pictures: model(pictures).sum(), backend="eager")
    step(images(4, seed=3)).backward()
    step(images(4, seed=4)).backward()
    assert watch.report().distinct_inputs == 16


def test_the_hook_costs_little_of_a_training_step() -> None:
    """Interleaved ratio on one thread; measured about 0.5 %, the bound leaves room for a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model, watch = build_model("resnet20", 10).train(), InputWatch((3, 32, 32))
        pictures, labels = torch.rand(64, 3, 32, 32), torch.arange(64) % 10
        step, hook = [], []
        for _ in range(4):
            started = time.perf_counter()
            nn.functional.cross_entropy(model(pictures), labels).backward()
            between = time.perf_counter()
            watch.look(model, (pictures,), {})
            hook.append(time.perf_counter() - between)
            step.append(between - started)
        assert min(hook) < 0.03 * min(step)
    finally:
        torch.set_num_threads(threads)
