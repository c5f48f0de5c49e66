"""Statistics: Student's distribution for any number of degrees of freedom, whole or not."""

from __future__ import annotations

import math

_TINY = 1e-300


def student_inside(t: float, degrees: float) -> float:
    """P(|T| ≤ t) for Student's T: 1 − I_x(ν/2, 1/2) with x = ν / (ν + t²), I the regularised incomplete beta function.

    Near t = 0 the complement I_{1−x}(1/2, ν/2) is summed instead, so that neither end loses digits.
    """
    if not degrees > 0.0:
        raise ValueError("Student's distribution needs a positive number of degrees of freedom")
    if math.isinf(t):
        return 1.0
    square = t * t
    return _incomplete_beta(0.5, degrees / 2.0, square / (degrees + square))


def student_quantile(confidence: float, degrees: float) -> float:
    """The t with P(|T| ≤ t) = `confidence`, by bisection on θ = atan(t / sqrt(ν)): it grows with t, and is bounded."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"a confidence lies between 0 and 1, not at {confidence}")
    scale = math.sqrt(degrees)
    low, high = 0.0, math.pi / 2.0
    for _ in range(90):
        middle = (low + high) / 2.0
        if student_inside(math.tan(middle) * scale, degrees) < confidence:
            low = middle
        else:
            high = middle
    return math.tan((low + high) / 2.0) * scale


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b) by its continued fraction, on the side where that converges fast."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    front = math.exp(logarithm)
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _fraction(a, b, x) / a
    return 1.0 - front * _fraction(b, a, 1.0 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, evaluated from the front (Lentz's rule)."""
    c, d = 1.0, _kept(1.0 - (a + b) * x / (a + 1.0))
    d = 1.0 / d
    value = d
    for m in range(1, 2000):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        d, c = 1.0 / _kept(1.0 + even * d), _kept(1.0 + even / c)
        value *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        d, c = 1.0 / _kept(1.0 + odd * d), _kept(1.0 + odd / c)
        step = d * c
        value *= step
        if abs(step - 1.0) < 1e-15:
            break
    return value


def _kept(value: float) -> float:
    """`value`, away from zero: the fraction is divided by it."""
    return value if abs(value) > _TINY else _TINY
