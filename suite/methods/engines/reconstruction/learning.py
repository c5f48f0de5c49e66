"""Methods, reconstruction engine: the loop that learns one unit so that its output comes close to the float one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from suite.methods.api import Diverged, Workbench
from suite.methods.engines.reconstruction.compiling import Compiler
from suite.methods.engines.reconstruction.flow import Stored
from suite.methods.engines.reconstruction.losses import Distance, distance
from suite.methods.engines.reconstruction.settings import Regularizer
from suite.methods.engines.reconstruction.units import Unit
from suite.quantizers import Quantizer
from suite.quantizers.dropping import drop
from suite.quantizers.rounding import LearnedRounding, cosine_beta, linear_beta
from suite.quantizers.rounding.schedules import warming_up

Push = tuple[Tensor, Tensor] | None
"""The regularizer's exponent beta and its factor; tensors, so that they change without a new compilation."""

LARGEST_PARAMETER = 1e4
"""Roundings are decided by numbers of the order of one: logarithms, logits, shifts in steps."""
LARGEST_GROWTH = 1e3
"""A step a thousand times as large as its start leaves a single level."""
SMALL_STEP = 1e-3
"""Starts below count as this: a usual rate moves them by as much, and no rate has exploded."""

LOOKS = 20
"""How many times in a unit the mean loss is fetched from the device, to show it and to stop when it is not finite."""


@dataclass(frozen=True)
class Examples:
    """What a unit learns from: its inputs in the networks that matter, the float outputs, and their importance."""

    quantized: tuple[Stored, ...] | None
    floating: tuple[Stored, ...] | None
    targets: Stored
    importance: Stored | None
    count: int


@dataclass(frozen=True)
class Stage:
    """How long and by which loss a unit learns; `key` names its checkpoints, `label` says to people what is learned."""

    key: str
    label: str
    iterations: int
    batch_size: int
    with_replacement: bool
    unit_input: str
    keep_quantized: float
    distance: Distance
    regularizer: Regularizer | None


@dataclass(frozen=True)
class Learned:
    """Mean loss of the first and of the last twentieth of the iterations."""

    first_loss: float
    last_loss: float


@dataclass(frozen=True)
class Falling:
    """A group of an optimizer and whether its rate falls to zero along a cosine."""

    group: dict[str, Any]
    cosine: bool


def merged(groups: Sequence[Falling]) -> list[Falling]:
    """Groups that differ in their parameters alone as one: an optimizer's step costs time for each group."""
    found: dict[object, Falling] = {}
    for one in groups:
        settings = {name: value for name, value in one.group.items() if name != "params"}
        known = found.setdefault(
            (one.cosine, *sorted(settings.items())), Falling({**settings, "params": []}, one.cosine)
        )
        known.group["params"].extend(one.group["params"])
    return list(found.values())


@dataclass(frozen=True)
class Learnable:
    """What is learned in a unit: roundings and activation steps, and the groups of the optimizer that hold them."""

    roundings: Sequence[LearnedRounding]
    steps: Sequence[Quantizer]
    groups: Sequence[Falling]


def learn(
    work: Workbench,
    unit: Unit,
    examples: Examples,
    stage: Stage,
    learnable: Learnable,
    compiler: Compiler,
    advance: Callable[..., None],
) -> Learned:
    """Minimize the distance of the unit's output from its targets, in place, over batches of examples."""
    name = f"{stage.label} {unit.name}"
    loss = sampled_loss(unit, examples, stage, learnable, compiler, work.random(f"examples of {name}"))
    with _own_randomness(work, name):
        return descend(name, Descent(stage, learnable, loss, work.device), advance)


def sampled_loss(
    unit: Unit, examples: Examples, stage: Stage, learnable: Learnable, compiler: Compiler, order: torch.Generator
) -> Callable[[Push], Tensor]:
    """The loss of one batch, drawn anew with every call, which leaves its gradients."""
    quantized = None if stage.unit_input == "float" else examples.quantized
    floating = None if stage.unit_input == "quantized" else examples.floating
    run = compiler(_Objective(unit.module, stage, tuple(learnable.roundings)), stage.iterations)

    def loss(push: Push) -> Tensor:
        chosen = _draw(examples.count, stage, order)
        return run(
            None if quantized is None else tuple(value.take(chosen) for value in quantized),
            None if floating is None else tuple(value.take(chosen) for value in floating),
            examples.targets.take(chosen),
            None if examples.importance is None else examples.importance.take(chosen),
            push,
        )

    return loss


