"""SMOL: every weight learns how much noise it bears, and gets the bits whose rounding is no louder than that."""

from __future__ import annotations

from typing import ClassVar

from suite.methods.api import Claims, Method, Needs, Note, Workbench
from suite.methods.engines.noise_precision import SmolOptions, claims_of, fine_tune, learn_precisions, leave
from suite.methods.engines.noise_precision.declarations import COMMON_NOTES, PAPER, PHASE_NOTES, RECOMMENDED, SUPPORTS


class TrainableNoise(Method):
    """min over θ, s of E L(α (θ + σ(s) ε)) + λ Σᵢ log₂(1 + e^−sᵢ), ε ~ U(−1, 1): one s for every weight w = α θ.

    A weight of p bits lies on the odd multiples of h = 2^(1 − p) within ±(2 − h), and rounding moves it by up to h. So
    noise of half-width σ(s) = 2^(1 − p) stands for p = 1 + log₂(1 + e^−s) bits, and both can be learned. Then p is made
    whole, and θ is trained on its grid, straight through. What is left of a layer lies on one grid, that of its finest
    weights, and every weight shows its own precision on it.
    """

    id = "smol"
    title = "Precisions through trainable noise"
    paper = PAPER
    notes = (
        *PHASE_NOTES,
        *COMMON_NOTES,
        Note(
            about="which weights get no bits",
            ours="with option allocate_zero those with p < 1.5 and |θ| ≤ σ(s): zero lies where noise took them",
            paper="used for small models; the rule is not said",
        ),
        Note(
            about="a grid without zero",
            ours="each weight's own grid has none, that of the layer, on which the weights of all precisions lie, has "
            "one: weight_symmetry is symmetric. Weights are zero only where they were removed",
        ),
    )
    needs = Needs(gradients=True, labels=True)
    supports: ClassVar = SUPPORTS
    recommended: ClassVar = RECOMMENDED
    Options = SmolOptions
    options: SmolOptions

    def quantize(self, work: Workbench) -> Claims:
        options = self.options
        learned = learn_precisions(work, options.precision_phase(per_layer=False, allocate_zero=options.allocate_zero))
        layers = learned.quantizers()
        fine_tuning = fine_tune(
            work, options.fine_tuning(), layers, batch_size=options.batch_size, began=learned.training.first
        )
        return claims_of(work, leave(work, layers), learned.precisions, learned, fine_tuning)


METHOD = TrainableNoise
