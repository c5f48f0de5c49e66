"""Quantizers, learned rounding: AdaQuant by addition, FlexRound by division, and both together."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from suite.quantizers.grids import SMALLEST_STEP
from suite.quantizers.quantizer import Quantizer
from suite.quantizers.rounding.base import LearnedRounding
from suite.quantizers.rounding.divided import Factors, Limits, code_and_mask, divided_rounding, step_and_ratio
from suite.quantizers.spec import GradientMask

Positivity = Literal["log", "direct"]
SMALLEST_FACTOR = 1e-6


class DividedRounding(LearnedRounding):
    """W^ = s1 clip(round((W + s0 v) / (s1 S2 s3 s4))), where s0 is the starting step; what is absent is not learned.

    The start is exact: v is zero, every divisor is one, s1 is s0, so that the weight is rounded to nearest on the
    quantizer's own grid, bit for bit. Rounding is hard from the start, and passed straight through in gradients.
    """

    low: Tensor | float
    high: Tensor | float

    def __init__(
        self, weight: Tensor, quantizer: Quantizer, *,
        additive: bool, divisors: bool, channel_divisors: bool = True, learn_step: bool = True,
        positivity: Positivity = "log",
    ) -> None:  # fmt: skip
        super().__init__(weight, quantizer)
        shape, ratio = weight.shape, self.ratio
        self.logarithms = positivity == "log"
        neutral = torch.zeros if self.logarithms else torch.ones

        def parameter(wanted: bool, size: list[int] | torch.Size) -> nn.Parameter | None:
            return nn.Parameter(neutral(size, dtype=ratio.dtype, device=ratio.device)) if wanted else None

        # As the weight lies in memory: elementwise work on two layouts is slow.
        whole = torch.zeros_like(ratio) if self.logarithms else torch.ones_like(ratio)
        self.v = nn.Parameter(torch.zeros_like(ratio)) if additive else None
        self.s1 = parameter(learn_step, self.scale.shape)
        if self.s1 is not None and not self.logarithms:
            self.s1.data.copy_(self.scale)
        channels = divisors and channel_divisors
        spatial = [1] * (weight.dim() - 2)
        self.s2 = nn.Parameter(whole) if divisors else None
        self.s3 = parameter(channels, [shape[0], 1, *spatial])
        # Of a grouped convolution axis 1 holds the inputs of one group: one divisor only for depthwise ones.
        self.s4 = parameter(channels and weight.dim() > 2, [1, shape[1], *spatial])
        spec = self.spec
        if spec.symmetric:
            self.low, self.high = spec.clip_limits
        else:
            self.keep("low", spec.clip_limits[0] - self.zero_point)
            self.keep("high", spec.clip_limits[1] - self.zero_point)

    def forward(self, weight: Tensor) -> Tensor:
        return divided_rounding(self.ratio, self.scale, self.factors, self.limits)

    @property
    def factors(self) -> Factors:
        """What is learned."""
        return Factors(self.v, self.s1, self.s2, self.s3, self.s4, self.logarithms)

    @property
    def limits(self) -> Limits:
        """The ends of the grid, and the order of clipping and rounding."""
        return Limits(self.low, self.high, self.spec.mask is GradientMask.CLIP_THEN_ROUND, self.spec.binary)

    @torch.no_grad()
    def hard_codes(self) -> Tensor:
        _, ratio, _ = step_and_ratio(self.ratio, self.scale, self.factors)
        return code_and_mask(ratio, self.limits)[0]

    @torch.no_grad()
    def final_scale(self) -> Tensor:
        return step_and_ratio(self.ratio, self.scale, self.factors)[0].clone()

    @torch.no_grad()
    def keep_valid(self) -> None:
        """Direct factors stay positive: divisors at 1e-6 or more, the step above machine epsilon."""
        if self.logarithms:
            return
        for divisor in (self.s2, self.s3, self.s4):
            if divisor is not None:
                divisor.clamp_(min=SMALLEST_FACTOR)
        if self.s1 is not None:
            self.s1.clamp_(min=SMALLEST_STEP)


class AdaQuant(DividedRounding):
    """W^ = s1 clip(round((W + V) / s1)): V, free of any limit, and the step are learned.

    V = s0 v is kept in units of the starting step s0, so that one learning rate suits every layer and every channel:
    Adam moves V by the rate times s0. The step is kept as ln(s1 / s0) for the same reason. Gradients: dW^/dV = M,
    dW^/ds1 = k - M (W + V) / s1, with M the mask of `spec.mask`.
    """

    def __init__(self, weight: Tensor, quantizer: Quantizer, *, step_rate_ratio: float = 1.0) -> None:
        super().__init__(weight, quantizer, additive=True, divisors=False)
        self.step_rate_ratio = step_rate_ratio

    def parameter_groups(self, rate: float) -> list[dict[str, Any]]:
        """V at `rate` s0 per step of Adam, ln s1 at `rate` times the ratio."""
        return [{"params": [self.v], "lr": rate}, {"params": [self.s1], "lr": rate * self.step_rate_ratio}]


class FlexRound(DividedRounding):
    """W^ = s1 clip(round(W / (s1 S2 s3 s4))), all factors positive and learned at one rate.

    S2 has the shape of W, s3 one entry per output channel, s4 one per input channel (convolutions only; of a grouped
    one, per input channel of a group). A weight keeps its sign or becomes zero, because it is only ever divided.
    Gradients with M the mask of `spec.mask`, S' = S2 s3 s4 and r = W / (s1 S'): dW^/dS' = -M W / S'^2,
    dW^/ds1 = k - M r. `log` keeps ln(s1 / s0) and the logarithms of the divisors, `direct` the factors themselves,
    clamped after every step. `no_s3_s4` and `s1_fixed` leave out what they name.
    """

    def __init__(
        self, weight: Tensor, quantizer: Quantizer, *,
        positivity: Positivity = "log", no_s3_s4: bool = False, s1_fixed: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            weight, quantizer, additive=False, divisors=True,
            channel_divisors=not no_s3_s4, learn_step=not s1_fixed, positivity=positivity,
        )  # fmt: skip


class AdaQuantFlexRound(DividedRounding):
    """W^ = s1 clip(round((W + V) / (s1 S2 s3 s4))): FlexRound with AdaQuant's V, in units of the starting step."""

    def __init__(self, weight: Tensor, quantizer: Quantizer, *, positivity: Positivity = "log") -> None:
        super().__init__(weight, quantizer, additive=True, divisors=True, positivity=positivity)
