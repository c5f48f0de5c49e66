"""The recovered grid against grids drawn here by hand: spacing, codes, levels, and never a false fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.audit.levels import (
    MAX_POSITIONS,
    count_distinct,
    distinct_values,
    fit,
    fit_rows,
)


def on_grid(step: float, codes: np.ndarray) -> np.ndarray:
    """Float32 values as an inference engine would make them: one multiplication in single precision."""
    return (np.float32(step) * codes.astype(np.float32)).astype(np.float64)


@given(
    bits=st.sampled_from([2, 3, 4, 5, 6, 7, 8, 16]),
    size=st.integers(8, 300),
    exponent=st.floats(-6, 4),
    seed=st.integers(0, 10_000),
    zero_point=st.floats(0, 1),
)
@settings(max_examples=150, deadline=None)
def test_every_fake_quantized_tensor_fits_its_bits_and_gives_its_codes_back(bits, size, exponent, seed, zero_point):
    rng = np.random.default_rng(seed)
    step = float(np.float32(10**exponent * rng.uniform(1, 2)))
    zero = round(zero_point * (2**bits - 1))
    codes = rng.integers(0, 2**bits, size=size) - zero
    divisor = int(np.gcd.reduce(np.abs(codes)))
    grid = fit(on_grid(step, codes), 2**bits)
    assert grid is not None
    assert grid.offset == 0.0
    assert grid.distinct == np.unique(codes).size
    if divisor:  # the coarsest grid is the one whose codes have no common divisor
        assert (grid.lowest, grid.highest) == (codes.min() // divisor, codes.max() // divisor)
        assert grid.spacing == pytest.approx(step * divisor, rel=1e-5)


@given(bits=st.sampled_from([2, 3, 4, 8]), seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_one_position_too_many_is_seen(bits, seed):
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(2**bits + 1), rng.integers(0, 2**bits + 1, size=50)]) - 2 ** (bits - 1)
    values = on_grid(0.037, codes)
    assert fit(values, 2**bits) is None
    grid = fit(values, 2**bits + 1)
    assert grid is not None
    assert grid.positions == 2**bits + 1


@given(size=st.integers(6, 400), bits=st.sampled_from([2, 4, 8]), seed=st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_float_tensors_do_not_fit(size, bits, seed):
    values = np.random.default_rng(seed).normal(size=size).astype(np.float32).astype(np.float64)
    assert fit(values, 2**bits) is None


def test_a_float_tensor_does_not_fit_sixteen_bits():
    values = np.random.default_rng(3).normal(size=64).astype(np.float32).astype(np.float64)
    assert fit(values, MAX_POSITIONS) is None


def test_noise_of_a_hundredth_of_a_step_is_off_the_grid():
    rng = np.random.default_rng(1)
    codes = rng.integers(-7, 8, size=200)
    noisy = on_grid(0.1, codes) + rng.normal(scale=0.001, size=200)
    assert fit(noisy, 15) is None
    assert count_distinct(noisy[None])[0] == 200


def test_noise_below_a_thousandth_of_a_step_still_counts_as_levels():
    rng = np.random.default_rng(1)
    noisy = on_grid(0.1, rng.integers(1, 8, size=200)) * (1 + rng.normal(scale=1e-4, size=200))
    assert count_distinct(noisy[None])[0] > 150


def test_densely_packed_float_values_are_many_levels():
    values = np.sort(np.random.default_rng(4).uniform(1.0, 2.0, size=2_000_000).astype(np.float32))
    assert count_distinct(values.astype(np.float64)[None])[0] > MAX_POSITIONS


def test_a_straight_through_round_trip_keeps_its_levels():
    """X + (round(x) - x) in float32 lands a few ulps beside the integer; that must not make new levels."""
    x = (np.random.default_rng(5).normal(size=5000) * 30).astype(np.float32)
    rounded = x + (np.rint(x) - x)
    values = (rounded * np.float32(0.0123)).astype(np.float64)
    grid = fit(values, 256)
    assert grid is not None
    assert grid.positions == int(np.rint(x).max() - np.rint(x).min()) + 1
    assert grid.distinct == np.unique(np.rint(x)).size


def test_a_grid_that_misses_zero_is_told_apart():
    codes = np.random.default_rng(2).integers(0, 16, size=300)
    values = (np.float32(0.25) * codes.astype(np.float32) + np.float32(-1.1)).astype(np.float64)
    grid = fit(values, 16)
    assert grid is not None
    assert grid.spacing == pytest.approx(0.25, rel=1e-4)
    assert abs(grid.offset) == pytest.approx(0.1, rel=1e-3)
    assert grid.positions == 16


def test_levels_that_are_few_but_uneven_fit_no_grid():
    powers = np.array([0.0, 0.011, 0.037, 0.31, -0.0573])
    values = np.random.default_rng(2).choice(powers, size=300)
    assert distinct_values(values).size == 5
    assert fit(values, 8) is None


def test_rows_are_judged_each_on_their_own():
    rng = np.random.default_rng(0)
    steps = rng.uniform(0.01, 1.0, size=40)
    codes = rng.integers(-7, 8, size=(40, 60))
    rows = np.stack([on_grid(step, row) for step, row in zip(steps, codes, strict=True)])
    rows[7] = rng.normal(size=60)
    rows[11] = 0.0
    rows[13] = np.nan
    found = fit_rows(rows, 15)
    assert np.flatnonzero(~found.fits).tolist() == [7, 13]
    clean = np.delete(np.arange(40), [7, 11, 13])
    np.testing.assert_allclose(found.spacing[clean], steps[clean], rtol=1e-5)
    np.testing.assert_array_equal(found.lowest[clean], codes[clean].min(axis=1))
    np.testing.assert_array_equal(found.highest[clean], codes[clean].max(axis=1))
    assert (found.chance[clean] < 1e-9).all()
    assert found.chance[11] == 1.0
    assert fit(rows, 2**12) is None  # no common grid of 12 bits holds forty unrelated steps


def test_channels_on_one_grid_have_a_common_grid():
    codes = np.random.default_rng(0).integers(-7, 8, size=(40, 60))
    grid = fit(on_grid(0.33, codes), 15)
    assert grid is not None
    assert grid.spacing == pytest.approx(0.33, rel=1e-5)


@pytest.mark.parametrize("values", [[0.0, 0.7], [0.3], [0.0]])
def test_one_level_beside_zero_fits_but_is_no_evidence(values):
    assert fit_rows(np.array([values]), 4).chance[0] == 1.0


def test_repeated_values_are_evidence():
    assert fit_rows(np.array([[0.7, 0.7, 0.7, 0.0, -0.7]]), 4).chance[0] < 1e-6


def test_an_infinite_value_fits_nothing():
    assert fit(np.array([0.0, 1.0, np.inf]), 256) is None
