"""Quantizers, the module: one placed quantizer with its parameters, its statistics and its switches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from suite.errors import SuiteError
from suite.quantizers.dropping import drop
from suite.quantizers.fake_quantization import fake_quantize, quantize_to_codes
from suite.quantizers.grids import SMALLEST_STEP, Parameters
from suite.quantizers.layout import elements_sharing, from_groups, from_rows, to_groups, to_rows
from suite.quantizers.observers import Statistics
from suite.quantizers.ranges import Rule, Solver, parameters_by_rule
from suite.quantizers.spec import Granularity, QuantizerSpec, RangeRule, StepGradientScale


class Quantizer(nn.Module):
    """Fake-quantizes what passes through it, as its `spec` says.

    `enabled` off: returns its input itself. `observing` on: records statistics of the input and returns it itself.
    `start_rule` is the range rule that `finish` applies; it may be changed before anything is observed. `solve` carries
    a static rule out; a method that wants to see how puts its own in place while ranges are found.
    `keep_probability` below one: each element keeps its quantized value with this probability, and else its raw one.

    `scale` and `zero_point` broadcast against the input: [] per tensor, [1, C, 1, 1] or [C, 1, 1, 1] per channel, the
    shape of the weight per weight, [C, G, 1] per group (against the weight cut into groups). Both are empty until
    initialized, and always where the spec is dynamic. Symmetric grids keep a zero point of zeros.
    """

    scale: Tensor
    zero_point: Tensor

    def __init__(self, spec: QuantizerSpec, *, is_weight: bool) -> None:
        super().__init__()
        if spec.granularity in (Granularity.PER_GROUP, Granularity.PER_WEIGHT) and not is_weight:
            raise SuiteError(f"activations cannot have {spec.granularity} scales")
        self.spec = spec
        self.is_weight = is_weight
        self.enabled = True
        self.observing = False
        self.keep_probability = 1.0
        self.start_rule: Rule = "lsq" if spec.range_rule is RangeRule.LEARNED_STEP else spec.range_rule
        self.solve: Solver = parameters_by_rule
        self.statistics: tuple[Statistics, ...] = ()
        self.shape: torch.Size | None = None
        self.register_buffer("scale", torch.empty(0))
        self.register_buffer("zero_point", torch.empty(0))

    @property
    def initialized(self) -> bool:
        """Whether it can quantize."""
        return self.spec.dynamic or self.scale.numel() > 0

    def forward(self, x: Tensor) -> Tensor:
        if self.observing:
            self.observe(x)
            return x
        if not self.enabled:
            return x
        spec = self.spec
        scale, zero_point = self._grid(x)
        low, high = spec.clip_limits
        groups = to_groups(x, spec) if spec.granularity is Granularity.PER_GROUP else x
        result = fake_quantize(
            groups, scale, zero_point, low, high,
            mask=spec.mask, binary=spec.binary, odd=spec.odd,
            step_gradient=self._step_gradient(x) if self.learns_step else 1.0,
        )  # fmt: skip
        result = from_groups(result, x.shape, spec) if groups is not x else result
        return drop(result, x, self.keep_probability)

    def codes(self, x: Tensor) -> Tensor:
        """The integer codes of `x`, int32, in its shape."""
        spec = self.spec
        scale, zero_point = self._grid(x)
        grouped = spec.granularity is Granularity.PER_GROUP
        values = to_groups(x.detach(), spec) if grouped else x.detach()
        codes = quantize_to_codes(values, scale, zero_point, *spec.clip_limits, binary=spec.binary, odd=spec.odd)
        return from_groups(codes, x.shape, spec) if grouped else codes

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Adds a tensor to the statistics. Dynamic quantizers keep none."""
        if self.spec.dynamic:
            return
        parts = to_rows(x.detach().float() if x.dtype not in (torch.float32, torch.float64) else x.detach(), self.spec)
        if not self.statistics:
            self.statistics = tuple(
                Statistics(
                    self.start_rule,
                    keep_all=self.is_weight,
                    binary=self.spec.binary,
                    percentile=self.spec.percentile,
                )
                for _ in parts
            )
        self.shape = x.shape
        for statistics, rows in zip(self.statistics, parts, strict=True):
            statistics.update(rows)

    @torch.no_grad()
    def finish(self) -> None:
        """Sets scale and zero point from the statistics, and forgets them."""
        if self.spec.dynamic:
            return
        if self.shape is None or not self.statistics:
            raise SuiteError(
                "a quantizer has observed nothing to take its range from", hint="run calibration data first"
            )
        statistics, shape = self.statistics, self.shape
        self.statistics, self.shape = (), None
        found = [self.solve(one.rule, one.summary(), self.spec) for one in statistics]
        self.set_parameters(*self._shaped(found, shape))

    def initialize(self, x: Tensor, rule: Rule | None = None) -> None:
        """Observes one tensor and finishes; earlier statistics are dropped. `rule` replaces `start_rule`."""
        if rule is not None:
            self.start_rule = rule
        self.statistics = ()
        self.observe(x)
        self.finish()

    @torch.no_grad()
    def set_parameters(self, scale: Tensor, zero_point: Tensor | None = None) -> None:
        """Puts parameters in place; a learned step stays the same parameter where its shape allows."""
        zero_point = torch.zeros_like(scale) if zero_point is None else zero_point
        if isinstance(self.scale, nn.Parameter) and self.scale.shape == scale.shape:
            self.scale.copy_(scale)
        elif isinstance(self.scale, nn.Parameter):
            self.scale = nn.Parameter(scale.detach().clone())
        else:
            self.scale = scale.detach().clone()
        self.zero_point = zero_point.detach().clone()

    def learn_step(self) -> nn.Parameter:
        """Makes the scale a parameter; its gradient follows the spec's mask and step gradient scale."""
        if self.spec.dynamic:
            raise SuiteError("a dynamic quantizer has no step to learn")
        if not self.initialized:
            raise SuiteError("a step needs a start before it can be learned", hint="initialize the quantizer first")
        if not isinstance(self.scale, nn.Parameter):
            start = self.scale
            del self.scale
            self.scale = nn.Parameter(start.detach().clone())
        return self.scale

    @torch.no_grad()
    def keep_positive(self) -> None:
        """Turn back steps that crossed zero, after an update: s <- max(|s|, machine epsilon)."""
        self.scale.abs_().clamp_(min=SMALLEST_STEP)

    def limits(self) -> tuple[Tensor, Tensor]:
        """The lowest and the highest value of a static grid, each in the shape of the scale."""
        scale, zero_point = self.scale.detach(), self.zero_point
        return scale * (self.spec.qmin - zero_point), scale * (self.spec.qmax - zero_point)

    @property
    def learns_step(self) -> bool:
        """Whether the scale takes gradients."""
        return self.scale.requires_grad

    def _grid(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.spec.dynamic:
            return self._dynamic_parameters(x)
        if not self.initialized:
            raise SuiteError("a quantizer is used before it has a scale", hint="calibrate it, or load its state")
        return self.scale, None if self.spec.symmetric else self.zero_point

    @torch.no_grad()
    def _dynamic_parameters(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        found = []
        for rows in to_rows(x.detach(), self.spec):
            statistics = Statistics(
                self.start_rule, keep_all=True, binary=self.spec.binary, percentile=self.spec.percentile
            )
            statistics.update(rows)
            # NaN passes on to the output: a network that diverges in training must look diverged, not misused.
            seen = statistics.summary(check_finite=False)
            found.append(parameters_by_rule(statistics.rule, seen, self.spec))
        scale, zero_point = self._shaped(found, x.shape)
        return scale, zero_point

    def _shaped(self, found: list[Parameters], shape: torch.Size) -> tuple[Tensor, Tensor | None]:
        scale = from_rows([one.scale for one in found], shape, self.spec)
        if self.spec.symmetric:
            return scale, None
        return scale, from_rows([one.zero_point for one in found if one.zero_point is not None], shape, self.spec)

    def _step_gradient(self, x: Tensor) -> float:
        """The factor g = 1 / sqrt(N Q_P), see `StepGradientScale`."""
        match self.spec.step_gradient_scale:
            case StepGradientScale.NONE:
                return 1.0
            case StepGradientScale.FEATURES:
                elements = elements_sharing(x, self.spec) / (1 if self.is_weight else x.shape[0])
            case StepGradientScale.ALL_ELEMENTS:
                elements = float(x.numel())
            case StepGradientScale.ELEMENTS_PER_CHANNEL:
                elements = elements_sharing(x, self.spec)
        return float((elements * self.spec.positive_limit) ** -0.5)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        # Parameters are empty until initialized; loading takes over the shapes that were saved.
        for name in ("scale", "zero_point"):
            saved = state_dict.get(prefix + name)
            current = getattr(self, name)
            if saved is None or saved.shape == current.shape:
                continue
            empty = torch.empty(saved.shape, dtype=saved.dtype, device=current.device)
            setattr(self, name, nn.Parameter(empty) if isinstance(current, nn.Parameter) else empty)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        spec = self.spec
        kind = "symmetric" if spec.symmetric else "asymmetric"
        return (
            f"{spec.bits} bits, {'signed' if spec.signed else 'unsigned'} {kind}, {spec.granularity}, {spec.range_rule}"
        )
