"""Methods, training engine: the recipe, which is data, and the schedule of the learning rate, which is arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from suite.errors import SuiteError


class Optimizer(StrEnum):
    """Which update rule the weights follow."""

    SGD = "sgd"
    ADAM = "adam"
    ADAMW = "adamw"


class Schedule(StrEnum):
    """How the learning rate falls."""

    CONSTANT = "constant"
    COSINE = "cosine"
    STEP = "step"


class Compilation(StrEnum):
    """Whether the training step is compiled; `auto` decides from recipe and model alone, never from a stopwatch."""

    AUTO = "auto"
    NEVER = "never"
    ALWAYS = "always"


@dataclass(frozen=True)
class Window:
    """The place of a training in a schedule longer than itself: its first step is step `start` of `total`."""

    start: int
    total: int


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. Exactly one of `epochs` and `steps` is given.

    `step_rate_ratio` multiplies the learning rate of quantization steps. Biases and normalization parameters never
    decay.
    """

    epochs: int | None = None
    steps: int | None = None
    batch_size: int = 128
    optimizer: Optimizer = Optimizer.SGD
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Schedule = Schedule.COSINE
    warmup: float = 0.0
    """Fraction of all steps in which the rate climbs linearly from zero."""
    milestones: tuple[float, ...] = (0.5, 0.75)
    """Fractions of all steps at which the schedule `step` divides the rate by ten."""
    step_rate_ratio: float = 1.0
    step_decay: float = 0.0
    """Decay of learned steps and clipping limits."""
    validation_fraction: float = 0.1
    """Part of the examples held out where the checkpoint is the best on validation."""
    distillation: float = 0.0
    """Share of the loss that compares with the float model; the rest compares with the labels."""
    temperature: float = 1.0
    """What divides the outputs of both models before they are compared."""
    compilation: Compilation = Compilation.AUTO
    window: Window | None = None
    """Where several trainings share one schedule: which part of it this one has."""

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise SuiteError("a training recipe needs either epochs or steps, and not both")
        if (self.epochs or self.steps or 0) < 1:
            raise SuiteError("a training recipe needs at least one epoch or step")

    def total_steps(self, steps_per_epoch: int) -> int:
        return self.steps if self.steps is not None else (self.epochs or 0) * steps_per_epoch

    def rate(self, step: int, total: int) -> float:
        """Learning rate of step 0 ≤ `step` < `total`.

        Warm-up: η (step + 1) / w over the first w steps. Then, with t in [0, 1) the fraction of the rest that is done:
        constant η; cosine η (1 + cos πt) / 2; step η / 10^(number of milestones passed, as fractions of `total`).
        In a window both numbers are those of the whole schedule.
        """
        if self.window is not None:
            step, total = self.window.start + step, self.window.total
        warm = int(self.warmup * total)
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        if self.schedule is Schedule.COSINE:
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))
        if self.schedule is Schedule.STEP:
            passed = sum(step >= milestone * total for milestone in self.milestones)
            return float(self.learning_rate * 0.1**passed)
        return self.learning_rate
