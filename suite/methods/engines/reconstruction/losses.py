"""Methods, reconstruction engine: how far a unit's output is from its target, as pure functions.

Channels are axis 1 of an image [N, C, H, W] or of a matrix [N, C]. Of a sequence [N, T, C] they are the last axis;
public code sums over axis 1 there too, which are the positions: `channel_axis` chooses.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

BRECQ_ACTIVATION_EXPONENT = 2.4
Distance = Literal["plain", "fisher", "power-2.4"]


def distance(
    prediction: Tensor, target: Tensor, kind: Distance, importance: Tensor | None = None, *, channel_axis: int = 1
) -> Tensor:
    """The loss of a given kind; `importance`, for the Fisher diagonal, is the gradient of the task's loss."""
    if kind == "plain":
        return squared_error(prediction, target, channel_axis=channel_axis)
    if kind == "power-2.4":
        return power_error(prediction, target, channel_axis=channel_axis)
    if importance is None:
        raise ValueError("the Fisher diagonal needs the gradient of the task's loss")
    return fisher_diagonal(prediction, target, importance, channel_axis=channel_axis)


def squared_error(prediction: Tensor, target: Tensor, *, channel_axis: int = 1) -> Tensor:
    """The plain loss, lp2: mean over examples and positions of the sum over channels of (p - t)^2."""
    # The fused mean, times how many channels went into it: one pass forward and one back.
    return functional.mse_loss(prediction, target) * prediction.shape[channel_axis]


def power_error(
    prediction: Tensor, target: Tensor, exponent: float = BRECQ_ACTIVATION_EXPONENT, *, channel_axis: int = 1
) -> Tensor:
    """Mean over examples and positions of the sum over channels of |p - t|^exponent."""
    result: Tensor = _PowerError.apply(
        prediction, target, exponent, prediction.shape[channel_axis] / prediction.numel()
    )  # type: ignore[no-untyped-call]
    return result


def mean_power_error(prediction: Tensor, target: Tensor, exponent: float = BRECQ_ACTIVATION_EXPONENT) -> Tensor:
    """Mean of |p - t|^exponent over everything, channels included."""
    result: Tensor = _PowerError.apply(prediction, target, exponent, 1 / prediction.numel())  # type: ignore[no-untyped-call]
    return result


def fisher_diagonal(prediction: Tensor, target: Tensor, gradient: Tensor, *, channel_axis: int = 1) -> Tensor:
    """Mean over examples and positions of the sum over channels of ((p - t) g)^2.

    `gradient` g is that of the task's loss in the target, where it is taken: its square stands for the diagonal of the
    Fisher information.
    """
    weighted = (prediction - target) * gradient
    return weighted.square().sum() * (prediction.shape[channel_axis] / prediction.numel())


def fisher_full(prediction: Tensor, target: Tensor, gradient: Tensor) -> Tensor:
    """Mean of a |g| |p - t| / 100, where a is the sum of |g| |p - t| over one example: a rank-one Fisher."""
    weighted = (prediction - target).abs() * gradient.abs()
    of_example = weighted.flatten(1).sum(1)
    return of_example.square().sum() / (100 * prediction.numel())


def squared_norm(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean over examples of the squared norm of p - t."""
    return functional.mse_loss(prediction, target) * (prediction.numel() / prediction.shape[0])


class _PowerError(torch.autograd.Function):
    """factor sum |p - t|^e with one power: q = |p - t|^(e - 1) gives the value q |p - t| and the gradient e q sign."""

    @staticmethod
    def forward(ctx: Any, prediction: Tensor, target: Tensor, exponent: float, factor: float) -> Tensor:
        error = prediction - target
        magnitude = error.abs()
        power = magnitude.pow(exponent - 1)
        total = (power * magnitude).sum() * factor
        ctx.save_for_backward(power.mul_(error.sign_()).mul_(exponent * factor))
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        (slope,) = ctx.saved_tensors
        slope = slope * gradients[0]
        return slope, -slope if ctx.needs_input_grad[1] else None, None, None
