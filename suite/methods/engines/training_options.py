"""Methods, training engine: the options that every trained method has, and the recipe that they describe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from suite.methods.api import Options, option
from suite.methods.engines.recipe import Compilation, Optimizer, Recipe, Schedule


@dataclass(frozen=True)
class TrainingOptions(Options):
    """How long and how a network is trained; options of a method inherit from it."""

    epochs: int = option(30, doc="passes over the training examples", minimum=1, maximum=100_000)
    steps: int | None = option(None, doc="training steps, which replace epochs", minimum=1, maximum=100_000_000)
    batch_size: int = option(64, doc="examples in one training step", minimum=1, maximum=65_536)
    learning_rate: float = option(0.05, doc="rate of the first step", minimum=0.0)
    schedule: Literal["cosine", "constant", "step"] = option("cosine", doc="how the rate falls")
    optimizer: Literal["sgd", "adam", "adamw"] = option("sgd", doc="update rule; sgd is with Nesterov momentum")
    momentum: float = option(0.9, doc="momentum of sgd, first-moment decay of adam", minimum=0.0, maximum=0.9999)
    weight_decay: float = option(1e-4, doc="decay of weights; steps, biases and normalization never decay", minimum=0.0)
    distillation: float = option(
        0.0, doc="share of the loss that compares with the float model, not with the labels", minimum=0.0, maximum=1.0
    )
    temperature: float = option(
        1.0, doc="what divides the outputs of both models before they are compared", minimum=1e-3, maximum=1e3
    )
    validation_fraction: float = option(
        0.1, doc="part of the examples held out where the checkpoint is best-on-validation", minimum=1e-6, maximum=0.999
    )
    compile: Literal["auto", "never", "always"] = option(
        "auto", doc="compile the training step; auto: where it gains, and eagerly where it fails; always: or fail"
    )

    @classmethod
    def quick(cls) -> Self:
        return cls(steps=6, batch_size=32)

    def recipe(self, *, step_rate_ratio: float = 1.0, step_decay: float = 0.0) -> Recipe:
        """The training recipe that the options describe."""
        return Recipe(
            epochs=self.epochs if self.steps is None else None,
            steps=self.steps,
            batch_size=self.batch_size,
            optimizer=Optimizer(self.optimizer),
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            schedule=Schedule(self.schedule),
            step_rate_ratio=step_rate_ratio,
            step_decay=step_decay,
            validation_fraction=self.validation_fraction,
            distillation=self.distillation,
            temperature=self.temperature,
            compilation=Compilation(self.compile),
        )
