"""Methods, reconstruction engine: the squared error of one layer's output as a quadratic form in its weight.

For a layer without what follows it the plain loss over all examples needs no examples: with x the inputs it will have,
x' those of the float network, both as columns of patches, W its float weight and D = W^ - W,

    mean |W^ x - W x'|^2 = mean |D x + W (x - x')|^2 = tr(D G D^T) + tr(D L^T) + mean |f|^2,
    f = W (x - x'),  G = mean x x^T,  L = 2 mean f x^T.

Written in D and f instead of W^ and x', no term is larger than it has to be, so that little cancels. The bias does,
because it is the same on both sides. An iteration costs one product with G, however many examples there are.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from suite.errors import Unsupported

PATCH_BYTES = 64 << 20
"""How much room the patches of one part of a batch may take."""


class GramMatrices:
    """Sums over the inputs of one layer, batch by batch: everything that its squared error needs to know of them."""

    def __init__(self, layer: nn.Module, *, precision: torch.dtype = torch.float64) -> None:
        """`precision` is that of the products; sums are kept in float64 either way."""
        if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            raise Unsupported(f"{type(layer).__name__} has no squared error as a quadratic form in its weight")
        self.layer = layer
        self.precision = precision
        self.groups = 1 if isinstance(layer, nn.Linear) else layer.groups
        self.weight = _by_group(layer.weight.detach(), self.groups).double()
        self._gram = self.weight.new_zeros(self.groups, self.weight.shape[2], self.weight.shape[2])
        self._linear = torch.zeros_like(self.weight)
        self._constant = self.weight.new_zeros(())
        self._positions = 0
        self._differ = False

    @torch.no_grad()
    def add(self, inputs: Tensor, float_inputs: Tensor | None = None) -> None:
        """One batch of what the layer will read, and of what the float layer reads where that is something else."""
        rows = max(1, PATCH_BYTES // max(1, self._patch_bytes(inputs)))
        for start in range(0, inputs.shape[0], rows):
            part = slice(start, start + rows)
            patches = self._patches(inputs[part])
            transposed = patches.transpose(1, 2)
            self._gram += patches @ transposed
            self._positions += patches.shape[2]
            if float_inputs is not None:
                self._differ = True
                shifts = self.weight.to(self.precision) @ (patches - self._patches(float_inputs[part]))
                self._linear += shifts @ transposed
                self._constant += shifts.square().sum()

    def loss(self, dtype: torch.dtype | None = None) -> GramLoss:
        """The loss over everything added so far, in `dtype` (that of the layer's weight)."""
        if self._positions == 0:
            raise Unsupported("a layer's squared error needs examples", hint="raise the axis examples")
        dtype = self.layer.weight.dtype if dtype is None else dtype
        count = self._positions
        linear = (2 * self._linear / count).to(dtype) if self._differ else None
        return GramLoss(
            self.weight.to(dtype), (self._gram / count).to(dtype), linear, (self._constant / count).to(dtype)
        )

    def _patches(self, x: Tensor) -> Tensor:
        """Columns that the weight is multiplied with: [groups, inputs of an output, positions]."""
        layer = self.layer
        if isinstance(layer, nn.Linear):
            return x.to(self.precision).reshape(-1, layer.in_features).t()[None]
        spatial = len(layer.kernel_size)
        batched = x if x.dim() == spatial + 2 else x[None]
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        padded = functional.pad(batched.to(self.precision), layer._reversed_padding_repeated_twice, mode=mode)
        for axis in range(spatial):
            size, stride, dilation = layer.kernel_size[axis], layer.stride[axis], layer.dilation[axis]
            padded = padded.unfold(axis + 2, (size - 1) * dilation + 1, stride)[..., ::dilation]
        # [examples, channels, positions..., kernel...] -> [channels, kernel..., examples, positions...]
        positions, kernel = range(2, 2 + spatial), range(2 + spatial, 2 + 2 * spatial)
        ordered = padded.permute(1, *kernel, 0, *positions)
        return ordered.reshape(self.groups, self.weight.shape[2], -1)

    def _patch_bytes(self, x: Tensor) -> int:
        """The room that the patches of one example take, at most: as if the stride were one."""
        layer = self.layer
        copies = 1 if isinstance(layer, nn.Linear) else layer.weight[0, 0].numel()
        return x[0].numel() * copies * torch.finfo(self.precision).bits // 8


class GramLoss:
    """The mean squared error, summed over channels, of a layer with weight W^; differentiable in W^."""

    def __init__(self, weight: Tensor, gram: Tensor, linear: Tensor | None, constant: Tensor) -> None:
        """By groups: `weight` W [groups, outputs, K], `gram` G [groups, K, K], `linear` L like W."""
        self.weight = weight
        self.gram = gram
        self.linear = linear
        self.constant = constant

    def loss(self, weight_hat: Tensor) -> Tensor:
        """The loss of the weight W^, in its own shape."""
        by_group = _by_group(weight_hat, self.weight.shape[0])
        result: Tensor = _Quadratic.apply(by_group, self.weight, self.gram, self.linear, self.constant)  # type: ignore[no-untyped-call]
        return result


class _Quadratic(torch.autograd.Function):
    """sum(D G * D) + sum(D * L) + constant; its gradient 2 D G + L shares the only product there is."""

    @staticmethod
    def forward(
        ctx: Any, weight_hat: Tensor, weight: Tensor, gram: Tensor, linear: Tensor | None, constant: Tensor
    ) -> Tensor:
        difference = weight_hat - weight
        product = difference @ gram
        # D G + L, times D, is the value; D G + D G + L is the gradient.
        bent = product if linear is None else product + linear
        ctx.save_for_backward(product + bent)
        return (bent * difference).sum() + constant

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        (slope,) = ctx.saved_tensors
        return slope * gradients[0], None, None, None, None


def _by_group(weight: Tensor, groups: int) -> Tensor:
    """[groups, outputs of a group, inputs of an output]."""
    return weight.reshape(groups, weight.shape[0] // groups, -1)
