"""Methods, training engine: looks at a training on its way. The loss, the steps that learn, and what a method watches.

Nothing is fetched from the device between two looks, so that no step waits for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from suite.methods.api import Diverged
from suite.quantizers import Quantizer
from suite.quantizers.learned_clip import LearnedClip

LOOKS = 100
"""How many times in a run the mean loss is fetched from the device: to show it, and to stop when it is not finite."""


@dataclass(frozen=True)
class Look:
    """What one look shows: how many steps since the last, and their mean loss."""

    steps: int
    loss: float


class Looks:
    """Sums losses on the device and fetches their mean now and then; a sum that is not finite ends the run.

    What learned steps are by then, and what the method watches, is fetched along.
    """

    def __init__(
        self, total: int, quantizers: Sequence[Quantizer | LearnedClip], watched: Sequence[Callable[[], Tensor]]
    ) -> None:
        self.total = total
        self.quantizers = quantizers
        self.watched = watched
        self.places = [0]
        self.sizes = [self._sizes()]
        self.every = max(1, total // LOOKS)
        self.sum: Tensor | None = None
        self.first = math.inf
        self.count = 0
        self.losses: list[float] = []

    def add(self, step: int, value: Tensor) -> Look | None:
        """Count the loss of a step; a look where one is due."""
        value = value.detach()
        if step == 0:
            self.first = float(value)
        self.sum = value.clone() if self.sum is None else self.sum.add_(value)
        self.count += 1
        if self.count < self.every and step + 1 < self.total:
            return None
        mean = float(self.sum) / self.count
        if not torch.isfinite(torch.tensor(mean)):
            raise Diverged(f"the training loss is {mean} after {step + 1} of {self.total} steps")
        look = Look(self.count, mean)
        self.sum, self.count = None, 0
        self.losses.append(mean)
        self.places.append(step + 1)
        self.sizes.append(self._sizes())
        if not all(map(math.isfinite, self.sizes[-1])):  # the loss is of the network before the update
            what = "what is learned beside the weights" if self.watched else "a quantization step"
            raise Diverged(f"{what} is not finite after {step + 1} of {self.total} steps")
        return look

    def _sizes(self) -> list[float]:
        """The mean step of every quantizer and what is watched, in one transfer from the device."""
        means = [one.scale.detach().mean() for one in self.quantizers]
        numbers = [*means, *(look().detach() for look in self.watched)]
        if not numbers:
            return []
        fetched: list[float] = torch.stack([number.double() for number in numbers]).tolist()
        return fetched

    def take_up(self, tensors: Mapping[str, Tensor], count: int, first: float, device: torch.device) -> None:
        """Go on from the looks that a checkpoint kept."""
        self.losses = tensors["losses"].tolist()
        self.places = tensors["places"].tolist()
        self.sizes = tensors["sizes"].tolist()
        self.count, self.first = count, first
        self.sum = tensors["sum"].to(device) if "sum" in tensors else None
