"""Tasks: from logits to outcomes."""

from __future__ import annotations

import torch


def top1_outcomes(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Whether the largest logit is the label's, once a label: bool [labels].

    Classes are axis 1 of `logits`: [N, K] for labels [N], [N, K, T] for labels [N, T]. Where one of them is NaN the
    answer is wrong: `argmax` would return the place of the NaN, and a diverged model would score like chance.
    """
    return ((logits.argmax(dim=1) == labels) & ~logits.isnan().any(dim=1)).flatten()
