"""Quantizers, learned bit-widths: fake quantization with gradients to the number of bits and to both ends of the range.

A continuous bit-width is rounded to a width that a grid can have, the rounding is passed straight through, and the
step follows from it: s = (high - low) / (2^b - 1). So the loss has a gradient with respect to b.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from suite.quantizers.grids import SMALLEST_STEP
from suite.quantizers.spec import QuantizerSpec, StepRule


class BitForm(StrEnum):
    """What is learned in place of the bits b: u with b = 2^u, or b itself."""

    LOG2 = "log2"
    LINEAR = "linear"


def bits_of(learned: Tensor, form: BitForm) -> Tensor:
    """The continuous bit-width b of a learned number u: b = 2^u or b = u."""
    return torch.exp2(learned) if form is BitForm.LOG2 else learned


def learned_of(bits: Tensor, form: BitForm) -> Tensor:
    """The inverse of `bits_of`."""
    return torch.log2(bits) if form is BitForm.LOG2 else bits


def nearest_width(bits: Tensor, widths: Tensor) -> Tensor:
    """For each of `bits` [...] the nearest member of its row of `widths` [..., K], with the gradient of `bits`.

    Members ascend along the last axis, the last one may be repeated; ties go to the smaller.
    """
    distance = (bits.detach().unsqueeze(-1) - widths).abs()
    # argmin takes the first of equals, which is the smaller member.
    nearest = widths.expand_as(distance).gather(-1, distance.argmin(-1, keepdim=True)).squeeze(-1)
    return _Replace.apply(bits, nearest)  # type: ignore[no-any-return, no-untyped-call]


class _Replace(torch.autograd.Function):
    """The second operand exactly, with the gradient of the first: b + (w - b) would miss w by rounding."""

    @staticmethod
    def forward(ctx: Any, bits: Tensor, nearest: Tensor) -> Tensor:
        return nearest.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def intervals(bits: Tensor) -> Tensor:
    """How many steps lie between the ends of a grid of 2^b levels: 2^b - 1."""
    return torch.exp2(bits) - 1


def covering_step(bits: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The step of 2^b levels that cover a range: s = (high - low) / (2^b - 1).

    So ds/db = -(high - low) ln 2 2^b / (2^b - 1)^2.
    """
    return (high - low) / intervals(bits)


def average_bits(bits: Tensor, elements: Tensor, *, fixed_bits: float = 0.0, fixed_elements: float = 0.0) -> Tensor:
    """The sum of bits x elements over the sum of elements.

    `fixed_bits` and `fixed_elements` are both sums over the tensors whose bits are not learned.
    """
    return ((bits * elements).sum() + fixed_bits) / (elements.sum() + fixed_elements)


def excess_penalty(average: Tensor, target: float, factor: float) -> Tensor:
    """A penalty of factor x max(average - target, 0)."""
    return factor * torch.relu(average - target)


@dataclass(frozen=True)
class LearnedGrid:
    """Step s of a grid and the ends of the range that it covers; all three carry gradients."""

    step: Tensor
    low: Tensor
    high: Tensor


def learned_grid(spec: QuantizerSpec, bits: Tensor, low: Tensor, high: Tensor) -> LearnedGrid:
    """The grid that `spec` makes of a range, for a bit-width b that is a tensor; `spec.bits` is not used.

    Asymmetric grids cover [low, high] and unsigned symmetric ones [0, high] with 2^b levels. Signed symmetric grids
    cover m = max(high, -low) from zero to both sides, with s = m / (2^(b-1) - 1), or s = 2 m / (2^b - 1) where the
    step rule says so, which leaves half a step at the ends: it is cut off, or rounded up to an extra level.
    """
    if not (spec.symmetric and spec.signed):
        low = torch.zeros_like(high) if spec.symmetric else low
        return LearnedGrid(covering_step(bits, low, high).clamp(min=SMALLEST_STEP), low, high)
    largest = torch.maximum(high, -low)
    if spec.step_rule is StepRule.TWO_MAX_OVER_LEVELS:
        step = covering_step(bits, -largest, largest).clamp(min=SMALLEST_STEP)
        end = largest if spec.extra_level else step * intervals(bits - 1)
    else:
        step = (largest / (torch.exp2(bits - 1) if spec.extra_level else intervals(bits - 1))).clamp(min=SMALLEST_STEP)
        end = largest
    full = not (spec.narrow or spec.extra_level)
    return LearnedGrid(step, -end - step if full else -end, end)


def quantize_between(x: Tensor, step: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """v^ = s round(clip(x, low, high) / s): clipped in the real domain, rounded without an offset, so zero is exact.

    Gradients, with rounding passed straight through: dv^/dx = 1 inside the limits and 0 outside; dv^/dlow = 1 below
    and dv^/dhigh = 1 above them; a value exactly at a limit belongs half to itself and half to the limit.
    dv^/ds = round(c / s) - c / s with c = clip(x, low, high), everywhere.
    """
    return _QuantizeBetween.apply(x, step, low, high)  # type: ignore[no-any-return, no-untyped-call]


def _forward(x: Tensor, step: Tensor, low: Tensor, high: Tensor) -> Tensor:
    clipped = torch.minimum(torch.maximum(x, low), high)
    return torch.round(clipped / step) * step


def _towards_step(gradient: Tensor, x: Tensor, step: Tensor, low: Tensor, high: Tensor) -> Tensor:
    ratio = torch.minimum(torch.maximum(x, low), high) / step
    return gradient * (torch.round(ratio) - ratio)


def _towards_input(gradient: Tensor, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    # The sign of a difference is 1, 0 or -1, so that half the sum of both is the share that belongs to x.
    return gradient * (0.5 * (torch.sign(x - low) + torch.sign(high - x)))


def _towards_limit(gradient: Tensor, beyond: Tensor) -> Tensor:
    return gradient * (0.5 * (1.0 + torch.sign(beyond)))


class _QuantizeBetween(torch.autograd.Function):
    """Keeps its operands only: everything the backward pass needs besides is cheaper to compute again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, low: Tensor, high: Tensor) -> Tensor:
        ctx.save_for_backward(x, step, low, high)
        return _forward(x, step, low, high)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, step, low, high = ctx.saved_tensors
        to_x, to_step, to_low, to_high = ctx.needs_input_grad
        return (
            _towards_input(gradient, x, low, high) if to_x else None,
            _towards_step(gradient, x, step, low, high).sum_to_size(step.shape) if to_step else None,
            _towards_limit(gradient, low - x).sum_to_size(low.shape) if to_low else None,
            _towards_limit(gradient, x - high).sum_to_size(high.shape) if to_high else None,
        )
