"""Quantizers, range rules: from what was seen of a tensor to the parameters of its grid, for all rows at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from suite.errors import SuiteError
from suite.quantizers.grids import Parameters, parameters_from_range, parameters_from_step
from suite.quantizers.ordered import OrderedRows
from suite.quantizers.published_starts import OMSE_FACTORS, qdrop_range, shrink_parameters
from suite.quantizers.search import LARGEST_ITERATION_COUNT, Alternation, alternate, best_candidate
from suite.quantizers.spec import GIVEN_RANGES, QuantizerSpec, RangeRule

# Beside the range rules that a setting can name: starts of something learned, and variants in published code.
Variant = Literal["lsq", "brecq", "qdrop", "omse", "percentile-moving-average", "percentile-extremes"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
Rule = RangeRule | Variant
SHRINK_FACTORS = 100
STARTS = MappingProxyType({"largest": 1.0, "half": 0.5, "quarter": 0.25})
LSQ_START = "lsq"
ROWS_AT_ONCE = 1 << 15


@dataclass(frozen=True)
class Summary:
    """What was seen of the rows of a tensor: [R] each, and a sample [R, n] (all values, for weights).

    Mean magnitude and sample are there only where the rule uses them; the mean magnitude is zero otherwise.
    """

    low: Tensor
    high: Tensor
    mean_magnitude: Tensor
    sample: Tensor | None


Solver = Callable[[Rule, Summary, QuantizerSpec], Parameters]
"""How statistics become the parameters of a grid."""


def resolve_rule(rule: Rule | str) -> Rule:
    """The rule that really computes the start of a learned quantizer.

    Learned steps start as LSQ does; learned ranges, and searches that look at outputs, at the minimum and maximum;
    learned rounding keeps the step that
    the published methods take from a squared-error search. Variants stand for themselves: `lsq` is
    s = 2 mean|v| / sqrt(Q_P), `brecq`, `qdrop` and FQ-ViT's `omse` are other squared-error searches, and
    `percentile-...` takes the percentile of every batch and joins them by a moving average or by their extremes.
    """
    if rule == RangeRule.LEARNED_STEP:
        return "lsq"
    if rule in VARIANTS:
        return rule
    if rule in (RangeRule.LEARNED_MIN_MAX, RangeRule.OUTPUT_SIMILARITY):
        return RangeRule.MIN_MAX
    if rule == RangeRule.LEARNED_ROUNDING:
        return RangeRule.MSE
    try:
        return RangeRule(rule)
    except ValueError:
        raise SuiteError(
            f"unknown range rule {rule!r}", hint="use one of " + ", ".join((*VARIANTS, *RangeRule))
        ) from None


def parameters_by_rule(rule: Rule, seen: Summary, spec: QuantizerSpec) -> Parameters:
    """Scale and zero point, one per row."""
    low, high = seen.low, seen.high
    rule = resolve_rule(rule)
    if rule in (RangeRule.MIN_MAX, RangeRule.EMA_MIN_MAX, "percentile-moving-average", "percentile-extremes"):
        return parameters_from_range(low, high, spec)
    if rule in GIVEN_RANGES:
        end = torch.full_like(high, GIVEN_RANGES[RangeRule(rule)])
        return parameters_from_range(-end * spec.signed, end, spec)
    if spec.binary and rule != RangeRule.PERCENTILE:
        # For the grid {-s, +s} the mean magnitude is the least-squares step, in closed form.
        return parameters_from_step(seen.mean_magnitude, low, high, spec)
    if rule == "lsq":
        return parameters_from_step(lsq_step(seen.mean_magnitude, spec.positive_limit), low, high, spec)
    assert seen.sample is not None
    if rule == RangeRule.PERCENTILE:
        return parameters_from_range(*percentile_range(seen.sample, spec.percentile), spec)
    if rule == "omse":
        return shrink_parameters(seen.sample, low, high, spec, factors=OMSE_FACTORS, power=2.0)
    if rule == "brecq":
        return shrink_parameters(seen.sample, low, high, spec)
    if rule == "qdrop":
        return Parameters(*qdrop_range(seen.sample, spec)[2:])
    if rule == RangeRule.MSE:
        return mse_parameters(seen.sample, low, high, spec)
    return iterative_mse(seen.sample, seen, spec).parameters


def lsq_step(mean_magnitude: Tensor, positive_limit: float) -> Tensor:
    """Step s = 2 mean|v| / sqrt(Q_P), the start of learned step size quantization."""
    return mean_magnitude * (2 / math.sqrt(positive_limit))


def percentile_range(rows: Tensor, percentile: float) -> tuple[Tensor, Tensor]:
    """The (100 - p)-th and p-th percentile of every row, interpolated linearly, zero kept inside."""
    return (
        _quantile(rows, 1.0 - percentile / 100.0).clamp(max=0.0),
        _quantile(rows, percentile / 100.0).clamp(min=0.0),
    )


def mse_parameters(
    rows: Tensor, low: Tensor, high: Tensor, spec: QuantizerSpec, *, factors: int = SHRINK_FACTORS, power: float = 2.0
) -> Parameters:
    """Both ends of [low, high] times the factor among n/n, (n-1)/n, ... 1/n with the lowest mean |v - v^|^power.

    On asymmetric grids the zero point is the same for all factors: both ends shrink together.
    """
    shrink = torch.arange(factors, 0, -1, dtype=rows.dtype, device=rows.device) / factors
    whole = parameters_from_range(low, high, spec)
    scales = []
    for start in range(0, rows.shape[0], ROWS_AT_ONCE):  # bounds the table of candidates
        part = slice(start, start + ROWS_AT_ONCE)
        candidates = parameters_from_range(low[part, None] * shrink, high[part, None] * shrink, spec).scale
        offsets = None if whole.zero_point is None else whole.zero_point[part, None].expand_as(candidates)
        choice = best_candidate(rows[part], candidates, offsets, *_search_limits(spec), power=power, nested=True)
        scales.append(candidates.gather(1, choice.candidate[:, None])[:, 0])
    return Parameters(torch.cat(scales), whole.zero_point)


class Solved(NamedTuple):
    """Iterative MSE: the grid of every row, the start that led to it [R], and the alternations by start."""

    parameters: Parameters
    winner: Tensor
    runs: dict[str, Alternation]


def iterative_mse(
    rows: Tensor, seen: Summary, spec: QuantizerSpec, *,
    starts: Sequence[str] = (*STARTS, LSQ_START), tolerance: float = 1e-6,
    largest_iteration_count: int = LARGEST_ITERATION_COUNT,
) -> Solved:  # fmt: skip
    """Least-squares step by alternation from several starts, because each start can end in its own local optimum.

    Starts: the step that covers the range, one half and one quarter of it, and the LSQ start; per row the lowest error
    wins, the first of equals. On asymmetric grids the zero point of the range is kept.
    """
    whole = parameters_from_range(seen.low, seen.high, spec)
    qmin, qmax = _search_limits(spec)
    ordered = OrderedRows(rows, whole.zero_point, qmin, qmax) if OrderedRows.worthwhile(rows, qmin, qmax) else None
    runs = {}
    for name in starts:
        start = lsq_step(seen.mean_magnitude, spec.positive_limit) if name == LSQ_START else whole.scale * STARTS[name]
        runs[name] = alternate(
            rows, start, whole.zero_point, qmin, qmax,
            tolerance=tolerance, largest_iteration_count=largest_iteration_count, ordered=ordered,
        )  # fmt: skip
    winner = torch.stack([run.error for run in runs.values()]).argmin(0)
    scale = torch.stack([run.scale for run in runs.values()]).gather(0, winner[None])[0]
    # A row of zeros halves its step for ever: the floor of the range's step ends that.
    scale = torch.where(seen.mean_magnitude > 0, scale, whole.scale)
    return Solved(parameters_from_step(scale, seen.low, seen.high, spec), winner, runs)


def _search_limits(spec: QuantizerSpec) -> tuple[float, float]:
    return float(spec.qmin), float(spec.qmax)


def _quantile(rows: Tensor, fraction: float) -> Tensor:
    # kthvalue selects in linear time and has no limit on the number of elements, unlike torch.quantile.
    position = fraction * (rows.shape[1] - 1)
    below = min(int(position), rows.shape[1] - 1)
    above = min(below + 1, rows.shape[1] - 1)
    lower = rows.kthvalue(below + 1, dim=1).values
    upper = rows.kthvalue(above + 1, dim=1).values if above != below else lower
    return torch.lerp(lower, upper, position - below)
