"""Quantizers, searches: the best step among candidates and the alternating least-squares step, for many rows at once.

Everything works on matrices [rows, elements]. Work is cut into tiles that stay in the processor's cache and buffers
are used again: allocating afresh costs as much as the arithmetic. Memory beyond the input is bounded by two tiles and
one table [rows, candidates].
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from suite.quantizers.ordered import OrderedRows

TILE_ELEMENTS = 1 << 19
CANDIDATES_AT_ONCE = 8
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
    count = scales.shape[1]
    best = torch.zeros(rows.shape[0], dtype=torch.int64, device=rows.device)
    error = torch.full((rows.shape[0],), torch.inf, dtype=torch.float64, device=rows.device)
    tile = _Tile(rows)
    for start, stop in _row_blocks(rows, CANDIDATES_AT_ONCE):
        values, steps = rows[start:stop], scales[start:stop].T.contiguous()
        offsets = None if zero_points is None else zero_points[start:stop].T.contiguous()
        active = torch.arange(stop - start, device=rows.device)
        errors = torch.full((count, stop - start), torch.inf, dtype=torch.float64, device=rows.device)
        for first in range(0, count, CANDIDATES_AT_ONCE):
            group = slice(first, first + CANDIDATES_AT_ONCE)
            some = None if offsets is None else offsets[group]
            errors[group, active] = tile.errors(values, steps[group], some, qmin, qmax, power)
            if not nested or first + CANDIDATES_AT_ONCE >= count:
                continue
            last = slice(steps[group].shape[0] - 1, None)
            loss = tile.errors(
                values, steps[group][last], None if some is None else some[last], qmin, qmax, power, rounding=False
            )[0]
            # The margin covers rounding in the two sums; it can only keep a row too long.
            kept = (loss <= errors[:, active].amin(0) * (1 + 1e-5)).nonzero()[:, 0]
            if kept.numel() == 0:
                break
            if kept.numel() < active.numel():
                active, values, steps = active[kept], values[kept], steps[:, kept]
                offsets = None if offsets is None else offsets[:, kept]
        error[start:stop], best[start:stop] = errors.min(0)
    return Choice(best, error)


def best_of_pairs(
    rows: Tensor, scales: Tensor, zero_points: Tensor | None, wanted: Tensor, qmin: float, qmax: float,
    *, power: float = 2.0,
) -> Choice:  # fmt: skip
    """`best_candidate` among the (row, candidate) pairs that `wanted` [R, K] marks; at least one in every row."""
    errors = torch.full(scales.shape, torch.inf, dtype=torch.float64, device=rows.device)
    tile = _Tile(rows)
    pairs = wanted.nonzero()
    for part in torch.split(pairs, max(1, TILE_ELEMENTS // max(1, rows.shape[1]))):
        row, candidate = part.unbind(1)
        offsets = None if zero_points is None else zero_points[row, candidate][None]
        errors[row, candidate] = tile.errors(rows[row], scales[row, candidate][None], offsets, qmin, qmax, power)[0]
    error, best = errors.min(1)
    return Choice(best, error)


def clipping_losses(rows: Tensor, thresholds: Tensor, power: float) -> Tensor:
    """What clipping the values of every row from above costs, sum max(v - t, 0)^power, at thresholds [R, K]."""
    losses = torch.empty(thresholds.shape, dtype=torch.float64, device=rows.device)
    for start, stop in _row_blocks(rows):
        for column, threshold in enumerate(thresholds[start:stop].unbind(1)):
            over = (rows[start:stop] - threshold[:, None]).clamp_(min=0.0)
            losses[start:stop, column] = over.pow_(power).sum(1, dtype=torch.float64)
    return losses


def alternate(
    rows: Tensor, start: Tensor, zero_points: Tensor | None, qmin: float, qmax: float,
    *, tolerance: float = 1e-6, largest_iteration_count: int = LARGEST_ITERATION_COUNT,
    ordered: OrderedRows | None = None,
) -> Alternation:  # fmt: skip
    """Least-squares step by alternation, from one start per row (`start` [R]).

    k <- clip(round(v / s)), then s <- <v, k> / <k, k>, until the step changes by no more than `tolerance` s. Both
    halves are optimal for the other one held fixed, so the error never rises. Where all codes are zero the step is
    halved. A row that has settled keeps its step while the others go on. `ordered` are the same rows in order, which
    make each turn over long rows many times cheaper.
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
        if ordered is not None:
            new = _quotient(*ordered.products(scale), scale)[active].to(rows.dtype)
        else:
            new = _least_squares_step(rows if everyone else rows[active], old, offsets, qmin, qmax)
        scale[active] = new
        trajectory.append(scale.clone())
        active = active[(new - old).abs() > tolerance * old]
    error = squared_errors(rows, scale, zero_points, qmin, qmax) if ordered is None else ordered.errors(scale)
    return Alternation(scale, error, torch.stack(trajectory))


