"""Statistics: the interval of a weighted sum of scores that were all measured on the same examples with the same seeds.

With outcomes x_T[s, j] of every cell T (seed s right on example j or not) and weights w_T, the sum Σ w_T score(T) is
the mean over seeds and examples of one number for each of them,

    z[s, j] = Σ_T w_T x_T[s, j]

so cells are paired by construction, and whatever they agree in cancels. A difference of two scores is the case with
weights −1 and +1, a Shapley share another. Where there are several seeds the variance of the mean has the three terms
told in `variance.py`; with one seed the examples alone are resampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from suite.statistics.interval import Interval
from suite.statistics.paired import FEWEST_DISCORDANT_FOR_BOOTSTRAP
from suite.statistics.variance import Variance, crossed

Array = npt.NDArray[np.float64]

RESAMPLES = 20_000
_DECIMALS = 12
"""Weights that cancel leave rounding errors; what is smaller than they are is nothing."""
_DRAWN_AT_ONCE = 2_000_000
"""Numbers in one block of resampled counts, so that many distinct values do not fill the memory."""


NONE = Variance()


@dataclass(frozen=True, eq=False)
class Contrast:
    """A weighted sum of scores: [seeds, examples] of what each example contributes under each seed."""

    values: Array
    reach: float = 1.0
    """The most that one example can contribute, either way."""
    elsewhere: Variance = NONE
    """Variance that does not come from seeds or examples, such as that of orders that were drawn."""
    seed: int = 0
    """Of the resampling: the same contrast and seed give the same interval."""
    resamples: int = RESAMPLES

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.size == 0:
            raise ValueError("a contrast has numbers for at least one seed and one example")

    @property
    def estimate(self) -> float:
        return float(self.values.mean())

    def at(self, confidence: float = 0.95) -> Interval:
        """The interval at a confidence, by the bootstrap where one seed and enough examples allow it."""
        if self._resampled:
            tail = (1.0 - confidence) / 2.0
            low, high = np.quantile(self._means, [tail, 1.0 - tail])
            return self._interval(float(low), float(high), confidence, "paired bootstrap")
        variance = self._variance + self.elsewhere
        half = variance.half_width(confidence)
        how = "seeds × examples, paired" if self.values.shape[0] > 1 else "examples, paired"
        how += ", drawn orders" if self.elsewhere.value > 0.0 else ""
        return self._interval(self.estimate - half, self.estimate + half, confidence, how)

    def _interval(self, low: float, high: float, confidence: float, how: str) -> Interval:
        return Interval(self.estimate, low, high, confidence, how, self.values.shape[1])

    @property
    def _resampled(self) -> bool:
        changed = int(np.count_nonzero(np.round(self.values[0], _DECIMALS)))
        return self.values.shape[0] == 1 and self.elsewhere is NONE and changed >= FEWEST_DISCORDANT_FOR_BOOTSTRAP

    @cached_property
    def _means(self) -> Array:
        """Means of resamples. Examples that contribute the same are drawn together, as counts."""
        values, counts = np.unique(np.round(self.values[0], _DECIMALS), return_counts=True)
        generator = np.random.default_rng(self.seed)
        total = int(counts.sum())
        block = max(1, _DRAWN_AT_ONCE // values.size)
        sizes = [min(block, self.resamples - start) for start in range(0, self.resamples, block)]
        drawn = [generator.multinomial(total, counts / total, size=size) @ values / total for size in sizes]
        return np.concatenate(drawn)

    @cached_property
    def _variance(self) -> Variance:
        return variance_of_means(self.values[None], self.reach)[0]


def variance_of_means(values: Array, reach: float = 1.0) -> tuple[Variance, ...]:
    """For each of many contrasts, [contrasts, seeds, examples], the variance of its mean over seeds and examples.

    An example of the largest size is added to the squares of the examples: where few examples contribute at all, the
    ones that were seen tell too little of those that could have been.
    """
    _, k, n = values.shape
    centre = values.mean(axis=1)
    estimate = centre.mean(axis=1)
    of_examples = (((centre - estimate[:, None]) ** 2).sum(axis=1) + reach**2) / n**2
    if k == 1:
        return tuple(crossed(float(value), n, (), 0.0) for value in of_examples)
    means = values.mean(axis=2)
    of_seeds = means.var(axis=1, ddof=1) / k
    rest = values - means[:, :, None] - centre[:, None, :] + estimate[:, None, None]
    of_rest = (rest**2).sum(axis=(1, 2)) / ((k - 1) * max(1, n - 1)) / (k * n)
    return tuple(
        crossed(float(example), n, [(float(seed), k)], float(both))
        for example, seed, both in zip(of_examples, of_seeds, of_rest, strict=True)
    )


def weighted(weights: Array, outcomes: Sequence[npt.NDArray[np.bool_]]) -> Array:
    """[sums, seeds, examples] from weights [sums, cells] and the outcomes of every cell, [seeds, examples] each."""
    shape = outcomes[0].shape
    if any(held.shape != shape or held.ndim != 2 for held in outcomes):
        raise ValueError("every cell answers the same examples with the same seeds")
    if weights.shape[1] != len(outcomes):
        raise ValueError(f"{weights.shape[1]} weights for {len(outcomes)} cells")
    found = np.zeros((weights.shape[0], *shape))
    for column, held in zip(weights.T, outcomes, strict=True):
        rows = np.flatnonzero(column)
        found[rows] += column[rows, None, None] * held
    return found
