"""Methods, reconstruction engine: what changes in a unit while it learns, and what is put back afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from suite.methods.engines.reconstruction.units import Unit
from suite.quantizers import Quantizer
from suite.quantizers.rounding import LearnedRounding

RoundingOf = Callable[[Tensor, Quantizer], LearnedRounding]


class Layer(Protocol):
    """A placed layer, as far as reconstruction is concerned."""

    weight: nn.Parameter
    weight_quantizer: Quantizer | LearnedRounding


def steps_of(unit: Unit) -> list[Quantizer]:
    """Activation quantizers inside a unit whose step can be learned."""
    found = [module for module in unit.module.modules() if isinstance(module, Quantizer) and not module.is_weight]
    return [quantizer for quantizer in found if not quantizer.spec.dynamic]


def layers_of(unit: Unit) -> list[Layer]:
    return [
        cast(Layer, module)
        for module in unit.module.modules()
        if isinstance(getattr(module, "weight_quantizer", None), Quantizer)
    ]


@torch.no_grad()
def round_to_nearest(unit: Unit) -> None:
    """Put the weights of a unit that is not learned on their grids, as those of all others will be."""
    for layer in layers_of(unit):
        layer.weight.copy_(layer.weight_quantizer(layer.weight))


@contextmanager
def in_place_of_quantizers(unit: Unit, rounding: RoundingOf | None) -> Iterator[list[LearnedRounding]]:
    """Every weight quantizer of a unit gives its place to a rounding; at the end the layers hold what was learned."""
    layers = layers_of(unit)
    quantizers = [cast(Quantizer, layer.weight_quantizer) for layer in layers]
    placed: list[LearnedRounding] = []
    if rounding is not None:
        for layer, quantizer in zip(layers, quantizers, strict=True):
            placed.append(rounding(layer.weight, quantizer))
            layer.weight_quantizer = placed[-1]
    try:
        yield placed
        for layer, quantizer, one in zip(layers, quantizers, placed, strict=False):
            layer.weight.data.copy_(one.hardened(layer.weight))
            quantizer.set_parameters(one.final_scale(), one.final_zero_point())
    finally:
        for layer, quantizer in zip(layers, quantizers, strict=True):
            layer.weight_quantizer = quantizer


@contextmanager
def dropping(quantizers: list[Quantizer], keep_quantized: float) -> Iterator[None]:
    """While a unit learns, its activations keep their quantized values at random; afterwards always."""
    for quantizer in quantizers:
        quantizer.keep_probability = keep_quantized
    try:
        yield
    finally:
        for quantizer in quantizers:
            quantizer.keep_probability = 1.0
