"""Methods, training engine: what a method wants of every training step beside the loss of the task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Beside:
    """Part of a training that is the method's own; everything here is optional.

    `penalty` is added to the task's loss before gradients are taken; the losses that are shown and recorded are the
    task's alone. `parameters` leave the optimizer of the recipe for an Adam without decay at the constant rate
    `learning_rate`. `after_update` runs after every step, to bring back what left its set. `watched` are numbers, each
    a tensor of one element, that `Trained.watched` has at the start and at every look, also after an interruption.
    """

    penalty: Callable[[], Tensor] | None = None
    parameters: Sequence[nn.Parameter] = ()
    learning_rate: float = 1e-3
    after_update: Callable[[], None] | None = None
    watched: Mapping[str, Callable[[], Tensor]] = field(default_factory=dict)

    def own_optimizer(self) -> torch.optim.Optimizer | None:
        """The optimizer of `parameters`, where there are any."""
        if not self.parameters:
            return None
        return torch.optim.Adam(self.parameters, lr=self.learning_rate, fused=True)


NOTHING = Beside()
