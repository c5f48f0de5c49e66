"""Methods, engine of bit-level sparsity: planes of bits are trained until some are empty, then whole weights are.

The first phase is cut into intervals. Between two of them planes are made binary again and empty ones go, so that
parameters change their shape: every interval is a training with an optimizer and a checkpoint of its own, in a window
of one schedule. Its end is kept, so a run that was killed finds the planes of its interval again.

A step of the first phase walks over 2n numbers for each weight, in the forward pass, in the penalty, in the update and
in the limits after it: memory, not arithmetic, is what it costs beyond a step of the float network.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from suite.errors import Unsupported
from suite.methods.api import Diverged, Workbench
from suite.methods.engines.batches import length
from suite.methods.engines.beside import Beside
from suite.methods.engines.calibration import start_activations
from suite.methods.engines.normalization import settle
from suite.methods.engines.recipe import Recipe, Window
from suite.methods.engines.training import Trained, train
from suite.plan import Plan, all_off, choose_bits, standing_in, weights_of
from suite.quantizers import Quantizer
from suite.quantizers.bit_planes import BitPlanes, TrainedPlanes, TrainedWhole, group_lasso

LEAST_BITS = 2
"""The narrowest grid with a zero and both signs: a plane and the sign. A weight of zeros alone lies on it, too."""


@dataclass(frozen=True)
class SparsityRecipe:
    """How planes are trained and emptied (`planes`), and how what is left is trained on (`fine_tuning`, or not at all).

    `interval`: passes between two adjustments, or steps where `planes` counts steps. `reweigh`: the norms of a weight's
    planes count by its bits. `late_activations`: activations are on their grids in the second phase only.
    """

    planes: Recipe
    fine_tuning: Recipe | None
    penalty: float
    interval: int
    start_planes: int
    reweigh: bool = True
    adjust_at_start: bool = True
    late_activations: bool = False


@dataclass
class Precisions:
    """How many planes every weight had: `planes` by name, each `after` so many steps; 0 where all of it was zero."""

    after: list[int] = field(default_factory=list)
    planes: list[dict[str, int]] = field(default_factory=list)

    def note(self, step: int, layers: Mapping[str, TrainedPlanes]) -> None:
        """Remember the planes of layers that were adjusted just now."""
        self.after.append(step)
        self.planes.append({name: layer.planes.bits(sign_bit=False) for name, layer in layers.items()})


@dataclass(frozen=True)
class Sparsified:
    """What is left: the plan with the bits of every weight, their planes by name, the way there, and both trainings."""

    plan: Plan
    planes: Mapping[str, int]
    precisions: Precisions
    training: Trained
    fine_tuning: Trained | None


def sparsify_bits(work: Workbench, recipe: SparsityRecipe) -> Sparsified:
    """Find the bits of every weight of mixed precision, and leave ordinary quantizers that reproduce the weights.

    Weights whose bits other axes fix are trained whole from the start, with as many planes as their bits hold.
    """
    weights = weights_of(work.model)
    mixed = [name for name in weights if work.plan.quantizer(name).mixed]
    if not mixed:
        raise Unsupported(
            "there are no bits to find: no weight has mixed precision",
            hint="set weight_bits below 32, or first_layer_weights and last_layer_weights to same",
        )
    if not recipe.late_activations:
        start_activations(work)
    first: dict[str, TrainedPlanes | TrainedWhole] = {
        name: TrainedPlanes(weight, recipe.start_planes)
        if name in mixed
        else TrainedWhole(BitPlanes.of_weight(weight.detach(), quantizer.spec.bits - 1))
        for name, (quantizer, weight) in weights.items()
    }
    with untrained(weight for _, weight in weights.values()):
        with (
            standing_in(work.model, _by_quantizer(weights, first)),
            # What stands in for the quantizers of weights is none itself, so only activations are off.
            all_off(work.model) if recipe.late_activations else nullcontext(),
        ):
            precisions, training = _train_planes(work, recipe, first)
        second = {
            name: TrainedWhole(one.planes) if isinstance(one, TrainedPlanes) else one for name, one in first.items()
        }
        with standing_in(work.model, _by_quantizer(weights, second)):
            if recipe.late_activations:
                start_activations(work)
            fine_tuning = _train_whole(work, recipe, second, began=training.first)
    plan, planes = _leave(work, {name: second[name] for name in weights}, mixed)
    return Sparsified(plan, planes, precisions, training, fine_tuning)


def _train_planes(
    work: Workbench, recipe: SparsityRecipe, layers: Mapping[str, TrainedPlanes | TrainedWhole]
) -> tuple[Precisions, Trained]:
    """The first phase: train, make binary, drop what is empty, and so on to its end."""
    mixed = {name: one for name, one in layers.items() if isinstance(one, TrainedPlanes)}
    per_epoch, total = length(work, recipe.planes, work.data)
    interval = recipe.interval * (1 if recipe.planes.steps is not None else per_epoch)
    precisions = Precisions()
    parts: list[Trained] = []
    if recipe.adjust_at_start:
        _adjust(mixed, recipe.start_planes)
    precisions.note(0, mixed)
    for start in range(0, total, interval):
        steps = min(interval, total - start)
        part = dataclasses.replace(recipe.planes, epochs=None, steps=steps, window=Window(start, total))
        beside = Beside(penalty=bit_penalty(recipe, mixed), after_update=_keeping_valid(layers.values()))
        began = min((earlier.first for earlier in parts), default=math.inf)
        try:
            # The second phase follows, or what takes its place.
            parts.append(train(work, part, name=f"planes-{start}", beside=beside, keep_end=True, began=began))
        except Diverged as error:
            raise Diverged(f"{error}{_blame(recipe, mixed)}") from error
        _require_finite(mixed)
        _adjust(mixed, recipe.start_planes)
        precisions.note(start + steps, mixed)
    return precisions, joined(parts)


def _train_whole(
    work: Workbench, recipe: SparsityRecipe, layers: Mapping[str, TrainedWhole], *, began: float
) -> Trained | None:
    """The second phase, at precisions that no longer change; None where the recipe has none."""
    if recipe.fine_tuning is None:
        settle(work, work.data, recipe.planes.batch_size)
        return None
    beside = Beside(after_update=_keeping_valid(layers.values()))
    trained = train(work, recipe.fine_tuning, name="fine-tuning", beside=beside, began=began)
    _require_finite(layers)
    return trained


@torch.no_grad()
def _leave(work: Workbench, layers: Mapping[str, TrainedWhole], mixed: Sequence[str]) -> tuple[Plan, dict[str, int]]:
    """Ordinary quantizers of one more bit than there are planes, on weights that are whole multiples of their steps."""
    plan = choose_bits(work.model, work.plan, {name: max(LEAST_BITS, layers[name].bits + 1) for name in mixed})
    found: dict[str, int] = {}
    for name, (quantizer, weight) in weights_of(work.model).items():
        planes = layers[name].whole.to_planes()
        quantizer.set_parameters(planes.step())
        weight.copy_(planes.codes() * planes.step())
        found[name] = planes.bits(sign_bit=False)
    return plan, {name: found[name] for name in mixed}


def _blame(recipe: SparsityRecipe, layers: Mapping[str, TrainedPlanes]) -> str:
    """What else than the rate may have brought a training to where guessing lies."""
    empty = sum(not bool(layer.planes.codes().any()) for layer in layers.values())
    if not empty:
        return ""
    return f"; or the penalty {recipe.penalty:g} is: it has emptied {empty} of {len(layers)} weights"


def bit_penalty(recipe: SparsityRecipe, layers: Mapping[str, TrainedPlanes]) -> Callable[[], Tensor] | None:
    """α Σ_l (N_l n_l / N) GL_l over weights l of N_l elements in n_l planes, N elements in all; or α Σ_l GL_l."""
    if not recipe.penalty or not layers:
        return None
    elements = sum(one.positive[..., 0].numel() for one in layers.values())

    def penalty() -> Tensor:
        if recipe.reweigh:
            terms = [one.penalty() / elements for one in layers.values()]
        else:
            terms = [group_lasso(one.positive, one.negative) for one in layers.values()]
        return recipe.penalty * torch.stack(terms).sum()

    return penalty


def _adjust(layers: Mapping[str, TrainedPlanes], most_planes: int) -> None:
    for layer in layers.values():
        layer.adjust(most_planes)


def _keeping_valid(layers: Iterable[TrainedPlanes | TrainedWhole]) -> Callable[[], None]:
    kept = list(layers)

    def keep_valid() -> None:
        for layer in kept:
            layer.keep_valid_()

    return keep_valid


@contextmanager
def untrained(weights: Iterable[Tensor]) -> Iterator[None]:
    """While something else stands for them, no optimizer sees these weights, which could only decay."""
    kept = [(weight, weight.requires_grad) for weight in weights]
    for weight, _ in kept:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight, trained in kept:
            weight.requires_grad_(trained)


def _by_quantizer(
    weights: Mapping[str, tuple[Quantizer, Tensor]], layers: Mapping[str, nn.Module]
) -> Callable[[Quantizer], nn.Module | None]:
    """What stands in for each weight quantizer; nothing does for those of activations."""
    found = {id(quantizer): layers[name] for name, (quantizer, _) in weights.items()}
    return lambda quantizer: found.get(id(quantizer))


def _require_finite(layers: Mapping[str, TrainedPlanes | TrainedWhole]) -> None:
    """The last update may have left the finite numbers, which no loss has seen yet."""
    for name, layer in layers.items():
        if not all(bool(parameter.isfinite().all()) for parameter in layer.parameters()):
            raise Diverged(f"{name} is not finite any more: the learning rate is too large")


def joined(parts: Sequence[Trained]) -> Trained:
    """Trainings that followed each other, as one: every end is the next one's start."""
    offsets = [sum(part.steps for part in parts[:place]) for place in range(len(parts))]
    skipped = [0 if place == 0 else 1 for place in range(len(parts))]
    return Trained(
        steps=sum(part.steps for part in parts),
        losses=tuple(loss for part in parts for loss in part.losses),
        first=parts[0].first,
        looked_at=tuple(
            offset + step
            for part, offset, skip in zip(parts, offsets, skipped, strict=True)
            for step in part.looked_at[skip:]
        ),
        step_sizes={
            name: tuple(
                size for part, skip in zip(parts, skipped, strict=True) for size in part.step_sizes[name][skip:]
            )
            for name in parts[0].step_sizes
        },
    )
