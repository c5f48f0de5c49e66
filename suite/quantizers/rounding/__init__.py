"""Quantizers, learned rounding: numerics that choose codes by gradients, in the place of one weight quantizer each."""

from __future__ import annotations

from suite.quantizers.rounding.adaquant_ranged import RangedAdaQuant
from suite.quantizers.rounding.adaround import AdaRound
from suite.quantizers.rounding.base import LearnedRounding
from suite.quantizers.rounding.division import AdaQuant, AdaQuantFlexRound, FlexRound
from suite.quantizers.rounding.schedules import cosine_beta, linear_beta

__all__ = [
    "AdaQuant",
    "AdaQuantFlexRound",
    "AdaRound",
    "FlexRound",
    "LearnedRounding",
    "RangedAdaQuant",
    "cosine_beta",
    "linear_beta",
]
