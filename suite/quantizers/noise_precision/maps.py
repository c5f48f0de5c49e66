"""Quantizers, precisions learned by noise: the maps between the learned number s, precision and noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus


def precision_of(s: Tensor) -> Tensor:
    """The precision p = 1 + log2(1 + e^-s) > 1, a real number of bits; noise is 2^(1 - p) wide to each side."""
    return 1 + softplus(-s) / math.log(2)


def noise_half_width(s: Tensor) -> Tensor:
    """How far the noise reaches to each side: σ(s) = 1 / (1 + e^-s) = 2^(1 - p)."""
    return torch.sigmoid(s)


def parameter_of(precision: Tensor) -> Tensor:
    """The s of a precision p > 1, the inverse of `precision_of`: s = -ln(2^(p-1) - 1)."""
    # 2^x - 1 keeps its digits near x = 0 as expm1(x ln 2).
    return -torch.log(torch.expm1((precision - 1) * math.log(2)))


def precision_penalty(s: Tensor, weights_per_parameter: int = 1) -> Tensor:
    """The bits above one, summed over all weights: Σ log2(1 + e^-s), with the gradient -(1 - σ(s)) / ln 2.

    A sum and not a mean, so its factor λ scales inversely with the size of a network. Where one s serves
    a whole layer, it counts once for each of the `weights_per_parameter` weights, and λ keeps its meaning.
    """
    return softplus(-s).sum() * (weights_per_parameter / math.log(2))
