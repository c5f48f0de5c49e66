"""Methods, engine of precisions learned by noise: a precision phase, then training at the precisions that it found."""

from suite.methods.engines.noise_precision.figures import claims_of
from suite.methods.engines.noise_precision.fine_tuning import fine_tune, leave
from suite.methods.engines.noise_precision.learning import (
    LearnedPrecisions,
    PrecisionRecipe,
    learn_precisions,
    mixed_weights,
)
from suite.methods.engines.noise_precision.options import NoiseOptions, SmolOptions

__all__ = [
    "LearnedPrecisions",
    "NoiseOptions",
    "PrecisionRecipe",
    "SmolOptions",
    "claims_of",
    "fine_tune",
    "learn_precisions",
    "leave",
    "mixed_weights",
]
