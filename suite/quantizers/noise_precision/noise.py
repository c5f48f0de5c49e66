"""Quantizers, precisions learned by noise: weights under noise, and the set that they must not leave."""

from __future__ import annotations

import torch
from torch import Tensor

from suite.quantizers.noise_precision.grid import Span
from suite.quantizers.noise_precision.maps import noise_half_width


@torch.library.custom_op("suite::uniform_noise", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,))
def _draw(like: Tensor) -> Tensor:
    return torch.empty_like(like).uniform_(-1.0, 1.0)


@_draw.register_fake
def _(like: Tensor) -> Tensor:
    return torch.empty_like(like)


def uniform_noise(like: Tensor) -> Tensor:
    """Independent numbers of U(-1, 1) in shape, dtype and layout of `like`, from the global generator.

    A custom operation keeps the draw whole under compilation, with the same numbers in the same order as without.
    """
    noise: Tensor = _draw(like.detach())
    return noise


def noisy(theta: Tensor, s: Tensor, noise: Tensor, span: Span = Span.TWO) -> Tensor:
    """The weight that a step of the precision phase sees: θ + c σ(s) ε, with c of the `span` (1, or 1/2 for `unit`).

    `s` broadcasts against θ: one for each weight, or one for the layer, whose noise is drawn for each weight still.
    Gradients: dL/dθ = G and dL/ds = c G ε σ(s) (1 - σ(s)), summed over what shares an s.
    """
    return torch.addcmul(theta, noise, noise_half_width(s), value=span.half)


@torch.no_grad()
def project_(theta: Tensor, s: Tensor, span: Span = Span.TWO) -> Tensor:
    """Move `theta`, in place, into what its precision can represent: |θ| ≤ c (2 - σ(s)), the outermost level.

    Noise then never leaves ±2 c, the outer edge of the outermost cell.
    """
    limit = span.half * (2 - noise_half_width(s))
    return theta.copy_(torch.minimum(torch.maximum(theta, -limit), limit))
