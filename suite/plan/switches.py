"""Plan, the switches of a placed model: finding its quantizers, turning them off, watching, calibrating."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from suite.plan.layers import Quantizers
from suite.quantizers.quantizer import Quantizer


def quantizers_of(module: nn.Module) -> dict[str, Quantizer]:
    """All quantizers in a placed model, or in one of its blocks, by their names in the plan."""
    found: dict[str, Quantizer] = {}
    for inner in module.modules():
        if isinstance(inner, Quantizers):
            found.update({site: quantizer for site, quantizer in inner.named() if isinstance(quantizer, Quantizer)})
        elif isinstance(getattr(inner, "weight_quantizer", None), Quantizer):
            found[str(inner.weight_site)] = inner.weight_quantizer  # type: ignore[assignment]
    return found


def weights_of(module: nn.Module) -> dict[str, tuple[Quantizer, Tensor]]:
    """Weight quantizers by name, each with the weight it quantizes."""
    return {
        str(inner.weight_site): (inner.weight_quantizer, inner.weight)  # type: ignore[misc]
        for inner in module.modules()
        if isinstance(getattr(inner, "weight_quantizer", None), Quantizer)
    }


@contextmanager
def all_off(module: nn.Module) -> Iterator[None]:
    """Every quantizer lets its tensor pass unchanged; restored afterwards, whatever happens inside."""
    quantizers = list(quantizers_of(module).values())
    before = [quantizer.enabled for quantizer in quantizers]
    try:
        for quantizer in quantizers:
            quantizer.enabled = False
        yield
    finally:
        for quantizer, enabled in zip(quantizers, before, strict=True):
            quantizer.enabled = enabled


@contextmanager
def calibrating(module: nn.Module) -> Iterator[None]:
    """Activation quantizers watch what passes and let it pass raw; at the end they take their ranges from it.

    Weights stay as they are switched. After an error inside, nothing takes a range from what was seen by then.
    """
    quantizers = [quantizer for quantizer in quantizers_of(module).values() if not quantizer.is_weight]
    before = [quantizer.observing for quantizer in quantizers]
    try:
        for quantizer in quantizers:
            quantizer.observing = True
        yield
    finally:
        for quantizer, observing in zip(quantizers, before, strict=True):
            quantizer.observing = observing
    for quantizer in quantizers:
        quantizer.finish()


def initialize_weights(module: nn.Module) -> None:
    """Every weight quantizer takes its range from its weight."""
    for quantizer, weight in weights_of(module).values():
        quantizer.initialize(weight.detach())
