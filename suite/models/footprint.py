"""Models: how much memory a network needs to answer, from the network itself; nothing is stored or computed for it.

    footprint = (P b_p + A b_a) / 8 bytes

P: parameters, b_p: their bits; A: elements of the largest activation of one example, b_a: its bits. All parameters
count at b_p, and one activation at a time is alive (edge-tradeoff, section 3). What else a chip keeps, such as the
other operand of an addition or scales, is not in it; the audit of a quantized model counts bytes as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from suite.models.build import build


@dataclass(frozen=True)
class Dimensions:
    """What decides a footprint: parameters, and the elements of the largest activation of one example."""

    parameters: int
    largest_activation: int

    def footprint_bits(self, weight_bits: int, activation_bits: int) -> int:
        return self.parameters * weight_bits + self.largest_activation * activation_bits

    def footprint_bytes(self, weight_bits: int, activation_bits: int) -> int:
        """Whole bytes, rounded up."""
        return -(-self.footprint_bits(weight_bits, activation_bits) // 8)


class _Largest(TorchFunctionMode):
    """Looks at everything that torch computes and keeps the size of the largest tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor) and not isinstance(tensor, nn.Parameter):
                self.elements = max(self.elements, tensor.numel())
        return result


@torch.no_grad()
def measure_dimensions(model: nn.Module, example: torch.Tensor) -> Dimensions:
    """Count a network's parameters, and watch it read one example ([1, ...]); on the meta device this is free.

    Results of every operation and the example itself are activations; buffers such as batch norm's statistics are
    neither.
    """
    was_training = model.training
    model.eval()
    try:
        with _Largest() as largest:
            model(example)
    finally:
        model.train(was_training)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Dimensions(parameters, max(largest.elements, example.numel()))


@cache
def dimensions_of(id: str, classes: int, input_shape: tuple[int, ...]) -> Dimensions:
    """Dimensions of an architecture of the suite for inputs [1, *input_shape], without any memory for its weights."""
    with torch.device("meta"):
        return measure_dimensions(build(id, classes), torch.zeros(1, *input_shape))
