"""Quantizers, precisions learned by noise: what stands in a weight quantizer's place in either phase."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from suite.errors import SuiteError
from suite.quantizers.noise_precision.allocation import PrecisionRounding, rounded_precision, tolerates_zero
from suite.quantizers.noise_precision.grid import PrecisionGrid, Span
from suite.quantizers.noise_precision.maps import noise_half_width, parameter_of, precision_penalty
from suite.quantizers.noise_precision.noise import noisy, project_, uniform_noise

START_PRECISION = 8.0


class NoisyWeight(nn.Module):
    """The weight W = α θ of one layer in the precision phase: α (θ + c σ(s) ε) while training, W itself in eval mode.

    α = max |W| / 2c at the start and does not change; θ stays the layer's own parameter, in the scale of W. `s` is
    a parameter for each weight, or a single one for the layer (`per_layer`).
    """

    scale: Tensor

    def __init__(
        self, weight: Tensor, *, precision: float = START_PRECISION, per_layer: bool = False, span: Span = Span.TWO
    ) -> None:
        super().__init__()
        if not precision > 1:
            raise SuiteError(f"precision {precision:g} needs no finite noise", hint="start above 1 bit")
        weight = weight.detach()
        if not bool(torch.isfinite(weight).all()):
            raise SuiteError("precision cannot be learned for a weight with values that are not finite")
        self.span, self.count = span, weight.numel()
        largest = weight.abs().amax().clamp(min=torch.finfo(weight.dtype).tiny)
        self.register_buffer("scale", largest / (2 * span.half))
        start = parameter_of(torch.tensor(precision, dtype=torch.float64)).to(weight)
        self.s = nn.Parameter(start if per_layer else torch.full_like(weight, float(start)))

    def forward(self, weight: Tensor) -> Tensor:
        if not self.training:
            return weight
        # α times the noise instead of α times the sum: one pass over the weights less.
        return noisy(weight, self.s, uniform_noise(weight) * self.scale, self.span)

    def penalty(self) -> Tensor:
        """Bits above one, summed over the weights of the layer; a layer's single s counts for each of them."""
        return precision_penalty(self.s, self.count // self.s.numel())

    @torch.no_grad()
    def keep_valid_(self, weight: Tensor) -> None:
        """Bring the layer's weight back, in place, into what its precision represents, after an update."""
        weight.copy_(project_(weight / self.scale, self.s, self.span) * self.scale)

    @torch.no_grad()
    def precision(
        self, weight: Tensor, rounding: PrecisionRounding = PrecisionRounding.NEAREST, *, allocate_zero: bool = False
    ) -> Tensor:
        """Whole bits of each weight, in its shape; with `allocate_zero` none where noise reached zero at one bit."""
        precision = rounded_precision(self.s, rounding).expand_as(weight)
        if allocate_zero:
            precision = precision * ~tolerates_zero(weight / self.scale, self.s, self.span)
        return precision.clone()

    def extra_repr(self) -> str:
        return f"noise up to {float(noise_half_width(self.s.detach()).amax()):.4g} of the scale"


class PrecisionQuantizer(nn.Module):
    """The weight W = α θ of one layer at fixed precisions: α times the level in whose cell θ lies, straight through."""

    scale: Tensor
    precision: Tensor
    step: Tensor
    inverse_step: Tensor
    last_cell: Tensor

    def __init__(self, scale: Tensor, precision: Tensor, span: Span = Span.TWO) -> None:
        super().__init__()
        if not bool(scale > 0):
            raise SuiteError("a weight cannot be quantized with a scale that is not positive")
        self.span = span
        self.register_buffer("scale", scale.detach().clone())
        self.register_buffer("precision", precision.detach().clone())
        grid = PrecisionGrid.of(precision.detach(), span)
        for name in ("step", "inverse_step", "last_cell"):  # they follow from the precision, and are not saved
            self.register_buffer(name, getattr(grid, name), persistent=False)

    def forward(self, weight: Tensor) -> Tensor:
        grid = PrecisionGrid(self.precision, self.step, self.inverse_step, self.last_cell)
        return grid.quantize(weight / self.scale) * self.scale

    def average_bits(self) -> float:
        """Bits per weight, those that were removed included."""
        return float(self.precision.double().mean())

    def extra_repr(self) -> str:
        return f"{self.average_bits():.3f} bits per weight"


def shuffled(precision: Tensor, random: torch.Generator) -> Tensor:
    """The precisions of one layer, dealt anew to its weights: as many of each, without their order."""
    order = torch.randperm(precision.numel(), generator=random, device=random.device).to(precision.device)
    return precision.flatten()[order].reshape(precision.shape)
