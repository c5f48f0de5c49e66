"""Models: building one from its id, with weights from a file, from a library, or random but reproducible."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from suite.errors import Unsupported
from suite.models import MODELS, PREFIXES, SCALABLE
from suite.models.baselines import PRETRAINED
from suite.models.language import build_transformers
from suite.models.libraries import build_timm, build_torchvision
from suite.models.scaling import find_architecture
from suite.models.weights import load_weights
from suite.registry import unknown
from suite.tasks.api import Task


def build(id: str, classes: int = 10, weights: str | Path | None = None, seed: int = 0) -> nn.Module:
    """See `suite.models.build_model`."""
    prefix, separator, name = id.partition(":")
    pretrained = weights == PRETRAINED
    # The weights of a fresh model must not depend on, or disturb, what else draws random numbers.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if not separator:
            if pretrained:
                raise Unsupported(
                    f"'{id}' has no pretrained weights of its own", hint="give the path of a weights file"
                )
            model = _architecture(id, classes)
        elif prefix == "torchvision":
            model = build_torchvision(name, classes, pretrained)
        elif prefix == "timm":
            model = build_timm(name, classes, pretrained)
        elif prefix == "transformers":
            return build_transformers(name, classes, weights, pretrained).eval()  # the library loads, ties included
        else:
            raise unknown("model library", prefix, list(PREFIXES))
    if weights is not None and not pretrained:
        load_weights(model, Path(weights))
    return model.eval()


def _architecture(id: str, classes: int) -> nn.Module:
    entry, scale = find_architecture(id)
    return MODELS.get(entry.id)(classes) if scale is None else SCALABLE.get(entry.id)(classes, scale)


def require_fit(model: nn.Module, id: str, task: Task) -> None:
    """Refuse a model that cannot read the task's inputs, or that does not give one logit per class and label."""
    expected = (1, task.classes, *task.label_shape)
    example = torch.zeros(1, *task.input_shape, dtype=getattr(torch, task.input_type))
    try:
        with torch.no_grad():
            found = tuple(model(example).shape)
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:
        shape = "x".join(str(length) for length in task.input_shape)
        what = "images" if task.input_type == "float32" else "tokens"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise Unsupported(
            f"'{id}' cannot read the {shape} {what} of '{task.id}': {reason}",
            hint=f"the model of this task is '{task.default_model}'",
        ) from error
    if found != expected:
        raise Unsupported(f"'{id}' gives an output of shape {found} on '{task.id}', expected {expected}")
