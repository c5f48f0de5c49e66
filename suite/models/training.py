"""Models: training a shipped baseline from its recipe, writing it to a folder, and measuring one again."""

from __future__ import annotations

import dataclasses
import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from suite.errors import Unsupported
from suite.models.baselines import FILE_NAME, Baseline, baseline_to_yaml
from suite.models.build import build
from suite.models.recipes import RECIPES, measure, train
from suite.models.weights import save_weights, weights_hash
from suite.registry import unknown
from suite.tasks import get_task

WEIGHTS_NAME = "weights.safetensors"
# What each recipe trains: model, task, title.
SUBJECTS = {"digits-resnet": ("digits-resnet", "digits", "Residual CNN for the embedded digits")}


@dataclass(frozen=True)
class Verification:
    """What a second measurement of a baseline found, beside what its description says."""

    id: str
    weights_hash_matches: bool
    data_hash_matches: bool
    declared_score: float
    score: float

    @property
    def holds(self) -> bool:
        """Same file, same data, same score."""
        return self.weights_hash_matches and self.data_hash_matches and self.score == self.declared_score


def train_baseline(id: str, folder: Path, report: Callable[[int, float], None] = lambda epoch, loss: None) -> Baseline:
    """Train baseline `id` by its recipe and write weights and description into `folder`."""
    if id not in RECIPES:
        raise unknown("training recipe", id, sorted(RECIPES))
    recipe = RECIPES[id]
    model_id, task_id, title = SUBJECTS[id]
    task = get_task(task_id)
    model = train(build(model_id, task.classes, seed=recipe.seed), task, recipe, report)
    outcomes = measure(model, task)
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / WEIGHTS_NAME
    # Beside its final place first, so that an interruption leaves no half-written weights behind.
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        save_weights(model, Path(scratch) / WEIGHTS_NAME)
        os.replace(Path(scratch) / WEIGHTS_NAME, weights)
    weights.chmod(0o644)  # safetensors writes for its owner alone
    baseline = Baseline(
        id=id,
        model=model_id,
        task=task_id,
        weights=weights,
        weights_hash=weights_hash(weights),
        title=title,
        score=int(outcomes.sum()) / len(outcomes),
        correct=int(outcomes.sum()),
        examples=len(outcomes),
        data_hash=task.data_hash,
        recipe=dataclasses.asdict(recipe),
        command=f"suite baseline train {id} --out DIR",
    )
    (folder / FILE_NAME).write_text(
        baseline_to_yaml(baseline, {"torch": str(torch.__version__), "machine": platform.machine()}), encoding="utf-8"
    )
    return baseline


def verify_baseline(baseline: Baseline) -> Verification:
    """Compute hash and score of a baseline again, from its files and its task."""
    if baseline.task is None or baseline.weights is None or baseline.score is None:
        raise Unsupported(f"baseline '{baseline.id}' declares no score to verify")
    task = get_task(baseline.task)
    found = weights_hash(baseline.weights)
    # Measured whatever the hash says: a changed file is reported with the score it really has.
    outcomes = measure(build(baseline.model, task.classes, baseline.weights), task)
    return Verification(
        id=baseline.id,
        weights_hash_matches=found == baseline.weights_hash,
        data_hash_matches=task.data_hash == baseline.data_hash,
        declared_score=baseline.score,
        score=int(outcomes.sum()) / len(outcomes),
    )
