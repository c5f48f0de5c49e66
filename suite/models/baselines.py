"""Models: baselines, the trained float models that runs start from (no torch at import).

A shipped baseline is a folder with `baseline.yaml` and its weights, in `baselines/` of a checkout or under
`share/quantization-suite/baselines` of an installation. Any architecture with a weights file given by path is a
baseline too; its score is then measured, not promised.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from suite.errors import DataMissing, SuiteError, UnknownName, Unsupported, WeightsError
from suite.registry import unknown
from suite.shipped import shipped_files

if TYPE_CHECKING:
    from torch import nn

    from suite.tasks.api import Task

FILE_NAME = "baseline.yaml"
FORMAT = 1
PRETRAINED = "pretrained"
UNTRAINED = "untrained"
_LARGEST_FILE_BYTES = 65_536


@dataclass(frozen=True)
class Baseline:
    """A float model: its architecture, where its weights are and their hash, and what it scored when measured."""

    id: str
    model: str
    task: str | None  # None: whatever task the run names
    weights: Path | None  # None: the library's own pretrained weights, or random ones where there is a seed
    weights_hash: str  # SHA-256 of the weights file
    title: str
    score: float | None = None  # measured on the test split; None: not measured yet
    correct: int | None = None
    examples: int | None = None
    data_hash: str | None = None  # of the task the score was measured on
    recipe: Mapping[str, Any] = field(default_factory=dict)
    command: str | None = None  # what trains it again
    seed: int | None = None  # of random weights, of a network that nobody has trained

    def load(self, classes: int = 10) -> nn.Module:
        """The model in eval mode; refuses a weights file that is not the one the hash names."""
        from suite.models.build import build
        from suite.models.weights import weights_hash

        if self.seed is not None:
            return build(self.model, classes, seed=self.seed)
        if self.weights is None:
            return build(self.model, classes, PRETRAINED)
        found = weights_hash(self.weights)
        if found != self.weights_hash:
            raise WeightsError(
                f"{self.weights} has the hash {found[:12]}…, baseline '{self.id}' names {self.weights_hash[:12]}…",
                hint="the file was changed after it was measured",
            )
        return build(self.model, classes, self.weights)

    def load_for(self, task: Task) -> nn.Module:
        """`load`, but refuse a model that does not fit the task, or whose weights have seen its test images."""
        from suite.models.build import require_fit
        from suite.models.known_weights import require_unseen

        model = self.load(task.classes)
        require_fit(model, self.id, task)
        require_unseen(model, task.id)
        return model


def get_baseline(id: str, weights: str | Path | None = None) -> Baseline:
    """The shipped baseline `id`; or, with `weights`, the architecture `id` with the weights of that file.

    For models of a library (`torchvision:`, `timm:`, `transformers:`) `weights` may be the word "pretrained".
    """
    if weights is None:
        shipped = shipped_baselines()
        if id in shipped:
            return shipped[id]
        return _without_weights(id, sorted(shipped))
    if str(weights) == PRETRAINED:
        return _pretrained(id)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise DataMissing(f"no weights file at {path}", hint="give the path of a .pt or .safetensors file")
    _require_architecture(id)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    shipped = shipped_baselines()
    if id in shipped and shipped[id].weights_hash == digest:
        return shipped[id]
    return Baseline(
        id=id, model=id, task=None, weights=path, weights_hash=digest, title=f"{id} with the weights of {path.name}"
    )


def untrained_baseline(id: str, classes: int, seed: int) -> Baseline:
    """The architecture `id` with random weights drawn from `seed`: where training begins from nothing.

    The hash is that of the weights themselves, so that another way to draw them is another baseline.
    """
    from suite.models.build import build
    from suite.models.weights import state_hash

    shipped = shipped_baselines().get(id)
    architecture = shipped.model if shipped is not None else id
    return Baseline(
        id=id,
        model=architecture,
        task=None,
        weights=None,
        weights_hash=state_hash(build(architecture, classes, seed=seed)),
        title=f"{architecture} with random weights",
        seed=seed,
    )


def baseline_ids() -> list[str]:
    """Ids of the shipped baselines."""
    return sorted(shipped_baselines())


def describe_baselines() -> list[dict[str, Any]]:
    """One row per shipped baseline, as JSON-ready values."""
    return [describe(baseline) for _, baseline in sorted(shipped_baselines().items())]


def describe(baseline: Baseline) -> dict[str, Any]:
    """What a listing or `--json` says about a baseline."""
    return {
        "id": baseline.id,
        "title": baseline.title,
        "task": baseline.task,
        "model": baseline.model,
        "score": baseline.score,
        "correct": baseline.correct,
        "examples": baseline.examples,
        "weights": str(baseline.weights) if baseline.weights else PRETRAINED,
        "weights_hash": baseline.weights_hash,
        "data_hash": baseline.data_hash,
        "recipe": dict(baseline.recipe),
        "command": baseline.command,
    }


@cache
def shipped_baselines() -> dict[str, Baseline]:
    """Every baseline that came with the suite, by id."""
    found: dict[str, Baseline] = {}
    for file in shipped_files(f"baselines/*/{FILE_NAME}"):
        baseline = read_baseline(file)
        found.setdefault(baseline.id, baseline)
    return found


def read_baseline(file: Path) -> Baseline:
    """Read one `baseline.yaml`; every key is checked, and the weights stay inside its folder."""
    try:
        if file.stat().st_size > _LARGEST_FILE_BYTES:
            raise SuiteError(f"{file} is larger than {_LARGEST_FILE_BYTES} bytes")
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SuiteError(f"{file} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise SuiteError(f"{file}: expected a mapping")
    expected: dict[str, type] = {
        "baseline": int,
        "id": str,
        "title": str,
        "model": str,
        "task": str,
        "weights": str,
        "weights_hash": str,
        "data_hash": str,
        "score": float,
        "correct": int,
        "examples": int,
        "recipe": dict,
        "command": str,
        "trained_with": dict,
    }
    for key, kind in expected.items():
        if key not in content:
            raise SuiteError(f"{file}: '{key}' is missing")
        if type(content[key]) is not kind:
            raise SuiteError(f"{file}: '{key}' is {type(content[key]).__name__}, expected {kind.__name__}")
    for key in content:
        if key not in expected:
            raise SuiteError(f"{file}: unknown key '{key}'")
    if content["baseline"] != FORMAT:
        raise SuiteError(f"{file}: format {content['baseline']}, this suite reads {FORMAT}")
    if not math.isclose(content["score"], content["correct"] / max(content["examples"], 1), abs_tol=1e-9):
        raise SuiteError(f"{file}: the score is not correct / examples")
    if Path(content["weights"]).name != content["weights"]:
        raise SuiteError(f"{file}: 'weights' must be the name of a file beside it")
    return Baseline(
        id=content["id"],
        model=content["model"],
        task=content["task"],
        weights=file.parent / content["weights"],
        weights_hash=content["weights_hash"],
        title=content["title"],
        score=content["score"],
        correct=content["correct"],
        examples=content["examples"],
        data_hash=content["data_hash"],
        recipe=content["recipe"],
        command=content["command"],
    )


def baseline_to_yaml(baseline: Baseline, trained_with: Mapping[str, str]) -> str:
    """The text of a `baseline.yaml`."""
    if baseline.weights is None:
        raise SuiteError(f"baseline '{baseline.id}' has no weights file")
    return yaml.safe_dump(
        {
            "baseline": FORMAT,
            "id": baseline.id,
            "title": baseline.title,
            "model": baseline.model,
            "task": baseline.task,
            "weights": baseline.weights.name,
            "weights_hash": baseline.weights_hash,
            "data_hash": baseline.data_hash,
            "score": baseline.score,
            "correct": baseline.correct,
            "examples": baseline.examples,
            "recipe": dict(baseline.recipe),
            "command": baseline.command,
            "trained_with": dict(trained_with),
        },
        sort_keys=False,
        width=120,
    )


def _require_architecture(id: str) -> None:
    from suite.models import PREFIXES
    from suite.models.scaling import find_architecture

    prefix, separator, _ = id.partition(":")
    if separator and prefix not in PREFIXES:
        raise unknown("model library", prefix, list(PREFIXES))
    if not separator:
        find_architecture(id)


def _without_weights(id: str, shipped: list[str]) -> Baseline:
    from suite.models import MODELS

    try:
        _require_architecture(id)
    except UnknownName as error:
        if ":" in id:
            raise
        raise unknown("baseline or model", id, sorted({*shipped, *MODELS.ids()})) from error
    hint = "give --weights PATH" + (" or --weights pretrained" if ":" in id else "")
    hint += f", or begin without any: --set baseline_weights={UNTRAINED}"
    raise DataMissing(f"no trained weights of '{id}' come with the suite", hint=hint)


def _pretrained(id: str) -> Baseline:
    _require_architecture(id)
    if ":" not in id:
        raise Unsupported(f"'{id}' has no pretrained weights of its own", hint="give the path of a weights file")
    from suite.models.build import build
    from suite.models.weights import state_hash

    model = build(id, 1000, PRETRAINED)
    return Baseline(
        id=id,
        model=id,
        task=None,
        weights=None,
        weights_hash=state_hash(model),
        title=f"{id} with the pretrained weights of its library",
    )
