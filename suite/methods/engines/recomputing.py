"""Methods, training engine: what a compiled step keeps for its backward pass. A graph pass for the compiler.

Whoever partitions a step into a forward and a backward half keeps what is smallest. Of a quantizer that does not learn
its step that is the mask of its gradient, one truth value for each number, and writing truth values is slow on a
processor: half of a step of ResNet-20 went there (measured). The mask is cheaper to compute again from the numbers,
in the loop that uses it.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx
from torch._inductor.custom_graph_pass import CustomGraphPass, get_hash_for_files
from torch.utils.checkpoint import CheckpointPolicy

LARGE = 4096
"""Truth values from which on it matters whether they are kept."""


class MasksAnew(CustomGraphPass):
    """Marks every large tensor of truth values to be computed again in the backward pass. No value changes."""

    def __call__(self, graph: fx.Graph) -> None:
        for node in graph.nodes:
            value = node.meta.get("val")
            if isinstance(value, Tensor) and value.dtype is torch.bool and value.numel() >= LARGE:
                node.meta["recompute"] = CheckpointPolicy.MUST_RECOMPUTE
                node.meta["ac_graph_id"] = 0

    def uuid(self) -> bytes:
        """What compiled graphs are remembered by: the text of this file."""
        return get_hash_for_files((__file__,))
