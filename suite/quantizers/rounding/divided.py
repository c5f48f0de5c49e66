"""Quantizers, learned rounding: rounding to nearest of a weight that was shifted and divided, with its gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Factors(NamedTuple):
    """What is learned; None where it is not.

    v: added to W / s0, in units of the starting step s0. s1: the step. S2 (shape of W), s3 (output channels), s4 (input
    channels): divisors. `logarithms`: s1 is ln(s1 / s0), and S2, s3, s4 are logarithms; otherwise all are the factors
    themselves. Either way an untouched start is exact: e^0 and s0 / s0 are one.
    """

    v: Tensor | None
    s1: Tensor | None
    s2: Tensor | None
    s3: Tensor | None
    s4: Tensor | None
    logarithms: bool


class Limits(NamedTuple):
    """The limits of k - z, numbers or tensors of z's shape, and the order of clipping and rounding."""

    low: Tensor | float
    high: Tensor | float
    clip_first: bool
    binary: bool


def step_and_ratio(ratio: Tensor, scale: Tensor, factors: Factors) -> tuple[Tensor, Tensor, Tensor | None]:
    """The step s1, r = (W / s0 + v) / ((s1 / s0) S2 s3 s4), and the divisor's inverse (None where it is one)."""
    v, s1, s2, s3, s4, logarithms = factors
    shifted = ratio if v is None else ratio + v
    if logarithms:
        small = _joined([one for one in (s1, s3, s4) if one is not None], torch.add)
        step = scale if s1 is None else scale * s1.exp()
        if s2 is not None:
            inverse: Tensor | None = (-s2 if small is None else torch.sub(-small, s2)).exp_()
        else:
            inverse = None if small is None else small.neg().exp_()
        return step, shifted if inverse is None else shifted * inverse, inverse
    growth = None if s1 is None else s1 / scale
    small = _joined([one for one in (growth, s3, s4) if one is not None], torch.mul)
    step = scale if s1 is None else s1
    divisor = s2 if small is None else small if s2 is None else s2 * small
    if divisor is None:
        return step, shifted, None
    return step, shifted / divisor, divisor.reciprocal()


def _joined(parts: list[Tensor], operation: Any) -> Tensor | None:
    joined: Tensor | None = None
    for part in parts:
        joined = part if joined is None else operation(joined, part)
    return joined


def code_and_mask(ratio: Tensor, limits: Limits) -> tuple[Tensor, Tensor]:
    """The code k - z of r, and the mask M of what passes gradients, as numbers 0 and 1."""
    # Multiplying by numbers is ten times faster than by truth values; so is clamping between tensors by two extrema.
    if limits.binary:
        return torch.where(ratio >= 0, 1.0, -1.0).to(ratio.dtype), ratio.clamp(-1.0, 1.0).eq_(ratio)
    if limits.clip_first:
        inside = _clip(ratio, limits)
        code = inside.round()
        return code, inside.eq_(ratio)
    inside = ratio.round()
    code = _clip(inside, limits)
    return code, inside.eq_(code)


def _clip(values: Tensor, limits: Limits) -> Tensor:
    low, high = limits.low, limits.high
    if isinstance(low, Tensor) and isinstance(high, Tensor):
        return torch.minimum(torch.maximum(values, low), high)
    return values.clamp(low, high)  # type: ignore[arg-type]  # both are numbers


class _DividedRounding(torch.autograd.Function):
    """One function for all combinations, so that nothing is computed twice and little is kept.

    With g the gradient of W^, D = (s1 / s0) S2 s3 s4 and everything taken straight through the rounding:
    dv: g s1 M / D. d ln s1: s1 sum g (k - M r). d ln S': -s1 g M r, summed over what shares a factor. The gradient of a
    factor itself is that of its logarithm divided by it.
    """

    @staticmethod
    def forward(
        ctx: Any, ratio: Tensor, scale: Tensor, v: Tensor | None, s1: Tensor | None, s2: Tensor | None,
        s3: Tensor | None, s4: Tensor | None, low: Tensor | float, high: Tensor | float,
        logarithms: bool, clip_first: bool, binary: bool,
    ) -> Tensor:  # fmt: skip
        factors = Factors(v, s1, s2, s3, s4, logarithms)
        step, divided, inverse = step_and_ratio(ratio, scale, factors)
        code, inside = code_and_mask(divided, Limits(low, high, clip_first, binary))
        passed = divided * inside
        masks = (None, None) if v is None else (inside, inverse)  # what only the gradient of v needs
        ctx.save_for_backward(passed, code, step, *masks, s1, s2, s3, s4)
        ctx.logarithms = logarithms
        return code * step

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        passed, code, step, inside, inverse, s1, s2, s3, s4 = ctx.saved_tensors
        arriving = gradients[0] * step
        of_v = of_s1 = of_s2 = of_s3 = of_s4 = None
        if inside is not None:
            of_v = arriving * inside if inverse is None else (arriving * inside).mul_(inverse)
        if s1 is not None:
            # The small difference is taken before the sum: two large sums would cancel each other's digits.
            of_s1 = ((code - passed) * arriving).sum_to_size(s1.shape)
        if s2 is not None or s3 is not None or s4 is not None:
            of_s2 = (arriving * passed).neg_()
            # Over the long axes first: sums over the few elements of a kernel are six times slower.
            of_s3 = None if s3 is None else of_s2.sum(tuple(range(1, of_s2.dim())), keepdim=True)
            of_s4 = None if s4 is None else of_s2.sum(0, keepdim=True).sum_to_size(s4.shape)
        if not ctx.logarithms:
            of_s1 = None if s1 is None else of_s1 / s1
            of_s2, of_s3, of_s4 = (
                None if factor is None or gradient is None else gradient / factor
                for gradient, factor in ((of_s2, s2), (of_s3, s3), (of_s4, s4))
            )
        return None, None, of_v, of_s1, None if s2 is None else of_s2, of_s3, of_s4, None, None, None, None, None


def divided_rounding(ratio: Tensor, scale: Tensor, factors: Factors, limits: Limits) -> Tensor:
    """s1 clip(round((W + s0 v) / (s1 S2 s3 s4))) for `ratio` W / s0 and `scale` s0, differentiable in the factors."""
    result: Tensor = _DividedRounding.apply(
        ratio, scale, *factors[:5], limits.low, limits.high, factors.logarithms, limits.clip_first, limits.binary
    )  # type: ignore[no-untyped-call]
    return result
