"""Ranges that follow what passes: the range of the very weight, moving averages of activations, and their gradients."""

from __future__ import annotations

import pytest
import torch

from suite.quantizers import GradientMask, Granularity, Quantizer, QuantizerSpec, RangeRule
from suite.quantizers.following import FollowingQuantizer


def follower(x: torch.Tensor, *, is_weight: bool, momentum: float = 0.9, **spec: object) -> FollowingQuantizer:
    made = {"bits": 4, "signed": True, "symmetric": True, "mask": GradientMask.ROUND_THEN_CLIP, **spec}
    quantizer = Quantizer(QuantizerSpec(**made), is_weight=is_weight)
    quantizer.initialize(x, RangeRule.MIN_MAX)
    return FollowingQuantizer(quantizer, momentum=momentum)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("training", [True, False])
def test_the_step_of_a_weight_is_that_of_the_weight_now(training: bool) -> None:
    weight = noise(6, 5)
    one = follower(weight, is_weight=True).train(training)
    again = 3 * noise(6, 5, seed=1)
    step = again.abs().max() / 7
    torch.testing.assert_close(one(again), (again / step).round() * step)
    torch.testing.assert_close(one.quantizer.scale, step)


def test_a_step_per_channel_follows_each_channel() -> None:
    weight = noise(6, 5)
    one = follower(weight, is_weight=True, granularity=Granularity.PER_CHANNEL)
    again = noise(6, 5, seed=1)
    one(again)
    torch.testing.assert_close(one.quantizer.scale, again.abs().amax(1, keepdim=True) / 7)


@pytest.mark.parametrize("scale", [1.0, 0.37, 1e-3, 123.4])
def test_gradients_pass_all_weights_as_they_are(scale: float) -> None:
    weight = (noise(50, 7) * scale).requires_grad_()
    one = follower(weight, is_weight=True)
    upstream = noise(50, 7, seed=2)
    one(weight).backward(upstream)
    assert torch.equal(weight.grad, upstream)


def test_limits_of_activations_are_moving_averages_in_training_and_rest_in_evaluation() -> None:
    start, batch = torch.linspace(-1.0, 3.0, 41), torch.linspace(-2.0, 9.0, 41)
    one = follower(start, is_weight=False, momentum=0.9, signed=False, symmetric=False)
    low, high = one.quantizer.limits()
    one.train()
    one(batch)
    one(batch)
    for _ in range(2):
        low, high = 0.9 * low + 0.1 * -2.0, 0.9 * high + 0.1 * 9.0
    torch.testing.assert_close(one.quantizer.scale, (high - low) / 15)
    torch.testing.assert_close(one.quantizer.zero_point, (-low / (high - low) * 15).round())
    kept = one.quantizer.scale.clone()
    one.eval()
    one(100 * batch)
    assert torch.equal(one.quantizer.scale, kept)


def test_a_tensor_that_passes_twice_keeps_both_grids_for_its_gradient() -> None:
    weight = noise(4, 3).requires_grad_()
    one = follower(weight, is_weight=True)
    (one(weight) + one(2 * weight)).sum().backward()
    assert torch.equal(weight.grad, torch.full((4, 3), 3.0))


def test_state_goes_through_a_state_dict() -> None:
    batch = noise(8, 3)
    one, other = (follower(batch, is_weight=False).train() for _ in range(2))
    one(5 * batch)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(batch), other(batch))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"signed": True, "symmetric": True}, (-7.0, 7.0)),
        ({"signed": True, "symmetric": True, "narrow": False}, (-8.0, 7.0)),
        ({"signed": False, "symmetric": True}, (0.0, 15.0)),
        ({"signed": False, "symmetric": False}, (-5.0, 10.0)),
    ],
)
def test_limits_are_the_ends_of_the_grid(spec: dict[str, bool], expected: tuple[float, float]) -> None:
    quantizer = Quantizer(QuantizerSpec(bits=4, **spec), is_weight=False)
    zero_point = torch.tensor(0.0 if spec["symmetric"] else 5.0)
    quantizer.set_parameters(torch.tensor(0.5), zero_point)
    assert [float(end) for end in quantizer.limits()] == [0.5 * end for end in expected]
