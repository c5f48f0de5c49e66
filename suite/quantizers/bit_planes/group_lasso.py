"""Quantizers, planes of bits: the regularizer that empties whole planes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

SMOOTHING = 1e-8
"""Keeps the gradient of an empty plane's norm finite."""


def group_lasso(positive: Tensor, negative: Tensor) -> Tensor:
    """Σ_j sqrt(1e-8 + ‖p_j‖² + ‖n_j‖²): one group for each plane, its positive and its negative half together."""
    dimensions = tuple(range(positive.dim() - 1))
    return torch.sqrt(SMOOTHING + positive.square().sum(dimensions) + negative.square().sum(dimensions)).sum()


def weighted_group_lasso(planes: Sequence[tuple[Tensor, Tensor]], total_weights: int | None = None) -> Tensor:
    """Σ_l (N_l n_l / N) GL_l: each tensor counts by its bits, so that precision goes where it costs least.

    Tensor l has N_l n_l bits in n_l planes; N is `total_weights`, or all weights of the tensors that are given.
    """
    if total_weights is None:
        total_weights = sum(positive[..., 0].numel() for positive, _ in planes)
    parts = [group_lasso(positive, negative) * (positive.numel() / total_weights) for positive, negative in planes]
    return torch.stack(parts).sum()
