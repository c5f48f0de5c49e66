"""Models: building one from its id, with weights from a file, from a library, or random but reproducible."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from suite.errors import Unsupported
from suite.models import MODELS, PREFIXES
from suite.models.baselines import PRETRAINED
from suite.models.libraries import build_timm, build_torchvision
from suite.models.weights import load_weights
from suite.registry import unknown


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
            model = MODELS.get(id)(classes)
        elif prefix == "torchvision":
            model = build_torchvision(name, classes, pretrained)
        elif prefix == "timm":
            model = build_timm(name, classes, pretrained)
        else:
            raise unknown("model library", prefix, list(PREFIXES))
    if weights is not None and not pretrained:
        load_weights(model, Path(weights))
    return model.eval()
