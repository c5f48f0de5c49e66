"""Methods API: the usual answers to "which settings does this method support?".

`Method.supports` maps an axis to the values a method accepts. An axis it does not name is left to the suite, which
enforces it for every method alike (which operations are quantized, how the data is drawn, …). These tables name the
axes that only a method can honour; a method starts from one of them and narrows or widens it.
"""

from __future__ import annotations

from collections.abc import Mapping

RANGE_RULES = ("min-max", "ema-min-max", "percentile", "mse", "iterative-mse")
# Searches and learned rounding look for the nearest integer code; grids without zero have odd ones.
WITH_ZERO = ("symmetric", "asymmetric")

# A given range that every trained method can have: [0, 3], or [-3, 3] where values are negative.
HALF_RANGE = "three"

# Nothing is learned by gradients; every range follows from a rule over observed values.
POST_TRAINING: Mapping[str, tuple[object, ...]] = {
    "weight_symmetry": WITH_ZERO,
    "weight_range": RANGE_RULES,
    "activation_range": RANGE_RULES,
    "gradient_mask": ("not-applicable",),
    "step_gradient_scale": ("not-applicable",),
    "batch_norm_statistics": ("running",),
    "weight_precision": ("fixed",),
    "activation_precision": ("fixed",),
    "activation_constraint": ("none",),
    "data_source": ("real",),
    "labels": ("unlabeled",),
    "checkpoint": ("last",),
}

# Weights and steps are trained on the task's loss; the grid has one step per tensor, channel, group or weight.
LEARNED_STEPS: Mapping[str, tuple[object, ...]] = {
    "weight_symmetry": WITH_ZERO,
    "weight_range": ("learned-step",),
    "activation_range": ("learned-step", HALF_RANGE),
    "activation_granularity": ("per-tensor", "per-channel"),
    "activation_parameters": ("static",),
    "gradient_mask": ("clip-then-round", "round-then-clip"),
    "step_gradient_scale": ("features", "all-elements", "elements-per-channel", "none"),
    "weight_precision": ("fixed",),
    "activation_precision": ("fixed",),
    "activation_constraint": ("none",),
    "data_source": ("real",),
    "labels": ("labeled", "pseudo-labeled"),
    "checkpoint": ("last", "best-on-validation"),
}

# The rounding of weights is learned from the outputs of parts of the network; steps of activations may be, too.
LEARNED_ROUNDING: Mapping[str, tuple[object, ...]] = {
    "weight_symmetry": WITH_ZERO,
    "weight_range": ("learned-rounding",),
    "weight_granularity": ("per-tensor", "per-channel"),
    "activation_range": ("learned-step", *RANGE_RULES),
    "activation_granularity": ("per-tensor", "per-channel"),
    "activation_parameters": ("static",),
    "gradient_mask": ("round-then-clip", "clip-then-round"),
    "step_gradient_scale": ("none", "features", "all-elements", "elements-per-channel"),
    "batch_norm_statistics": ("running",),
    "weight_precision": ("fixed",),
    "activation_precision": ("fixed",),
    "activation_constraint": ("none",),
    "data_source": ("real",),
    "labels": ("unlabeled",),
    "checkpoint": ("last",),
}

# Weights pass DoReFa's transform; activations are clipped to a given or a learned value.
TANH_WEIGHTS: Mapping[str, tuple[object, ...]] = {
    **LEARNED_STEPS,
    "weight_symmetry": ("symmetric-without-zero", "symmetric"),
    "weight_granularity": ("per-tensor", "per-channel"),
    "weight_bits": (1, 2, 3, 4, 5, 6, 7, 8, 32),
    "weight_range": ("min-max",),
    "activation_symmetry": ("symmetric",),
    "activation_granularity": ("per-tensor",),
    "gradient_mask": ("clip-then-round",),
    "step_gradient_scale": ("not-applicable",),
}
