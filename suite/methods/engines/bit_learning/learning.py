"""Methods, bit-learning engine: the loop. Bit-widths and ranges follow the task's loss; the weights stay as they are.

A state is a bit-width for every tensor of mixed precision and both ends of every learned range. The state that is left
meets every bound: nothing else is ever kept, and where no state met them, the last one is narrowed until it does.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from suite.errors import SuiteError
from suite.methods.api import Batch, DataDoor, Diverged, Workbench
from suite.methods.engines.acceleration import channels_last, compiled, worth_compiling
from suite.methods.engines.bit_learning.grids import LearnedRanges, LearningModel, Range
from suite.methods.engines.bit_learning.widths import WidthChoice
from suite.methods.engines.recipe import Compilation
from suite.plan import Plan, choose_bits, quantizers_of
from suite.quantizers.grids import parameters_from_range
from suite.quantizers.learned_bits import BitForm

log = logging.getLogger("suite.training")

LOOKS = 100
"""How many times in a run figures are fetched from the device: to show them, and to stop when they are not finite."""


@dataclass(frozen=True)
class BitRecipe:
    """How bit-widths are learned.

    `penalty` is the factor on what an average exceeds its target by. `memory` is the share of the moving average that
    the accuracy of earlier batches keeps. `keep_best`: the kept state has the highest such average among those that
    meet the bounds; otherwise it is the last that meets them.
    """

    steps: int = 1500
    batch_size: int = 32
    learning_rate: float = 0.01
    range_rate: float = 0.01
    penalty: float = 2.0
    form: BitForm = BitForm.LOG2
    start_bits: float = 8.0
    memory: float = 0.9
    keep_best: bool = True
    compilation: Compilation = Compilation.AUTO


@dataclass(frozen=True)
class LearnedBits:
    """What was learned: the plan with the chosen bits, and how it came about.

    `kept_step`: the step whose state was kept, from 1; None where no state met the bounds and `narrowed` names the
    tensors that were taken down. `averages`: what -> average bits of the state at every look.
    """

    plan: Plan
    kept_step: int | None
    narrowed: tuple[str, ...]
    steps_within: int
    averages: dict[str, list[float]]
    losses: list[float]


def learn_bits(work: Workbench, recipe: BitRecipe, ranges: dict[str, Range], learned_ranges: set[str]) -> LearnedBits:
    """Learn the bits of `work.model` in place: afterwards its quantizers are ordinary ones with bits of their own.

    `ranges` are those of all quantizers whose range does not depend on bits; those named in `learned_ranges` are
    trained with the bits.
    """
    choice = WidthChoice(work.plan, work.setting, form=recipe.form, start_bits=recipe.start_bits, device=work.device)
    learned = LearnedRanges({name: ranges[name] for name in ranges if name in learned_ranges}, work.device)
    positions = {name: index for index, one in enumerate(choice.choices) for name in one.quantizers}
    model = LearningModel(work.model, positions, ranges, learned)
    if not positions and not learned.names:
        raise SuiteError("there is nothing to learn: no tensor has mixed precision, and no range is learned")
    keeper = _Keeper(choice, learned, recipe)
    looks = _Looks(recipe.steps, choice)
    _walk(work, recipe, choice, learned, model, keeper, looks)
    widths, narrowed = keeper.final()
    if narrowed:
        log.warning("no state met the bounds: the bits of %s were lowered after learning", ", ".join(narrowed))
    plan = _leave(work, choice.by_quantizer(widths), {**ranges, **learned.cut(keeper.low, keeper.high)})
    return LearnedBits(plan, keeper.step, tuple(narrowed), keeper.steps_within, looks.averages, looks.losses)


def _walk(
    work: Workbench, recipe: BitRecipe, choice: WidthChoice, learned: LearnedRanges, model: LearningModel,
    keeper: _Keeper, looks: _Looks,
) -> None:  # fmt: skip
    """All steps: forward, remember, backward, update."""
    groups = []
    if choice.learned.numel():
        groups.append({"params": [choice.learned], "lr": recipe.learning_rate})
    if learned.names:
        groups.append({"params": [learned.low, learned.high], "lr": recipe.range_rate})
    optimizer = torch.optim.Adam(groups, fused=True)
    network = work.model.to(work.device).eval()  # running statistics, where batch norms are not folded
    with (
        model.at_work(),
        channels_last(network) as layout,
        compiled(
            network,
            recipe.batch_size,
            wanted=worth_compiling(recipe.compilation, network, recipe.steps),
            required=recipe.compilation is Compilation.ALWAYS,
            training=False,
        ),
        work.progress(recipe.steps, "learning bits") as progress,
    ):
        for step, batch in enumerate(_batches(work.data, recipe)):
            assert batch.labels is not None
            widths = choice.widths()
            model.set_grids(widths)
            logits = network(batch.inputs.contiguous(memory_format=layout))
            loss = nn.functional.cross_entropy(logits, batch.labels)
            if choice.bounds:
                loss = loss + choice.penalty(widths, recipe.penalty)
            keeper.see(step, widths.detach(), (logits.detach().argmax(1) == batch.labels).float().mean())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            choice.keep_valid()
            learned.keep_valid()
            taken = looks.see(step, loss.detach(), widths.detach())
            if taken:
                progress.advance(taken, loss=looks.losses[-1])


def _batches(door: DataDoor, recipe: BitRecipe) -> Iterator[Batch]:
    """Exactly as many batches as there are steps, with a new order in every pass."""
    given = 0
    while given < recipe.steps:
        before = given
        for batch in door.batches(recipe.batch_size, labels=True, shuffle=True):
            yield batch
            given += 1
            if given == recipe.steps:
                return
        if given == before:
            raise SuiteError("the data door gave no batch")


class _Keeper:
    """The state to leave: of those within the bounds the one with the best accuracy so far, or the last.

    Everything is chosen on the device, without looking: a state is taken over where a truth value says so.
    """

    def __init__(self, choice: WidthChoice, learned: LearnedRanges, recipe: BitRecipe) -> None:
        self.choice = choice
        self.memory = recipe.memory
        self.keep_best = recipe.keep_best
        self.live = (choice.learned, learned.low, learned.high)
        self.kept = [value.detach().clone() for value in self.live]
        device = choice.learned.device
        self.average: Tensor | None = None
        self.best = torch.full((), -math.inf, device=device)
        self.taken = torch.full((), -1, dtype=torch.int64, device=device)
        self.within = torch.zeros((), dtype=torch.int64, device=device)

    @torch.no_grad()
    def see(self, step: int, widths: Tensor, accuracy: Tensor) -> None:
        """The state that has just answered a batch, before it is updated."""
        self.average = accuracy if self.average is None else self.memory * self.average + (1 - self.memory) * accuracy
        met = self.choice.met(widths)
        better = met & (self.average > self.best) if self.keep_best else met
        self.best = torch.where(better, self.average, self.best)
        self.taken = torch.where(better, step + 1, self.taken)
        self.within += met
        for kept, value in zip(self.kept, self.live, strict=True):
            kept.copy_(torch.where(better, value, kept))

    def final(self) -> tuple[Tensor, list[str]]:
        """The widths to leave, all within the bounds, and the tensors that had to be narrowed for it."""
        if self.step is None:
            self.kept = [value.detach().clone() for value in self.live]
        return self.choice.reduced(self.kept[0])

    @property
    def step(self) -> int | None:
        """The step whose state was kept, from 1; None where none met the bounds."""
        return int(self.taken) if int(self.taken) > 0 else None

    @property
    def steps_within(self) -> int:
        return int(self.within)

    @property
    def low(self) -> Tensor:
        return self.kept[1]

    @property
    def high(self) -> Tensor:
        return self.kept[2]


class _Looks:
    """Sums losses on the device and fetches figures now and then; a sum that is not finite ends the run."""

    def __init__(self, total: int, choice: WidthChoice) -> None:
        self.total = total
        self.choice = choice
        self.every = max(1, total // LOOKS)
        self.sum: Tensor | None = None
        self.count = 0
        self.losses: list[float] = []
        self.averages: dict[str, list[float]] = {bound.what: [] for bound in choice.bounds}

    def see(self, step: int, loss: Tensor, widths: Tensor) -> int:
        """Add one step; the number of steps since the last look where this is one, otherwise 0."""
        self.sum = loss.clone() if self.sum is None else self.sum.add_(loss)
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
        taken, self.sum, self.count = self.count, None, 0
        return taken


@torch.no_grad()
def _leave(work: Workbench, bits: dict[str, int], ranges: dict[str, Range]) -> Plan:
    """Ordinary quantizers with the chosen bits, and with scales and zero points for them."""
    plan = choose_bits(work.model, work.plan, bits)
    for name, quantizer in quantizers_of(work.model).items():
        if name in ranges:
            quantizer.set_parameters(*parameters_from_range(ranges[name].low, ranges[name].high, quantizer.spec))
    work.model.eval()
    return plan
