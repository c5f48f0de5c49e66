"""Quantizers, grids: from a range of values to scale and zero point."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from suite.quantizers.spec import QuantizerSpec

# Steps are kept above float32's machine epsilon, as the public learned-step code does: a constant zero then
# quantizes to zero instead of dividing by zero.
SMALLEST_STEP = float(torch.finfo(torch.float32).eps)
# With s = 2 m / (2^bits - 1), m / s is a rounding tie, and whether the extra level exists would depend on the last bit
# of the division (as it does in public code). A step smaller by two units in the last place always yields it.
EXTRA_LEVEL_SHRINK = 1.0 - 2 * SMALLEST_STEP


class Parameters(NamedTuple):
    """Scale s > 0 and integer-valued zero point z of a grid, one per row; z is None on symmetric grids."""

    scale: Tensor
    zero_point: Tensor | None


def asymmetric_parameters(low: Tensor, high: Tensor, qmin: int, qmax: int) -> Parameters:
    """Step s = (high - low) / (qmax - qmin), z = round(qmin - low / s), with zero inside the range and on the grid."""
    low = low.clamp(max=0.0)
    scale = ((high.clamp(min=0.0) - low) / (qmax - qmin)).clamp(min=SMALLEST_STEP)
    return Parameters(scale, (qmin - (low / scale).round()).clamp(qmin, qmax))


def parameters_from_range(low: Tensor, high: Tensor, spec: QuantizerSpec) -> Parameters:
    """The grid of `spec` that covers [low, high]; symmetric grids cover the larger magnitude."""
    if not spec.symmetric:
        return asymmetric_parameters(low, high, spec.qmin, spec.qmax)
    magnitude = torch.maximum(low.abs(), high.abs()) if spec.signed else high.clamp(min=0.0)
    scale = magnitude / spec.step_divisor()
    if spec.clips_between_codes:
        scale = scale * EXTRA_LEVEL_SHRINK
    return Parameters(scale.clamp(min=SMALLEST_STEP), None)


def parameters_from_step(step: Tensor, low: Tensor, high: Tensor, spec: QuantizerSpec) -> Parameters:
    """The grid with a given step; on asymmetric grids zero lies where it does between `low` and `high`."""
    step = step.clamp(min=SMALLEST_STEP)
    if spec.symmetric:
        return Parameters(step, None)
    return Parameters(step, asymmetric_parameters(low, high, spec.qmin, spec.qmax).zero_point)
