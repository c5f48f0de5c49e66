"""Methods, bit-learning engine: how many bits an asymmetric grid of the weights saves, by the ranges alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from suite.methods.engines.bit_learning.grids import Range
from suite.plan import Plan


@torch.no_grad()
def bits_saved_by_asymmetry(ranges: Mapping[str, Range], plan: Plan) -> float | None:
    """Mean over weights of log2(2 max(high, −low) / (high − low)); None where no weight has such a range.

    With as many levels to a width, a grid over [−m, m] with m = max(high, −low) needs so many more bits for the step
    of a grid over [low, high]. Every scale of a layer counts alike, every layer by its weights; zero is in all ranges,
    and a range of zeros saves nothing.
    """
    saved, counted = 0.0, 0
    for tensor in plan.counted:
        names = [one.name for one in plan.quantizers_on(tensor) if one.name in ranges]
        if not tensor.is_weight or not names:
            continue
        held = ranges[names[0]]
        low, high = held.low.double(), held.high.double()
        width = high - low
        ratio = torch.where(width > 0.0, 2.0 * torch.maximum(high, -low) / width, torch.ones_like(width))
        saved += tensor.elements * float(ratio.log2().mean())
        counted += tensor.elements
    return saved / counted if counted else None
