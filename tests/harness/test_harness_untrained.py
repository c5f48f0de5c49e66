"""Runs that begin from random weights: where nobody has trained the network, as with one scaled to a memory budget."""

from __future__ import annotations

from pathlib import Path

import pytest

from suite.cards import load_card
from suite.errors import DataMissing, Unsupported
from suite.harness.evaluate import Evaluation, evaluate
from suite.harness.request import Request, resolve

LSQ = Path(__file__).parents[2] / "cards" / "lsq.yaml"


def untrained(seed: int, steps: int = 2, **more: object) -> Request:
    assignments = ["baseline_weights=untrained"]
    options = [f"steps={steps}", "batch_size=64", "learning_rate=0.05"]
    return resolve(load_card(LSQ), assignments=assignments, options=options, seed=seed, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def trained(root: Path) -> Evaluation:
    return evaluate(untrained(seed=0, steps=150), root)


def test_training_on_the_grid_begins_from_nothing(trained: Evaluation) -> None:
    record = trained.record
    assert record.status == "completed", record.message
    assert record.float_score is not None
    assert record.score is not None
    assert record.float_score < 0.3  # ten classes, and nothing learned
    assert record.score > record.float_score + 0.5
    assert record.setting["baseline_weights"] == "untrained"
    assert record.audit is not None
    assert record.audit["verdict"] != "contradicted"


def test_each_seed_has_its_own_weights_and_keeps_them(trained: Evaluation, root: Path) -> None:
    assert evaluate(untrained(seed=0, steps=150), root).found
    other = evaluate(untrained(seed=1), root).record
    assert other.identity["weights"] != trained.record.identity["weights"]


def test_weights_that_are_given_and_weights_that_nobody_trained_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"begins from random weights, but mine\.pt is given"):
        untrained(seed=0, weights=tmp_path / "mine.pt")


def test_a_model_without_weights_says_how_to_begin_without_any(root: Path) -> None:
    request = resolve(load_card(LSQ), task="digits", model="resnet20-w0.5")
    with pytest.raises(DataMissing, match="baseline_weights=untrained"):
        evaluate(request, root)
