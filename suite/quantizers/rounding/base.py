"""Quantizers, learned rounding: what stands in a weight quantizer's place while its rounding is learned."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from suite.errors import SuiteError
from suite.quantizers.quantizer import Quantizer
from suite.quantizers.spec import Granularity


class LearnedRounding(nn.Module):
    """The weight W of one layer on a grid whose rounding, and perhaps whose step, is learned.

    Made from a weight and its initialized quantizer, it takes the quantizer's place in the layer:
    `layer.weight_quantizer = AdaRound(layer.weight, quantizer)`. Everything that stays the same while learning is
    computed once, from the weight it was made for; `forward` takes the layer's weight because a quantizer does, and
    reads nothing of it.

    A layer is finished by storing `hardened(weight)` as its weight and by giving `final_scale()` and
    `final_zero_point()` to its quantizer, which then reproduces the stored values bit for bit: they are integers
    times the same step.

    Constants, which follow from weight and grid and are not saved: `scale` s and `zero_point` z, broadcasting against
    W; `ratio` W / s; `large`, where |W| >= 1.
    """

    scale: Tensor
    zero_point: Tensor
    ratio: Tensor
    large: Tensor

    def __init__(self, weight: Tensor, quantizer: Quantizer) -> None:
        super().__init__()
        self.spec = spec = quantizer.spec
        if spec.dynamic or spec.granularity not in (Granularity.PER_TENSOR, Granularity.PER_CHANNEL):
            raise SuiteError(
                f"rounding cannot be learned on a {'dynamic' if spec.dynamic else spec.granularity} grid",
                hint="use static per-tensor or per-channel weight scales",
            )
        if not quantizer.initialized:
            raise SuiteError("rounding needs a grid before it can be learned", hint="initialize the quantizer first")
        weight = weight.detach()
        if not bool(torch.isfinite(weight).all()):
            raise SuiteError("rounding cannot be learned for a weight with values that are not finite")
        if weight.dtype != torch.float64:
            weight = weight.float()
        self.keep("scale", quantizer.scale.detach().to(weight.dtype).clone())
        self.keep("zero_point", quantizer.zero_point.detach().to(weight.dtype).round())
        self.keep("ratio", weight / self.scale)
        self.keep("large", weight.abs() >= 1)

    def keep(self, name: str, constant: Tensor) -> None:
        """Register a constant: it moves with the module and is not saved."""
        self.register_buffer(name, constant, persistent=False)

    def forward(self, weight: Tensor) -> Tensor:
        """The values to learn with, differentiable in the parameters; between two codes where rounding is soft."""
        raise NotImplementedError

    @torch.no_grad()
    def hardened(self, weight: Tensor) -> Tensor:
        """The final values, integers times `final_scale()`, in the dtype of `weight`."""
        return (self.hard_codes() * self.final_scale()).to(weight.dtype)

    def hard_codes(self) -> Tensor:
        """The final codes k - z: integers held as floating-point numbers."""
        raise NotImplementedError

    @torch.no_grad()
    def nearest_codes(self) -> Tensor:
        """The codes k - z of rounding to nearest on the starting grid."""
        if self.spec.binary:
            return torch.where(self.ratio >= 0, 1.0, -1.0).to(self.ratio.dtype)
        spec = self.spec
        return self.ratio.round().clamp(spec.qmin - self.zero_point, spec.qmax - self.zero_point)

    @torch.no_grad()
    def final_scale(self) -> Tensor:
        """The step of the final grid, in the quantizer's shape."""
        return self.scale.clone()

    @torch.no_grad()
    def final_zero_point(self) -> Tensor:
        """The zero point of the final grid, in the quantizer's shape; zeros on symmetric grids."""
        return self.zero_point.clone()

    def penalty(self, beta: Tensor | float) -> Tensor | None:
        """What drives a soft rounding to a decision, before its factor in the loss; None where nothing is soft."""
        return None

    def parameter_groups(self, rate: float) -> list[dict[str, Any]]:
        """Groups for an optimizer, each with its own learning rate, derived from the method's `rate`."""
        return [{"params": list(self.parameters()), "lr": rate}]

    @torch.no_grad()
    def keep_valid(self) -> None:
        """Called after every step of the optimizer: moves parameters back to where they are allowed."""

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        """Grid shifts |k - k0| from rounding to nearest on the starting grid, counted apart for |W| < 1 and |W| >= 1.

        These are the histograms of the FlexRound paper. Per group: how many weights there are, how many moved by one
        step, how many further (the rounding it calls aggressive); the mean shift, and the largest of all.
        """
        spacing = 2.0 if self.spec.binary else 1.0
        shifts = (self.hard_codes() - self.nearest_codes()).abs() / spacing
        figures = {"largest_shift": float(shifts.max()) if shifts.numel() else 0.0}
        for name, group in (("small", shifts[~self.large]), ("large", shifts[self.large])):
            figures[f"{name}_weights"] = float(group.numel())
            figures[f"{name}_moved_one_step"] = float((group == 1).sum())
            figures[f"{name}_moved_further"] = float((group > 1).sum())
            figures[f"{name}_mean_shift"] = float(group.mean()) if group.numel() else 0.0
        return figures
