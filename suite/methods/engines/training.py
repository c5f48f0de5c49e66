"""Methods, training engine: one loop that trains a model with placed quantizers by a recipe, through the data door.

The loop never waits for the accelerator inside a step (no `.item()`): losses are summed on the device and looked at a
hundred times in a run. Everything random comes from named streams, so that two runs are bit-identical; and whatever a
step depends on is kept in a checkpoint now and then, so that a run that was killed goes on to the very same end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from suite.errors import SuiteError
from suite.methods.api import Batch, DataDoor, Diverged, Fact, Workbench
from suite.methods.engines import resuming
from suite.methods.engines.acceleration import channels_last, compiled, worth_compiling
from suite.methods.engines.beside import NOTHING, Beside
from suite.methods.engines.distillation import distilled, teaching
from suite.methods.engines.divergence import require_better_than_guessing
from suite.methods.engines.normalization import Statistics, re_estimate, training_mode
from suite.methods.engines.recipe import Compilation, Optimizer, Recipe
from suite.plan import quantizers_of, standing_in
from suite.quantizers import Quantizer
from suite.quantizers.half_range import half_range
from suite.quantizers.learned_clip import LearnedClip

Loss = Callable[..., Tensor]
LOOKS = 100
"""How many times in a run the mean loss is fetched from the device: to show it, and to stop when it is not finite."""


@dataclass(frozen=True)
class Trained:
    """What a training left to say: its steps, the mean loss between two looks, the best validation score if any.

    `step_sizes` holds the mean step of every quantizer that learns, by name: at the start, and at every look.
    `looked_at` says after how many training steps each of these was taken. `watched` has what the method asked for, at
    the same places.
    """

    steps: int
    losses: tuple[float, ...]
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
    """
    with standing_in(work.model, half_range):
        return _train(work, recipe, loss, name, clips or {}, beside, keep_end=keep_end)


