"""LSQ from a least-squares start: steps start where the squared error is least, and are then learned with the weights.

On a bell curve LSQ's usual start clips at 18 standard deviations with 8 bits, and at 8.9 with 6: far too wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from suite.methods.api import LEARNED_STEPS, Claims, Method, Needs, Note, Paper, Workbench, option
from suite.methods.engines.step_learning import learn_steps
from suite.methods.engines.training_options import TrainingOptions
from suite.quantizers import RangeRule


@dataclass(frozen=True)
class LsqMseOptions(TrainingOptions):
    """Options of `lsq_mse`. The order of clipping and rounding and the gradient scale are axes, not options."""

    step_rate_ratio: float = option(1.0, doc="rate of the steps over the rate of the weights", minimum=0.0)


class LeastSquaresStart(Method):
    """v̂ = s round(clip(v / s, qmin, qmax)), trained in v and s from s = argmin ‖v − v̂‖².

    The start alternates k ← round(clip(v / s, qmin, qmax)) and s ← ⟨v, k⟩ / ⟨k, k⟩, as `iterative_mse` does, for
    weights from themselves and for activations from calibration examples. From there on it is `lsq`. The record's
    figures hold the way of every step.
    """

    id = "lsq_mse"
    title = "Learned step sizes from a least-squares start"
    paper = Paper(
        title="Fixed-point Quantization for Vision Transformer",
        authors="Zhexin Li, Peisong Wang, Zhiyuan Wang, Jian Cheng",
        year=2021,
        url="https://doi.org/10.1109/CAC53003.2021.9728246",
    )
    notes = (
        Note(
            about="start of the alternation",
            ours="the best of four starts per step: the range, half and a quarter of it, and 2 mean|v| / sqrt(qmax)",
        ),
        Note(
            about="which examples start the activations",
            ours="those of axis initialization_examples, in one sample of at most a million values",
        ),
        Note(
            about="a value exactly on a limit",
            ours="inside: its step gradient is zero; axis gradient_mask decides about half a step beyond",
            paper="outside, by its strict inequality",
        ),
        Note(
            about="the count N in the gradient scale 1 / sqrt(N qmax)",
            ours="weights that share a step, features of one example; axis step_gradient_scale",
            paper="a number of features, not said whether of one example or of the batch",
        ),
        Note(
            about="rate and length of the training",
            ours="sgd, 0.05, 30 epochs, which suit small networks from their float weights; options",
            paper="3 epochs from the float model at a rate of about 5e-6, tuned per model, without warm-up",
        ),
        Note(
            about="first and last layer",
            ours="8 bits; axes first_layer_weights and last_layer_weights",
            paper="8 bits like everything else",
        ),
    )
    needs = Needs(gradients=True, labels=True)
    supports = LEARNED_STEPS
    recommended: ClassVar = {
        "weight_bits": 4,
        "activation_bits": 4,
        "weight_granularity": "per-tensor",
        "activation_symmetry": "symmetric",
        "weight_range": "learned-step",
        "activation_range": "learned-step",
        "gradient_mask": "clip-then-round",
        "step_gradient_scale": "features",
        "batch_norm": "float",
        "examples": "full-training-set",
        "initialization_examples": 128,
        "labels": "labeled",
        "time_limit": 300.0,
    }
    Options = LsqMseOptions
    options: LsqMseOptions

    def quantize(self, work: Workbench) -> Claims:
        recipe = self.options.recipe(step_rate_ratio=self.options.step_rate_ratio)
        return learn_steps(work, recipe, start=RangeRule.ITERATIVE_MSE, method=self.id)


METHOD = LeastSquaresStart
