"""Models: the doors into torchvision and timm."""

from __future__ import annotations

from types import ModuleType

from torch import nn

from suite.errors import Unsupported
from suite.registry import unknown
from suite.torchvision_shim import ensure_torchvision

# What the pretrained weights of both libraries were trained on.
_PRETRAINED_CLASSES = 1000


def build_torchvision(name: str, classes: int, pretrained: bool) -> nn.Module:
    """A classification model of torchvision; `pretrained` takes its default weights through its own loading code."""
    models = ensure_torchvision().models
    names = models.list_models(module=models)
    if name not in names:
        raise unknown("torchvision model", name, names)
    _require_pretrained_classes(classes, pretrained)
    model: nn.Module = models.get_model(name, weights="DEFAULT" if pretrained else None, num_classes=classes)
    return model


def build_timm(name: str, classes: int, pretrained: bool) -> nn.Module:
    """An image model of timm, its attention written out.

    A fused attention kernel hides the operands of its products and its softmax; written out, they are sites like any
    other.
    """
    timm = _timm()
    if not timm.is_model(name):
        raise unknown("timm model", name, timm.list_models())
    _require_pretrained_classes(classes, pretrained)
    model: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=classes)
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            setattr(module, "fused_attn", False)  # noqa: B010 - not an attribute of nn.Module
    return model


def _timm() -> ModuleType:
    # timm imports torchvision, so what mends torchvision comes first.
    ensure_torchvision()
    try:
        import timm
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise Unsupported(
            "models of timm need an optional package", hint="pip install 'quantization-suite[vision]'"
        ) from error
    return timm


def _require_pretrained_classes(classes: int, pretrained: bool) -> None:
    if pretrained and classes != _PRETRAINED_CLASSES:
        raise Unsupported(
            f"the library's pretrained weights have {_PRETRAINED_CLASSES} classes, this task has {classes}",
            hint="give the path of weights trained for this task",
        )
