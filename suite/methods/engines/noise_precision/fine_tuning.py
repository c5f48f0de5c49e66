"""Methods, engine of precisions learned by noise: the second phase, at precisions that stay, and what it leaves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

from suite.methods.api import Workbench
from suite.methods.engines.beside import Beside
from suite.methods.engines.calibration import start_activations
from suite.methods.engines.noise_precision.learning import mixed_weights, require_finite
from suite.methods.engines.normalization import settle
from suite.methods.engines.recipe import Recipe
from suite.methods.engines.training import Trained, train
from suite.plan import Plan, choose_bits, initialize_weights, standing_in
from suite.quantizers import Quantizer
from suite.quantizers.noise_precision import PrecisionQuantizer
from suite.quantizers.spec import BIT_WIDTHS

LEAST_BITS = 2
"""The narrowest grid with a zero and both signs, for weights of one bit, and for weights that are all removed."""


def fine_tune(
    work: Workbench,
    recipe: Recipe | None,
    layers: Mapping[str, PrecisionQuantizer],
    *,
    batch_size: int,
    began: float = math.inf,
) -> Trained | None:
    """Train what the weights and activations are on their grids for; None where there is no recipe.

    Activations and weights of fixed bits get their first ranges here, from the network as it is by now. `began` is the
    loss with which the first phase began, where its weights are those that go on.
    """
    weights = mixed_weights(work)
    places = {id(quantizer): layers[name] for name, (quantizer, _) in weights.items()}
    with standing_in(work.model, lambda quantizer: places.get(id(quantizer))):
        work.model.to(work.device)
        initialize_weights(work.model)
        start_activations(work)
        if recipe is None:
            settle(work, work.data, batch_size)
            return None
        beside = Beside(after_update=_staying_inside(weights, layers))
        trained = train(work, recipe, name="fine-tuning", beside=beside, began=began)
    require_finite({name: weight for name, (_, weight) in weights.items()})
    return trained


def _staying_inside(
    weights: Mapping[str, tuple[Quantizer, nn.Parameter]], layers: Mapping[str, PrecisionQuantizer]
) -> Callable[[], None]:
    """Weights never leave the outer edges ±2cα of the outermost cells: the way back from there would show no effect."""
    limits = [(weight, 2 * layers[name].span.half * layers[name].scale) for name, (_, weight) in weights.items()]

    @torch.no_grad()
    def stay() -> None:
        for weight, limit in limits:
            torch.minimum(torch.maximum(weight, -limit), limit, out=weight)

    return stay


@torch.no_grad()
def leave(work: Workbench, layers: Mapping[str, PrecisionQuantizer]) -> Plan:
    """Store the quantized weights, and place ordinary quantizers that reproduce them bit for bit; the plan with these.

    Every level of a layer is a whole multiple of the h of its finest precision P, and at most 2^P - 1 of it. So a
    symmetric grid of P + 1 bits and the step αh holds weights of several precisions. Where the card has grids without
    zero, all weights of a layer have one precision, and P bits with the step αh are that very grid.
    """
    weights = mixed_weights(work)
    finest = {name: int(layers[name].precision.max()) for name in weights}
    bits = {
        name: finest[name] if quantizer.spec.without_zero else _width(finest[name] + 1)
        for name, (quantizer, _) in weights.items()
    }
    plan = choose_bits(work.model, work.plan, bits)
    for name, (quantizer, weight) in weights.items():
        layer = layers[name]
        weight.copy_(layer(weight))
        quantizer.set_parameters(layer.scale * layer.span.half * 2.0 ** (1 - finest[name]))
    return plan


def _width(bits: int) -> int:
    """The narrowest width that a grid with zero can have, of at least so many bits."""
    return next(width for width in BIT_WIDTHS if width >= max(bits, LEAST_BITS))
