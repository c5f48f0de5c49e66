"""Weights trained on fixed least-squares steps: what is left of lsq_mse when its steps are not learned."""

from __future__ import annotations

from typing import ClassVar

from suite.methods.api import HALF_RANGE, LEARNED_STEPS, Claims, Method, Needs, Note, Paper, Workbench
from suite.methods.engines.step_learning import train_on_fixed_steps
from suite.methods.engines.training_options import TrainingOptions
from suite.quantizers import RangeRule


class MseFixedOptions(TrainingOptions):
    """Options of `mse_fixed`: those of the training."""


class FixedLeastSquaresSteps(Method):
    """v̂ = s round(clip(v / s, qmin, qmax)) with s = argmin ‖v − v̂‖² of the float network, trained in v alone.

    Steps of weights and of activations stay what they were before the training, however the values move; gradients pass
    straight through where nothing is clipped.
    """

    id = "mse_fixed"
    title = "Training on fixed least-squares steps"
    paper = Paper(
        title="Fixed-point Quantization for Vision Transformer",
        authors="Zhexin Li, Peisong Wang, Zhiyuan Wang, Jian Cheng",
        year=2021,
        url="https://doi.org/10.1109/CAC53003.2021.9728246",
    )
    notes = (
        Note(
            about="whether steps follow the weights",
            ours="no: they stay where the float network put them",
            paper="the least squares alone optimize the steps, without a word on doing it again during the training",
        ),
        Note(
            about="start of the alternation",
            ours="the best of four starts per step: the range, half and a quarter of it, and 2 mean|v| / sqrt(qmax)",
        ),
        Note(
            about="gradients of what is clipped",
            ours="none; axis gradient_mask decides about half a step beyond the limits",
            paper="the same by its formulas",
        ),
        Note(
            about="rate and length of the training",
            ours="sgd, 0.05, 30 epochs, which suit small networks from their float weights; options",
            paper="3 epochs from the float model at a rate of about 5e-6, tuned per model, without warm-up",
        ),
    )
    needs = Needs(gradients=True, labels=True)
    supports: ClassVar = {
        **LEARNED_STEPS,
        "weight_range": ("iterative-mse",),
        "activation_range": ("iterative-mse", HALF_RANGE),
        "step_gradient_scale": ("not-applicable",),
    }
    recommended: ClassVar = {
        "weight_bits": 4,
        "activation_bits": 4,
        "weight_granularity": "per-tensor",
        "activation_symmetry": "symmetric",
        "weight_range": "iterative-mse",
        "activation_range": "iterative-mse",
        "gradient_mask": "clip-then-round",
        "batch_norm": "float",
        "examples": "full-training-set",
        "initialization_examples": 128,
        "labels": "labeled",
        "time_limit": 300.0,
    }
    Options = MseFixedOptions
    options: MseFixedOptions

    def quantize(self, work: Workbench) -> Claims:
        return train_on_fixed_steps(work, self.options.recipe(), start=RangeRule.ITERATIVE_MSE, method=self.id)


METHOD = FixedLeastSquaresSteps
