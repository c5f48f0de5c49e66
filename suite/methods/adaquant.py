"""AdaQuant: something is added to every weight before it is rounded to nearest; that and the step are learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from suite.errors import Unsupported
from suite.methods.api import LEARNED_ROUNDING, Claims, Method, Needs, Note, Paper, Workbench, option
from suite.methods.engines.reconstruction import FRAME_NOTES, ReconstructionOptions, reconstruct
from suite.quantizers import Quantizer
from suite.quantizers.rounding import AdaQuant, LearnedRounding, RangedAdaQuant


@dataclass(frozen=True)
class AdaQuantOptions(ReconstructionOptions):
    """Options of `adaquant`, and those of reconstruction."""

    form: Literal["additive", "public-code"] = option(
        "additive",
        doc="additive: V in units of the step, and the step's logarithm; public-code: the weight itself, and the "
        "range and minimum of an asymmetric grid",
    )
    step_rate_ratio: float = option(
        1.0, doc="additive form: rate of the step's logarithm over that of V; 0 freezes it", minimum=0.0
    )
    weight_rate_ratio: float = option(
        0.01, doc="public-code form: rate of the weight over that of its range and minimum", minimum=0.0
    )


class AdditiveQuantization(Method):
    """Ŵ = s₁ clip(⌊(W + V)/s₁⌉, qmin, qmax), learned in V, which starts at zero and has no limit, and in s₁.

    Gradients, with the mask M: dŴ/dV = M, dŴ/ds₁ = k − M (W + V)/s₁. V is kept in units of the starting step, so that
    one learning rate suits every layer: a step of Adam moves V by learning_rate · s₁.
    """

    id = "adaquant"
    title = "Additive learned weights and steps"
    paper = Paper(
        title="Improving Post Training Neural Quantization: Layer-wise Calibration and Integer Programming",
        authors="Itay Hubara, Yury Nahshan, Yair Hanani, Ron Banner, Daniel Soudry",
        year=2020,
        url="https://arxiv.org/abs/2006.10518",
    )
    notes = (
        Note(
            about="what is learned",
            ours="V beside the weight, and the step; option form = public-code learns the weight, range and minimum",
            paper="V and the steps of weights and activations",
            code="no V: the weight itself, its range and minimum, the bias, and range and minimum of the inputs",
        ),
        Note(
            about="bias, and ranges of inputs",
            ours="the bias is left alone; steps of activations are learned as the options of reconstruction say",
            code="both learned together with the weight, at rates 0.001 and 0.1",
        ),
        Note(
            about="learning rates",
            ours="0.001 of the step for V, 0.001 for the logarithm of the step; option learning_rate",
            paper="not stated where FlexRound's paper runs it as a baseline",
            code="0.00001 for the weight, 0.001 for its range; its rate arguments are not used",
        ),
        Note(
            about="unit, loss and iterations",
            ours="blocks, sum over channels, 20 000 iterations as in the presets; options unit, loss and iterations",
            code="single layers, the plain mean of the squared error, 1 000 iterations of batches of 50, float inputs",
        ),
        Note(
            about="order of clipping and rounding in gradients",
            ours="round-then-clip on a new card; the axis gradient_mask chooses",
            code="clip-then-round",
        ),
        *FRAME_NOTES,
    )
    needs = Needs(gradients=True)
    supports = LEARNED_ROUNDING
    recommended: ClassVar = {
        "weight_bits": 4,
        "activation_bits": 4,
        "weight_granularity": "per-tensor",
        "weight_range": "learned-rounding",
        "signed_range": "full",
        "activation_range": "learned-step",
        "gradient_mask": "round-then-clip",
        "step_gradient_scale": "elements-per-channel",
        "residual_connection": "full-precision",
        "network_input": "full-precision",
        "initialization_examples": 256,
        "time_limit": 10_000.0,
    }
    Options = AdaQuantOptions
    options: AdaQuantOptions

    def quantize(self, work: Workbench) -> Claims | None:
        chosen = self.options

        def additive(weight: Tensor, quantizer: Quantizer) -> LearnedRounding:
            return AdaQuant(weight, quantizer, step_rate_ratio=chosen.step_rate_ratio)

        def ranged(weight: Tensor, quantizer: Quantizer) -> LearnedRounding:
            return RangedAdaQuant(weight, quantizer, weight_rate_ratio=chosen.weight_rate_ratio)

        if chosen.form == "additive":
            return reconstruct(work, chosen, additive)
        if work.setting["weight_symmetry"] == "symmetric":
            raise Unsupported(
                "form=public-code learns a minimum, which symmetric weights do not have",
                hint="set weight_symmetry to asymmetric, or form to additive",
            )
        return reconstruct(work, chosen, ranged)


METHOD = AdditiveQuantization
