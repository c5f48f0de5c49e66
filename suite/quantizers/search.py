"""Quantizers, searches: the best step among candidates and the alternating least-squares step, for many rows at once.

Everything works on matrices [rows, elements]. Work is cut into tiles that stay in the processor's second-level cache:
measured, a pass over such a tile costs about a quarter of a pass over the whole matrix. Memory beyond the input is
bounded by two tiles and one table [rows, candidates].
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

TILE_ELEMENTS = 1 << 16
CANDIDATES_BETWEEN_CHECKS = 6
LARGEST_ITERATION_COUNT = 200


class Choice(NamedTuple):
    """Per row: the index of the best candidate and its error sum |v - v^|^power."""

    candidate: Tensor
    error: Tensor


class Alternation(NamedTuple):
    """Per row: the final step and its squared error; all steps on the way (first the start), [iterations + 1, rows]."""

    scale: Tensor
    error: Tensor
    trajectory: Tensor


def best_candidate(
    rows: Tensor, scales: Tensor, zero_points: Tensor | None, qmin: float, qmax: float,
    *, power: float = 2.0, nested: bool = False,
) -> Choice:  # fmt: skip
    """The candidate with the lowest error in every row of `rows` [R, N]; the first one if several are equal.

    Candidates are `scales` and `zero_points` [R, K] (None on symmetric grids), their codes k = clip(round(v / s) + z).

    `nested` promises that candidates come in shrinking order: the values each can represent lie within the range of
    the one before. What a row loses by clipping alone then only grows, so a row can stop, exactly, once that loss
    exceeds its best error. At 8 bits this saves nine tenths of the work.
    """
    best = torch.zeros(rows.shape[0], dtype=torch.int64, device=rows.device)
    error = torch.full((rows.shape[0],), torch.inf, dtype=torch.float64, device=rows.device)
    for start, stop in _row_blocks(rows):
        values, steps = rows[start:stop], scales[start:stop]
        offsets = None if zero_points is None else zero_points[start:stop]
        active: Tensor | None = None  # None: all rows of the block
        errors = torch.full(steps.shape, torch.inf, dtype=torch.float64, device=rows.device)
        for candidate in range(steps.shape[1]):
            step = steps[:, candidate, None]
            low, high = _limits(offsets, candidate, qmin, qmax)
            found = _error(values, step, low, high, power)
            errors[slice(None) if active is None else active, candidate] = found
            if nested and candidate % CANDIDATES_BETWEEN_CHECKS == CANDIDATES_BETWEEN_CHECKS - 1:
                known = (errors if active is None else errors[active]).amin(1)
                # The margin covers rounding in the two sums; it can only keep a row too long.
                going = _clipping_loss(values, step, low, high, power) <= known * (1 + 1e-5)
                if not bool(going.all()):
                    kept = going.nonzero()[:, 0]
                    if kept.numel() == 0:
                        break
                    active = kept if active is None else active[kept]
                    values, steps = values[kept], steps[kept]
                    offsets = None if offsets is None else offsets[kept]
        error[start:stop], best[start:stop] = errors.min(1)
    return Choice(best, error)


def alternate(
    rows: Tensor, start: Tensor, zero_points: Tensor | None, qmin: float, qmax: float,
    *, tolerance: float = 1e-6, largest_iteration_count: int = LARGEST_ITERATION_COUNT,
) -> Alternation:  # fmt: skip
    """Least-squares step by alternation, from one start per row (`start` [R]).

    k <- clip(round(v / s)), then s <- <v, k> / <k, k>, until the step changes by no more than `tolerance` s. Both
    halves are optimal for the other one held fixed, so the error never rises. Where all codes are zero the step is
    halved. A row that has settled keeps its step while the others go on.
    """
    scale = start.to(rows.dtype).clone()
    trajectory = [scale.clone()]
    active = torch.arange(rows.shape[0], device=rows.device)
    for _ in range(largest_iteration_count):
        if active.numel() == 0:
            break
        everyone = active.numel() == rows.shape[0]
        offsets = zero_points if everyone or zero_points is None else zero_points[active]
        old = scale[active]
        new = _least_squares_step(rows if everyone else rows[active], old, offsets, qmin, qmax)
        scale[active] = new
        trajectory.append(scale.clone())
        active = active[(new - old).abs() > tolerance * old]
    return Alternation(scale, squared_errors(rows, scale, zero_points, qmin, qmax), torch.stack(trajectory))


def squared_errors(rows: Tensor, scale: Tensor, zero_points: Tensor | None, qmin: float, qmax: float) -> Tensor:
    """Sum of (v - v^)^2 in every row on the grid with the given parameters [R], float64."""
    offsets = None if zero_points is None else zero_points[:, None]
    found = []
    for start, stop in _row_blocks(rows):
        low, high = _limits(None if offsets is None else offsets[start:stop], 0, qmin, qmax)
        found.append(_error(rows[start:stop], scale[start:stop, None], low, high, 2.0))
    return torch.cat(found)


def _least_squares_step(rows: Tensor, scale: Tensor, zero_points: Tensor | None, qmin: float, qmax: float) -> Tensor:
    offsets = None if zero_points is None else zero_points[:, None]
    steps = []
    for start, stop in _row_blocks(rows):
        step = scale[start:stop, None]
        low, high = _limits(None if offsets is None else offsets[start:stop], 0, qmin, qmax)
        along = torch.zeros(stop - start, dtype=torch.float64, device=rows.device)
        square = torch.zeros_like(along)
        for values in torch.split(rows[start:stop], TILE_ELEMENTS, dim=1):
            code = (values / step).round_().clamp_(low, high)  # type: ignore[arg-type]
            square += torch.linalg.vector_norm(code, dim=1).double().square()
            along += code.mul_(values).sum(1).double()
        quotient = along / square
        steps.append(torch.where((square > 0) & (quotient > 0), quotient, step[:, 0].double() / 2).to(rows.dtype))
    return torch.cat(steps)


def _row_blocks(rows: Tensor) -> Iterator[tuple[int, int]]:
    height = max(1, TILE_ELEMENTS // max(1, rows.shape[1]))
    for start in range(0, rows.shape[0], height):
        yield start, min(start + height, rows.shape[0])


def _limits(
    zero_points: Tensor | None, candidate: int, qmin: float, qmax: float
) -> tuple[Tensor | float, Tensor | float]:
    if zero_points is None:
        return qmin, qmax
    offset = zero_points[:, candidate, None]
    return qmin - offset, qmax - offset


def _error(values: Tensor, step: Tensor, low: Tensor | float, high: Tensor | float, power: float) -> Tensor:
    # The residual is formed element by element in units of the step: expanding the square into sums of v k and k k
    # would save a pass but lose all digits at 8 bits and more.
    total = torch.zeros(values.shape[0], dtype=torch.float64, device=values.device)
    for part in torch.split(values, TILE_ELEMENTS, dim=1):
        ratio = part / step
        residual = ratio.round().clamp_(low, high).sub_(ratio)  # type: ignore[arg-type]
        total += _power_sum(residual, power)
    return total * step[:, 0].double() ** power


def _clipping_loss(values: Tensor, step: Tensor, low: Tensor | float, high: Tensor | float, power: float) -> Tensor:
    """Sum |v - clip(v, s low, s high)|^power: no grid inside these limits can do better."""
    total = torch.zeros(values.shape[0], dtype=torch.float64, device=values.device)
    for part in torch.split(values, TILE_ELEMENTS, dim=1):
        ratio = part / step
        total += _power_sum(ratio.clamp(low, high).sub_(ratio), power)  # type: ignore[arg-type]
    return total * step[:, 0].double() ** power


def _power_sum(residual: Tensor, power: float) -> Tensor:
    if power == 2.0:
        norm: Tensor = torch.linalg.vector_norm(residual, dim=1)
        return norm.double().square()
    total: Tensor = residual.abs_().pow_(power).sum(1).double()
    return total
