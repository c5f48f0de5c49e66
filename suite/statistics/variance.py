"""Statistics: the variance of a mean over seeds and examples, in terms that are known by more or fewer observations.

Seeds and examples are both samples: k seeds of many that could have been drawn, n test examples of many. Every seed
answers every example, so with x_sj the number that seed s gives on example j,

    x_sj = mean + seed_s + example_j + rest_sj

    Var(mean of all x) = Var(seed)/k + Var(example)/n + Var(rest)/(k n)

The variance of the k seed means over k estimates the first and third term, that of the n example means over n the
second and third, so their sum counts the third twice, and it is taken off once.

The interval takes each term as far as it may reach, with Student's quantile t of that term's own degrees of freedom
(the method of variance estimates recovery, MOVER):

    half^2 = sum over terms of t(degrees of the term)^2 variance of the term

One quantile for all terms, with Satterthwaite's degrees of freedom, takes the estimated variances for the true ones.
Where two or three seeds happen to agree it believes in many degrees, and of 2,000 simulated studies as few as 89 %
(two seeds) and 92 % (three) held the truth where 95 % were promised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from suite.statistics.student import student_quantile

MOST_DEGREES = 1e9


@dataclass(frozen=True)
class Term:
    """One independent term of a variance, and by how many degrees of freedom it is known."""

    value: float
    degrees: float = math.inf

    def reach(self, confidence: float) -> float:
        """The square of how far an estimate may lie from the truth because of this term."""
        return student_quantile(confidence, min(self.degrees, MOST_DEGREES)) ** 2 * self.value


NOTHING = Term(0.0)


@dataclass(frozen=True)
class Variance:
    """The variance of an estimate: a sum of independent terms, some of which were estimated as differences."""

    terms: tuple[Term, ...] = ()
    least: Term = NOTHING
    """What all terms together hold at least; a difference of estimates may happen to be nothing."""

    @property
    def value(self) -> float:
        return max(self.least.value, math.fsum(term.value for term in self.terms))

    def __add__(self, other: Variance) -> Variance:
        return Variance(self.terms + other.terms, max(self.least, other.least, key=lambda term: term.value))

    def half_width(self, confidence: float) -> float:
        """Half of the interval at a confidence: every term as far as it may reach."""
        reach = math.fsum(term.reach(confidence) for term in self.terms)
        return math.sqrt(max(reach, self.least.reach(confidence)))


def crossed(of_examples: float, examples: int, of_seeds: Sequence[tuple[float, int]], of_rest: float) -> Variance:
    """The variance of a mean over examples and, for each (variance, number) of `of_seeds`, over so many seeds.

    `of_examples` and all of `of_seeds` together hold `of_rest` once each; it is taken off the examples, as far as it
    goes, because they know it by more observations. All together hold at least that.
    """
    degrees = max(1, examples - 1)
    seeds = tuple(Term(value, count - 1) for value, count in of_seeds)
    return Variance((Term(max(0.0, of_examples - of_rest), degrees), *seeds), Term(of_rest, degrees))
