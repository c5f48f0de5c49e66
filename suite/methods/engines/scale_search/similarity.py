"""Methods, scale search engine: how similar the outputs of a product under many candidate scales are to its own.

Outputs come as [K, n, ..., features] for K candidates, in chunks of examples; scores are [K], or [K, channels] where
every output channel has a candidate of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

SMALLEST_NORM = 1e-8
CONSTANT = 1e-6


class Measure(StrEnum):
    """How two vectors of outputs y and ŷ are compared."""

    COSINE = "cosine"  # <y, ŷ> / (|y| |ŷ|)
    PEARSON = "pearson"  # the cosine of y - mean(y) and ŷ - mean(ŷ)
    SQUARED_ERROR = "squared-error"  # -|y - ŷ|² / |y|², with sums over all vectors


class Units(StrEnum):
    """What one vector of outputs is; scores are averaged over all of them."""

    POSITIONS = "positions"  # the features of one pixel, token or row of an attention map
    EXAMPLES = "examples"  # everything one example gives
    CHANNELS = "channels"  # everything one output channel gives, for candidates of its own


class Comparison:
    """Scores of K candidates, chunk by chunk: `add` what they give for some examples, then ask for the `scores`.

    `reference` [n, ..., features] is what the float model gives. Whatever the chunks, sums over examples are made in
    double precision of sums that never cross an example, except where a unit does.
    """

    def __init__(self, reference: Tensor, measure: Measure, units: Units) -> None:
        self.measure = measure
        self.units = units
        self.reference = reference
        self.channel_means = reference.flatten(0, -2).mean(0)
        self.parts: list[tuple[Tensor, ...]] = []

    def start(self) -> None:
        """Forget the candidates so far."""
        self.parts = []

    def add(self, outputs: Tensor, examples: slice) -> None:
        """Outputs [K, n', ..., features] of these examples."""
        y, other = self.reference[examples], outputs
        if self.units is Units.CHANNELS:
            y, other = y.flatten(0, -2), other.flatten(1, -2)
            if self.measure is Measure.PEARSON:  # the mean over all examples is known: taking it off saves digits
                y, other = y - self.channel_means, other - self.channel_means
            self._sum(y, other, dim=-2)
            return
        if self.units is Units.EXAMPLES:
            y, other = y.flatten(1), other.flatten(2)
        if self.measure is Measure.PEARSON:
            mean = y.mean(-1, keepdim=True)
            y, other = y - mean, other - mean
        self._sum(y, other, dim=-1)

    def _sum(self, y: Tensor, other: Tensor, dim: int) -> None:
        """Keep the sums along the elements of every unit, added up over units that lie within this chunk."""
        if self.measure is Measure.SQUARED_ERROR:
            lost = (y - other).square_().sum(dim).double()
            energy = y.square().sum(dim).double().expand_as(lost)
            if self.units is not Units.CHANNELS:
                lost, energy = lost.flatten(1).sum(1), energy.flatten(1).sum(1)
            self.parts.append((lost, energy))
            return
        count = torch.full((), float(y.shape[dim]), dtype=torch.float64, device=y.device)
        along = (y * other).sum(dim).double()
        total = other.sum(dim).double()
        square = other.square().sum(dim).double()
        own = y.square().sum(dim).double().expand_as(along)
        own_total = y.sum(dim).double().expand_as(along)
        if self.units is Units.CHANNELS:
            self.parts.append((along, square, total, own, own_total, count.expand_as(along)))
        else:
            score = self._similarity(along, square, total, own, own_total, count).flatten(1)
            self.parts.append((score.sum(1), torch.full_like(score[:, 0], score.shape[1])))

    def _similarity(
        self, along: Tensor, square: Tensor, total: Tensor, own: Tensor, own_total: Tensor, count: Tensor
    ) -> Tensor:
        if self.measure is Measure.PEARSON:
            along = along - total * own_total / count
            square = _spread(square, total, count)
            own = _spread(own, own_total, count)
        norm = square.sqrt() * own.sqrt()
        return (along / norm.clamp(min=SMALLEST_NORM)).masked_fill(norm <= SMALLEST_NORM, 0.0)

    def scores(self) -> Tensor:
        """The higher the better: [K], or [K, channels]."""
        sums = [torch.stack(column).sum(0) for column in zip(*self.parts, strict=True)]
        if self.measure is Measure.SQUARED_ERROR:
            lost, energy = sums
            return -lost / energy.clamp(min=SMALLEST_NORM)
        if self.units is Units.CHANNELS:
            along, square, total, own, own_total, count = sums
            return self._similarity(along, square, total, own, own_total, count)
        total, count = sums
        return total / count


def _spread(square: Tensor, total: Tensor, count: Tensor) -> Tensor:
    """The sum of squares around the mean; zero where single precision cannot tell it from zero."""
    spread = square - total.square() / count
    return spread.masked_fill(spread <= CONSTANT * square, 0.0)


@dataclass(frozen=True)
class Ranking:
    """The penalty on attention scores whose order changes, for matrices A [..., rows, columns]:

    mean over rows k and pairs of columns i < j of max(0, θ - (Â_ki - Â_kj) sign(A_ki - A_kj)), times `weight`.
    At most `columns` columns and `rows` rows of every matrix are looked at, evenly spread.
    """

    weight: float
    margin: float
    columns: int = 64
    rows: int = 64

    def penalties(self, reference: Tensor, outputs: Tensor) -> Tensor:
        """Sum over examples of the mean of each: [K] for outputs [K, n, ..., rows, columns]."""
        rows = evenly_spread(reference.shape[-2], self.rows, reference.device)
        columns = evenly_spread(reference.shape[-1], self.columns, reference.device)
        count = len(columns)
        if count < 2:
            return torch.zeros(len(outputs), dtype=torch.float64, device=outputs.device)
        # Both orders of every pair, and every column with itself, which has no sign and costs the margin: picking the
        # pairs i < j out would take longer than computing all.
        opposite = _gaps(reference.index_select(-2, rows).index_select(-1, columns)).sign_().neg_()
        found = []
        for one in outputs:  # all pairs of all candidates at once would not fit
            gaps = _gaps(one.index_select(-2, rows).index_select(-1, columns))
            losses = gaps.mul_(opposite).add_(self.margin).clamp_(min=0.0)
            found.append(losses.flatten(1).mean(1).double().sum())
        mean = torch.stack(found) / len(reference)
        return self.weight * len(reference) * (mean * count - self.margin) / (count - 1)


def _gaps(scores: Tensor) -> Tensor:
    """A_ki - A_kj for all i and j, [..., rows, columns, columns]."""
    return scores[..., :, None] - scores[..., None, :]


def evenly_spread(count: int, most: int, device: torch.device) -> Tensor:
    """At most `most` of the places 0 ... count - 1, evenly spread."""
    kept = min(count, most)
    return torch.arange(kept, device=device) * count // kept
