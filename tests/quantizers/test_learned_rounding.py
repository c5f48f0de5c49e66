"""Learned rounding: where it starts, where it may go, what it leaves; values against element-by-element oracles."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from suite.errors import SuiteError
from suite.quantizers import GradientMask, Granularity, Quantizer, QuantizerSpec
from suite.quantizers.rounding import (
    AdaQuant,
    AdaQuantFlexRound,
    AdaRound,
    FlexRound,
    LearnedRounding,
    RangedAdaQuant,
    cosine_beta,
    linear_beta,
)

Maker = Callable[[Tensor, Quantizer], LearnedRounding]
MAKERS: dict[str, Maker] = {
    "adaround": AdaRound,
    "adaquant": AdaQuant,
    "adaquant-ranged": RangedAdaQuant,
    "flexround": FlexRound,
    "flexround-direct": lambda w, q: FlexRound(w, q, positivity="direct"),
    "flexround-no-channels": lambda w, q: FlexRound(w, q, no_s3_s4=True),
    "flexround-step-fixed": lambda w, q: FlexRound(w, q, s1_fixed=True),
    "adaquant-flexround": AdaQuantFlexRound,
    "adaquant-flexround-direct": lambda w, q: AdaQuantFlexRound(w, q, positivity="direct"),
}
SHAPES = [(6, 4, 3, 3), (5, 7), (4, 1, 3, 3), (3, 2, 5)]


def made_quantizer(
    weight: Tensor, bits: int, *, symmetric: bool, channels: bool, mask: str = "round-then-clip", rule: str = "mse"
) -> Quantizer:
    spec = QuantizerSpec(
        bits=bits, signed=symmetric, symmetric=symmetric, narrow=bits > 1, mask=GradientMask(mask),
        granularity=Granularity.PER_CHANNEL if channels else Granularity.PER_TENSOR,
    )  # fmt: skip
    quantizer = Quantizer(spec, is_weight=True)
    quantizer.initialize(weight, rule)  # type: ignore[arg-type]
    return quantizer


def train(rounding: LearnedRounding, weight: Tensor, rate: float, steps: int, seed: int) -> None:
    """Some steps of Adam towards a random goal, as an engine takes them."""
    goal = weight * (1 + 0.5 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed)))
    optimizer = torch.optim.Adam(rounding.parameter_groups(rate))
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (rounding(weight) - goal).square().sum()
        penalty = rounding.penalty(5.0)
        (loss if penalty is None else loss + 0.01 * penalty).backward()
        optimizer.step()
        rounding.keep_valid()


cases = st.fixed_dictionaries(
    {
        "shape": st.sampled_from(SHAPES),
        "bits": st.sampled_from([1, 2, 3, 4, 8]),
        "symmetric": st.booleans(),
        "channels": st.booleans(),
        "mask": st.sampled_from(["round-then-clip", "clip-then-round"]),
        "rule": st.sampled_from(["mse", "min-max"]),
        "seed": st.integers(0, 10_000),
        "size": st.sampled_from([1e-3, 0.05, 1.0, 30.0]),
    }
)


def draw(case: dict[str, object], name: str) -> tuple[Tensor, Quantizer, LearnedRounding] | None:
    """Weight, quantizer and rounding of a case; None where this rounding refuses the grid."""
    generator = torch.Generator().manual_seed(int(case["seed"]))  # type: ignore[call-overload]
    weight = torch.randn(case["shape"], generator=generator) * case["size"]  # type: ignore[call-overload]
    chosen = {key: case[key] for key in ("symmetric", "channels", "mask", "rule")}
    quantizer = made_quantizer(weight, case["bits"], **chosen)  # type: ignore[arg-type]
    if name == "adaquant-ranged" and case["symmetric"]:
        return None
    return weight, quantizer, MAKERS[name](weight, quantizer)


@pytest.mark.parametrize("name", MAKERS)
@given(case=cases)
@settings(max_examples=25, deadline=None)
def test_every_rounding_starts_at_the_nearest_value(name: str, case: dict[str, object]) -> None:
    drawn = draw(case, name)
    if drawn is None:
        return
    weight, quantizer, rounding = drawn
    nearest = quantizer(weight)
    assert torch.equal(rounding.hardened(weight), nearest)
    if name != "adaround":  # which starts soft
        assert torch.equal(rounding(weight), nearest)
    assert rounding.figures()["largest_shift"] == 0.0


@pytest.mark.parametrize("name", MAKERS)
@given(case=cases, rate=st.sampled_from([1e-3, 3e-2, 0.3]))
@settings(max_examples=15, deadline=None)
def test_what_was_learned_lies_on_the_grid_and_the_quantizer_reproduces_it(
    name: str, case: dict[str, object], rate: float
) -> None:
    drawn = draw(case, name)
    if drawn is None:
        return
    weight, quantizer, rounding = drawn
    train(rounding, weight, rate, steps=8, seed=3)
    hard = rounding.hardened(weight)
    assert not hard.requires_grad
    rows = hard.flatten(1) if case["channels"] else hard.reshape(1, -1)
    assert max(row.unique().numel() for row in rows) <= quantizer.spec.levels
    if not quantizer.spec.has_extra_level:
        assert quantizer.spec.levels <= 2**quantizer.spec.bits
    finished = copy.deepcopy(quantizer)
    finished.set_parameters(rounding.final_scale(), rounding.final_zero_point())
    assert torch.equal(finished(hard), hard)
    codes = finished.codes(hard)
    assert int(codes.min()) >= quantizer.spec.qmin
    assert int(codes.max()) <= quantizer.spec.qmax


@pytest.mark.parametrize("name", [name for name in MAKERS if name.startswith("flexround")])
@given(case=cases, rate=st.sampled_from([1e-3, 3e-2, 1.0]))
@settings(max_examples=25, deadline=None)
def test_flexround_never_flips_a_sign(name: str, case: dict[str, object], rate: float) -> None:
    if case["bits"] == 1 and case["symmetric"]:
        case = {**case, "bits": 2}  # the grid {-s, +s} has no zero for a weight of zero
    drawn = draw(case, name)
    assert drawn is not None
    weight, _, rounding = drawn
    train(rounding, weight, rate, steps=6, seed=5)
    assert bool((weight.sign() * rounding.hardened(weight) >= 0).all())


def test_adaquant_may_flip_a_sign() -> None:
    weight = torch.tensor([[0.4, -0.4, 1.0, -1.0]])
    rounding = AdaQuant(weight, made_quantizer(weight, 4, symmetric=True, channels=False))
    with torch.no_grad():
        rounding.v.copy_(torch.tensor([[-9.0, 9.0, 0.0, 0.0]]))
    assert rounding.hardened(weight).sign().tolist() == [[-1.0, 1.0, 1.0, -1.0]]


# Oracles: one number, from the printed formulas, in Python's floats; its round is to nearest, ties to even.


def rectified(v: float) -> float:
    return min(max(1.2 / (1 + math.exp(-v)) - 0.1, 0.0), 1.0)


@given(
    w=st.floats(-3, 3), v=st.floats(-4, 4), s=st.floats(0.1, 1.0), bits=st.sampled_from([2, 3, 4]),
    zero=st.integers(0, 3), symmetric=st.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_adaround_is_its_formula(w: float, v: float, s: float, bits: int, zero: int, symmetric: bool) -> None:
    spec = QuantizerSpec(bits=bits, signed=symmetric, symmetric=symmetric, narrow=False)
    z = 0 if symmetric else zero
    quantizer = Quantizer(spec, is_weight=True)
    quantizer.set_parameters(torch.tensor(s, dtype=torch.float64), torch.tensor(float(z), dtype=torch.float64))
    weight = torch.tensor([[w]], dtype=torch.float64)
    rounding = AdaRound(weight, quantizer)

    def value(at: float) -> float:
        return s * (min(max(math.floor(w / s) + rectified(at) + z, spec.qmin), spec.qmax) - z)

    with torch.no_grad():
        rounding.v.fill_(v)
    soft = rounding(weight)
    assert soft.item() == pytest.approx(value(v), abs=1e-12)
    soft.sum().backward()
    if min(abs(abs(v) - math.log(11)), 1) > 1e-3:  # where h reaches 0 or 1 it has a corner
        numeric = (value(v + 1e-6) - value(v - 1e-6)) / 2e-6
        assert rounding.v.grad.item() == pytest.approx(numeric, abs=1e-6)
    hard = s * (min(max(math.floor(w / s) + (v >= 0) + z, spec.qmin), spec.qmax) - z)
    assert rounding.hardened(weight).item() == pytest.approx(hard, abs=1e-12)


@given(v=st.floats(-4, 4), beta=st.floats(2.0, 20.0))
@settings(max_examples=100, deadline=None)
def test_regularizer_is_its_formula(v: float, beta: float) -> None:
    def value(at: float) -> float:
        return 1 - abs(2 * rectified(at) - 1) ** beta

    weight = torch.tensor([[0.3]], dtype=torch.float64)
    rounding = AdaRound(weight, made_quantizer(weight, 2, symmetric=True, channels=False))
    with torch.no_grad():
        rounding.v.fill_(v)
    penalty = rounding.penalty(beta)
    assert penalty.item() == pytest.approx(value(v), abs=1e-9)
    penalty.backward()
    if abs(abs(v) - math.log(11)) > 1e-3:
        numeric = (value(v + 1e-6) - value(v - 1e-6)) / 2e-6
        assert rounding.v.grad.item() == pytest.approx(numeric, rel=1e-4, abs=1e-5)


def test_regularizer_vanishes_when_everything_is_decided() -> None:
    weight = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    rounding = AdaRound(weight, made_quantizer(weight, 3, symmetric=True, channels=False))
    with torch.no_grad():
        rounding.v.copy_(torch.where(rounding.v >= 0, 5.0, -5.0))
    assert rounding.penalty(7.0).item() == 0.0
    torch.testing.assert_close(rounding(weight), rounding.hardened(weight), rtol=0, atol=1e-6)


FACTORS = st.floats(0.6, 1.6)


@given(
    w=st.floats(-3, 3), v=st.floats(-2, 2), s0=st.floats(0.1, 1.0), factors=st.tuples(*[FACTORS] * 4),
    bits=st.sampled_from([2, 4]), positivity=st.sampled_from(["log", "direct"]),
    mask=st.sampled_from(list(GradientMask)),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_division_is_its_formula(
    w: float, v: float, s0: float, factors: tuple[float, float, float, float], bits: int, positivity: str,
    mask: GradientMask,
) -> None:  # fmt: skip
    """Gradients are those of the surrogate in which rounding adds a frozen shift, away from the jumps."""
    spec = QuantizerSpec(bits=bits, signed=True, symmetric=True, narrow=False, mask=mask)
    quantizer = Quantizer(spec, is_weight=True)
    quantizer.set_parameters(torch.tensor(s0, dtype=torch.float64))
    weight = torch.full((1, 1, 1), w, dtype=torch.float64)
    rounding = AdaQuantFlexRound(weight, quantizer, positivity=positivity)  # type: ignore[arg-type]
    growth, *divisors = factors
    values = {"v": v, "s1": s0 * growth, "s2": divisors[0], "s3": divisors[1], "s4": divisors[2]}
    with torch.no_grad():
        for name, value in values.items():
            kept = value
            if positivity == "log" and name != "v":
                kept = math.log(value / s0 if name == "s1" else value)
            getattr(rounding, name).fill_(kept)

    def ratio(**given: float) -> float:
        return (w + s0 * given["v"]) / (given["s1"] * given["s2"] * given["s3"] * given["s4"])

    r = ratio(**values)
    code = min(max(round(r), spec.qmin), spec.qmax)
    y = rounding(weight)
    if abs(r - math.floor(r) - 0.5) < 1e-9:
        return  # a tie, which the order of divisions decides
    assert y.item() == pytest.approx(values["s1"] * code, abs=1e-12)
    if min(abs(r - limit) for limit in (spec.qmin, spec.qmax)) < 0.51:
        return  # here the two orders differ on purpose
    inside = spec.qmin < r < spec.qmax
    shift = code - r if inside else 0.0

    def surrogate(**given: float) -> float:
        return given["s1"] * ((ratio(**given) + shift) if inside else code)

    y.sum().backward()
    for name, value in values.items():
        h = 1e-6 * max(abs(value), 0.1)
        numeric = (surrogate(**{**values, name: value + h}) - surrogate(**{**values, name: value - h})) / (2 * h)
        if positivity == "log" and name != "v":
            numeric *= value
        assert getattr(rounding, name).grad.item() == pytest.approx(numeric, rel=1e-5, abs=1e-6), name


def test_shapes_of_flexrounds_factors() -> None:
    conv, depthwise, linear = (torch.randn(shape) for shape in ((6, 4, 3, 3), (6, 1, 3, 3), (6, 4)))

    def shapes(weight: Tensor, **options: bool) -> list[list[int] | None]:
        rounding = FlexRound(weight, made_quantizer(weight, 4, symmetric=True, channels=False), **options)  # type: ignore[arg-type]
        factors = (rounding.s1, rounding.s2, rounding.s3, rounding.s4)
        return [None if one is None else list(one.shape) for one in factors]

    assert shapes(conv) == [[], [6, 4, 3, 3], [6, 1, 1, 1], [1, 4, 1, 1]]
    assert shapes(depthwise) == [[], [6, 1, 3, 3], [6, 1, 1, 1], [1, 1, 1, 1]]
    assert shapes(linear) == [[], [6, 4], [6, 1], None]
    assert shapes(conv, no_s3_s4=True) == [[], [6, 4, 3, 3], None, None]
    assert shapes(conv, s1_fixed=True)[0] is None


def test_a_fixed_step_stays() -> None:
    weight = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    quantizer = made_quantizer(weight, 3, symmetric=True, channels=True)
    fixed, free = FlexRound(weight, quantizer, s1_fixed=True), FlexRound(weight, quantizer)
    for rounding in (fixed, free):
        train(rounding, weight, 1e-2, steps=5, seed=2)
    assert torch.equal(fixed.final_scale(), quantizer.scale)
    assert bool((free.final_scale() != quantizer.scale).all())


def test_direct_factors_stay_positive_under_a_violent_rate() -> None:
    weight = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    rounding = FlexRound(weight, made_quantizer(weight, 3, symmetric=True, channels=False), positivity="direct")
    train(rounding, weight, 5.0, steps=4, seed=2)
    for factor in (rounding.s1, rounding.s2, rounding.s3, rounding.s4):
        assert bool((factor > 0).all())
    assert bool(torch.isfinite(rounding.hardened(weight)).all())


def test_one_rate_moves_additive_weights_by_the_same_part_of_every_step() -> None:
    weight = torch.randn(2, 50, generator=torch.Generator().manual_seed(1)) * torch.tensor([[1.0], [1e-3]])
    rounding = AdaQuant(weight, made_quantizer(weight, 4, symmetric=True, channels=True), step_rate_ratio=0.5)
    optimizer = torch.optim.Adam(rounding.parameter_groups(0.01))
    rounding(weight).sum().backward()
    optimizer.step()
    moved = (rounding.v * rounding.scale).abs().amax(1)
    torch.testing.assert_close(moved / rounding.scale[:, 0], torch.full((2,), 0.01), rtol=1e-3, atol=0)
    torch.testing.assert_close(rounding.s1.abs(), torch.full((2, 1), 0.005), rtol=1e-3, atol=0)


def test_grid_shifts_are_counted_apart_for_small_and_large_weights() -> None:
    weight = torch.tensor([[0.3, -0.6, 0.9, 1.2, -1.5, 7.0]])
    quantizer = Quantizer(QuantizerSpec(bits=8, signed=True, symmetric=True), is_weight=True)
    quantizer.set_parameters(torch.tensor(0.1))
    rounding = FlexRound(weight, quantizer)
    with torch.no_grad():  # 3 -> 2, -6 stays, 9 -> 5, 12 -> 8, -15 stays, 70 -> 35
        rounding.s2.copy_(torch.tensor([[1.5, 1.0, 1.8, 1.5, 1.0, 2.0]]).log())
    assert rounding.figures() == pytest.approx(
        {
            "small_weights": 3, "small_moved_one_step": 1, "small_moved_further": 1, "small_mean_shift": 5 / 3,
            "large_weights": 3, "large_moved_one_step": 0, "large_moved_further": 2, "large_mean_shift": 39 / 3,
            "largest_shift": 35,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"granularity": "per-group", "group_size": 2}, "per-group"),
        ({"granularity": "per-weight"}, "per-weight"),
        ({"dynamic": True}, "dynamic"),
    ],
)
def test_other_grids_are_refused(spec: dict[str, object], sentence: str) -> None:
    weight = torch.randn(4, 6)
    quantizer = Quantizer(QuantizerSpec(bits=4, signed=True, symmetric=True, **spec), is_weight=True)  # type: ignore[arg-type]
    quantizer.initialize(weight)
    with pytest.raises(SuiteError, match=sentence):
        AdaRound(weight, quantizer)


def test_mistakes_are_named() -> None:
    weight = torch.randn(4, 6)
    with pytest.raises(SuiteError, match="needs a grid"):
        FlexRound(weight, Quantizer(QuantizerSpec(bits=4, signed=True, symmetric=True), is_weight=True))
    quantizer = made_quantizer(weight, 4, symmetric=True, channels=False)
    weight[0, 0] = math.nan
    with pytest.raises(SuiteError, match="not finite"):
        AdaRound(weight, quantizer)
    with pytest.raises(SuiteError, match="minimum"):
        RangedAdaQuant(torch.ones(4, 6), quantizer)


@pytest.mark.parametrize("name", MAKERS)
def test_compiled_without_a_break_it_computes_the_same(name: str) -> None:
    weight = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    rounding = MAKERS[name](weight, made_quantizer(weight, 3, symmetric=name != "adaquant-ranged", channels=True))

    def objective(beta: Tensor) -> Tensor:
        loss = (rounding(weight) - 1.1 * weight).square().sum()
        penalty = rounding.penalty(beta)
        return loss if penalty is None else loss + 0.1 * penalty

    torch._dynamo.reset()
    compiled = torch.compile(objective, backend="aot_eager", fullgraph=True)
    found = []
    for run in (objective, compiled):
        rounding.zero_grad()
        value = run(torch.tensor(3.0))
        value.backward()
        found.append([value.detach(), *(parameter.grad.clone() for parameter in rounding.parameters())])
    for eager, fast in zip(*found, strict=True):
        torch.testing.assert_close(fast, eager, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("schedule", [linear_beta, cosine_beta])
def test_schedules_fall_from_twenty_to_two(schedule: Callable[..., float]) -> None:
    assert schedule(200, 1000) == 20.0
    assert schedule(600, 1000) == pytest.approx(11.0)
    assert schedule(1000, 1000) == pytest.approx(2.0)
    falling = [schedule(step, 1000) for step in range(200, 1001, 50)]
    assert falling == sorted(falling, reverse=True)
    assert schedule(5, 5, warmup=1.0) == 20.0  # nothing follows a warm-up as long as the run
