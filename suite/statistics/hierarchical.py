"""Statistics: seeds and examples together. How far would a difference move with other seeds and other test examples?

Both are samples: k seeds of many that could have been drawn, n test examples of many. Every seed answered every
example, so with x_sj = 1 where seed s was right on example j,

    x_sj = mean + seed_s + example_j + rest_sj

    Var(mean of all x) = Var(seed)/k + Var(example)/n + Var(rest)/(k n)

The variance of the k seed means over k estimates the first and third term, that of the n example means over n the
second and third, so their sum counts the third twice, and it is taken off once. The interval is Student's, with
Satterthwaite's degrees of freedom: few where the seeds decide, many where the examples do.

In simulated studies of 400 examples, where seeds shift scores by nothing up to ten points, 95 % intervals held the
truth in 94 to 98 % of 3,000 studies with three or five seeds. With two seeds it was 97 to 98 % where they differ by at
most two points, and 90 % where they differ by ten.

Resampling three seeds, as a bootstrap would, cannot do this: no resample is wider than the three that were drawn, and
their spread is estimated too small by the factor sqrt((k − 1) / k).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from suite.statistics.interval import Interval
from suite.statistics.paired import paired_difference
from suite.statistics.proportions import wilson
from suite.statistics.student import student_quantile

Matrix = npt.NDArray[np.float64]


def combined_difference(
    first: Sequence[npt.ArrayLike],
    second: Sequence[npt.ArrayLike],
    *,
    paired_seeds: bool,
    confidence: float = 0.95,
) -> Interval:
    """Mean score(second) − mean score(first) over seeds and examples, with its interval.

    One vector of outcomes a seed, over the same examples in the same order. `paired_seeds`: the vectors of both sides
    belong together one by one, because they were computed under the same seed. With one seed on both sides nothing is
    known of the seeds, and the interval is that of the examples alone; its `method` says so.
    """
    left, right = _matrix(first), _matrix(second)
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"outcomes of {left.shape[1]} and {right.shape[1]} examples cannot be paired")
    if paired_seeds and left.shape[0] != right.shape[0]:
        raise ValueError(f"{left.shape[0]} and {right.shape[0]} seeds cannot be paired")
    if left.shape[0] == right.shape[0] == 1:
        return paired_difference(left[0], right[0], confidence=confidence)
    sides = [right - left] if paired_seeds else [right, left]
    centre = right.mean(axis=0) - left.mean(axis=0)
    how = "seeds × examples, paired" if paired_seeds else "seeds × examples"
    if min(left.shape[0], right.shape[0]) == 1:
        how += ", one side with one seed"
    return _interval(centre, sides, confidence, how)


def combined_score(outcomes: Sequence[npt.ArrayLike], confidence: float = 0.95) -> Interval:
    """Mean score over seeds and examples; Wilson's interval over the examples where there is one seed."""
    matrix = _matrix(outcomes)
    if matrix.shape[0] == 1:
        return wilson(int(matrix[0].sum()), matrix.shape[1], confidence)
    found = _interval(matrix.mean(axis=0), [matrix], confidence, "seeds × examples")
    low, high = max(0.0, found.low), min(1.0, found.high)
    return Interval(found.estimate, low, high, confidence, found.method, found.count)


def _interval(centre: npt.NDArray[np.float64], sides: Sequence[Matrix], confidence: float, how: str) -> Interval:
    """`centre` has the mean over seeds of what is estimated, one number an example."""
    n = centre.size
    # Never surer than a single example that went the other way would allow.
    of_examples = max(float(centre.var(ddof=1)) / n if n > 1 else 1.0, 1.0 / n**2)
    of_seeds, of_rest, weights = 0.0, 0.0, 0.0
    for side in sides:
        k = side.shape[0]
        if k < 2:
            continue
        means = side.mean(axis=1)
        variance = float(means.var(ddof=1)) / k
        rest = side - means[:, None] - side.mean(axis=0)[None, :] + side.mean()
        of_rest += float((rest**2).sum()) / ((k - 1) * max(1, n - 1)) / (k * n)
        of_seeds += variance
        weights += variance**2 / (k - 1)
    total = max(of_examples, of_seeds, of_examples + of_seeds - of_rest)
    weights += of_examples**2 / max(1, n - 1)
    half = student_quantile(confidence, total**2 / weights) * math.sqrt(total)
    estimate = float(centre.mean())
    return Interval(estimate, estimate - half, estimate + half, confidence, how, n)


def _matrix(outcomes: Sequence[npt.ArrayLike]) -> Matrix:
    """Seeds × examples, as numbers 0 and 1."""
    if not outcomes:
        raise ValueError("an estimate needs the outcomes of at least one seed")
    rows = [np.asarray(row) for row in outcomes]
    if any(row.ndim != 1 or row.size == 0 or row.shape != rows[0].shape for row in rows):
        raise ValueError("every seed answers the same examples")
    matrix = np.stack(rows)
    if matrix.dtype != np.bool_ and not np.isin(matrix, (0, 1)).all():
        raise ValueError("outcomes are right or wrong: booleans, or numbers 0 and 1")
    return matrix.astype(np.float64)
