"""Quantizers, sharing of parameters: a tensor as rows, one row for each set of elements that share a scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from suite.errors import SuiteError
from suite.quantizers.spec import Granularity, QuantizerSpec


def to_rows(x: Tensor, spec: QuantizerSpec) -> tuple[Tensor, ...]:
    """Matrices [rows, elements] whose rows share one scale each.

    One matrix, except for groups that do not divide the inputs: then a second matrix holds the shorter last groups.
    """
    axis = _axis(x, spec)
    match spec.granularity:
        case Granularity.PER_TENSOR:
            return (x.reshape(1, -1),)
        case Granularity.PER_CHANNEL:
            return (x.movedim(axis, 0).reshape(x.shape[axis], -1),)
        case Granularity.PER_WEIGHT:
            return (x.reshape(-1, 1),)
        case Granularity.PER_TOKEN:
            return (x.movedim(axis, -1).reshape(-1, x.shape[axis]),)
        case Granularity.PER_GROUP:
            assert spec.group_size is not None
            inputs = x.movedim(axis, 0).reshape(x.shape[axis], -1)
            whole = inputs.shape[1] // spec.group_size * spec.group_size
            parts = []
            if whole:
                parts.append(inputs[:, :whole].reshape(-1, spec.group_size))
            if whole < inputs.shape[1]:
                parts.append(inputs[:, whole:])
            return tuple(parts)


def from_rows(parts: Sequence[Tensor], shape: torch.Size, spec: QuantizerSpec) -> Tensor:
    """One value per row, as `to_rows` orders them, in the shape in which scales are kept and broadcast."""
    axis = spec.channel_axis % len(shape) if shape else 0
    values = parts[0]
    match spec.granularity:
        case Granularity.PER_TENSOR:
            return values.reshape(())
        case Granularity.PER_CHANNEL:
            return values.reshape([size if index == axis else 1 for index, size in enumerate(shape)])
        case Granularity.PER_WEIGHT:
            return values.reshape(shape)
        case Granularity.PER_TOKEN:
            return values.reshape([1 if index == axis else size for index, size in enumerate(shape)])
        case Granularity.PER_GROUP:
            return torch.cat([part.reshape(shape[axis], -1, 1) for part in parts], dim=1)


def to_groups(x: Tensor, spec: QuantizerSpec) -> Tensor:
    """[channels, groups, group size], the last group filled up with zeros, so that scales [channels, groups, 1] fit."""
    assert spec.group_size is not None
    axis = _axis(x, spec)
    inputs = x.movedim(axis, 0).reshape(x.shape[axis], -1)
    missing = -inputs.shape[1] % spec.group_size
    if missing:
        inputs = functional.pad(inputs, (0, missing))
    return inputs.reshape(inputs.shape[0], -1, spec.group_size)


def from_groups(groups: Tensor, shape: torch.Size, spec: QuantizerSpec) -> Tensor:
    """The inverse of `to_groups`."""
    axis = spec.channel_axis % len(shape)
    moved = [shape[axis], *(size for index, size in enumerate(shape) if index != axis)]
    inputs = groups.reshape(shape[axis], -1)[:, : math.prod(moved[1:])]
    return inputs.reshape(moved).movedim(0, axis)


def elements_sharing(x: Tensor, spec: QuantizerSpec) -> float:
    """How many elements of `x` share one step, on average."""
    match spec.granularity:
        case Granularity.PER_TENSOR:
            return float(x.numel())
        case Granularity.PER_CHANNEL:
            return x.numel() / x.shape[spec.channel_axis]
        case Granularity.PER_WEIGHT:
            return 1.0
        case Granularity.PER_TOKEN:
            return float(x.shape[spec.channel_axis])
        case Granularity.PER_GROUP:
            assert spec.group_size is not None
            return float(min(spec.group_size, x.numel() // x.shape[spec.channel_axis]))


def _axis(x: Tensor, spec: QuantizerSpec) -> int:
    if spec.granularity in (Granularity.PER_TENSOR, Granularity.PER_WEIGHT):
        return 0
    if not -x.dim() <= spec.channel_axis < x.dim():
        raise SuiteError(f"a tensor of shape {list(x.shape)} has no channel axis {spec.channel_axis}")
    return spec.channel_axis % x.dim()