def squared_errors(rows: Tensor, scale: Tensor, zero_points: Tensor | None, qmin: float, qmax: float) -> Tensor:
    """Sum of (v - v^)^2 in every row on the grid with the given parameters [R], float64."""
    tile = _Tile(rows)
    found = []
    for start, stop in _row_blocks(rows):
        offsets = None if zero_points is None else zero_points[None, start:stop]
        found.append(tile.errors(rows[start:stop], scale[None, start:stop], offsets, qmin, qmax, 2.0)[0])
    return torch.cat(found)


def _least_squares_step(rows: Tensor, scale: Tensor, zero_points: Tensor | None, qmin: float, qmax: float) -> Tensor:
    size = min(TILE_ELEMENTS, rows.numel())
    buffer, squares = (torch.empty(size, dtype=rows.dtype, device=rows.device) for _ in range(2))
    steps = []
    for start, stop in _row_blocks(rows):
        step = scale[start:stop, None]
        low, high = _limits(None if zero_points is None else zero_points[start:stop], qmin, qmax)
        along = torch.zeros(stop - start, dtype=torch.float64, device=rows.device)
        square = torch.zeros_like(along)
        for values in torch.split(rows[start:stop], TILE_ELEMENTS, dim=1):
            code = torch.div(values, step, out=buffer[: values.numel()].view(values.shape)).round_()
            _clip(code, low, high, out=code)
            # Not vector_norm: it adds one by one, and loses the third digit over half a million values; sum does not.
            square += torch.mul(code, code, out=squares[: code.numel()].view(code.shape)).sum(1).double()
            along += code.mul_(values).sum(1).double()
        steps.append(_quotient(along, square, step[:, 0]).to(rows.dtype))
    return torch.cat(steps)


def _quotient(along: Tensor, square: Tensor, scale: Tensor) -> Tensor:
    """<v, k> / <k, k>, or half the step where no code is different from zero."""
    quotient = along / square
    return torch.where((square > 0) & (quotient > 0), quotient, scale.double() / 2)


def _row_blocks(rows: Tensor, copies: int = 1) -> Iterator[tuple[int, int]]:
    """Blocks of rows of which `copies` fit into a tile, but at least one row."""
    height = max(1, TILE_ELEMENTS // max(1, copies * rows.shape[1]))
    for start in range(0, rows.shape[0], height):
        yield start, min(start + height, rows.shape[0])


class _Tile:
    """Two buffers in which residuals of a block of rows are formed for several candidates at once."""

    def __init__(self, rows: Tensor) -> None:
        # A tile may be narrower than one column per row and candidate; then that column sets the size.
        size = max(TILE_ELEMENTS, CANDIDATES_AT_ONCE)
        self.buffers = [torch.empty(size, dtype=rows.dtype, device=rows.device) for _ in range(2)]

    def errors(
        self, values: Tensor, steps: Tensor, zero_points: Tensor | None, qmin: float, qmax: float, power: float,
        *, rounding: bool = True,
    ) -> Tensor:  # fmt: skip
        """Sum |v - v^|^power of `values` [r, n] for candidates [c, r]: [c, r], float64.

        Without rounding: what clipping alone loses, which no grid within the same limits can undercut.
        """
        # The residual is formed element by element in units of the step: expanding the square into sums of v k and
        # k k would save a pass but lose all digits at 8 bits and more. Multiplying by 1 / s instead of dividing may
        # move a value across a rounding tie, where both codes are equally far away.
        candidates, height = steps.shape
        inverse = steps.reciprocal()[:, :, None]
        low, high = _limits(zero_points, qmin, qmax)
        total = torch.zeros(candidates, height, dtype=torch.float64, device=values.device)
        for part in torch.split(values, max(1, TILE_ELEMENTS // (candidates * height)), dim=1):
            shape = (candidates, height, part.shape[1])
            ratio, code = (buffer[: candidates * part.numel()].view(shape) for buffer in self.buffers)
            torch.mul(part, inverse, out=ratio)
            _clip(torch.round(ratio, out=code) if rounding else ratio, low, high, out=code)
            code.sub_(ratio)
            code = code.square_() if power == 2.0 else code.abs_().pow_(power)
            total += code.sum(2).double()
        return total * steps.double() ** power


def _limits(zero_points: Tensor | None, qmin: float, qmax: float) -> tuple[Tensor | float, Tensor | float]:
    """Limits of v / s, with a last dimension for the elements of a row."""
    if zero_points is None:
        return qmin, qmax
    return qmin - zero_points[..., None], qmax - zero_points[..., None]


def _clip(values: Tensor, low: Tensor | float, high: Tensor | float, *, out: Tensor) -> None:
    """Clamp into `out`. Measured: ten times faster than clamp with tensors as limits, which is not vectorised."""
    if isinstance(low, Tensor) and isinstance(high, Tensor):
        torch.maximum(values, low, out=out)
        torch.minimum(out, high, out=out)
    elif not isinstance(low, Tensor) and not isinstance(high, Tensor):
        torch.clamp(values, low, high, out=out)
