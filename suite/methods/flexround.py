"""FlexRound: every weight is divided by a learned positive number, which keeps its sign, and rounded to nearest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from suite.methods.api import LEARNED_ROUNDING, Claims, Method, Needs, Note, Paper, Workbench, option
from suite.methods.engines.reconstruction import FRAME_NOTES, ReconstructionOptions, reconstruct
from suite.quantizers import Quantizer
from suite.quantizers.rounding import FlexRound, LearnedRounding


@dataclass(frozen=True)
class FlexRoundOptions(ReconstructionOptions):
    """Options of `flexround`, and those of reconstruction."""

    learning_rate: float = option(4e-4, doc="rate of all factors", minimum=0.0)
    schedule: Literal["constant", "cosine"] = option("cosine", doc="how that rate falls, to zero or not at all")
    iterations: int | None = option(5_000, doc="iterations per unit; none: those of the preset", minimum=1)
    positivity: Literal["log", "direct"] = option(
        "log", doc="log: logarithms of the factors are learned; direct: the factors, clamped to at least 1e-6"
    )
    no_s3_s4: bool = option(False, doc="ablation: no factors s₃ and s₄ for output and input channels")
    s1_fixed: bool = option(False, doc="ablation: the step s₁ stays where it starts")


class FlexibleRounding(Method):
    """Ŵ = s₁ clip(⌊W / (s₁ S₂ s₃ s₄)⌉, qmin, qmax), learned in the positive factors s₁, S₂, s₃, s₄ at one rate.

    S₂ has an entry for every weight, s₃ for every output channel, s₄ for every input channel of a convolution; they
    start at one, so that learning starts from rounding to nearest. With S′ = S₂ s₃ s₄, the mask M, the code k and
    r = W/(s₁ S′): dŴ/dS′ = −M W/S′², dŴ/ds₁ = k − M r. Large weights move further, because the gradient grows with W.
    """

    id = "flexround"
    title = "Learnable rounding by element-wise division"
    paper = Paper(
        title="FlexRound: Learnable Rounding based on Element-wise Division for Post-Training Quantization",
        authors="Jung Hyun Lee, Jeonghoon Kim, Se Jung Kwon, Dongsoo Lee",
        year=2023,
        url="https://arxiv.org/abs/2306.00317",
    )
    notes = (
        Note(
            about="how factors stay positive",
            ours="their logarithms are learned; option positivity = direct learns the factors and clamps them",
            paper="a constraint is stated, and no way to keep it",
            code="logarithms of all factors",
        ),
        Note(
            about="what one learning rate means for the step s₁",
            ours="the same relative change as for the other factors; positivity = direct moves s₁ by the rate itself, "
            "2 % of a step of 0.02 in every iteration",
            paper="one learning rate for all factors",
        ),
        Note(
            about="clipping to the codes of the grid",
            ours="the code is clipped",
            paper="the printed formula has no clipping",
            code="the code is clipped",
        ),
        Note(
            about="s₄ in grouped convolutions and linear layers",
            ours="one entry for every input channel of a group, hence a single one in depthwise layers",
            paper="none in linear layers; grouped convolutions are not mentioned",
            code="linear layers only, without s₄",
        ),
        Note(
            about="learning rate and its schedule",
            ours="0.0004 falling to zero along a cosine, 5 000 iterations; options learning_rate and schedule",
            paper="0.0004 for ResNets at 3 and 4 bits, 0.001 at 2 bits and for MobileNetV2; no schedule is stated",
            code="cosine to zero; 0.0005 with a range search and 0.0025 or more without, for language models",
        ),
        Note(
            about="weight grid",
            ours="symmetric per tensor on a new card; the axes choose",
            paper="symmetric per tensor for vision, asymmetric per tensor for language models",
            code="asymmetric per channel",
        ),
        Note(
            about="where the step starts",
            ours="option weight_start, by default the search of the preset",
            paper="from rounding to nearest, by a rule that is not stated",
            code="a range search, or minimum and maximum",
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
    Options = FlexRoundOptions
    options: FlexRoundOptions

    def quantize(self, work: Workbench) -> Claims | None:
        chosen = self.options

        def rounding(weight: Tensor, quantizer: Quantizer) -> LearnedRounding:
            return FlexRound(
                weight, quantizer,
                positivity=chosen.positivity, no_s3_s4=chosen.no_s3_s4, s1_fixed=chosen.s1_fixed,
            )  # fmt: skip

        return reconstruct(work, chosen, rounding)


METHOD = FlexibleRounding
