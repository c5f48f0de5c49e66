"""LSQ, learned step size quantization: weights and quantization steps are trained together on the task's loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from suite.methods.api import LEARNED_STEPS, Claims, Method, Needs, Note, Paper, Workbench, option
from suite.methods.engines.step_learning import learn_steps
from suite.methods.engines.training_options import TrainingOptions
from suite.quantizers import RangeRule
from suite.quantizers.ranges import Rule


@dataclass(frozen=True)
class LsqOptions(TrainingOptions):
    """Options of `lsq`. The order of clipping and rounding and the gradient scale are axes, not options."""

    initialization: Literal["lsq", "mse"] = option(
        "lsq",
        doc="where steps start: lsq is 2 mean|v| / sqrt(qmax), mse the least squared error, which is method lsq_mse",
    )
    step_rate_ratio: float = option(
        1.0, doc="rate of the steps over the rate of the weights; 0 freezes them", minimum=0.0
    )


class LearnedStepSize(Method):
    """v̂ = s round(clip(v / s, qmin, qmax)), trained in v and s.

    The gradient of the step is round(v/s) − v/s inside the limits and the limit outside, times g = 1/√(N qmax); N and
    the order of clip and round are the axes `step_gradient_scale` and `gradient_mask`. The record's figures hold the
    way of every step.
    """

    id = "lsq"
    title = "Learned step size quantization"
    paper = Paper(
        title="Learned Step Size Quantization",
        authors="Steven K. Esser, Jeffrey L. McKinstry, Deepika Bablani, Rathinakumar Appuswamy, Dharmendra S. Modha",
        year=2020,
        url="https://arxiv.org/abs/1902.08153",
    )
    notes = (
        Note(
            about="the count N in the gradient scale 1 / sqrt(N qmax)",
            ours="weights that share a step, features of one example; axis step_gradient_scale",
            paper="weights of the layer, features of the layer",
            code="one repository counts the whole tensor with the batch, others divide that by the channels",
        ),
        Note(
            about="where steps start",
            ours="2 mean|v| / sqrt(qmax), activations from the first examples; option initialization, or method "
            "lsq_mse, has the least squared error. On a bell curve this start clips at 1.6, 2.8, 4.2, 8.9 and 18 "
            "standard deviations with 2, 3, 4, 6 and 8 bits: far too wide at 6 bits and more",
            paper="2 mean|v| / sqrt(qmax), activations from the first batch",
            code="one repository leaves activation steps at 1",
        ),
        Note(
            about="a value exactly on a limit",
            ours="inside: its step gradient is zero; axis gradient_mask decides about half a step beyond",
            paper="outside, by its strict inequality",
            code="inside",
        ),
        Note(about="a step that crosses zero", ours="replaced by its absolute value, with a floor", code="the same"),
        Note(
            about="first and last layer",
            ours="8 bits; axes first_layer_weights and last_layer_weights",
            paper="8 bits",
            code="one repository leaves their weights at full precision, and quantizes the network's input",
        ),
        Note(
            about="one bit",
            ours="the two levels {-s, +s}: signed limits at one bit would leave {-s, 0}",
        ),
        Note(
            about="weight decay of the steps",
            ours="none, nor of biases and normalization",
            paper="silent for the steps",
        ),
        Note(
            about="what the record keeps",
            ours="the mean step of every quantizer along the training, and the loss, in the figures",
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
    Options = LsqOptions
    options: LsqOptions

    def quantize(self, work: Workbench) -> Claims:
        start: Rule = RangeRule.ITERATIVE_MSE if self.options.initialization == "mse" else "lsq"
        recipe = self.options.recipe(step_rate_ratio=self.options.step_rate_ratio)
        return learn_steps(work, recipe, start=start, method=self.id)


METHOD = LearnedStepSize
