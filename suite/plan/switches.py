"""Plan, the switches of a placed model: finding its quantizers, turning them off, watching, calibrating."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from suite.plan.layers import Quantizers
from suite.plan.table import Plan
from suite.quantizers.quantizer import Quantizer
from suite.quantizers.spec import QuantizerSpec


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


@contextmanager
def standing_in(module: nn.Module, make: Callable[[Quantizer], nn.Module | None]) -> Iterator[dict[str, nn.Module]]:
    """While the block lasts, what `make` returns stands in the place of each quantizer, unless it is None.

    Yields what stands in, by names in the plan. The quantizers come back whatever happens inside.
    """
    standing: dict[str, nn.Module] = {}
    places: list[tuple[nn.Module, str, Quantizer]] = []
    for inner in list(module.modules()):
        for key, site in _places(inner):
            quantizer = getattr(inner, key)
            stand_in = make(quantizer)
            if stand_in is not None:
                stand_in.train(quantizer.training)
                standing[site] = stand_in
                places.append((inner, key, quantizer))
                setattr(inner, key, stand_in)
    try:
        yield standing
    finally:
        for inner, key, quantizer in places:
            setattr(inner, key, quantizer)


def _places(module: nn.Module) -> list[tuple[str, str]]:
    """(child name, name in the plan) of the quantizers that a module holds itself."""
    if isinstance(module, Quantizers):
        return [(key, site) for key, site in module.sites.items() if isinstance(getattr(module, key), Quantizer)]
    if isinstance(getattr(module, "weight_quantizer", None), Quantizer):
        return [("weight_quantizer", str(module.weight_site))]
    return []


def choose_bits(module: nn.Module, plan: Plan, bits: Mapping[str, int]) -> Plan:
    """Give quantizers, by name, the bits that a method chose for them; returns the plan with these bits.

    Scales stay as they are: whoever chooses sets them too. Only quantizers of mixed precision may be chosen for.
    """
    chosen = plan.with_bits(bits)
    placed = quantizers_of(module)
    for name in bits:
        placed[name].spec = chosen.quantizer(name).spec
    return chosen


def chosen_plan(module: nn.Module, plan: Plan) -> Plan | None:
    """The plan with the bits that a method left on the quantizers of mixed precision, and nothing else changed.

    It is what the method says; None where it put something else in a quantizer's place, which says nothing.
    """
    specs = {name: getattr(quantizer, "spec", None) for name, quantizer in quantizers_of(module).items()}
    bits = {}
    for name in plan.chosen_bits:
        spec = specs.get(name)
        if not isinstance(spec, QuantizerSpec):
            return None
        bits[name] = spec.bits
    return plan.with_bits(bits)
