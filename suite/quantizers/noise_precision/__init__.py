"""Quantizers, precisions learned by noise: every weight tolerates noise as wide as half a step of the grid it needs."""

from suite.quantizers.noise_precision.allocation import PrecisionRounding, rounded_precision, tolerates_zero
from suite.quantizers.noise_precision.grid import PrecisionGrid, Span, observed_precision, smallest_scale
from suite.quantizers.noise_precision.maps import noise_half_width, parameter_of, precision_of, precision_penalty
from suite.quantizers.noise_precision.noise import noisy, project_, uniform_noise
from suite.quantizers.noise_precision.reading import common_unit, precision_shown
from suite.quantizers.noise_precision.weights import NoisyWeight, PrecisionQuantizer, shuffled

__all__ = [
    "NoisyWeight",
    "PrecisionGrid",
    "PrecisionQuantizer",
    "PrecisionRounding",
    "Span",
    "common_unit",
    "noise_half_width",
    "noisy",
    "observed_precision",
    "parameter_of",
    "precision_of",
    "precision_penalty",
    "precision_shown",
    "project_",
    "rounded_precision",
    "shuffled",
    "smallest_scale",
    "tolerates_zero",
    "uniform_noise",
]
