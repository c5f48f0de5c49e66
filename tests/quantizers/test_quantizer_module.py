"""The placed quantizer: switches, streaming statistics, granularities, learning, state."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from suite.errors import SuiteError
from suite.quantizers import Granularity, Quantizer, QuantizerSpec, RangeRule, StepGradientScale, StepRule, observers
from suite.quantizers.observers import Reservoir


def made(
    *, is_weight: bool = False, bits: int = 4, signed: bool = True, symmetric: bool = False, **rest: object
) -> Quantizer:
    return Quantizer(QuantizerSpec(bits, signed=signed, symmetric=symmetric, **rest), is_weight=is_weight)  # type: ignore[arg-type]


def stream(count: int = 5) -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(8, 3, 5, 5, generator=generator) * (1 + index) for index in range(count)]


def calibrate(quantizer: Quantizer, batches: list[Tensor]) -> Quantizer:
    quantizer.observing = True
    for batch in batches:
        assert quantizer(batch) is batch
    quantizer.observing = False
    quantizer.finish()
    return quantizer


def test_disabled_returns_the_same_object() -> None:
    quantizer, x = made(), torch.randn(3)
    quantizer.enabled = False
    assert quantizer(x) is x


def test_use_before_calibration_is_a_clear_error() -> None:
    with pytest.raises(SuiteError, match="before it has a scale"):
        made()(torch.randn(3))
    with pytest.raises(SuiteError, match="observed nothing"):
        made().finish()
    with pytest.raises(SuiteError, match="empty tensor"):
        made().observe(torch.empty(0, 4))


@pytest.mark.parametrize("rule", [*RangeRule, "lsq"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused(rule: RangeRule, bad: float) -> None:
    x = torch.randn(4, 8)
    x[2, 3] = bad
    with pytest.raises(SuiteError, match="NaN or infinite"):
        made(is_weight=True).initialize(x, rule)


def test_min_max_over_batches_equals_all_at_once() -> None:
    batches = stream()
    quantizer = calibrate(made(signed=False), batches)
    low, high = torch.cat(batches).aminmax()
    assert quantizer.scale.item() == pytest.approx(float(high - low) / 15)
    assert quantizer.zero_point.item() == round(float(-low) / (float(high - low) / 15))


def test_ema_follows_its_recurrence() -> None:
    batches = stream()
    low, high = (float(end) for end in batches[0].aminmax())
    for batch in batches[1:]:
        low += 0.01 * (float(batch.min()) - low)
        high += 0.01 * (float(batch.max()) - high)
    quantizer = calibrate(made(signed=False, range_rule=RangeRule.EMA_MIN_MAX), batches)
    assert quantizer.scale.item() == pytest.approx((high - low) / 15, rel=1e-5)


@pytest.mark.parametrize("rule", [RangeRule.PERCENTILE, RangeRule.MSE, RangeRule.ITERATIVE_MSE, "lsq"])
def test_pooled_rules_do_not_depend_on_how_the_stream_is_cut(rule: RangeRule) -> None:
    batches = stream()
    apart, together = made(), made()
    apart.start_rule = together.start_rule = rule
    calibrate(apart, batches)
    calibrate(together, [torch.cat(batches)])
    torch.testing.assert_close(apart.scale, together.scale, rtol=1e-5, atol=0)


def test_percentile_equals_numpy_over_the_whole_stream() -> None:
    batches = stream()
    quantizer = calibrate(made(signed=False, range_rule=RangeRule.PERCENTILE, percentile=99.0), batches)
    low, high = np.percentile(torch.cat(batches).double().numpy(), [1, 99])
    assert quantizer.scale.item() == pytest.approx((high - low) / 15, rel=1e-5)


def test_reservoir_is_bounded_even_and_repeatable() -> None:
    samples = []
    for _ in range(2):
        before = torch.random.get_rng_state()
        reservoir = Reservoir(1000)
        for start in range(0, 40_000, 500):
            reservoir.add(torch.arange(start, start + 500, dtype=torch.float32)[None])
            assert reservoir.values().numel() <= 1000
        assert torch.equal(before, torch.random.get_rng_state())  # no other random stream is disturbed
        samples.append(reservoir.values())
    assert torch.equal(*samples)
    # Early and late parts of the stream are equally present: the sample's quantiles are the stream's.
    fractions = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9])
    assert samples[0].numel() >= 400
    torch.testing.assert_close(samples[0][0].quantile(fractions) / 40_000, fractions, rtol=0, atol=0.03)


def test_memory_of_searches_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observers, "SEARCH_CAPACITY", 2000)
    batches = [torch.randn(8, 400, generator=torch.Generator().manual_seed(seed)) for seed in range(20)]
    quantizer = made(range_rule=RangeRule.MSE)
    quantizer.observing = True
    for batch in batches:
        quantizer(batch)
        reservoir = quantizer.statistics[0].reservoir
        assert reservoir is not None
        assert reservoir.values().numel() <= 2000
    quantizer.finish()
    exact = made(range_rule=RangeRule.MSE)
    monkeypatch.undo()
    calibrate(exact, batches)
    assert quantizer.scale.item() == pytest.approx(exact.scale.item(), rel=0.1)


def test_weights_are_never_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    w = torch.randn(4, 500, generator=torch.Generator().manual_seed(0))
    free = made(is_weight=True, range_rule=RangeRule.MSE, granularity=Granularity.PER_CHANNEL)
    free.initialize(w)
    monkeypatch.setattr(observers, "SEARCH_CAPACITY", 16)
    bounded = made(is_weight=True, range_rule=RangeRule.MSE, granularity=Granularity.PER_CHANNEL)
    bounded.initialize(w)
    assert torch.equal(free.scale, bounded.scale)


@pytest.mark.parametrize("size", [1, 5, 9, 36, 40])
@pytest.mark.parametrize("rule", [RangeRule.MIN_MAX, RangeRule.PERCENTILE, RangeRule.MSE, "lsq"])
def test_groups_equal_a_loop_over_groups(size: int, rule: RangeRule) -> None:
    w = torch.randn(3, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    quantizer = made(is_weight=True, symmetric=True, granularity=Granularity.PER_GROUP, group_size=size)
    quantizer.initialize(w, rule)
    groups = -(-36 // size)
    assert quantizer.scale.shape == (3, groups, 1)
    expected = []
    for channel in w.reshape(3, 36):
        parts = []
        for part in channel.split(size):
            single = made(is_weight=True, symmetric=True)
            single.initialize(part, rule)
            parts.append(single(part))
        expected.append(torch.cat(parts))
    torch.testing.assert_close(quantizer(w), torch.stack(expected).reshape(w.shape), rtol=1e-5, atol=1e-7)
    assert quantizer.codes(w).shape == w.shape


def test_per_weight_and_channel_axes() -> None:
    w = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(2))
    single = made(is_weight=True, symmetric=True, granularity=Granularity.PER_WEIGHT)
    single.initialize(w)
    assert single.scale.shape == w.shape
    torch.testing.assert_close(single(w), w)
    features = made(granularity=Granularity.PER_CHANNEL, channel_axis=1)
    calibrate(features, [w])
    assert features.scale.shape == (1, 3, 1, 1)
    last = made(granularity=Granularity.PER_CHANNEL, channel_axis=-1)
    last.initialize(w)
    assert last.scale.shape == (1, 1, 1, 2)
    transposed = made(is_weight=True, granularity=Granularity.PER_GROUP, channel_axis=1, group_size=5)
    transposed.initialize(w)
    assert transposed.scale.shape == (3, 4, 1)
    swapped = made(is_weight=True, granularity=Granularity.PER_GROUP, group_size=5)
    swapped.initialize(w.movedim(1, 0))
    assert torch.equal(transposed(w), swapped(w.movedim(1, 0)).movedim(0, 1))


def test_impossible_granularities_are_refused() -> None:
    for granularity, rest in ((Granularity.PER_WEIGHT, {}), (Granularity.PER_GROUP, {"group_size": 4})):
        with pytest.raises(SuiteError, match="activations"):
            made(granularity=granularity, **rest)
    with pytest.raises(SuiteError, match="no channel axis 3"):
        made(granularity=Granularity.PER_CHANNEL, channel_axis=3).initialize(torch.randn(2, 3))
    changing = made(granularity=Granularity.PER_CHANNEL, channel_axis=1)
    changing.observe(torch.randn(2, 3))
    with pytest.raises(SuiteError, match="3 sets"):
        changing.observe(torch.randn(2, 4))


@pytest.mark.parametrize("symmetric", [True, False])
def test_dynamic_parameters_follow_every_input(symmetric: bool) -> None:
    quantizer = made(dynamic=True, symmetric=symmetric)
    assert quantizer.initialized
    for factor in (0.01, 1.0, 100.0):
        x = torch.randn(64, generator=torch.Generator().manual_seed(3)) * factor
        static = made(symmetric=symmetric)
        static.initialize(x)
        assert torch.equal(quantizer(x), static(x))
    with pytest.raises(SuiteError, match="no step to learn"):
        quantizer.learn_step()


@pytest.mark.parametrize("rule", [RangeRule.MIN_MAX, RangeRule.PERCENTILE, RangeRule.MSE, RangeRule.ITERATIVE_MSE])
def test_dynamic_quantizers_let_divergence_show(rule: RangeRule) -> None:
    x = torch.randn(32)
    x[5] = float("nan")
    assert bool(made(dynamic=True, range_rule=rule)(x).isnan().any())


def test_tokens_have_their_own_parameters() -> None:
    x = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(4)) * torch.logspace(-2, 2, 5)[:, None]
    quantizer = made(dynamic=True, granularity=Granularity.PER_TOKEN, channel_axis=-1)
    y = quantizer(x)
    for image in range(2):
        for token in range(5):
            alone = made()
            alone.initialize(x[image, token])
            torch.testing.assert_close(y[image, token], alone(x[image, token]))


@pytest.mark.parametrize(
    ("rule", "is_weight", "count"),
    [
        (StepGradientScale.NONE, True, None),
        (StepGradientScale.FEATURES, True, 27),  # weights of one channel
        (StepGradientScale.FEATURES, False, 9),  # places of one channel of one example
        (StepGradientScale.ALL_ELEMENTS, True, 108),
        (StepGradientScale.ALL_ELEMENTS, False, 108),
        (StepGradientScale.ELEMENTS_PER_CHANNEL, True, 27),
        (StepGradientScale.ELEMENTS_PER_CHANNEL, False, 36),  # places of one channel of all four examples
    ],
)
def test_step_gradient_scales(rule: StepGradientScale, is_weight: bool, count: int | None) -> None:
    """Gradients relative to the unscaled ones, for a weight [4, 3, 3, 3] or activations [4 examples, 3, 3, 3]."""
    x = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(5))
    axis = 0 if is_weight else 1
    gradients = []
    for scale in (StepGradientScale.NONE, rule):
        quantizer = made(
            is_weight=is_weight, symmetric=True, granularity=Granularity.PER_CHANNEL, channel_axis=axis,
            step_gradient_scale=scale,
        )  # fmt: skip
        quantizer.initialize(x)
        step = quantizer.learn_step()
        quantizer(x).square().sum().backward()
        assert step.grad is not None
        gradients.append(step.grad)
    factor = 1.0 if count is None else (count * 7) ** -0.5
    torch.testing.assert_close(gradients[1], gradients[0] * factor)


def test_learned_step_is_a_parameter_and_stays_positive() -> None:
    quantizer = made(is_weight=True, symmetric=True)
    with pytest.raises(SuiteError, match="start"):
        quantizer.learn_step()
    quantizer.initialize(torch.randn(8, 8))
    step = quantizer.learn_step()
    assert quantizer.learn_step() is step
    assert [name for name, _ in quantizer.named_parameters()] == ["scale"]
    with torch.no_grad():
        step.fill_(-0.25)
    quantizer.keep_positive()
    assert step.item() == 0.25
    with torch.no_grad():
        step.zero_()
    quantizer.keep_positive()
    assert 0 < step.item() < 1e-6
    quantizer.initialize(torch.full((8, 8), 7.0))
    assert quantizer.scale is step
    assert step.item() == pytest.approx(1.0)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("granularity", [Granularity.PER_TENSOR, Granularity.PER_CHANNEL, Granularity.PER_GROUP])
def test_state_survives_saving_copying_and_moving(granularity: Granularity, learned: bool) -> None:
    w = torch.randn(6, 10, generator=torch.Generator().manual_seed(6))
    group_size = 4 if granularity is Granularity.PER_GROUP else None
    quantizer = made(is_weight=True, granularity=granularity, group_size=group_size)
    quantizer.initialize(w)
    if learned:
        quantizer.learn_step()
    expected = quantizer(w)
    fresh = made(is_weight=True, granularity=granularity, group_size=group_size)
    assert not fresh.initialized
    fresh.load_state_dict(quantizer.state_dict())
    assert fresh.initialized
    assert torch.equal(fresh(w), expected)
    twin = copy.deepcopy(quantizer)
    assert torch.equal(twin(w), expected)
    assert twin.scale is not quantizer.scale
    assert quantizer.to("meta").scale.device.type == "meta"
    assert torch.equal(twin.to("cpu")(w), expected)


def test_codes_are_integers_within_limits_and_give_the_values_back() -> None:
    x = torch.randn(50, generator=torch.Generator().manual_seed(8)) * 3
    for signed, symmetric in ((True, True), (False, True), (True, False), (False, False)):
        quantizer = made(signed=signed, symmetric=symmetric)
        quantizer.initialize(x / 2)
        codes = quantizer.codes(x)
        assert codes.dtype == torch.int32
        assert int(codes.min()) >= quantizer.spec.qmin
        assert int(codes.max()) <= quantizer.spec.qmax
        torch.testing.assert_close((codes - quantizer.zero_point) * quantizer.scale, quantizer(x))


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("step_rule", list(StepRule))
@pytest.mark.parametrize("mask", ["clip-then-round", "round-then-clip"])
def test_extra_level_gives_exactly_one_more(bits: int, step_rule: StepRule, mask: str) -> None:
    x = torch.linspace(-1, 1, 2001)
    for extra, expected in ((False, 2**bits - 1), (True, 2**bits + 1)):
        quantizer = made(bits=bits, symmetric=True, extra_level=extra, step_rule=step_rule, mask=mask)
        quantizer.initialize(x)
        assert quantizer(x).unique().numel() == expected == quantizer.spec.levels


def test_one_bit_weights_are_signs_times_mean_magnitude() -> None:
    w = torch.randn(4, 50, generator=torch.Generator().manual_seed(9))
    quantizer = made(is_weight=True, bits=1, symmetric=True, granularity=Granularity.PER_CHANNEL)
    for rule in (RangeRule.MSE, RangeRule.ITERATIVE_MSE, "lsq"):
        quantizer.initialize(w, rule)
        expected = torch.where(w >= 0, 1.0, -1.0) * w.abs().mean(1, keepdim=True)
        torch.testing.assert_close(quantizer(w), expected)


def test_learned_rules_have_a_start() -> None:
    w = torch.randn(4, 50, generator=torch.Generator().manual_seed(10))
    starts = {
        RangeRule.LEARNED_STEP: "lsq",
        RangeRule.LEARNED_MIN_MAX: RangeRule.MIN_MAX,
        RangeRule.LEARNED_ROUNDING: RangeRule.MSE,
    }
    for learned, start in starts.items():
        quantizer, plain = (
            made(is_weight=True, symmetric=True, range_rule=learned),
            made(is_weight=True, symmetric=True),
        )
        quantizer.initialize(w)
        plain.initialize(w, start)
        assert torch.equal(quantizer.scale, plain.scale)
    with pytest.raises(SuiteError, match="unknown range rule"):
        plain.initialize(w, "golden-section")  # type: ignore[arg-type]
