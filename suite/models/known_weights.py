"""Models: public weights that have seen the test images of one of the suite's splits, known by their tensors.

A network trained on all 50,000 train images of CIFAR-10 must not be tested on any of them. Nothing in a weights
file says what it was trained on, so the ones that invite the mistake are named here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from suite.errors import Unsupported
from suite.models.weights import state_hash


@dataclass(frozen=True)
class KnownWeights:
    """Public weights, and the tasks whose test images they were trained on."""

    title: str
    trained_on: str
    forbidden_tasks: tuple[str, ...]


# Key: `state_hash` of the loaded model, so the same tensors in another file are recognised too.
KNOWN: Mapping[str, KnownWeights] = {
    "17ab93de04bd56db6dca3847ec214b9e3ba8ebe1641b6380dc4dbada18d348a4": KnownWeights(
        title="the published ResNet-20 of akamaster/pytorch_resnet_cifar10",
        trained_on="all 50,000 official train images",
        forbidden_tasks=("cifar10-clean40k",),
    ),
}


def require_unseen(model: nn.Module, task: str) -> None:
    """Refuse known weights on a task whose test images they have seen."""
    known = KNOWN.get(state_hash(model))
    if known is not None and task in known.forbidden_tasks:
        raise Unsupported(
            f"{known.title} was trained on {known.trained_on}, which hold the test images of '{task}'",
            hint="test it on the official split, or take weights trained on the clean split",
        )
