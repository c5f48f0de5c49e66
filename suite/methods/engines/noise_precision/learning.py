"""Methods, engine of precisions learned by noise: the first phase, in which weights learn how much noise they bear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from suite.errors import Unsupported
from suite.methods.api import Diverged, Workbench
from suite.methods.engines.beside import Beside
from suite.methods.engines.recipe import Recipe
from suite.methods.engines.training import Trained, train
from suite.plan import all_off, standing_in, weights_of
from suite.quantizers import Quantizer
from suite.quantizers.noise_precision import NoisyWeight, PrecisionQuantizer, PrecisionRounding, Span, precision_of

MOST_OF_A_LAYER = 8
"""A layer of one precision p lies on a grid of p bits without zero; the next wider grid there is has 16."""
MOST_OF_A_WEIGHT = 15
"""Weights of several precisions, the finest of them P, lie together on a grid of P + 1 bits, which is at most 16."""

LOUD = 2.0
"""Bits on average below which the noise is as large as half of the range of a weight."""


@dataclass(frozen=True)
class PrecisionRecipe:
    """How precisions are learned: the training, λ, the rate of s, where p starts, how it becomes whole.

    `per_layer`: one s for the weights of a layer. `allocate_zero`: weights whose noise reached zero at one bit go.
    """

    training: Recipe
    penalty: float
    learning_rate: float
    start: float
    rounding: PrecisionRounding
    span: Span
    per_layer: bool
    allocate_zero: bool = False


@dataclass(frozen=True)
class LearnedPrecisions:
    """Whole precisions by weight, the scales they belong to, the training, and averages by way of rounding.

    `training.watched` has the mean learned precision of every weight, before it became whole.
    """

    precisions: Mapping[str, Tensor]
    scales: Mapping[str, Tensor]
    span: Span
    training: Trained
    averages: Mapping[str, float]

    def quantizers(self) -> dict[str, PrecisionQuantizer]:
        """What stands in for the quantizers from now on, at precisions that stay."""
        return {
            name: PrecisionQuantizer(self.scales[name], precision, self.span)
            for name, precision in self.precisions.items()
        }


def mixed_weights(work: Workbench) -> dict[str, tuple[Quantizer, nn.Parameter]]:
    """The weights whose bits the method may choose, by name, each with its quantizer."""
    found: dict[str, tuple[Quantizer, nn.Parameter]] = {}
    for name, (quantizer, weight) in weights_of(work.model).items():
        if work.plan.quantizer(name).mixed:
            assert isinstance(weight, nn.Parameter)
            found[name] = (quantizer, weight)
    if not found:
        raise Unsupported(
            "there are no precisions to learn: no weight has mixed precision",
            hint="set weight_bits below 32, or first_layer_weights and last_layer_weights to same",
        )
    return found


def learn_precisions(work: Workbench, recipe: PrecisionRecipe) -> LearnedPrecisions:
    """Train weights under noise together with how far it reaches; nothing else is quantized meanwhile.

    The end is kept as a checkpoint, so that a run that is killed later finds the same precisions without this phase.
    """
    weights = mixed_weights(work)
    noises = {
        name: NoisyWeight(
            weight.detach().to(work.device), precision=recipe.start, per_layer=recipe.per_layer, span=recipe.span
        )
        for name, (_, weight) in weights.items()
    }
    places = {id(quantizer): noises[name] for name, (quantizer, _) in weights.items()}

    def penalty() -> Tensor:
        return recipe.penalty * torch.stack([noise.penalty() for noise in noises.values()]).sum()

    def keep_valid() -> None:
        for name, noise in noises.items():
            noise.keep_valid_(weights[name][1])

    beside = Beside(
        penalty=penalty if recipe.penalty else None,
        parameters=[noise.s for noise in noises.values()],
        learning_rate=recipe.learning_rate,
        after_update=keep_valid,
        watched={name: _Mean(noise) for name, noise in noises.items()},
    )
    with standing_in(work.model, lambda quantizer: places.get(id(quantizer))), all_off(work.model):
        try:
            training = train(work, recipe.training, name="precision", beside=beside, keep_end=True)
        except Diverged as error:
            raise Diverged(f"{error}{_blame(recipe, noises)}") from error
    require_finite({name: weight for name, (_, weight) in weights.items()})
    return _whole(recipe, noises, {name: weight for name, (_, weight) in weights.items()}, training)


def _blame(recipe: PrecisionRecipe, noises: Mapping[str, NoisyWeight]) -> str:
    """What else than the rate may have brought a training to where guessing lies: noise that is too loud."""
    bits = torch.cat([precision_of(noise.s.detach()).flatten() for noise in noises.values()]).mean()
    if not recipe.penalty or not bits < LOUD:
        return ""
    return f"; or the penalty {recipe.penalty:g} is: it has left {float(bits):.3g} bits on average"


@torch.no_grad()
def _whole(
    recipe: PrecisionRecipe, noises: Mapping[str, NoisyWeight], weights: Mapping[str, Tensor], training: Trained
) -> LearnedPrecisions:
    """Precisions as whole numbers, and the averages that either way of rounding gives."""
    by_rounding = {rounding: _rounded(recipe, noises, weights, rounding) for rounding in PrecisionRounding}
    return LearnedPrecisions(
        precisions=by_rounding[recipe.rounding],
        scales={name: noise.scale for name, noise in noises.items()},
        span=recipe.span,
        training=training,
        averages={str(rounding): average_bits(found) for rounding, found in by_rounding.items()},
    )


def _rounded(
    recipe: PrecisionRecipe,
    noises: Mapping[str, NoisyWeight],
    weights: Mapping[str, Tensor],
    rounding: PrecisionRounding,
) -> dict[str, Tensor]:
    most = MOST_OF_A_LAYER if recipe.per_layer else MOST_OF_A_WEIGHT
    return {
        name: noise.precision(weights[name], rounding, allocate_zero=recipe.allocate_zero).clamp(max=most)
        for name, noise in noises.items()
    }


def average_bits(precisions: Mapping[str, Tensor]) -> float:
    """Bits of a weight over all of these weights; removed ones have none."""
    bits = sum(float(one.double().sum()) for one in precisions.values())
    return bits / max(1, sum(one.numel() for one in precisions.values()))


def require_finite(weights: Mapping[str, Tensor]) -> None:
    """The last update may have left the finite numbers, which no loss has seen yet."""
    for name, weight in weights.items():
        if not bool(weight.isfinite().all()):
            raise Diverged(f"{name} is not finite any more: the learning rate is too large")


@dataclass(frozen=True)
class _Mean:
    """The mean learned precision of one weight, looked at now and then."""

    noise: NoisyWeight

    def __call__(self) -> Tensor:
        return precision_of(self.noise.s.detach()).mean()
