"""Methods, training engine: distillation, a loss that compares the network with its float model beside the labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from suite.methods.engines.acceleration import channels_last, compiled
from suite.methods.engines.recipe import Compilation, Recipe

Teacher = Callable[[Tensor], Tensor]
"""Inputs of a batch -> outputs of the float model, without gradients."""


def divergence_from(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² KL(softmax(t / T) ∥ softmax(s / T)), the mean over examples (and positions); classes are axis 1.

    T² keeps the size of the gradient: at high temperatures it is that of squared differences of the outputs.
    """
    expected = functional.log_softmax(teacher / temperature, dim=1)
    found = functional.log_softmax(student / temperature, dim=1)
    return functional.kl_div(found, expected, reduction="none", log_target=True).sum(1).mean() * temperature**2


def distilled(task_loss: Tensor, student: Tensor, teacher: Tensor, recipe: Recipe) -> Tensor:
    """(1 - a) times the task's loss + a T² KL(teacher ∥ student), with a the recipe's share of distillation."""
    share = recipe.distillation
    return (1 - share) * task_loss + share * divergence_from(student, teacher, recipe.temperature)


@contextmanager
def teaching(reference: nn.Module, recipe: Recipe, *, fast: bool) -> Iterator[Teacher | None]:
    """The float model in evaluation mode, as a teacher; None where the recipe wants none.

    `fast`: it is compiled where the network that learns is.
    """
    if not recipe.distillation:
        yield None
        return
    reference.eval()
    required = recipe.compilation is Compilation.ALWAYS
    with (
        channels_last(reference) as layout,
        compiled(reference, recipe.batch_size, wanted=fast, required=required, training=False),
    ):

        @torch.no_grad()
        def teacher(inputs: Tensor) -> Tensor:
            outputs: Tensor = reference(inputs.contiguous(memory_format=layout))
            return outputs

        yield teacher
