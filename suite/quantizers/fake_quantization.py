"""Quantizers, the operation: fake quantization with exact gradient masks, one function for eager and compiled use."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from suite.quantizers.spec import GradientMask


class _FakeQuantize(torch.autograd.Function):
    """v^ = s k with k = round(clip(v / s, low, high)) (or the other order), low = qmin - z, high = qmax - z.

    Subtracting the integer z from the limits instead of adding it to v / s saves two passes and is exact, because
    rounding commutes with integer offsets. Only v, s and the limits are kept for the backward pass: r = v / s, the
    code and the mask are cheaper to compute again than to store, and the compiler fuses them into one loop.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, zero_point: Tensor | None, qmin: float, qmax: float,
        clip_first: bool, binary: bool, step_gradient: float, odd: bool,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(x, scale, zero_point)
        ctx.qmin, ctx.qmax = qmin, qmax
        ctx.clip_first, ctx.binary, ctx.step_gradient, ctx.odd = clip_first, binary, step_gradient, odd
        code = _code(x / scale, zero_point, qmin, qmax, clip_first, binary, odd)
        return code.mul_(scale).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, scale, zero_point = ctx.saved_tensors
        ratio = x / scale
        low, high = _limits(zero_point, ctx.qmin, ctx.qmax)
        # The mask is kept as numbers 0 and 1: filling or choosing by truth values is ten times slower in eager mode.
        if ctx.clip_first or ctx.binary:
            inside = _clip(ratio, low, high)
            code = _sign(ratio) if ctx.binary else _nearest_odd(inside) if ctx.odd else inside.round()
            inside = inside.eq_(ratio)
        else:
            inside = _nearest_odd(ratio) if ctx.odd else ratio.round()
            code = _clip(inside, low, high)
            inside = inside.eq_(code)
        passed = gradient * inside
        gradient_scale: Tensor | None = None
        gradient_zero_point: Tensor | None = None
        if ctx.needs_input_grad[1]:
            # dv^/ds = k - r inside, k (a limit) outside: both in one expression. Taking the small difference before
            # the sum keeps the digits that two large sums would cancel.
            code = code.sub_(ratio.mul_(inside)).mul_(gradient)
            gradient_scale = code.sum_to_size(scale.shape) * ctx.step_gradient
        if zero_point is not None and ctx.needs_input_grad[2]:
            # dv^/dz = 0 inside, -s outside, where the code no longer follows z.
            offset = (passed - gradient) * scale
            gradient_zero_point = offset.sum_to_size(zero_point.shape) * ctx.step_gradient
        gradient_x = passed.to(x.dtype) if ctx.needs_input_grad[0] else None
        return gradient_x, gradient_scale, gradient_zero_point, None, None, None, None, None, None


def _code(
    ratio: Tensor, zero_point: Tensor | None, qmin: float, qmax: float, clip_first: bool, binary: bool, odd: bool
) -> Tensor:
    """The code k - z for v / s. May overwrite `ratio`: memory that is fresh costs more than the arithmetic on it."""
    if binary:
        return _sign(ratio)
    low, high = _limits(zero_point, qmin, qmax)
    if odd:  # odd limits, so either order ends on an odd code
        return _clip_(_nearest_odd(ratio), low, high)
    return _clip_(ratio, low, high).round_() if clip_first else _clip_(ratio.round_(), low, high)


def _sign(ratio: Tensor) -> Tensor:
    return torch.where(ratio >= 0, 1.0, -1.0).to(ratio.dtype)


def _nearest_odd(ratio: Tensor) -> Tensor:
    return ((ratio + 1) / 2).round_().mul_(2).sub_(1)


def _limits(zero_point: Tensor | None, qmin: float, qmax: float) -> tuple[Tensor | float, Tensor | float]:
    if zero_point is None:
        return qmin, qmax
    rounded = zero_point.round()
    return qmin - rounded, qmax - rounded


def _clip(values: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    if isinstance(low, Tensor) and isinstance(high, Tensor):
        # Measured: clamp with tensors as limits is not vectorised and ten times slower.
        return torch.minimum(torch.maximum(values, low), high)
    return torch.clamp(values, low, high)  # type: ignore[arg-type]  # both are numbers


def _clip_(values: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    if isinstance(low, Tensor) and isinstance(high, Tensor):
        return torch.minimum(torch.maximum(values, low), high)
    return values.clamp_(low, high)  # type: ignore[arg-type]  # both are numbers


def fake_quantize(
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor | None,
    qmin: float,
    qmax: float,
    *,
    mask: GradientMask = GradientMask.ROUND_THEN_CLIP,
    binary: bool = False,
    odd: bool = False,
    step_gradient: float = 1.0,
) -> Tensor:
    """Values of `x` moved to the nearest point s (k - z) of a uniform grid, with straight-through gradients.

    `scale` s > 0 broadcasts against `x`; `zero_point` z has its shape, or is None for z = 0 (symmetric grids), and
    is integer-valued: if it is learned it may hold fractions, is rounded, and the rounding is passed straight through.
    `qmin` and `qmax` limit the code; half-integers clip between two codes (see `QuantizerSpec.clip_limits`). `mask`
    is the order of clipping and rounding, which decides where gradients pass. `binary` is the 1-bit grid {-s, +s}:
    k = +1 where x >= 0, else -1, with the mask |x| <= s. `step_gradient` multiplies the gradients of s and z.
    `odd`: k is the nearest odd number instead of the nearest integer, so that zero is not on the grid.

    Gradients, with r = x / s and the mask M: dv^/dx = M; dv^/ds = (k - z) - r inside M and (limit - z) outside;
    dv^/dz = 0 inside and -s outside.
    """
    result: Tensor = _FakeQuantize.apply(
        x, scale, zero_point, qmin, qmax, mask == GradientMask.CLIP_THEN_ROUND, binary, step_gradient, odd
    )  # type: ignore[no-untyped-call]
    return result


def quantize_to_codes(
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor | None,
    qmin: float,
    qmax: float,
    *,
    binary: bool = False,
    odd: bool = False,
) -> Tensor:
    """The integer codes k of `x`, int32; without gradients."""
    with torch.no_grad():
        if binary:
            return _sign(x / scale).to(torch.int32)
        code = _code(x / scale, zero_point, qmin, qmax, True, False, odd)
        return (code if zero_point is None else code + zero_point.round()).to(torch.int32)
