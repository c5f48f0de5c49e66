"""AdaRound: every weight is rounded up or down, whichever keeps the outputs of its block; the choice is learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from suite.methods.api import LEARNED_ROUNDING, Claims, Method, Needs, Note, Paper, Workbench, option
from suite.methods.engines.reconstruction import FRAME_NOTES, ReconstructionOptions, Regularizer, reconstruct
from suite.quantizers.rounding import AdaRound


@dataclass(frozen=True)
class AdaRoundOptions(ReconstructionOptions):
    """Options of `adaround`, and those of reconstruction."""

    regularizer_weight: float = option(0.01, doc="λ, the weight of the sum that makes choices hard", minimum=0.0)
    warmup: float = option(0.2, doc="part of the iterations without that sum", minimum=0.0, maximum=1.0)
    beta_start: float = option(20.0, doc="its exponent at the end of the warm-up", minimum=1.0, maximum=100.0)
    beta_end: float = option(2.0, doc="its exponent at the last iteration", minimum=1.0, maximum=100.0)
    beta_schedule: Literal["linear", "cosine"] = option("linear", doc="how the exponent falls")


class AdaptiveRounding(Method):
    """Ŵ = s (clip(⌊W/s⌋ + h(V) + z, qmin, qmax) − z), with h(V) = clip(1.2 σ(V) − 0.1, 0, 1); only V is learned.

    Start: h(V) = W/s − ⌊W/s⌋. Loss of a unit: mean over examples and positions of the sum over channels of the squared
    error, + λ Σ (1 − |2 h(V) − 1|^β); β falls while learning. At the end a weight is rounded up where V ≥ 0.
    """

    id = "adaround"
    title = "Adaptive rounding"
    paper = Paper(
        title="Up or Down? Adaptive Rounding for Post-Training Quantization",
        authors="Markus Nagel, Rana Ali Amjad, Mart van Baalen, Christos Louizos, Tijmen Blankevoort",
        year=2020,
        url="https://arxiv.org/abs/2004.10568",
    )
    notes = (
        Note(
            about="fall of the exponent β",
            ours="linear from 20 to 2 after the warm-up; option beta_schedule chooses the cosine",
            code="linear in BRECQ and QDrop, although a comment there says cosine; cosine in AIMET",
        ),
        Note(
            about="learning rate of V",
            ours="0.001, Adam; option learning_rate",
            code="0.001 in BRECQ and QDrop, by leaving Adam's default alone",
        ),
        Note(
            about="iterations for a unit",
            ours="20 000 as in both presets; option iterations",
            code="20 000 in BRECQ and QDrop; AIMET 15 000 at low and 10 000 at 8 bits",
        ),
        Note(
            about="λ, which multiplies a sum over weights and not a mean",
            ours="0.01; option regularizer_weight",
            code="0.01; QDrop 0.1 for MobileNetV2 and 0.2 for MNasNet",
        ),
        Note(
            about="symmetry of the weight grid",
            ours="asymmetric per channel on a new card; the axes choose",
            paper="symmetric, one scale for a layer",
            code="BRECQ is asymmetric even when asked for symmetric grids: its scale search ignores the request",
        ),
        Note(
            about="a weight halfway between two codes",
            ours="starts on the side of rounding to nearest, ties to even",
            code="starts on the upper side",
        ),
        *FRAME_NOTES,
    )
    needs = Needs(gradients=True)
    supports = LEARNED_ROUNDING
    recommended: ClassVar = {
        "weight_bits": 4,
        "activation_bits": 4,
        "weight_symmetry": "asymmetric",
        "weight_range": "learned-rounding",
        "activation_range": "learned-step",
        "gradient_mask": "round-then-clip",
        "step_gradient_scale": "elements-per-channel",
        "residual_connection": "full-precision",
        "network_input": "full-precision",
        "initialization_examples": 256,
        "time_limit": 10_000.0,
    }
    Options = AdaRoundOptions
    options: AdaRoundOptions

    def quantize(self, work: Workbench) -> Claims | None:
        chosen = self.options
        regularizer = Regularizer(
            factor=chosen.regularizer_weight,
            warmup=chosen.warmup,
            start=chosen.beta_start,
            end=chosen.beta_end,
            schedule=chosen.beta_schedule,
        )
        return reconstruct(work, chosen, AdaRound, regularizer)


METHOD = AdaptiveRounding
