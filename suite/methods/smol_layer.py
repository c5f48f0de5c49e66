"""SMOL with one precision for the weights of a layer."""

from __future__ import annotations

from typing import ClassVar

from suite.methods.api import Claims, Method, Needs, Note, Workbench
from suite.methods.engines.noise_precision import NoiseOptions, claims_of, fine_tune, learn_precisions, leave
from suite.methods.engines.noise_precision.declarations import COMMON_NOTES, PAPER, PHASE_NOTES, RECOMMENDED, SUPPORTS


class LayerNoise(Method):
    """min over θ, s of E L(α_l (θ + σ(s_l) ε)) + λ Σ_l N_l log₂(1 + e^−s_l): one s for the N_l weights of layer l.

    Noise is still drawn for each weight. All weights of a layer get p_l = 1 + log₂(1 + e^−s_l) bits, made whole, and
    lie on the 2^p odd multiples of α_l 2^(1 − p) after the second phase: a grid without zero.
    """

    id = "smol_layer"
    title = "Precisions of layers through trainable noise"
    paper = PAPER
    notes = (
        *PHASE_NOTES,
        *COMMON_NOTES,
        Note(
            about="size of a layer in the penalty",
            ours="every weight counts, so that λ means the same as with a precision for each weight",
        ),
        Note(about="the widest grid of a layer", ours="8 bits; the next one there is has 16"),
    )
    needs = Needs(gradients=True, labels=True)
    supports: ClassVar = {
        **SUPPORTS,
        "weight_symmetry": ("symmetric-without-zero",),
        "bit_width_granularity": ("per-layer",),
    }
    recommended: ClassVar = {
        **RECOMMENDED,
        "weight_symmetry": "symmetric-without-zero",
        "bit_width_granularity": "per-layer",
    }
    Options = NoiseOptions
    options: NoiseOptions

    def quantize(self, work: Workbench) -> Claims:
        options = self.options
        learned = learn_precisions(work, options.precision_phase(per_layer=True))
        layers = learned.quantizers()
        fine_tuning = fine_tune(
            work, options.fine_tuning(), layers, batch_size=options.batch_size, began=learned.training.first
        )
        return claims_of(work, leave(work, layers), learned.precisions, learned, fine_tuning)


METHOD = LayerNoise
