"""Quantizers: grids, fake quantization and range rules, pure numerics on tensors.

The vocabulary (`spec`) is free of torch; everything else is imported on first use, so that a plan can be read
without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from suite.quantizers.spec import (
    BIT_WIDTHS,
    GradientMask,
    Granularity,
    QuantizerSpec,
    RangeRule,
    StepGradientScale,
    StepRule,
)

if TYPE_CHECKING:
    from suite.quantizers.fake_quantization import fake_quantize
    from suite.quantizers.quantizer import Quantizer

__all__ = [
    "BIT_WIDTHS",
    "GradientMask",
    "Granularity",
    "Quantizer",
    "QuantizerSpec",
    "RangeRule",
    "StepGradientScale",
    "StepRule",
    "fake_quantize",
]

_LAZY = {"Quantizer": "suite.quantizers.quantizer", "fake_quantize": "suite.quantizers.fake_quantization"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
