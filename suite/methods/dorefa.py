"""DoReFa: weights pass a hyperbolic tangent before they are quantized, activations are clipped to [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from suite.methods.api import TANH_WEIGHTS, Claims, Method, Needs, Note, Paper, Workbench, option
from suite.methods.engines.step_learning import train_on_tanh_weights
from suite.methods.engines.training_options import TrainingOptions


@dataclass(frozen=True)
class DorefaOptions(TrainingOptions):
    """Options of `dorefa`."""

    form: Literal["rescaled", "unit-range"] = option(
        "rescaled",
        doc="of the weights: rescaled keeps the largest |tanh w| and the tangent's gradient, unit-range ends at 1 and "
        "passes the gradient as it is",
    )


class Dorefa(Method):
    """ŵ = M (2 round((t / 2M + 1/2)(2ᵇ − 1)) / (2ᵇ − 1) − 1) with t = tanh w and M = max|t|; x̂ = x clipped to [0, 1].

    The gradient of w is 1 − t²; M is a constant to it. With unit-range M is left out, and the gradient is 1. One bit is
    sign(w) mean|w|. The weight that is kept is ŵ itself: the transform is not part of the network that is left.
    """

    id = "dorefa"
    title = "DoReFa: quantization behind a hyperbolic tangent"
    paper = Paper(
        title="DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low Bitwidth Gradients",
        authors="Shuchang Zhou, Yuxin Wu, Zekun Ni, Xinyu Zhou, He Wen, Yuheng Zou",
        year=2016,
        url="https://arxiv.org/abs/1606.06160",
    )
    notes = (
        Note(
            about="range of the quantized weights",
            ours="[-M, M], so that a float network stays nearly what it was; option form has [-1, 1]",
            paper="[-1, 1]",
            code="one repository rescales by M, another has [-1, 1]",
        ),
        Note(
            about="gradient of the weights",
            ours="through the tangent where rescaled, as it is where unit-range",
            code="the same, each in its repository",
        ),
        Note(
            about="a level at zero",
            ours="none; axis weight_symmetry set to symmetric has one, on the ordinary grid",
            paper="none at any width",
            code="a benchmark quantizes t / (max|t| + 1e-5) on an ordinary grid, which has one",
        ),
        Note(
            about="one bit",
            ours="sign(w) mean|w|; the gradient is passed as it is. Activations of one bit are 0 and 1",
            paper="the same",
            code="one repository takes the sign of clipped activations at one bit",
        ),
        Note(
            about="activations that can be negative",
            ours="clipped to [-1, 1] on a signed grid",
            paper="all activations lie in [0, 1]",
        ),
        Note(
            about="first and last layer",
            ours="full precision, with the network's input; axes first_layer_weights, last_layer_weights, "
            "last_layer_activations and network_input",
            paper="full precision",
        ),
        Note(
            about="gradients of few bits",
            ours="not done: it saves work in training, and nothing where the network is used",
            paper="a part of its title",
        ),
    )
    needs = Needs(gradients=True, labels=True)
    supports: ClassVar = {**TANH_WEIGHTS, "activation_range": ("unit",)}
    recommended: ClassVar = {
        "weight_bits": 4,
        "activation_bits": 4,
        "weight_symmetry": "symmetric-without-zero",
        "weight_granularity": "per-tensor",
        "activation_symmetry": "symmetric",
        "activation_range": "unit",
        "gradient_mask": "clip-then-round",
        "first_layer_weights": "full-precision",
        "last_layer_weights": "full-precision",
        "last_layer_activations": "full-precision",
        "network_input": "full-precision",
        "skip_connection": "full-precision",
        "residual_connection": "full-precision",
        "batch_norm": "float",
        "examples": "full-training-set",
        "initialization_examples": 128,
        "labels": "labeled",
        "time_limit": 300.0,
    }
    Options = DorefaOptions
    options: DorefaOptions

    def quantize(self, work: Workbench) -> Claims:
        return train_on_tanh_weights(
            work, self.options.recipe(), rescaled=self.options.form == "rescaled", method=self.id
        )


METHOD = Dorefa
