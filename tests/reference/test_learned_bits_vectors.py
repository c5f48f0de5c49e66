"""Bit-widths that are learned, ranges and averages, against vectors that public code produced."""

from __future__ import annotations

import pytest
import torch
from golden_vectors import Vectors, case_parameters, check_close, check_gradient, check_output, load
from torch import Tensor

from suite.quantizers import QuantizerSpec, RangeRule, StepRule
from suite.quantizers.learned_bits import (
    BitForm,
    LearnedGrid,
    average_bits,
    bits_of,
    covering_step,
    excess_penalty,
    intervals,
    learned_grid,
    nearest_width,
    quantize_between,
)
from suite.quantizers.observers import Statistics
from suite.quantizers.ranges import percentile_range

FILE = "lowprec_bitwidth"
WIDTHS = {"round": torch.arange(1.0, 17.0), "discrete": torch.tensor([2.0, 4.0, 8.0])}


def cases(kind: str, last: str) -> list[object]:
    """The cases of one kind; a file that holds none of them must not pass."""
    found = [case for case in case_parameters(FILE, last) if not isinstance(case, str) or case.startswith(f"{kind}.")]
    assert found, f"{FILE} holds no {kind}.*.{last}"
    return found


def spec_of(*, symmetric: bool) -> QuantizerSpec:
    """The published grids: symmetric ones have the step 2 m / (2^b - 1) and an extra level."""
    return QuantizerSpec(
        8, signed=symmetric, symmetric=symmetric, narrow=False, extra_level=symmetric,
        step_rule=StepRule.TWO_MAX_OVER_LEVELS,
    )  # fmt: skip


def ends(x: Tensor, *, channels: bool) -> tuple[Tensor, Tensor]:
    """The smallest and the largest value, of the tensor or of each channel, in a shape that broadcasts."""
    rows = x.reshape(x.shape[0] if channels else 1, -1)
    shape = [-1] + [1] * (x.dim() - 1) if channels else [1] * x.dim()
    return rows.amin(1).reshape(shape), rows.amax(1).reshape(shape)


def published(x: Tensor, grid: LearnedGrid) -> Tensor:
    return quantize_between(x, grid.step, grid.low, grid.high)


@pytest.mark.parametrize("case", cases("fixed", "grad_x"))
def test_fixed_bits(case: str) -> None:
    vectors = load(FILE)
    _, tensor, symmetry, granularity, width = case.split(".")
    x = vectors.tensor(tensor).requires_grad_()
    bits = torch.tensor(float(width.removeprefix("b")))
    low, high = ends(x.detach(), channels=granularity == "channel")
    grid = learned_grid(spec_of(symmetric=symmetry == "sym"), bits, low, high)
    y = published(x, grid)
    y.backward(vectors.tensor(f"grad_out_{tensor}"))
    check_close(grid.step, vectors.tensor(f"{case}.scale").reshape(grid.step.shape))
    check_close(grid.low, vectors.tensor(f"{case}.min").reshape(grid.low.shape))
    check_close(grid.high, vectors.tensor(f"{case}.max").reshape(grid.high.shape))
    check_output(y, vectors.tensor(f"{case}.y"), grid.step)
    check_gradient(x.grad, vectors.tensor(f"{case}.grad_x"))
    assert len(y.unique()) == int(vectors.number(f"{case}.n_distinct"))
    # Where bits are fixed, the published count forgets one of the levels.
    check_close(intervals(bits).log2(), vectors.tensor(f"{case}.bits_penalty"))


@pytest.mark.parametrize("case", cases("learned", "grad_log2_bits"))
def test_learned_bits(case: str) -> None:
    vectors = load(FILE)
    tensor, rounding, symmetry = case.split(".")[1:4]
    x = vectors.tensor(tensor)
    low, high = ends(x, channels=f"{case}.grad_max" not in vectors)  # a weight has untrained ranges of its channels
    if symmetry == "sym":
        high = torch.maximum(high, -low)
    high.requires_grad_()
    low = -high if symmetry == "sym" else low.requires_grad_()
    learned = vectors.tensor(f"{case}.log2_bits").requires_grad_()
    widths = nearest_width(bits_of(learned, BitForm.LOG2), WIDTHS[rounding])
    grid = learned_grid(spec_of(symmetric=symmetry == "sym"), widths, low, high)
    y = published(x, grid)
    y.backward(vectors.tensor(f"grad_out_{tensor}"))
    check_output(y, vectors.tensor(f"{case}.y"), grid.step.detach())
    check_gradient(learned.grad, vectors.tensor(f"{case}.grad_log2_bits"))
    for name, end in (("grad_max", high), ("grad_min", low)):
        if f"{case}.{name}" in vectors and bool(vectors.tensor(f"{case}.{name}").isfinite().all()):
            check_gradient(end.grad, vectors.tensor(f"{case}.{name}"))


