"""Methods, reconstruction engine: one layer learned from its exact squared error over all examples at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from suite.errors import Unsupported
from suite.methods.api import Workbench
from suite.methods.engines.reconstruction.gram import GramMatrices
from suite.methods.engines.reconstruction.learning import (
    Descent,
    Examples,
    Learnable,
    Learned,
    Push,
    Stage,
    descend,
    penalties,
)
from suite.methods.engines.reconstruction.units import Unit
from suite.plan.layers import QuantizedWeight
from suite.quantizers import Quantizer

PART = 128
"""Examples whose patches are multiplied at once."""


def learn_from_gram(
    work: Workbench, unit: Unit, examples: Examples, stage: Stage, learnable: Learnable, advance: Callable[..., None]
) -> Learned:
    """Minimize the exact mean squared error of a layer in front of its activation function, full batch.

    An iteration costs one product of the weight with the Gram matrix of the layer's inputs, however many examples
    there are. Nothing is drawn at random.
    """
    layers = [module for module in unit.module.modules() if isinstance(module, QuantizedWeight)]
    grids = [one for one in unit.module.modules() if isinstance(one, Quantizer) and not one.is_weight]
    if len(layers) != 1 or len(unit.nodes) != 1 + len(grids):
        raise Unsupported(f"{unit.name} is more than one layer, which solver=gram cannot learn")
    (layer,) = layers
    matrices = GramMatrices(layer)
    assert examples.floating is not None, "the target is the float layer on its own inputs"
    for start in range(0, examples.count, PART):
        chosen = torch.arange(start, min(start + PART, examples.count))
        float_inputs = examples.floating[0].take(chosen)
        alike = stage.unit_input == "float" or examples.quantized is None
        inputs = float_inputs if alike or examples.quantized is None else examples.quantized[0].take(chosen)
        with torch.no_grad():
            for grid in grids:
                inputs = grid(inputs)
        matrices.add(inputs, None if inputs is float_inputs else float_inputs)
    gram = matrices.loss()
    (rounding,) = learnable.roundings

    def loss(push: Push) -> Tensor:
        value = gram.loss(rounding(layer.weight)) + penalties(learnable.roundings, push)
        value.backward()  # type: ignore[no-untyped-call]
        return value.detach()

    return descend(f"{stage.label} {unit.name}", Descent(stage, learnable, loss, work.device), advance)