class Descent:
    """The iterations of one unit, one at a time.

    `differentiate` is given the push of the regularizer; it returns the loss and leaves its gradients.
    """

    def __init__(
        self, stage: Stage, learnable: Learnable, differentiate: Callable[[Push], Tensor], device: torch.device
    ) -> None:
        self.stage, self.learnable, self.differentiate = stage, learnable, differentiate
        self.groups = merged(learnable.groups)
        self.optimizer = torch.optim.Adam([dict(one.group) for one in self.groups], fused=True)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.beta, self.factor = torch.zeros(2, device=device)
        soft = any(one.penalty(2.0) is not None for one in learnable.roundings)
        self.regularizer = stage.regularizer if soft else None
        self.iteration = 0
        self._steps_at_start = [quantizer.scale.detach().clone() for quantizer in learnable.steps]

    def step(self) -> Tensor:
        """One iteration; its loss stays on the device."""
        self.iteration += 1
        iteration, total = self.iteration, self.stage.iterations
        for group, rate, one in zip(self.optimizer.param_groups, self.rates, self.groups, strict=True):
            if one.cosine:
                group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * (iteration - 1) / total))
        if self.regularizer is not None:
            warm = warming_up(iteration, total, self.regularizer.warmup)
            self.beta.fill_(_beta(self.regularizer, iteration, total))
            self.factor.fill_(0.0 if warm else self.regularizer.factor)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.differentiate(None if self.regularizer is None else (self.beta, self.factor))
        self.optimizer.step()
        for rounding in self.learnable.roundings:
            rounding.keep_valid()
        for quantizer in self.learnable.steps:
            quantizer.keep_positive()
        return loss

    def require_sanity(self, name: str) -> None:
        """Raise `Diverged` where something learned has gone where no useful value is, though the loss is finite.

        Rounding saturates and clips, so that a rate that explodes seldom shows as a loss that is not a number.
        """
        learned = [value for one in self.learnable.groups for value in one.group["params"]]
        steps = {id(quantizer.scale) for quantizer in self.learnable.steps}
        for value in learned:
            largest = float(value.detach().abs().max()) if id(value) not in steps else 0.0
            if not largest <= LARGEST_PARAMETER:
                raise Diverged(f"{name}: what decides the rounding has grown to {largest:.3g}")
        for quantizer, start in zip(self.learnable.steps, self._steps_at_start, strict=True):
            growth = float((quantizer.scale.detach() / start.clamp(min=SMALL_STEP)).max())
            if not growth <= LARGEST_GROWTH:
                raise Diverged(f"{name}: an activation step has grown to {growth:.3g} times its start")


def descend(name: str, descent: Descent, advance: Callable[..., None]) -> Learned:
    """All iterations of one unit. Raises `Diverged` where the loss leaves the finite numbers."""
    looks = _Looks(descent.stage.iterations, name)
    for iteration in range(1, descent.stage.iterations + 1):
        seen = looks.add(iteration, descent.step())
        if seen is not None:
            advance(seen[0], loss=seen[1])
    descent.require_sanity(name)
    return Learned(looks.losses[0], looks.losses[-1])


def penalties(roundings: Sequence[LearnedRounding], push: Push) -> Tensor | float:
    """The weighted regularizer of some roundings; zero where no rounding is soft."""
    total: Tensor | float = 0.0
    if push is not None:
        beta, factor = push
        for rounding in roundings:
            penalty = rounding.penalty(beta)
            total = total if penalty is None else total + factor * penalty
    return total


class _Objective(nn.Module):
    """The loss of one unit for one batch: mixed input, forward pass, distance, penalty. Compiled as a whole."""

    def __init__(self, unit: nn.Module, stage: Stage, roundings: tuple[LearnedRounding, ...]) -> None:
        super().__init__()
        self.unit = unit
        self.keep_quantized = stage.keep_quantized
        self.distance = stage.distance
        self.roundings = roundings

    def forward(
        self,
        quantized: tuple[Any, ...] | None,
        floating: tuple[Any, ...] | None,
        target: Tensor,
        importance: Tensor | None,
        push: Push,
    ) -> Tensor:
        if quantized is not None and floating is not None:
            given = tuple(self.mixed(left, right) for left, right in zip(quantized, floating, strict=True))
        else:
            given = quantized if quantized is not None else floating or ()
        output = self.unit(*given)
        # Channels of images and of vectors are axis 1, those of sequences the last.
        channel_axis = 1 if output.ndim in (2, 4) else output.ndim - 1
        loss = distance(output, target, self.distance, importance, channel_axis=channel_axis)
        return loss + penalties(self.roundings, push)

    def mixed(self, quantized: Any, floating: Any) -> Any:
        """Every element from the quantized network with the probability `keep_quantized`, else from the float one."""
        if not isinstance(quantized, Tensor) or not quantized.is_floating_point() or quantized is floating:
            return quantized
        return drop(quantized, floating, self.keep_quantized)


def _draw(count: int, stage: Stage, order: torch.Generator) -> Tensor:
    size = min(stage.batch_size, count)
    if stage.with_replacement:
        return torch.randint(count, (size,), generator=order)
    return torch.randperm(count, generator=order)[:size]


def _beta(regularizer: Regularizer, iteration: int, total: int) -> float:
    fall = cosine_beta if regularizer.schedule == "cosine" else linear_beta
    return fall(iteration, total, warmup=regularizer.warmup, start=regularizer.start, end=regularizer.end)


class _Looks:
    """Sums losses on the device and fetches their mean now and then."""

    def __init__(self, total: int, name: str) -> None:
        self.total, self.name = total, name
        self.every = max(1, total // LOOKS)
        self.sum: Tensor | None = None
        self.count = 0
        self.losses: list[float] = []

    def add(self, iteration: int, loss: Tensor) -> tuple[int, float] | None:
        self.sum = loss.clone() if self.sum is None else self.sum.add_(loss)
        self.count += 1
        if self.count < self.every and iteration < self.total:
            return None
        mean, count = float(self.sum) / self.count, self.count
        if not math.isfinite(mean):
            raise Diverged(f"{self.name}: the loss is {mean} after {iteration} of {self.total} iterations")
        self.sum, self.count = None, 0
        self.losses.append(mean)
        return count, mean


@contextmanager
def _own_randomness(work: Workbench, name: str) -> Iterator[None]:
    """Dropping and mixing draw from the global generator: give them a stream of this unit's own."""
    with torch.random.fork_rng():
        torch.manual_seed(work.random(f"dropping in {name}").initial_seed())
        yield
