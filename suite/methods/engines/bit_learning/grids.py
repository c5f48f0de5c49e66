"""Methods, bit-learning engine: placed quantizers at work with widths and ranges that are tensors, while they learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from suite.plan import quantizers_of, weights_of
from suite.quantizers import Granularity, Quantizer, QuantizerSpec, RangeRule
from suite.quantizers.grids import Parameters
from suite.quantizers.layout import from_groups, to_groups
from suite.quantizers.learned_bits import LearnedGrid, learned_grid, quantize_between
from suite.quantizers.ranges import Rule, Solver, Summary, parameters_by_rule, percentile_range

RANGE_RULES = (RangeRule.MIN_MAX, RangeRule.EMA_MIN_MAX, RangeRule.PERCENTILE, RangeRule.LEARNED_MIN_MAX)
"""Range rules whose answer does not depend on how many bits there are."""
SMALLEST_HIGH = 1e-6
"""A learned range keeps a width, or its step would vanish and take the gradients with it."""


@dataclass(frozen=True)
class Range:
    """Both ends of what a quantizer covers, in the shape of its scale; zero lies between them."""

    low: Tensor
    high: Tensor


@contextmanager
def noting_ranges(model: nn.Module) -> Iterator[dict[str, Range]]:
    """While the block lasts, quantizers that take a scale from observed values also leave the range it came from."""
    found: dict[str, Range] = {}
    quantizers = {
        name: one
        for name, one in quantizers_of(model).items()
        if not one.spec.dynamic and one.spec.range_rule in RANGE_RULES
    }
    notes: dict[str, list[Range]] = {name: [] for name in quantizers}
    for name, quantizer in quantizers.items():
        quantizer.solve = _noting(notes[name])
    try:
        yield found
    finally:
        for quantizer in quantizers.values():
            quantizer.solve = parameters_by_rule
    found.update({name: _joined(notes[name], one) for name, one in quantizers.items() if notes[name]})


def _noting(notes: list[Range]) -> Solver:
    def solve(rule: Rule, seen: Summary, spec: QuantizerSpec) -> Parameters:
        low, high = seen.low, seen.high
        if rule == RangeRule.PERCENTILE:
            assert seen.sample is not None
            low, high = percentile_range(seen.sample, spec.percentile)
        notes.append(Range(low.clamp(max=0.0), high.clamp(min=0.0)))
        return parameters_by_rule(rule, seen, spec)

    return solve


def _joined(notes: Sequence[Range], quantizer: Quantizer) -> Range:
    """The rows of all parts in the shape of the scale that was made of them."""
    shape = quantizer.scale.shape
    if quantizer.spec.granularity is Granularity.PER_GROUP:
        low, high = (
            [end.reshape(shape[0], -1, 1) for end in ends]
            for ends in zip(*((n.low, n.high) for n in notes), strict=True)
        )
        return Range(torch.cat(low, dim=1), torch.cat(high, dim=1))
    (only,) = notes
    return Range(only.low.reshape(shape), only.high.reshape(shape))


class LearningQuantizer:
    """What a placed quantizer computes while widths and ranges are learned; `grid` is set anew before every step.

    `width` is the position of its bit-width among the learned ones; None where its bits are fixed.
    """

    def __init__(self, quantizer: Quantizer, width: int | None) -> None:
        self.spec = quantizer.spec
        self.width = width
        self.bits = torch.tensor(float(quantizer.spec.bits), device=quantizer.scale.device)
        self.grid: LearnedGrid | None = None

    def __call__(self, x: Tensor) -> Tensor:
        grid = self.grid
        assert grid is not None
        if self.spec.granularity is Granularity.PER_GROUP:
            groups = quantize_between(to_groups(x, self.spec), grid.step, grid.low, grid.high)
            return from_groups(groups, x.shape, self.spec)
        return quantize_between(x, grid.step, grid.low, grid.high)


class LearnedRanges:
    """Both ends of all learned ranges as two flat parameters, cut into the shapes of their quantizers at every step."""

    def __init__(self, ranges: Mapping[str, Range], device: torch.device) -> None:
        self.names = tuple(ranges)
        self.shapes = [one.low.shape for one in ranges.values()]
        self.sizes = [one.low.numel() for one in ranges.values()]
        empty = [torch.empty(0, device=device)]
        self.low = nn.Parameter(torch.cat([one.low.reshape(-1) for one in ranges.values()] or empty))
        self.high = nn.Parameter(torch.cat([one.high.reshape(-1) for one in ranges.values()] or empty))
        self.keep_valid()

    def cut(self, low: Tensor, high: Tensor) -> dict[str, Range]:
        """Name of quantizer -> its range."""
        ends = torch.split(low, self.sizes), torch.split(high, self.sizes)
        pieces = zip(self.names, self.shapes, *ends, strict=True)
        return {name: Range(low.reshape(shape), high.reshape(shape)) for name, shape, low, high in pieces}

    @torch.no_grad()
    def keep_valid(self) -> None:
        """After an update: zero stays inside every range, and every range has a width."""
        self.low.clamp_(max=0.0)
        self.high.clamp_(min=SMALLEST_HIGH)


class LearningModel:
    """The quantizers of a model, set up to work with learned widths and ranges for as long as `at_work` lasts.

    Weights of fixed bits are put on their grid once. Static activations of fixed bits and ranges take the same path as
    the learned ones, because there they compile into one loop; dynamic quantizers work as ever.
    """

    def __init__(
        self, model: nn.Module, widths: Mapping[str, int], fixed: Mapping[str, Range], learned: LearnedRanges
    ) -> None:
        self.model = model
        self.fixed = fixed
        self.learned = learned
        self.quantizers = quantizers_of(model)
        self.learning = {
            name: LearningQuantizer(quantizer, widths.get(name))
            for name, quantizer in self.quantizers.items()
            if name in fixed or name in learned.names
        }

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Replace the forward passes of the quantizers, freeze all parameters, and undo both at the end."""
        weights = weights_of(self.model)
        trained = {parameter: parameter.requires_grad for parameter in self.model.parameters()}
        for parameter in trained:
            parameter.requires_grad_(False)
        replaced = []
        try:
            for name, quantizer in self.quantizers.items():
                learning = self.learning.get(name)
                if name in weights and (learning is None or learning.width is None):
                    with torch.no_grad():
                        quantizer.__dict__["forward"] = _constant(quantizer(weights[name][1]))
                elif learning is not None:
                    quantizer.__dict__["forward"] = learning.__call__
                replaced.append(quantizer)
            yield
        finally:
            for quantizer in replaced:
                quantizer.__dict__.pop("forward", None)
            for parameter, wanted in trained.items():
                parameter.requires_grad_(wanted)

    def set_grids(self, widths: Tensor) -> None:
        """The grids of this step, from widths and ranges as they are now."""
        each = widths.unbind() if widths.numel() else ()
        ranges = {**self.fixed, **self.learned.cut(self.learned.low, self.learned.high)}
        for name, learning in self.learning.items():
            varies = learning.width is not None or name in self.learned.names
            if learning.grid is None or varies:
                bits = learning.bits if learning.width is None else each[learning.width]
                learning.grid = learned_grid(learning.spec, bits, ranges[name].low, ranges[name].high)


def _constant(value: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda _: value
