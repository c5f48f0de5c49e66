"""Plain linear quantization-aware training: ranges follow weights and activations, and only weights learn.

The comparison of widths and bits that names it uses it above 4 bits, where learned steps had done badly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from suite.methods.api import HALF_RANGE, LEARNED_STEPS, Claims, Method, Needs, Note, Paper, Workbench, option
from suite.methods.engines.step_learning import require_grids, start_steps, training_figures
from suite.methods.engines.training import train
from suite.methods.engines.training_options import TrainingOptions
from suite.plan import standing_in, weights_of
from suite.quantizers import Quantizer
from suite.quantizers.following import FollowingQuantizer
from suite.quantizers.spec import RangeRule


@dataclass(frozen=True)
class LinearOptions(TrainingOptions):
    """Options of `linear_qat`."""

    range_momentum: float = option(
        0.99, doc="of the moving average of activation limits: their part that a batch leaves", minimum=0.0, maximum=1.0
    )


class LinearTraining(Method):
    """v̂ = s (round(clip(v / s + z)) − z), trained in v; s and z come from the range of v and take no gradient.

    Weights: the range is [min w, max w] in every forward pass, so s = max|w| / qmax on a symmetric grid, nothing is
    clipped, and the gradient passes as it is. Activations: low ← m low + (1 − m) min x, the same for high, in training;
    gradients pass inside the range. With `min-max` they keep the range of the calibration examples; dynamic ranges are
    those of the batch itself, and gradients pass everywhere.
    """

    id = "linear_qat"
    title = "Plain linear quantization-aware training"
    paper = Paper(
        title="Quantizing deep convolutional networks for efficient inference: A whitepaper",
        authors="Raghuraman Krishnamoorthi",
        year=2018,
        url="https://arxiv.org/abs/1806.08342",
    )
    notes = (
        Note(
            about="which linear quantization is meant by the study that falls back on it above 4 bits",
            ours="the one that most do: ranges of weights recomputed in every pass, moving averages for activations",
            paper="the study says plain linear quantization, and nothing more",
        ),
        Note(
            about="grid of the weights",
            ours="symmetric, one step per tensor; axes weight_symmetry and weight_granularity",
        ),
        Note(
            about="gradient through the range",
            ours="none: the step is a constant of each pass",
        ),
        Note(
            about="the largest weight, which lies on the limit",
            ours="its gradient passes: recommended is round-then-clip, which no rounding of the step can cut; axis "
            "gradient_mask",
        ),
        Note(
            about="moving average of activation limits",
            ours="0.99 of the old limits, from the calibration examples on; it rests in evaluation; option "
            "range_momentum",
        ),
        Note(
            about="ranges of activations that are no moving averages",
            ours="axis activation_range: min-max keeps those of calibration, three is [0, 3]; with axis "
            "activation_parameters set to dynamic min-max is that of each batch",
        ),
        Note(
            about="when activations begin to be quantized",
            ours="at the first step, because their ranges start from calibration examples",
            paper="after some steps of training, where ranges start with it",
        ),
    )
    needs = Needs(gradients=True, labels=True)
    supports: ClassVar = {
        **LEARNED_STEPS,
        "weight_range": ("min-max",),
        "activation_range": ("ema-min-max", "min-max", HALF_RANGE),
        "activation_parameters": ("static", "dynamic"),
        "step_gradient_scale": ("not-applicable",),
    }
    recommended: ClassVar = {
        "weight_bits": 8,
        "activation_bits": 8,
        "weight_granularity": "per-tensor",
        "weight_range": "min-max",
        "activation_range": "ema-min-max",
        "gradient_mask": "round-then-clip",
        "batch_norm": "float",
        "examples": "full-training-set",
        "initialization_examples": 128,
        "labels": "labeled",
        "time_limit": 300.0,
    }
    Options = LinearOptions
    options: LinearOptions

    def quantize(self, work: Workbench) -> Claims:
        require_grids(work, self.id)
        recipe = self.options.recipe()
        start_steps(work, recipe)
        follower = partial(FollowingQuantizer, momentum=self.options.range_momentum)
        with standing_in(work.model, lambda quantizer: follower(quantizer) if _follows(quantizer) else None):
            trained = train(work, recipe)
        for quantizer, weight in weights_of(work.model).values():  # the last update moved them once more
            follower(quantizer).follow(weight.detach())
        return Claims(figures=training_figures(trained))


def _follows(quantizer: Quantizer) -> bool:
    """Ranges of weights always do; those of activations may be averages, of calibration alone, dynamic, or given."""
    return quantizer.is_weight or quantizer.spec.range_rule is RangeRule.EMA_MIN_MAX


METHOD = LinearTraining
