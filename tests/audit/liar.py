"""What all liars have in common: they calibrate honestly, and then do something else than their card declares."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

from suite.methods.api import Claims, Method, Needs, Paper, Workbench
from suite.methods.engines.calibration import calibrate
from suite.plan import quantizers_of


class Liar(Method):
    """`declares` is what its card says beyond the defaults of `rtn`; `axes` are the axes it must be caught on."""

    title = "A dishonest method"
    paper = Paper(title="None", authors="Nobody", year=2024, url="https://example.org")
    needs = Needs(examples=False)
    declares: ClassVar[Mapping[str, object]] = MappingProxyType({})
    axes: ClassVar[tuple[str, ...]]

    def quantize(self, work: Workbench) -> Claims | None:
        calibrate(work)
        with torch.no_grad():
            return self.lie(work)

    @abstractmethod
    def lie(self, work: Workbench) -> Claims | None:
        """Leave `work.model` other than declared."""


def card(**values: object) -> Mapping[str, object]:
    """What a liar's card declares."""
    return values


def four(**values: object) -> Mapping[str, object]:
    """The same, with four bits for weights and activations."""
    return card(weight_bits=4, activation_bits=4, **values)


class Does(nn.Module):
    """A module around a plain function, to take a quantizer's place."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def layers(model: nn.Module) -> dict[str, nn.Module]:
    """Layers with a quantized weight, by path."""
    return {path: module for path, module in model.named_modules() if hasattr(module, "weight_quantizer")}


def inner(model: nn.Module) -> Iterator[nn.Module]:
    """Layers between the first and the last that are not on a shortcut."""
    for path, layer in layers(model).items():
        if path.startswith("layer") and "shortcut" not in path:
            yield layer


def requantize_weights(model: nn.Module, function: Callable[[Tensor], Tensor]) -> None:
    """All inner weights through another quantizer."""
    for layer in inner(model):
        layer.weight_quantizer = Does(function)


def change(model: nn.Module, site: str, function: Callable[[Tensor], Tensor]) -> None:
    """Let the quantizer that the plan calls `site` do something else."""
    quantizers_of(model)[site].forward = function


def codes(x: Tensor, step: Tensor | float, low: float, high: float, zero: Tensor | float = 0.0) -> Tensor:
    """Round to step * (k - zero) with k from low to high."""
    return ((x / step + zero).round().clamp(low, high) - zero) * step


def largest(x: Tensor, rows: int = 1) -> Tensor:
    """Largest magnitude of x, or of each of its `rows` channels, shaped to broadcast against it."""
    magnitude = x.reshape(rows, -1).abs().amax(dim=1)
    return magnitude.reshape([-1] + [1] * (x.dim() - 1)) if rows > 1 else magnitude.reshape(())
