"""Methods, training engine: one loop that trains a model with placed quantizers by a recipe, through the data door.

The loop never waits for the accelerator inside a step (no `.item()`): losses are summed on the device and looked at a
hundred times in a run. Everything random comes from named streams, so that two runs are bit-identical; and whatever a
step depends on is kept in a checkpoint now and then, so that a run that was killed goes on to the very same end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from suite.methods.api import Workbench
from suite.methods.engines.acceleration import channels_last, compiled, worth_compiling
from suite.methods.engines.batches import batches_of, length, parted_doors
from suite.methods.engines.beside import NOTHING, Beside
from suite.methods.engines.distillation import distilled, teaching
from suite.methods.engines.divergence import require_better_than_guessing
from suite.methods.engines.looks import Looks
from suite.methods.engines.normalization import Statistics, settle, training_mode
from suite.methods.engines.optimizers import make_optimizer
from suite.methods.engines.recipe import Compilation, Recipe
from suite.methods.engines.training_state import BestKeeper, TrainingState
from suite.plan import quantizers_of, standing_in
from suite.quantizers import Quantizer
from suite.quantizers.half_range import half_range
from suite.quantizers.learned_clip import LearnedClip

Loss = Callable[..., Tensor]

LEAST_STEPS = 20
"""Steps before which a state that was best on validation is taken as it is: nothing had time to become good."""
LEAST_GAIN = 0.1
"""A best score that is not so much of the way from guessing to perfection ahead of guessing is none worth keeping."""


@dataclass(frozen=True)
class Trained:
    """What a training left to say: its steps, the mean loss between two looks, the best validation score if any.

    `step_sizes` holds the mean step of every quantizer that learns, by name: at the start, and at every look.
    `looked_at` says after how many training steps each of these was taken. `watched` has what the method asked for, at
    the same places.
    """

    steps: int
    losses: tuple[float, ...]
    first: float
    """The loss of the first step."""
    best_validation: float | None = None
    looked_at: tuple[int, ...] = ()
    step_sizes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    watched: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def train(
    work: Workbench,
    recipe: Recipe,
    *,
    loss: Loss = nn.functional.cross_entropy,
    name: str = "training",
    clips: Mapping[str, LearnedClip] | None = None,
    beside: Beside = NOTHING,
    keep_end: bool = False,
    began: float = math.inf,
) -> Trained:
    """Train `work.model` in place and leave it in eval mode.

    The axis `batch_norm_statistics` is obeyed here, at the end of the last training, and so are activation ranges that
    are half of those that pass gradients (`half_range`). The loss that is shown and recorded is the task's alone.
    Raises `Diverged` when the loss is no longer finite, or ends where guessing lies.

    `clips` are learned ranges that stand in the places of quantizers. `beside` is what else a method wants of every
    step: a penalty, parameters with an optimizer of their own, a rule that holds after the update.
    `name` is that of the checkpoint; a method that trains twice gives two, or one training is not continued.
    `keep_end`: another training follows, so the end of this one is kept as well. A run that is killed during the second
    takes up that end, and does not train there again.
    `began` is the loss with which the training before this one began: what was lost in between counts as lost here.
    """
    with standing_in(work.model, half_range):
        return _train(work, recipe, loss, name, clips or {}, beside, keep_end=keep_end, began=began)


def _train(
    work: Workbench,
    recipe: Recipe,
    loss: Loss,
    name: str,
    clips: Mapping[str, LearnedClip],
    beside: Beside,
    *,
    keep_end: bool,
    began: float,
) -> Trained:
    model = work.model.to(work.device)
    statistics = Statistics.of(work.setting)
    door, validation = parted_doors(work, recipe)
    per_epoch, total = length(work, recipe, door)
    learned: dict[str, Quantizer | LearnedClip] = {
        name: quantizer for name, quantizer in quantizers_of(model).items() if quantizer.learns_step
    }
    learned.update(clips)
    quantizers = list(learned.values())
    optimizer = make_optimizer(model, quantizers, recipe, apart=beside.parameters)
    own = beside.own_optimizer()
    ratios = [group["lr"] / recipe.learning_rate if recipe.learning_rate else 1.0 for group in optimizer.param_groups]
    keeper = BestKeeper(model, validation, recipe.batch_size)
    looks = Looks(total, quantizers, list(beside.watched.values()))
    optimizers = [optimizer] if own is None else [optimizer, own]
    state = TrainingState(work, model, optimizers, keeper, looks, name=name, recipe=recipe)
    fast = worth_compiling(recipe.compilation, model, total)
    with (
        channels_last(model) as layout,
        compiled(model, recipe.batch_size, wanted=fast, required=recipe.compilation is Compilation.ALWAYS),
        teaching(work.reference, recipe, fast=fast) as teacher,
        training_mode(model, statistics),
        _own_randomness(work, name),
        work.progress(total, "training") as progress,
    ):
        done = state.take_up()
        if done:
            progress.advance(done - looks.count)
        for step, batch in enumerate(batches_of(door, recipe, total)):
            ends_epoch = step + 1 == total or (step + 1) % per_epoch == 0
            if step < done:  # drawn all the same: the order of the data and what the door counts go on from here
                if ends_epoch:
                    keeper.pass_over()
                continue
            rate = recipe.rate(step, total)
            for group, ratio in zip(optimizer.param_groups, ratios, strict=True):
                group["lr"] = rate * ratio
            for one in optimizers:
                one.zero_grad(set_to_none=True)
            logits = model(batch.inputs.contiguous(memory_format=layout))
            value = loss(logits, batch.labels)
            whole = value if teacher is None else distilled(value, logits, teacher(batch.inputs), recipe)
            if beside.penalty is not None:
                whole = whole + beside.penalty()
            whole.backward()  # type: ignore[no-untyped-call]
            for one in optimizers:
                one.step()
            for quantizer in quantizers:
                quantizer.keep_positive()
            if beside.after_update is not None:
                beside.after_update()
            seen = looks.add(step, value)
            if seen is not None:
                progress.advance(seen.steps, loss=seen.loss, rate=rate)
            if ends_epoch:
                keeper.look()
            if step + 1 < total and work.checkpoints.due():
                state.put_down(step + 1)
        if done < total:
            kept = _worth_keeping(keeper.best, logits.shape[1]) or (keeper.best is not None and total < LEAST_STEPS)
            if loss is nn.functional.cross_entropy and not kept:
                require_better_than_guessing(min(looks.first, began), looks.losses, logits.shape[1])
            if keep_end:
                state.put_down(total)
    keeper.restore()
    model.eval()
    if not keep_end:
        settle(work, door, recipe.batch_size)
    numbers = list(zip(*looks.sizes, strict=True))
    return Trained(
        total,
        tuple(looks.losses),
        looks.first,
        keeper.best,
        tuple(looks.places),
        dict(zip(learned, numbers[: len(learned)], strict=True)),
        dict(zip(beside.watched, numbers[len(learned) :], strict=True)),
    )


def _worth_keeping(best: float | None, classes: int) -> bool:
    """Whether a state was kept on the way that does better than guessing, whatever the training ended with."""
    return best is not None and best > 1 / classes + LEAST_GAIN * (1 - 1 / classes)


@contextmanager
def _own_randomness(work: Workbench, name: str) -> Iterator[None]:
    """Dropout and its like draw from the global generator: give them a named stream, and the outside its own back."""
    with torch.random.fork_rng():
        torch.manual_seed(work.random(f"noise of {name}").initial_seed())
        yield
