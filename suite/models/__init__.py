"""Models: the registry of architectures and the shipped baselines. Listing imports no torch.

An architecture is registered by a function `build(classes: int) -> nn.Module`; third parties add theirs through the
entry-point group `suite.models`. `torchvision:NAME`, `timm:NAME` and `transformers:HEAD/NAME` lead
into those libraries. An architecture that can be made wider and deeper is registered once more in `SCALABLE`
(entry-point group `suite.scalable_models`), by a function `build_scaled(classes: int, scale: Scale)`; its names are
those of `suite/models/scaling.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from suite.models.baselines import Baseline, baseline_ids, get_baseline, shipped_baselines
from suite.models.scaling import Scale
from suite.registry import Registry

if TYPE_CHECKING:
    from torch import nn

MODELS: Registry[Callable[[int], nn.Module]] = Registry("model", "suite.models")
MODELS.register("char-transformer", "suite.models.char_transformer:build")
MODELS.register("digits-resnet", "suite.models.digits_resnet:build")
MODELS.register("digits-vit", "suite.models.digits_vit:build")
MODELS.register("efficientnet-light", "suite.models.efficientnet_light:build")
MODELS.register("resnet20", "suite.models.resnet20:build")

SCALABLE: Registry[Callable[[int, Scale], nn.Module]] = Registry("scalable model", "suite.scalable_models")
SCALABLE.register("digits-resnet", "suite.models.digits_resnet:build_scaled")
SCALABLE.register("efficientnet-light", "suite.models.efficientnet_light:build_scaled")
SCALABLE.register("resnet20", "suite.models.resnet20:build_scaled")

# Model -> a task whose inputs it reads, where it is no task's default model.
MADE_FOR = {"efficientnet-light": "cifar10"}

# Prefix of a model id -> the library it leads into, and what its names look like.
PREFIXES = {
    "torchvision": "any classification model of torchvision, for example torchvision:resnet18",
    "transformers": "a network of transformers (an optional extra) by what it is asked for, causal-lm or "
    "sequence-classification, for example transformers:causal-lm/opt with --weights FOLDER/model.safetensors",
    "timm": "any image model of timm (an optional extra), for example timm:deit_tiny_patch16_224",
}


def build_model(id: str, classes: int = 10, weights: str | Path | None = None, seed: int = 0) -> nn.Module:
    """A model in eval mode.

    Without `weights` the weights are random, drawn from `seed` alone. `weights` is the path of a file, or for the
    library prefixes the word "pretrained". The caller's random streams are left as they were.
    """
    from suite.models.build import build

    return build(id, classes, weights, seed)


__all__ = [
    "MADE_FOR",
    "MODELS",
    "PREFIXES",
    "SCALABLE",
    "Baseline",
    "Scale",
    "baseline_ids",
    "build_model",
    "get_baseline",
    "shipped_baselines",
]
