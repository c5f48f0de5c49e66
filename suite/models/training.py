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
SUBJECTS = {
    "digits-resnet": ("digits-resnet", "digits", "Residual CNN for the embedded digits"),
    "digits-resnet-brief": ("digits-resnet", "digits", "The same residual CNN, trained for 4 epochs instead of 60"),
    "digits-vit": ("digits-vit", "digits", "Vision transformer for the embedded digits"),
}


@dataclass(frozen=True)
class Verification:
    """What a second measurement of a baseline found, beside what its description declares (None: nothing declared)."""

    id: str
    task: str
    weights_hash: str
    declared_weights_hash: str
    data_hash: str
    declared_data_hash: str | None
    score: float
    declared_score: float | None
    correct: int
    examples: int

    @property
    def disagreements(self) -> tuple[str, ...]:
        """Which of hash, data and score are not what was declared."""
        pairs = (
            ("weights_hash", self.declared_weights_hash, self.weights_hash),
            ("data_hash", self.declared_data_hash, self.data_hash),
            ("score", self.declared_score, self.score),
        )
        return tuple(name for name, declared, found in pairs if declared is not None and declared != found)


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
        command=f"suite baseline train {id} --out baselines/{id}",
    )
    (folder / FILE_NAME).write_text(
        baseline_to_yaml(baseline, {"torch": str(torch.__version__), "machine": platform.machine()}), encoding="utf-8"
    )
    return baseline


def verify_baseline(baseline: Baseline, task_id: str | None = None, data: Path | None = None) -> Verification:
    """Compute hash and score of a baseline again, on its own task or on `task_id`.

    A changed weights file is measured all the same: the answer then names the hash and the score it really has.
    """
    chosen = task_id or baseline.task
    if chosen is None:
        raise Unsupported(f"'{baseline.id}' with weights by path belongs to no task", hint="name one with --task")
    task = get_task(chosen, data)
    own = chosen == baseline.task
    found = baseline.weights_hash if baseline.weights is None else weights_hash(baseline.weights)
    outcomes = measure(dataclasses.replace(baseline, weights_hash=found).load_for(task), task)
    correct = int(outcomes.sum())
    return Verification(
        id=baseline.id,
        task=chosen,
        weights_hash=found,
        declared_weights_hash=baseline.weights_hash,
        data_hash=task.data_hash,
        declared_data_hash=baseline.data_hash if own else None,
        score=correct / len(outcomes),
        declared_score=baseline.score if own else None,
        correct=correct,
        examples=len(outcomes),
    )
