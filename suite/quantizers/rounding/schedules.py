"""Quantizers, learned rounding: how the exponent beta of AdaRound's regularizer falls. Plain arithmetic, no tensors."""

from __future__ import annotations

import math

START, END = 20.0, 2.0


def linear_beta(step: int, total: int, *, warmup: float = 0.2, start: float = START, end: float = END) -> float:
    """The exponent is `start` until warmup * total, then on a straight line to `end` at `total`."""
    return end + (start - end) * (1 - max(0.0, _progress(step, total, warmup)))


def cosine_beta(step: int, total: int, *, warmup: float = 0.2, start: float = START, end: float = END) -> float:
    """The exponent is end + (start - end) (1 + cos(pi t)) / 2, with t from 0 after the warm-up to 1 at `total`.

    During the warm-up, which has no use for it, t is negative and the curve rises to `start`: as public code has it.
    """
    return end + (start - end) * (1 + math.cos(math.pi * _progress(step, total, warmup))) / 2


def warming_up(step: int, total: int, warmup: float = 0.2) -> bool:
    """Whether the regularizer is still left out of the loss."""
    return step < warmup * total


def _progress(step: int, total: int, warmup: float) -> float:
    """The part of what follows the warm-up that is done: at most 1, negative during the warm-up."""
    first = warmup * total
    return min((step - first) / (total - first), 1.0) if total > first else 0.0
