"""Harness: seconds, memory and epochs are measured, and measuring disturbs nothing."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from suite.harness import costs
from suite.harness.costs import EpochTime, epoch_time, measure_epoch, spending

IMAGES, LABELS = torch.rand(32, 1, 8, 8), torch.arange(32) % 10


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 10)
    ).eval()


def test_spending_measures_the_block() -> None:
    with spending() as spent:
        until = time.perf_counter() + 0.05
        while time.perf_counter() < until:
            pass
    assert 0.05 <= spent.seconds < 1.0
    assert spent.peak_bytes > 10**6


def test_spending_is_filled_when_the_block_fails() -> None:
    with pytest.raises(KeyError), spending() as spent:
        raise KeyError
    assert spent.seconds > 0


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="this system keeps no peak of a block")
def test_the_peak_is_that_of_the_block() -> None:
    big = 200 * 2**20
    with spending() as first:
        memory = torch.ones(big // 4)
        del memory
    with spending() as second:
        pass
    if first.peak_bytes == second.peak_bytes:
        pytest.skip("this kernel accepts the reset and ignores it")
    assert first.peak_bytes - second.peak_bytes > 0.8 * big


def test_an_epoch_is_the_step_extrapolated_to_the_training_split() -> None:
    found = measure_epoch(network(), IMAGES, LABELS, batch_size=16, train_size=160, budget_seconds=0.05)
    assert found.seconds == pytest.approx(10 * found.seconds_per_step)
    assert found.steps_timed >= costs.LEAST_STEPS
    small = measure_epoch(network(), IMAGES, LABELS, batch_size=128, train_size=48, budget_seconds=0.05)
    assert (small.batch_size, small.seconds) == (48, small.seconds_per_step)


def test_an_epoch_agrees_with_a_loop_by_hand() -> None:
    """Oracle: the loop one would write, timed; both in processor time, within a factor of two."""
    model = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.Flatten(), nn.Linear(512, 10))
    images, labels = torch.rand(64, 1, 8, 8), torch.arange(64) % 10
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    ratios = []
    for _ in range(3):
        found = measure_epoch(model, images, labels, batch_size=64, train_size=640, budget_seconds=0.2)
        started = time.process_time()
        for _ in range(10):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
        ratios.append(found.processor_seconds / (time.process_time() - started))
    assert any(0.5 < ratio < 2.0 for ratio in ratios), ratios


def test_measuring_moves_neither_model_nor_random_streams() -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    measure_epoch(model, IMAGES, LABELS, batch_size=16, train_size=160, budget_seconds=0.02)
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_measuring_works_where_gradients_are_off() -> None:
    model = network().requires_grad_(False)
    with torch.no_grad():
        assert measure_epoch(model, IMAGES, LABELS, batch_size=16, train_size=16, budget_seconds=0.02).seconds > 0


def ask(cache: Path | None, *names: str) -> EpochTime:
    return epoch_time(network(), IMAGES, LABELS, batch_size=16, train_size=160, names=names, cache=cache)


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A measurement whose answer tells how often it was asked for."""
    asked: list[float] = []

    def measure(*arguments: object, **options: object) -> EpochTime:
        asked.append(float(len(asked) + 1))
        return EpochTime(asked[-1], 0.1, 3, 16, asked[-1])

    monkeypatch.setattr(costs, "measure_epoch", measure)
    return asked


def test_an_epoch_is_remembered_by_model_and_data_for_a_while(tmp_path: Path, stopwatch: list[float]) -> None:
    assert [ask(tmp_path, "w", "d").seconds, ask(tmp_path, "w", "d").seconds] == [1.0, 1.0]
    assert ask(tmp_path, "other", "d").seconds == 2.0
    assert ask(None, "w", "d").seconds == 3.0
    for file in (tmp_path / costs.CACHE_FOLDER).iterdir():
        old = time.time() - 2 * costs.CACHE_AGE_SECONDS
        os.utime(file, (old, old))
    assert ask(tmp_path, "w", "d").seconds == 4.0


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        json.dumps({"seconds": -1.0, "seconds_per_step": 1.0, "steps_timed": 3, "batch_size": 16}),
        '{"seconds": NaN, "seconds_per_step": 1.0, "steps_timed": 3, "batch_size": 16}',
        json.dumps({"seconds": "1", "seconds_per_step": 1.0, "steps_timed": 3, "batch_size": 16}),
        "x" * 10_000,
    ],
    ids=range(7),
)
def test_a_spoilt_cache_is_measured_again(tmp_path: Path, stopwatch: list[float], content: str) -> None:
    ask(tmp_path, "w")
    (file,) = (tmp_path / costs.CACHE_FOLDER).iterdir()
    file.write_text(content)
    assert ask(tmp_path, "w").seconds == 2.0
    assert ask(tmp_path, "w").seconds == 2.0


def test_a_cache_that_cannot_be_written_costs_nothing_else(tmp_path: Path, stopwatch: list[float]) -> None:
    (tmp_path / costs.CACHE_FOLDER).write_text("a file where a folder should be")
    assert ask(tmp_path, "w").seconds == 1.0


def test_epochs_are_counted_in_processor_time_where_the_processor_works() -> None:
    spent = costs.Spent(seconds=60.0, processor_seconds=20.0)
    epoch = EpochTime(seconds=10.0, seconds_per_step=0.1, steps_timed=3, batch_size=16, processor_seconds=8.0)
    assert spent.epochs(epoch, torch.device("cpu")) == pytest.approx(2.5)
    assert spent.epochs(epoch, torch.device("cuda")) == pytest.approx(6.0)


def test_waiting_is_not_work() -> None:
    with spending() as spent:
        time.sleep(0.2)
    assert spent.processor_seconds < 0.1 <= spent.seconds
