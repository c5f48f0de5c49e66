"""Methods, training engine: the optimizer of a recipe, with what decays and what learns at a rate of its own apart."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from suite.errors import SuiteError
from suite.methods.engines.recipe import Optimizer, Recipe


def make_optimizer(
    model: nn.Module, quantizers: Sequence[nn.Module], recipe: Recipe, *, apart: Sequence[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """The optimizer with three groups: matrices, which decay; other parameters; steps, at a rate of their own.

    What is `apart` is trained by somebody else.
    """
    steps = {id(parameter) for quantizer in quantizers for parameter in quantizer.parameters()}
    elsewhere = {id(parameter) for parameter in apart}
    trained = [
        parameter for parameter in model.parameters() if parameter.requires_grad and id(parameter) not in elsewhere
    ]
    matrices = [parameter for parameter in trained if id(parameter) not in steps and parameter.ndim > 1]
    others = [parameter for parameter in trained if id(parameter) not in steps and parameter.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay, "lr": recipe.learning_rate},
        {"params": others, "weight_decay": 0.0, "lr": recipe.learning_rate},
        {
            "params": [parameter for parameter in trained if id(parameter) in steps],
            "weight_decay": recipe.step_decay,
            "lr": recipe.learning_rate * recipe.step_rate_ratio,
        },
    ]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise SuiteError("nothing in this model can be trained")
    if recipe.optimizer is Optimizer.SGD:
        return torch.optim.SGD(groups, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True)
    kind = torch.optim.Adam if recipe.optimizer is Optimizer.ADAM else torch.optim.AdamW
    return kind(groups, betas=(recipe.momentum, 0.999), fused=True)
