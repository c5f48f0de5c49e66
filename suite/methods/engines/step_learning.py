"""Methods, training engine: what methods on static grids share, the start of the steps and their way in training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from suite.errors import Unsupported
from suite.methods.api import Claims, Workbench
from suite.methods.engines.batches import parted_doors
from suite.methods.engines.calibration import calibrate
from suite.methods.engines.recipe import Recipe
from suite.methods.engines.training import Trained, train
from suite.methods.engines.trajectories import evenly_spread, points_of_each, rounded
from suite.plan import quantizers_of, standing_in
from suite.quantizers import Quantizer
from suite.quantizers.learned_clip import LearnedClip
from suite.quantizers.ranges import Rule
from suite.quantizers.spec import GIVEN_RANGES
from suite.quantizers.tanh_weights import TanhWeights

POINTS_OF_ONE = 25


def learn_steps(work: Workbench, recipe: Recipe, *, start: Rule, method: str) -> Claims:
    """Start every step by the rule `start`, train weights and steps together; the claims tell the way of the steps."""
    require_grids(work, method)
    start_steps(work, recipe, start=start)
    for quantizer in quantizers_of(work.model).values():
        if quantizer.spec.range_rule not in GIVEN_RANGES:
            quantizer.learn_step()
    return Claims(figures=training_figures(train(work, recipe)))


def train_on_fixed_steps(work: Workbench, recipe: Recipe, *, start: Rule, method: str) -> Claims:
    """Put every step by the rule `start`, leave it there, and train the weights."""
    require_grids(work, method)
    start_steps(work, recipe, start=start)
    return Claims(figures=training_figures(train(work, recipe)))


def train_on_tanh_weights(
    work: Workbench, recipe: Recipe, *, rescaled: bool, method: str, clip_start: float | None = None
) -> Claims:
    """Train weights behind DoReFa's transform, and fold it into them. With `clip_start`, clips are learned.

    Quantizers are ordinary ones again in the end, and map the folded weights to themselves.
    """
    require_grids(work, method)
    start_steps(work, recipe)

    def stand_in(quantizer: Quantizer) -> nn.Module | None:
        if quantizer.is_weight:
            return TanhWeights(quantizer, rescaled=rescaled)
        return None if clip_start is None else LearnedClip(quantizer, clip_start)

    with standing_in(work.model, stand_in) as standing:
        clips = {name: one for name, one in standing.items() if isinstance(one, LearnedClip)}
        trained = train(work, recipe, clips=clips)
        for clip in clips.values():
            clip.place()
        fold_transforms(work.model)
    return Claims(figures=training_figures(trained))


@torch.no_grad()
def fold_transforms(model: nn.Module) -> None:
    """Put what layers compute with in the place of the weights that were trained."""
    for module in model.modules():
        transform = getattr(module, "weight_quantizer", None)
        if isinstance(transform, TanhWeights) and isinstance(module.weight, Tensor):
            module.weight.copy_(transform(module.weight))


def start_steps(work: Workbench, recipe: Recipe, *, start: Rule | None = None) -> None:
    """First scales, from training examples alone: validation examples that set ranges could not choose a checkpoint."""
    examples, _ = parted_doors(work, recipe)
    calibrate(work, weight_start=start, activation_start=start, data=examples)


def require_grids(work: Workbench, method: str) -> None:
    """Refuse a setting under which there is nothing to train for."""
    if not quantizers_of(work.model):
        raise Unsupported(
            f"{method} has no step to find: this setting puts no grid on any weight or activation",
            hint="lower weight_bits or activation_bits, or the bits of the first and last layer",
        )


def training_figures(trained: Trained) -> dict[str, object]:
    """Loss and learned steps along the training, thinned and rounded: a record is bounded.

    `after` counts training steps; `loss` is the mean of all steps since the last look; `step_sizes` the mean step of
    each quantizer, of which point 0 is the start.
    """
    shown = evenly_spread(len(trained.looked_at), points_of_each(len(trained.step_sizes), POINTS_OF_ONE))
    figures: dict[str, object] = {
        "after": [trained.looked_at[place] for place in shown],
        "loss": [rounded(trained.losses[place - 1]) for place in shown if place],
    }
    if trained.step_sizes:
        figures["step_sizes"] = {
            name: [rounded(sizes[place]) for place in shown] for name, sizes in trained.step_sizes.items()
        }
    return figures
