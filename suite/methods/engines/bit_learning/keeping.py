"""Methods, bit-learning engine: which state is kept, what is seen on the way, and how a killed run continues."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from suite.methods.api import Diverged, Fact, Workbench
from suite.methods.engines import resuming
from suite.methods.engines.bit_learning.grids import LearnedRanges
from suite.methods.engines.bit_learning.widths import WidthChoice
from suite.methods.engines.divergence import require_better_than_guessing

LOOKS = 100
"""How many times in a run figures are fetched from the device: to show them, and to stop when they are not finite."""
SPARE = 1.0
"""Bits on average below its target that a bound cannot be blamed for."""
NAME = "bits"


class Keeper:
    """The state to leave: of those within the bounds the one with the best accuracy so far, or the last.

    Everything is chosen on the device, without looking: a state is taken over where a truth value says so. `memory` is
    the share that earlier batches keep in the moving average of accuracy.
    """

    def __init__(self, choice: WidthChoice, learned: LearnedRanges, *, memory: float, keep_best: bool) -> None:
        self.choice = choice
        self.memory = memory
        self.keep_best = keep_best
        self.live = (choice.learned, learned.low, learned.high)
        self.kept = [value.detach().clone() for value in self.live]
        device = choice.learned.device
        self.average = torch.full((), math.nan, device=device)  # before the first batch there is none
        self.best = torch.full((), -math.inf, device=device)
        self.taken = torch.zeros((), dtype=torch.int64, device=device)
        self.within = torch.zeros((), dtype=torch.int64, device=device)

    @torch.no_grad()
    def see(self, step: int, widths: Tensor, accuracy: Tensor) -> None:
        """The state that has just answered a batch, before it is updated."""
        self.average = accuracy if step == 0 else self.memory * self.average + (1 - self.memory) * accuracy
        met = self.choice.met(widths)
        better = met & (self.average > self.best) if self.keep_best else met
        self.best = torch.where(better, self.average, self.best)
        self.taken = torch.where(better, step + 1, self.taken)
        self.within += met
        for kept, value in zip(self.kept, self.live, strict=True):
            kept.copy_(torch.where(better, value, kept))

    def final(self) -> tuple[Tensor, list[str]]:
        """The widths to leave, all within the bounds, and the choices that had to be narrowed for it."""
        if self.step is None:
            self.kept = [value.detach().clone() for value in self.live]
        return self.choice.reduced(self.kept[0])

    @property
    def step(self) -> int | None:
        """The step whose state was kept, from 1; None where none met the bounds."""
        return int(self.taken) or None

    @property
    def steps_within(self) -> int:
        """How many of all states were within the bounds."""
        return int(self.within)

    @property
    def ranges(self) -> tuple[Tensor, Tensor]:
        """Both ends of the learned ranges in the state to leave."""
        return self.kept[1], self.kept[2]

    def state(self) -> dict[str, Tensor]:
        numbers = {"average": self.average, "best": self.best, "taken": self.taken, "within": self.within}
        return {**numbers, **{f"kept{index}": value for index, value in enumerate(self.kept)}}

    def take_up(self, state: Mapping[str, Tensor]) -> None:
        device = self.best.device
        self.average, self.best, self.taken, self.within = (
            state[name].to(device) for name in ("average", "best", "taken", "within")
        )
        self.kept = [state[f"kept{index}"].to(device) for index in range(len(self.live))]


class Looks:
    """Sums losses on the device and fetches figures now and then; a sum that is not finite ends the run."""

    def __init__(self, total: int, choice: WidthChoice) -> None:
        self.total = total
        self.choice = choice
        self.every = max(1, total // LOOKS)
        self.sum = torch.zeros((), device=choice.learned.device)
        self.first = torch.full((), math.nan, device=choice.learned.device)
        self.count = 0
        self.losses: list[float] = []
        self.averages: dict[str, list[float]] = {bound.what: [] for bound in choice.bounds}

    def see(self, step: int, loss: Tensor, widths: Tensor) -> int:
        """Add one step; the number of steps since the last look where this is one, otherwise 0."""
        if step == 0:
            self.first = loss
        self.sum = self.sum + loss
        self.count += 1
        if self.count < self.every and step + 1 < self.total:
            return 0
        mean = float(self.sum) / self.count
        if not math.isfinite(mean):
            raise Diverged(f"the loss is {mean} after {step + 1} of {self.total} steps")
        self.losses.append(mean)
        counted = self.choice.counted(widths)
        for bound in self.choice.bounds:
            self.averages[bound.what].append(float(bound.average(counted)))
        taken, self.count = self.count, 0
        self.sum = torch.zeros_like(self.sum)
        return taken

    def require_learning(self, classes: int) -> None:
        """Raise `Diverged` where the network ends by guessing at the fewest bits that there are, far below its bounds.

        No bound has taken these bits away, and a step in the right direction would have given them back.
        """
        fewest = self.choice.counted(self.choice.table[:, 0])
        ends = [
            (self.averages[bound.what][-1], float(bound.average(fewest)), bound.target - SPARE)
            for bound in self.choice.bounds
        ]
        if all(end <= min(least, spare) for end, least, spare in ends):
            require_better_than_guessing(float(self.first), self.losses, classes)

    def state(self) -> dict[str, Tensor]:
        numbers = {f"averages.{what}": values for what, values in self.averages.items()} | {"losses": self.losses}
        seen = {name: torch.tensor(values, dtype=torch.float64) for name, values in numbers.items()}
        return {**seen, "sum": self.sum, "first": self.first, "count": torch.tensor(self.count)}

    def take_up(self, state: Mapping[str, Tensor]) -> None:
        self.sum, self.count = state["sum"].to(self.sum.device), int(state["count"])
        self.first = state["first"].to(self.sum.device)
        self.losses = state["losses"].tolist()
        self.averages = {what: state[f"averages.{what}"].tolist() for what in self.averages}


class Resumption:
    """Everything the next step depends on, put down and taken up through a checkpoint."""

    def __init__(
        self, work: Workbench, recipe: object, keeper: Keeper, looks: Looks, optimizer: torch.optim.Optimizer
    ) -> None:
        self.work, self.keeper, self.looks, self.optimizer = work, keeper, looks, optimizer
        # Learning that starts from another model or goes another way must not go on from here.
        self.origin = f"{resuming.fingerprint(work.model)} {recipe}"

    def put_down(self, step: int) -> None:
        """Keep the state after `step` steps."""
        facts: dict[str, Fact] = {"origin": self.origin, "step": step}
        live = {str(index): value for index, value in enumerate(self.keeper.live)}
        tensors = {
            **resuming.prefixed("live", live),
            **resuming.prefixed("keeper", self.keeper.state()),
            **resuming.prefixed("looks", self.looks.state()),
            **resuming.prefixed("optimizer", resuming.optimizer_state(self.optimizer)),
        }
        self.work.checkpoints.save(NAME, tensors, facts)

    @torch.no_grad()
    def take_up(self) -> int:
        """How many steps are done; 0 where there is nothing to continue."""
        found = self.work.checkpoints.load(NAME)
        if found is None or found.facts.get("origin") != self.origin:
            return 0
        for index, value in resuming.part("live", found.tensors).items():
            self.keeper.live[int(index)].copy_(value)
        self.keeper.take_up(resuming.part("keeper", found.tensors))
        self.looks.take_up(resuming.part("looks", found.tensors))
        resuming.restore_optimizer(self.optimizer, resuming.part("optimizer", found.tensors))
        return int(found.facts["step"])
