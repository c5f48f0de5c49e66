"""Models: how a float baseline is trained. One deterministic routine, its numbers in a frozen recipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import nn

from suite.registry import unknown
from suite.tasks.api import Split, Task


@dataclass(frozen=True)
class Recipe:
    """Every number of a float training run; the last step is kept, nothing is picked on test data.

    The learning rate rises linearly to `peak_rate` over `warmup_epochs`, then falls along a cosine to zero.
    """

    optimizer: str  # "sgd" with Nesterov's momentum, or "adamw"
    epochs: int
    batch_size: int
    peak_rate: float
    warmup_epochs: int
    momentum: float  # of the gradient's running average: for adamw its first beta, beside a second of 0.999
    weight_decay: float  # on convolution and linear weights only, never on norms, biases and embeddings
    label_smoothing: float
    augmented: bool
    seed: int

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """Learning rate of one step, counted from 0."""
        warmup = self.warmup_epochs * steps_per_epoch
        total = self.epochs * steps_per_epoch
        if step < warmup:
            return self.peak_rate * (step + 1) / warmup
        return self.peak_rate * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / (total - warmup)))


RECIPES: dict[str, Recipe] = {
    "digits-resnet": Recipe(
        optimizer="sgd",
        epochs=60,
        batch_size=64,
        peak_rate=0.1,
        warmup_epochs=3,
        momentum=0.9,
        weight_decay=5e-4,
        label_smoothing=0.0,
        augmented=True,
        seed=0,
    ),
    # The same network, stopped early: a weaker baseline, for studies of what the float model is worth.
    "digits-resnet-brief": Recipe(
        optimizer="sgd",
        epochs=4,
        batch_size=64,
        peak_rate=0.1,
        warmup_epochs=1,
        momentum=0.9,
        weight_decay=5e-4,
        label_smoothing=0.0,
        augmented=True,
        seed=0,
    ),
    # Width, depth and these numbers did best on two parts of 256 training images each that were held out of training;
    # `baselines/README.md` says what was compared.
    "digits-vit": Recipe(
        optimizer="adamw",
        epochs=200,
        batch_size=64,
        peak_rate=0.004,
        warmup_epochs=10,
        momentum=0.9,
        weight_decay=0.5,
        label_smoothing=0.0,
        augmented=True,
        seed=0,
    ),
}


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order: the same bits on every run of one machine, whatever its number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(
    model: nn.Module, task: Task, recipe: Recipe, report: Callable[[int, float], None] = lambda epoch, loss: None
) -> nn.Module:
    """Train `model` in place on the training split and return it in eval mode. `report(epoch, mean loss)` per epoch."""
    data = task.split(Split.TRAIN)
    generator = torch.Generator().manual_seed(recipe.seed)
    optimizer = _optimizer(model, recipe)
    # A last incomplete batch would give batch norm a handful of examples; it is dropped, and reshuffled next epoch.
    steps_per_epoch = len(data) // recipe.batch_size
    model.train()
    with one_thread():
        for epoch in range(recipe.epochs):
            order = torch.randperm(len(data), generator=generator)
            total_loss = torch.zeros(())
            for step in range(steps_per_epoch):
                chosen = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
                inputs = data.inputs[chosen]
                if recipe.augmented and task.augment is not None:
                    inputs = task.augment(inputs, generator)
                for group in optimizer.param_groups:
                    group["lr"] = recipe.rate(epoch * steps_per_epoch + step, steps_per_epoch)
                optimizer.zero_grad(set_to_none=True)
                loss = functional.cross_entropy(
                    model(inputs), data.labels[chosen], label_smoothing=recipe.label_smoothing
                )
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                total_loss += loss.detach()
            report(epoch, float(total_loss) / steps_per_epoch)
    return model.eval()


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimizer of a recipe; weight decay pulls on what multiplies, not on what shifts or scales."""
    weights = {id(module.weight) for module in model.modules() if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear)}
    groups = [
        {"params": [one for one in model.parameters() if id(one) in weights], "weight_decay": recipe.weight_decay},
        {"params": [one for one in model.parameters() if id(one) not in weights], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.peak_rate, momentum=recipe.momentum, nesterov=True)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=(recipe.momentum, 0.999))
    raise unknown("optimizer", recipe.optimizer, ["adamw", "sgd"])


@torch.no_grad()
def measure(model: nn.Module, task: Task, split: Split = Split.TEST, batch_size: int = 256) -> torch.Tensor:
    """Outcomes (bool [N]) of a model on a split, in eval mode; the model's own mode is restored afterwards."""
    data = task.split(split)
    was_training = model.training
    model.eval()
    try:
        parts = [
            task.outcomes(model(data.inputs[start : start + batch_size]), data.labels[start : start + batch_size])
            for start in range(0, len(data), batch_size)
        ]
    finally:
        model.train(was_training)
    return torch.cat(parts)