@pytest.mark.parametrize("case", cases("learned", "grad_penalty_log2_bits"))
def test_the_bits_that_an_average_counts(case: str) -> None:
    vectors = load(FILE)
    learned = vectors.tensor(f"{case}.log2_bits").requires_grad_()
    widths = nearest_width(bits_of(learned, BitForm.LOG2), WIDTHS[case.split(".")[2]])
    widths.sum().backward()
    check_close(widths, vectors.tensor(f"{case}.bits_penalty"))
    check_gradient(learned.grad, vectors.tensor(f"{case}.grad_penalty_log2_bits"))


@pytest.mark.parametrize("case", case_parameters(FILE, "bits_in"))
def test_projection_to_the_nearest_allowed_width(case: str) -> None:
    vectors = load(FILE)
    expected = vectors.tensor(f"{case}.bits_out")
    found = nearest_width(vectors.tensor(f"{case}.bits_in"), expected.unique())
    assert torch.equal(found, expected)


@pytest.mark.parametrize("case", cases("calib", "scale"))
def test_calibration(case: str) -> None:
    vectors = load(FILE)
    batches, name = vectors.tensor("calib.batches"), case.removeprefix("calib.")
    low, high = calibrated(batches, name)
    if name.endswith("sym"):
        high = torch.maximum(high, -low)
        low = -high
    check_close(low.squeeze(), vectors.tensor(f"{case}.min").squeeze())
    check_close(high.squeeze(), vectors.tensor(f"{case}.max").squeeze())
    check_close(
        covering_step(calibration_bits(vectors), low, high).squeeze(), vectors.tensor(f"{case}.scale").squeeze()
    )


def calibrated(batches: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Both ends of the range after all batches, [rows]."""
    if name.startswith("pct") and not name.startswith("pctema"):
        return percentile_range(batches.reshape(1, -1), percent(name.removeprefix("pct").removesuffix("sym")))
    rule = RangeRule.EMA_MIN_MAX if name.startswith("ema") else RangeRule.MIN_MAX
    statistics = Statistics(rule, keep_all=False)
    for batch in batches:
        rows = batch.reshape(batch.shape[0] if name.endswith("channel") else 1, -1)
        if name.startswith("pctema"):  # called an average, but it keeps the extremes of the batches' percentiles
            rows = torch.stack(percentile_range(rows, percent(name.removeprefix("pctema"))), dim=1)
        statistics.update(rows)
    seen = statistics.summary()
    return seen.low, seen.high


def percent(digits: str) -> float:
    """99 is 99 %, 9999 is 99.99 %."""
    return float(f"{digits[:2]}.{digits[2:] or 0}")


def calibration_bits(vectors: Vectors) -> Tensor:
    """The bits of the scales, which the file does not name: those of the plain minimum and maximum."""
    low, high, scale = (vectors.tensor(f"calib.minmax.{name}").double() for name in ("min", "max", "scale"))
    bits = torch.log2((high - low) / scale + 1)
    assert float((bits - bits.round()).abs()) < 1e-4
    return bits.round().float()


@pytest.mark.parametrize("case", case_parameters(FILE, "penalty"))
def test_penalty(case: str) -> None:
    vectors = load(FILE)
    averages = {
        what: average_bits(vectors.tensor(f"{case}.{what}_bits"), vectors.tensor(f"{case}.{what}_elems"))
        for what in ("w", "a")
    }
    total = sum(
        excess_penalty(average, vectors.number(f"{case}.{what}_target"), vectors.number(f"{case}.lam"))
        for what, average in averages.items()
    )
    for what, average in averages.items():
        check_close(average, vectors.tensor(f"{case}.{what}_avg"))
    check_close(total, vectors.tensor(f"{case}.penalty"))


def test_every_array_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of the file against those that the tests above ask for: a new kind of case must not go unseen."""
    if not case_parameters(FILE, "penalty")[0] or not isinstance(case_parameters(FILE, "penalty")[0], str):
        pytest.skip("no vectors")
    kinds = {name.split(".")[0] for name in load(FILE).arrays if "." in name}
    assert kinds == {"fixed", "learned", "discrete", "calib", "penalty"}
