"""Methods, engines: finite numbers that are a divergence all the same.

Quantized networks clip, so a rate that is far too large seldom ends in NaN: every activation runs into its limits, the
network answers the same to everything, and its loss comes to rest where guessing lies.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from suite.methods.api import Diverged

NEAR = 0.98
"""Measured: networks that answer the same to everything end between 0.99 and 1.02 of the loss of guessing."""
RISE = 2.0
"""A network that was no better when it began has not diverged; it has not learned."""


LEAST_COUNT = 5


def require_better_than_guessing(first: float, losses: Sequence[float], classes: int) -> None:
    """Raise `Diverged` where a cross-entropy that began well ends at ln(classes) or above.

    first: the loss of the first step; losses: those of the training in order, in nats. The end is the mean of the last
    tenth of them, but of `LEAST_COUNT` at least where a quarter of them are as many: single batches waver, and the
    first of a handful of steps are no end.
    """
    count = max(len(losses) // 10, min(LEAST_COUNT, max(1, len(losses) // 4)))
    end = losses[-count:]
    last, guessing = statistics.fmean(end), math.log(max(2, classes))
    if last >= NEAR * guessing and last >= RISE * first:
        raise Diverged(
            f"the training loss went from {first:.3g} to {last:.3g}, which guessing reaches too ({guessing:.3g}): "
            "the learning rate is too large"
        )
