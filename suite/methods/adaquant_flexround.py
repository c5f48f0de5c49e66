"""AdaQuant with FlexRound: a weight is shifted and divided, by learned amounts, and then rounded to nearest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from suite.methods.api import LEARNED_ROUNDING, Claims, Method, Needs, Note, Paper, Workbench, option
from suite.methods.engines.reconstruction import FRAME_NOTES, ReconstructionOptions, reconstruct
from suite.quantizers import Quantizer
from suite.quantizers.rounding import AdaQuantFlexRound, LearnedRounding


@dataclass(frozen=True)
class AdaQuantFlexRoundOptions(ReconstructionOptions):
    """Options of `adaquant_flexround`, and those of reconstruction."""

    learning_rate: float = option(4e-4, doc="rate of all factors, and of V in units of the step", minimum=0.0)
    schedule: Literal["constant", "cosine"] = option("cosine", doc="how that rate falls, to zero or not at all")
    iterations: int | None = option(5_000, doc="iterations per unit; none: those of the preset", minimum=1)
    positivity: Literal["log", "direct"] = option(
        "log", doc="log: logarithms of the factors are learned; direct: the factors, clamped to at least 1e-6"
    )


class AdditionAndDivision(Method):
    """Ŵ = s₁ clip(⌊(W + V) / (s₁ S₂ s₃ s₄)⌉, qmin, qmax), learned in V and in the positive factors.

    V starts at zero and the divisors S₂, s₃, s₄ at one. With S′ = S₂ s₃ s₄ and the mask M: dŴ/dV = M/S′; the gradients
    of the factors are those of FlexRound with W + V in the place of W. A weight may change its sign.
    """

    id = "adaquant_flexround"
    title = "AdaQuant combined with FlexRound"
    paper = Paper(
        title="FlexRound: Learnable Rounding based on Element-wise Division for Post-Training Quantization",
        authors="Jung Hyun Lee, Jeonghoon Kim, Se Jung Kwon, Dongsoo Lee",
        year=2023,
        url="https://arxiv.org/abs/2306.00317",
    )
    notes = (
        Note(
            about="how the two are combined",
            ours="the sum W + V is divided, and everything is learned together",
            paper="that they are combined naively, and no formula",
        ),
        Note(
            about="learning rates",
            ours="FlexRound's 0.0004 for all; V is kept in units of the starting step; option learning_rate",
        ),
        Note(
            about="how factors stay positive",
            ours="their logarithms are learned; option positivity = direct learns the factors and clamps them",
            paper="a constraint is stated, and no way to keep it",
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
    Options = AdaQuantFlexRoundOptions
    options: AdaQuantFlexRoundOptions

    def quantize(self, work: Workbench) -> Claims | None:
        def rounding(weight: Tensor, quantizer: Quantizer) -> LearnedRounding:
            return AdaQuantFlexRound(weight, quantizer, positivity=self.options.positivity)

        return reconstruct(work, self.options, rounding)


METHOD = AdditionAndDivision
