"""Laboratory, harness: the identity of a run about to begin, from the things themselves."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from suite.errors import DataMissing
from suite.harness.request import Request
from suite.models import Baseline
from suite.models.scaling import find_architecture
from suite.records.identity import Identity
from suite.tasks import TASKS, Task

MODULES = (
    "suite.plan",
    "suite.quantizers",
    "suite.audit",
    "suite.harness.costs",
    "suite.harness.meter",
    "suite.harness.streams",
    "suite.harness.watch",
    "suite.harness.workbench",
    "suite.models.build",
    "suite.statistics",
)
"""What decides a run's figures and verdicts besides its method: finding and quantizing sites, drawing data and random
numbers, observing results, and measuring what they cost."""
LIBRARIES = {"timm": "timm", "torchvision": "torchvision", "transformers": "transformers"}
"""Prefix of a model id -> the distribution whose code is the model: a new version may compute something else."""


def identify(
    request: Request, task: Task, baseline: Baseline, *, batch_size: int, dtype: torch.dtype = torch.float32
) -> Identity:
    """The identity of one run; `batch_size` is that of evaluation, which decides floating-point sums."""
    places = {type(request.method).__module__, *MODULES, *modules_of_float(task, baseline)}
    return Identity.of(
        method=request.method.id,
        options=_options(request),
        setting=request.setting.to_dict(),
        task=request.task,
        model=request.model,
        seed=request.seed,
        modules=places,
        data=task.identity,
        weights=baseline.weights_hash,
        library=_library(baseline),
        torch=str(torch.__version__),
        device=torch.device(request.device).type,
        batch_size=batch_size,
        dtype=str(dtype).removeprefix("torch."),
        threads=request.threads,
    )


def modules_of_float(task: Task, baseline: Baseline) -> set[str]:
    """What decides the float model and its answers."""
    places = {"suite.models.build"}
    if task.id in TASKS:
        places.add(TASKS.entry(task.id).module)
    if ":" not in baseline.model:
        places.add(find_architecture(baseline.model)[0].module)
    return places


def _options(request: Request) -> Mapping[str, Any]:
    """The options, with what is in a file in the place of its path: moved it is the same, changed it is another."""
    return {**request.options, **{name: _content(name, file) for name, file in request.method.options.files().items()}}


def _content(option: str, file: Path) -> str:
    try:
        if not file.is_file():  # a pipe would never end
            raise DataMissing(
                f"option '{option}' names no file: {file}", hint="give a file, or the folder that holds it"
            )
        with file.open("rb") as content:
            return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
    except OSError as error:
        raise DataMissing(f"option '{option}': {file} cannot be read: {error.strerror or error}") from error


def _library(baseline: Baseline) -> str:
    """The distribution that the architecture comes from, with its version; empty for the suite's own.

    Weights of transformers lie beside a config that decides what they compute.
    """
    distribution = LIBRARIES.get(baseline.model.partition(":")[0])
    if distribution is None:
        return ""
    version = f"{distribution} {importlib.metadata.version(distribution)}"
    if distribution == "transformers" and baseline.weights is not None:
        from suite.models.language import config_hash

        return f"{version}, config {config_hash(baseline.weights)}"
    return version
