"""Quantizers, statistics: what a quantizer remembers of the tensors that pass, batch by batch, in bounded memory."""

from __future__ import annotations

import torch
from torch import Tensor

from suite.errors import SuiteError
from suite.quantizers.ranges import Rule, Summary, percentile_range, resolve_rule
from suite.quantizers.spec import RangeRule

EMA_MOMENTUM = 0.01
PERCENTILE_CAPACITY = 10_000_000
SEARCH_CAPACITY = 1_000_000
SAMPLING_RULES = (RangeRule.PERCENTILE, RangeRule.MSE, RangeRule.ITERATIVE_MSE, "omse", "brecq", "qdrop")
BATCH_PERCENTILES = ("percentile-moving-average", "percentile-extremes")


class Reservoir:
    """A sample of a stream of columns, spread evenly over all that has passed, of bounded size.

    Every 1/f-th column is kept, at a place drawn within its stretch of 1/f columns: regular strides would keep seeing
    the same pixel column of every image. When the sample outgrows its capacity, every second column goes and f is
    halved. The draws come from a private generator seeded with the number of the batch, so that observing disturbs no
    other random stream and the same stream always leaves the same sample.
    """

    def __init__(self, capacity: int | None) -> None:
        self.capacity = capacity  # values, not columns; None keeps everything
        self.stride = 1
        self.batches = 0
        self.parts: list[Tensor] = []

    def add(self, rows: Tensor) -> None:
        self.batches += 1
        self.parts.append(_thin(rows, self.stride, self.batches) if self.stride > 1 else rows.clone())
        if self.capacity is None:
            return
        while sum(part.numel() for part in self.parts) > self.capacity and self.values().shape[1] > 1:
            self.parts = [_thin(self.values(), 2, self.batches)]
            self.stride *= 2

    def values(self) -> Tensor:
        """The sample, [rows, kept columns]."""
        if len(self.parts) > 1:
            self.parts = [torch.cat(self.parts, dim=1)]
        return self.parts[0]


class Statistics:
    """Minimum, maximum and, where the range rule needs them, mean magnitude and a sample of the rows of one tensor.

    `keep_all` samples nothing away (weights). `binary` grids take their step from the mean magnitude. Where the rule
    takes the `percentile` of every batch by itself, minimum and maximum are those of what lies within it.
    """

    def __init__(self, rule: Rule, *, keep_all: bool, binary: bool = False, percentile: float = 100.0) -> None:
        self.rule = resolve_rule(rule)
        self.percentile = percentile
        self.measures_magnitude = binary or self.rule in ("lsq", RangeRule.ITERATIVE_MSE)
        self.low: Tensor | None = None
        self.high: Tensor | None = None
        self.magnitude: Tensor | None = None
        self.count = 0
        self.reservoir: Reservoir | None = None
        if self.rule in SAMPLING_RULES:
            capacity = PERCENTILE_CAPACITY if self.rule == RangeRule.PERCENTILE else SEARCH_CAPACITY
            self.reservoir = Reservoir(None if keep_all else capacity)

    def update(self, rows: Tensor) -> None:
        """Adds rows [R, n]; R must be the same every time."""
        if rows.numel() == 0:
            raise SuiteError("a quantizer cannot take its range from an empty tensor")
        if self.low is not None and self.low.shape[0] != rows.shape[0]:
            raise SuiteError(
                f"a quantizer saw {self.low.shape[0]} sets of shared parameters before and {rows.shape[0]} now"
            )
        # Measured: twenty times faster than aminmax, which is not vectorised along a dimension.
        low, high = rows.amin(1), rows.amax(1)
        if self.rule in BATCH_PERCENTILES:
            finite = low.isfinite() & high.isfinite()  # a percentile may lie below the NaN that has to be found
            within = percentile_range(rows, self.percentile)
            low, high = (end.where(finite, torch.nan) for end in within)
        magnitude = rows.abs().sum(1).double() if self.measures_magnitude else torch.zeros_like(low)
        if self.low is None or self.high is None or self.magnitude is None:
            self.low, self.high, self.magnitude = low, high, magnitude
        else:
            if self.rule in (RangeRule.EMA_MIN_MAX, "percentile-moving-average"):
                self.low = self.low + EMA_MOMENTUM * (low - self.low)
                self.high = self.high + EMA_MOMENTUM * (high - self.high)
            else:
                self.low, self.high = torch.minimum(self.low, low), torch.maximum(self.high, high)
            self.magnitude = self.magnitude + magnitude
        self.count += rows.shape[1]
        if self.reservoir is not None:
            self.reservoir.add(rows)

    def summary(self, *, check_finite: bool = True) -> Summary:
        """All that was seen; refuses nothing at all, and NaN and infinity unless told to let them through."""
        if self.low is None or self.high is None or self.magnitude is None:
            raise SuiteError(
                "a quantizer has observed nothing to take its range from", hint="run calibration data first"
            )
        # A NaN or an infinity anywhere reaches the minimum or the maximum.
        if check_finite and not bool((self.low.isfinite() & self.high.isfinite()).all()):
            raise SuiteError("a quantizer observed NaN or infinite values", hint="check the weights and the data")
        return Summary(
            low=self.low,
            high=self.high,
            mean_magnitude=(self.magnitude / self.count).to(self.low.dtype),
            sample=None if self.reservoir is None else self.reservoir.values(),
        )


def _thin(rows: Tensor, stride: int, seed: int) -> Tensor:
    columns = rows.shape[1]
    kept = max(1, columns // stride)
    draws = torch.rand(kept, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    places = ((torch.arange(kept, dtype=torch.float64) + draws) * (columns / kept)).long().clamp_(max=columns - 1)
    return rows[:, places.to(rows.device)]
