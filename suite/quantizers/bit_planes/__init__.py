"""Quantizers, weights as planes of bits that are trained: conversion, forward, group lasso, precision adjustment."""

from suite.quantizers.bit_planes.adjustment import adjusted, requantized
from suite.quantizers.bit_planes.group_lasso import group_lasso, weighted_group_lasso
from suite.quantizers.bit_planes.planes import BitPlanes, represented
from suite.quantizers.bit_planes.straight_through import round_in_unit_range
from suite.quantizers.bit_planes.trained import TrainedPlanes, TrainedWhole
from suite.quantizers.bit_planes.whole import WholeWeight

__all__ = [
    "BitPlanes",
    "TrainedPlanes",
    "TrainedWhole",
    "WholeWeight",
    "adjusted",
    "group_lasso",
    "represented",
    "requantized",
    "round_in_unit_range",
    "weighted_group_lasso",
]