def _train(
    work: Workbench,
    recipe: Recipe,
    loss: Loss,
    name: str,
    clips: Mapping[str, LearnedClip],
    beside: Beside,
    *,
    keep_end: bool,
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
    keeper = _BestKeeper(model, validation, recipe.batch_size)
    looks = _Looks(total, quantizers, list(beside.watched.values()))
    optimizers = [optimizer] if own is None else [optimizer, own]
    state = _State(work, model, optimizers, keeper, looks, name=name, recipe=recipe)
    fast = worth_compiling(recipe.compilation, model, total)
    with (
        channels_last(model) as layout,
        compiled(model, recipe.batch_size, wanted=fast, required=recipe.compilation is Compilation.ALWAYS),
        teaching(work.reference, recipe, fast=fast) as teacher,
        training_mode(model, statistics),
        _own_randomness(work),
        work.progress(total, "training") as progress,
    ):
        done = state.take_up()
        if done:
            progress.advance(done - looks.count)
        for step, batch in enumerate(_steps(door, recipe, total)):
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
            if loss is nn.functional.cross_entropy and keeper.best is None:
                require_better_than_guessing(looks.first, looks.losses, logits.shape[1])
            if keep_end:
                state.put_down(total)
    keeper.restore()
    model.eval()
    if statistics is Statistics.RE_ESTIMATED and not keep_end:
        re_estimate(work, door, recipe.batch_size)
    numbers = list(zip(*looks.sizes, strict=True))
    return Trained(
        total,
        tuple(looks.losses),
        keeper.best,
        tuple(looks.places),
        dict(zip(learned, numbers[: len(learned)], strict=True)),
        dict(zip(beside.watched, numbers[len(learned) :], strict=True)),
    )


def length(work: Workbench, recipe: Recipe, door: DataDoor) -> tuple[int, int]:
    """Steps in one pass through the examples of `door`, and in the whole training."""
    per_epoch = steps_per_epoch(door.size, recipe.batch_size, work.setting["incomplete_batches"] == "dropped")
    total = recipe.total_steps(per_epoch)
    if total < 1:
        raise SuiteError(
            f"{door.size} examples give no training step in batches of {recipe.batch_size}",
            hint="raise the axis examples, lower batch_size, or keep incomplete batches",
        )
    return per_epoch, total


def steps_per_epoch(examples: int, batch_size: int, drop_incomplete: bool) -> int:
    """Batches in one pass: the last, incomplete one counts unless it is dropped."""
    return examples // batch_size if drop_incomplete else -(-examples // batch_size)


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


def parted_doors(work: Workbench, recipe: Recipe) -> tuple[DataDoor, DataDoor | None]:
    """The doors to training and, where the checkpoint asks for them, to validation examples.

    One run parts its examples once and for all, so whoever calibrates before the training asks here too: otherwise
    validation examples would set ranges.
    """
    if work.setting["checkpoint"] == "best-on-validation":
        return work.data.hold_out(recipe.validation_fraction)
    return work.data, None


def _steps(door: DataDoor, recipe: Recipe, total: int) -> Iterator[Batch]:
    """Exactly `total` batches, with a new order in every pass."""
    given = 0
    while given < total:
        before = given
        for batch in door.batches(recipe.batch_size, labels=True, passes=recipe.epochs or 1, shuffle=True):
            yield batch
            given += 1
            if given == total:
                return
        if given == before:
            raise SuiteError("the data door gave no batch")


@dataclass(frozen=True)
class _Look:
    steps: int
    loss: float


class _Looks:
    """Sums losses on the device and fetches their mean now and then; a sum that is not finite ends the run.

    What learned steps are by then, and what the method watches, is fetched along.
    """

    def __init__(
        self, total: int, quantizers: Sequence[Quantizer | LearnedClip], watched: Sequence[Callable[[], Tensor]]
    ) -> None:
        self.total = total
        self.quantizers = quantizers
        self.watched = watched
        self.places = [0]
        self.sizes = [self._sizes()]
        self.every = max(1, total // LOOKS)
        self.sum: Tensor | None = None
        self.first = math.inf
        self.count = 0
        self.losses: list[float] = []

    def add(self, step: int, value: Tensor) -> _Look | None:
        value = value.detach()
        if step == 0:
            self.first = float(value)
        self.sum = value.clone() if self.sum is None else self.sum.add_(value)
        self.count += 1
        if self.count < self.every and step + 1 < self.total:
            return None
        mean = float(self.sum) / self.count
        if not torch.isfinite(torch.tensor(mean)):
            raise Diverged(f"the training loss is {mean} after {step + 1} of {self.total} steps")
        look = _Look(self.count, mean)
        self.sum, self.count = None, 0
        self.losses.append(mean)
        self.places.append(step + 1)
        self.sizes.append(self._sizes())
        if not all(map(math.isfinite, self.sizes[-1])):  # the loss is of the network before the update
            what = "what is learned beside the weights" if self.watched else "a quantization step"
            raise Diverged(f"{what} is not finite after {step + 1} of {self.total} steps")
        return look

    def _sizes(self) -> list[float]:
        """The mean step of every quantizer and what is watched, in one transfer from the device."""
        means = [one.scale.detach().mean() for one in self.quantizers]
        numbers = [*means, *(look().detach() for look in self.watched)]
        if not numbers:
            return []
        fetched: list[float] = torch.stack([number.double() for number in numbers]).tolist()
        return fetched

    def take_up(self, tensors: Mapping[str, Tensor], count: int, first: float, device: torch.device) -> None:
        self.losses = tensors["losses"].tolist()
        self.places = tensors["places"].tolist()
        self.sizes = tensors["sizes"].tolist()
        self.count, self.first = count, first
        self.sum = tensors["sum"].to(device) if "sum" in tensors else None


class _BestKeeper:
    """Keeps the state with the best validation score; does nothing where there is no validation door."""

    def __init__(self, model: nn.Module, validation: DataDoor | None, batch_size: int) -> None:
        self.model = model
        self.validation = validation
        self.batch_size = batch_size
        self.best: float | None = None
        self.state: dict[str, Tensor] = {}

    def look(self) -> None:
        if self.validation is None:
            return
        modes = {module: module.training for module in self.model.modules()}
        self.model.eval()
        right, count = 0, 0
        with torch.no_grad():
            for batch in self.validation.batches(self.batch_size, labels=True):
                assert batch.labels is not None
                right += int((self.model(batch.inputs).argmax(1) == batch.labels).sum())
                count += batch.labels.numel()
        for module, training in modes.items():
            module.training = training
        score = right / max(1, count)
        if self.best is None or score > self.best:
            self.best = score
            self.state = {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def pass_over(self) -> None:
        """Ask for the same examples as `look`, for a score that is known already."""
        if self.validation is not None:
            for _ in self.validation.batches(self.batch_size, labels=True):
                pass

    def restore(self) -> None:
        if self.state:
            self.model.load_state_dict(self.state)


class _State:
    """Everything the next step depends on, put down and taken up through a checkpoint."""

    def __init__(
        self,
        work: Workbench,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        keeper: _BestKeeper,
        looks: _Looks,
        *,
        name: str,
        recipe: Recipe,
    ) -> None:
        self.work, self.model, self.optimizers, self.keeper, self.looks = work, model, optimizers, keeper, looks
        self.name = name
        # Another training under the same name starts elsewhere or goes another way, and must not go on from this one.
        self.origin = f"{resuming.fingerprint(model)} {recipe}"

    def put_down(self, step: int) -> None:
        """Keep the state after `step` steps."""
        looks, best = self.looks, self.keeper.best
        tensors = {
            **resuming.prefixed("model", self.model.state_dict()),
            **resuming.prefixed("best", self.keeper.state),
            **resuming.prefixed("random", resuming.random_state(self.work.device)),
            "losses": torch.tensor(looks.losses, dtype=torch.float64),
            "places": torch.tensor(looks.places),
            "sizes": torch.tensor(looks.sizes, dtype=torch.float64),
        }
        for place, optimizer in enumerate(self.optimizers):
            tensors |= resuming.prefixed(f"optimizer {place}", resuming.optimizer_state(optimizer))
        facts: dict[str, Fact] = {"origin": self.origin, "step": step, "count": looks.count, "first": looks.first}
        if looks.sum is not None:
            tensors["sum"] = looks.sum
        if best is not None:
            facts["best"] = best
        self.work.checkpoints.save(self.name, tensors, facts)

    def take_up(self) -> int:
        """How many steps are done; 0 where there is nothing to continue."""
        kept = self.work.checkpoints.load(self.name)
        if kept is None or kept.facts.get("origin") != self.origin:
            return 0
        tensors, device = kept.tensors, self.work.device
        self.model.load_state_dict(resuming.part("model", tensors))
        for place, optimizer in enumerate(self.optimizers):
            resuming.restore_optimizer(optimizer, resuming.part(f"optimizer {place}", tensors))
        resuming.restore_random(resuming.part("random", tensors), device)
        self.looks.take_up(tensors, int(kept.facts["count"]), float(kept.facts["first"]), device)
        self.keeper.state = {name: value.to(device) for name, value in resuming.part("best", tensors).items()}
        best = kept.facts.get("best")
        self.keeper.best = None if best is None else float(best)
        return int(kept.facts["step"])


@contextmanager
def _own_randomness(work: Workbench) -> Iterator[None]:
    """Dropout and its like draw from the global generator: give them a named stream, and the outside its own back."""
    with torch.random.fork_rng():
        torch.manual_seed(work.random("training noise").initial_seed())
        yield
