"""Methods, engine of precisions learned by noise: what its methods declare alike, their paper and their notes."""

from __future__ import annotations

from suite.methods.api import HALF_RANGE, LEARNED_STEPS, Note, Paper

PAPER = Paper(
    title="Not All Bits have Equal Value: Heterogeneous Precisions via Trainable Noise",
    authors="Pedro Savarese, Xin Yuan, Yanjing Li, Michael Maire",
    year=2022,
    url="https://openreview.net/forum?id=zKBbP3R86oc",
)

SUPPORTS: dict[str, tuple[object, ...]] = {
    **LEARNED_STEPS,
    "weight_symmetry": ("symmetric",),
    "weight_granularity": ("per-tensor",),
    "weight_range": ("min-max",),
    "activation_range": ("min-max", "percentile", "learned-step", HALF_RANGE),
    "activation_granularity": ("per-tensor", "per-channel", "per-token"),
    "activation_parameters": ("static", "dynamic"),
    "gradient_mask": ("not-applicable", "clip-then-round", "round-then-clip"),
    "step_gradient_scale": ("not-applicable", "features", "all-elements", "elements-per-channel", "none"),
    "signed_range": ("narrow",),
    "symmetric_step": ("max-over-qmax",),
    "extra_level": ("absent",),
    "weight_precision": ("mixed",),
    "allowed_bit_widths": ("any-integer",),
    "bit_width_granularity": ("per-weight",),
    "checkpoint": ("last",),
}

RECOMMENDED: dict[str, object] = {
    "weight_granularity": "per-tensor",
    "weight_range": "min-max",
    "weight_precision": "mixed",
    "bit_width_granularity": "per-weight",
    "weight_bits": 4,
    "first_layer_weights": "same",
    "last_layer_weights": "same",
    "activation_symmetry": "symmetric",
    "activation_range": HALF_RANGE,
    "activation_bits": 4,
    "first_layer_activations": "8-bit",
    "last_layer_activations": "full-precision",
    "network_input": "full-precision",
    "residual_connection": "full-precision",
    "pooling": "full-precision",
    "gradient_mask": "clip-then-round",
    "batch_norm": "float",
    "examples": "full-training-set",
    "labels": "labeled",
    "time_limit": 300.0,
}

COMMON_NOTES = (
    Note(
        about="what weights may be",
        ours="|θ| ≤ 2 − σ(s) after every update, the outermost level, so that noise never leaves the outermost cell; "
        "option span halves grids and noise",
        paper="bits worth 2^(1-j), which span [-2, 2], but a projection to [-1, 1]",
    ),
    Note(about="samples of the noise in a step", ours="one", paper="K of them; K is not said"),
    Note(about="precision at the start", ours="8 bits; option start_precision"),
    Note(
        about="rate of what decides the precisions",
        ours="10^-3, by Adam without decay; option precision_learning_rate. No step moves s by much more than that, so "
        "short trainings need a larger one",
    ),
    Note(
        about="how precisions become whole",
        ours="the nearest, halves down; option rounding. The record has the average by either way",
    ),
    Note(
        about="weights in the second phase",
        ours="rounded straight through, and kept inside the outer edges ±2α of their cells",
        paper="rounded straight through",
    ),
    Note(
        about="activations",
        ours="on their grids in the second phase only; recommended are 4 bits on [0, 3] with gradients up to 6, in "
        "networks as they are",
        paper="the same in networks whose activation function is ReLU6, on ImageNet",
    ),
    Note(
        about="a bound on the average",
        ours="weight_bits declares it, and the penalty has to keep it: an average above is reported by the method and "
        "contradicted by the audit",
        paper="none: the penalty is swept",
    ),
    Note(
        about="what is counted",
        ours="the bits of every weight; the map of precisions is in the model's size, and not in the average",
        paper="the bits of every weight",
    ),
    Note(
        about="weights whose bits other axes fix",
        ours="float in the first phase; ordinary grids, whose range stays, in the second",
    ),
)

# Of methods whose first phase is where a network begins.
PHASE_NOTES = (
    Note(
        about="scale of a layer's weights",
        ours="α = max|w| / 2 at the start of the precision phase, in float, and it stays",
    ),
    Note(
        about="how long each phase is",
        ours="30 and 25 passes, in the ratio of the paper; options epochs and fine_tuning_epochs",
        paper="350 and 300 passes on CIFAR-10",
    ),
)
