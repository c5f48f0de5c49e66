"""The alternating least-squares step against trajectories computed from the paper's formulas in float64."""

from __future__ import annotations

import pytest
import torch
from golden_vectors import case_parameters, check_close, load

from suite.quantizers.ordered import OrderedRows
from suite.quantizers.ranges import lsq_step
from suite.quantizers.search import alternate, best_candidate, squared_errors

TOLERANCE = 1e-10  # of the derived vectors
STOP = 1e-10  # the vectors' own stopping rule


@pytest.mark.parametrize("in_order", [False, True], ids=["value by value", "in order"])
@pytest.mark.parametrize("case", case_parameters("derived_iterative_mse", "s_trajectory"))
def test_trajectory(case: str, in_order: bool) -> None:
    vectors = load("derived_iterative_mse")
    v = vectors.nearest(case, "v").double()[None]
    qmin, qmax = float(vectors.nearest(case, "qn")), float(vectors.nearest(case, "qp"))
    start = {"maxabs": v.abs().amax(1) / qmax, "lsq": lsq_step(v.abs().mean(1), qmax)}[case.rpartition(".")[2]]
    check_close(start, vectors.tensor(f"{case}.s_init").reshape(1), TOLERANCE)
    ordered = OrderedRows(v, None, qmin, qmax) if in_order else None
    found = alternate(v, start, None, qmin, qmax, tolerance=STOP, ordered=ordered)
    steps = vectors.tensor(f"{case}.s_trajectory")
    assert found.trajectory.shape == (len(steps), 1)
    check_close(found.trajectory[:, 0], steps, TOLERANCE)
    errors = torch.cat([squared_errors(v, step, None, qmin, qmax) for step in found.trajectory]) / v.numel()
    check_close(errors, vectors.tensor(f"{case}.mse_trajectory"), TOLERANCE)
    check_close(found.scale[0], vectors.tensor(f"{case}.s_final"), TOLERANCE)
    check_close(found.error[0] / v.numel(), vectors.tensor(f"{case}.mse_final"), TOLERANCE)


@pytest.mark.parametrize("case", case_parameters("derived_iterative_mse", "grid_best_s"))
def test_brute_force(case: str) -> None:
    vectors = load("derived_iterative_mse")
    v = vectors.nearest(case, "v").double()[None]
    qmin, qmax = float(vectors.nearest(case, "qn")), float(vectors.nearest(case, "qp"))
    grid = torch.linspace(0.005, 1.2, 4000, dtype=torch.float64) * v.abs().max() / qmax
    choice = best_candidate(v, grid[None], None, qmin, qmax)
    check_close(choice.error[0] / v.numel(), vectors.tensor(f"{case}.grid_best_mse"), TOLERANCE)
    check_close(grid[choice.candidate[0]], vectors.tensor(f"{case}.grid_best_s"), TOLERANCE)
