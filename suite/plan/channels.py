"""Plan, channels: which axis of every tensor holds its channels, followed along the data flow.

Images and their features have them in axis 1, [N, C, H, W]; tokens in the last, [N, T, C]; keys that were turned around
for Q K^T in the last but one, [N, heads, d, T]. A scale per channel, or one per token, means something else in each.
"""

from __future__ import annotations

from torch import Tensor

from suite.plan.anatomy import Kind, Operation


def channels_of_input(example: Tensor) -> int:
    """Axis 1 of images and vectors, the last axis of sequences [N, T, C]."""
    return example.dim() - 1 if example.dim() <= 3 else 1


def channels_after(op: Operation, before: Tensor | None, axis: int, after: Tensor) -> int:
    """The axis of the channels in the result of an operation, whose first operand has them in `axis`."""
    last = max(after.dim() - 1, 0)
    if op.kind is Kind.WEIGHTED and op.weight_shape is not None:
        return last if len(op.weight_shape) == 2 else 1
    if op.kind is Kind.MATMUL or before is None:  # nothing before: rows of a table
        return last
    moved = _moved(before, axis, after)
    if moved is not None:
        return moved
    # What was last stays last, whatever was joined or split in front of it; what was not keeps its place.
    return last if axis == before.dim() - 1 else min(axis, last)


def _moved(before: Tensor, axis: int, after: Tensor) -> int | None:
    """Where an axis is in a view with the same axes in another order; None where the result is no such view."""
    if before.dim() != after.dim() or before.data_ptr() != after.data_ptr():
        return None
    if sorted(_layout(before)) != sorted(_layout(after)):
        return None
    found = [place for place, layout in enumerate(_layout(after)) if layout == _layout(before)[axis]]
    return axis if axis in found or not found else found[0]


def _layout(tensor: Tensor) -> list[tuple[int, int]]:
    """(length, stride) of every axis."""
    return list(zip(tensor.shape, tensor.stride(), strict=True))
