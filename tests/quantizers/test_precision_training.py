"""Layers whose precision is trained, by noise or by planes of bits: short trainings of a layer by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, mse_loss

from suite.errors import SuiteError
from suite.quantizers.bit_planes import TrainedPlanes, TrainedWhole
from suite.quantizers.noise_precision import (
    NoisyWeight,
    PrecisionQuantizer,
    Span,
    observed_precision,
    precision_of,
    shuffled,
)

STEPS = 150


def task(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """A layer that is right already. Its first four inputs matter a hundred times as much as the others."""
    random = torch.Generator().manual_seed(seed)
    weight = torch.randn(6, 8, generator=random) * 0.05
    inputs = torch.randn(64, 8, generator=random) * torch.tensor([10.0] * 4 + [0.1] * 4)
    return weight, inputs, linear(inputs, weight)


def train_precision(factor: float, *, per_layer: bool = False, span: Span = Span.TWO) -> tuple[Tensor, NoisyWeight]:
    torch.manual_seed(1)
    start, inputs, outputs = task()
    weight = nn.Parameter(start.clone())
    module = NoisyWeight(weight, per_layer=per_layer, span=span)
    slow, fast = torch.optim.SGD([weight], lr=1e-4), torch.optim.Adam([module.s], lr=0.1)
    for _ in range(STEPS):
        loss = mse_loss(linear(inputs, module(weight)), outputs) + factor * module.penalty()
        for optimizer in (slow, fast):
            optimizer.zero_grad()
        loss.backward()
        for optimizer in (slow, fast):
            optimizer.step()
        module.keep_valid_(weight.data)
    return weight.detach(), module


def test_precision_starts_where_it_is_said_to() -> None:
    module = NoisyWeight(torch.randn(3, 4), precision=5.0)
    torch.testing.assert_close(precision_of(module.s.detach()), torch.full((3, 4), 5.0))
    assert NoisyWeight(torch.randn(3, 4), precision=5.0, per_layer=True).s.shape == ()


@pytest.mark.parametrize("span", list(Span))
@pytest.mark.parametrize("per_layer", [False, True])
def test_noise_has_the_width_of_half_a_step(span: Span, per_layer: bool) -> None:
    weight = torch.randn(50, 60)
    module = NoisyWeight(weight, precision=3.0, per_layer=per_layer, span=span)
    half_step = float(weight.abs().max()) * 2.0**-3  # 2^3 cells between -max and +max
    moved = (module(weight) - weight).abs().detach()
    assert float(moved.max()) <= half_step * (1 + 1e-5)
    assert float(moved.max()) > half_step * 0.99
    assert torch.equal(module.eval()(weight), weight)


def test_average_precision_falls_as_the_factor_rises() -> None:
    averages = []
    for factor in (1e-7, 1e-5, 1e-3):
        weight, module = train_precision(factor)
        averages.append(float(module.precision(weight).mean()))
    assert averages[0] > averages[1] > averages[2]


def test_weights_that_matter_get_more_bits() -> None:
    weight, module = train_precision(1e-5)
    precision = module.precision(weight)
    assert float(precision[:, :4].mean()) > float(precision[:, 4:].mean()) + 2


def test_removed_weights_lower_the_average_and_are_zero() -> None:
    weight, module = train_precision(1e-3)
    kept, removed = module.precision(weight), module.precision(weight, allocate_zero=True)
    assert bool((removed == 0).any())
    assert float(removed.mean()) < float(kept.mean())
    assert torch.equal(removed[removed > 0], kept[removed > 0])
    quantized = PrecisionQuantizer(module.scale, removed)(weight)
    assert bool((quantized[removed == 0] == 0).all())


@pytest.mark.parametrize("span", list(Span))
@pytest.mark.parametrize("per_layer", [False, True])
def test_the_quantized_weight_shows_its_precisions_and_stays_within_the_noise(span: Span, per_layer: bool) -> None:
    weight, module = train_precision(1e-5, per_layer=per_layer, span=span)
    precision = module.precision(weight)
    quantizer = PrecisionQuantizer(module.scale, precision, span)
    quantized = quantizer(weight)
    assert torch.equal(observed_precision(quantized / module.scale, span), precision)
    assert torch.equal(quantizer(quantized), quantized)
    half_step = module.scale * span.half * torch.exp2(1 - precision)
    assert bool(((quantized - weight).abs() <= half_step * (1 + 1e-5)).all())
    assert quantizer.average_bits() == pytest.approx(float(precision.mean()))
    if per_layer:
        assert precision.unique().numel() == 1


def test_saved_precisions_are_found_again() -> None:
    weight = torch.randn(4, 5)
    saved = PrecisionQuantizer(torch.tensor(0.7), torch.randint(0, 6, (4, 5)).float())
    assert set(saved.state_dict()) == {"scale", "precision"}
    again = PrecisionQuantizer(**saved.state_dict())
    assert torch.equal(again(weight), saved(weight))


def test_shuffled_precisions_are_the_same_numbers_in_another_order() -> None:
    precision = torch.arange(24.0).reshape(2, 3, 4) % 7
    found = shuffled(precision, torch.Generator().manual_seed(3))
    assert found.shape == precision.shape
    assert torch.equal(found.flatten().sort().values, precision.flatten().sort().values)
    assert not torch.equal(found, precision)
    assert torch.equal(found, shuffled(precision, torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("precision", [1.0, 0.0, float("nan")])
def test_starts_without_noise_to_learn_from_are_refused(precision: float) -> None:
    with pytest.raises(SuiteError, match="noise"):
        NoisyWeight(torch.ones(2), precision=precision)


def test_weights_that_are_not_finite_are_refused() -> None:
    with pytest.raises(SuiteError, match="not finite"):
        NoisyWeight(torch.tensor([1.0, float("inf")]))
    with pytest.raises(SuiteError, match="not positive"):
        PrecisionQuantizer(torch.tensor(float("nan")), torch.ones(2))


def test_a_weight_of_zeros_is_no_division_by_zero() -> None:
    weight = torch.zeros(3, 2)
    module = NoisyWeight(weight)
    assert bool(module(weight).isfinite().all())
    module.keep_valid_(weight)
    assert not bool(weight.any())


def train_planes(factor: float) -> tuple[TrainedPlanes, float]:
    weight, inputs, outputs = task()
    module = TrainedPlanes(weight, 6)
    for step in range(60):
        if step % 20 == 0:
            module.adjust()
            optimizer = torch.optim.SGD(module.parameters(), lr=0.05)
        loss = mse_loss(linear(inputs / 10, module(weight)), outputs / 10) + factor * module.penalty() / weight.numel()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        module.keep_valid_()
    module.adjust()
    return module, float(mse_loss(linear(inputs / 10, module(weight)), outputs / 10).detach())


def test_planes_start_with_the_weight_and_go_with_the_regularizer() -> None:
    weight, _, _ = task()
    start = TrainedPlanes(weight, 6)
    assert float((start(weight) - weight).abs().max().detach()) <= float(start.planes.step()) * (0.5 + 1e-5)
    counts = [train_planes(factor)[0].planes.bits(sign_bit=False) for factor in (0.0, 0.3, 2.0)]
    assert counts[0] > counts[1] > counts[2] == 0


def test_fine_tuning_starts_from_the_planes_and_keeps_their_number() -> None:
    weight, inputs, outputs = task()
    planes, before = train_planes(0.3)
    whole = TrainedWhole(planes.planes)
    torch.testing.assert_close(whole(weight), planes(weight), rtol=1e-6, atol=1e-7)
    optimizer = torch.optim.SGD(whole.parameters(), lr=0.5)
    best = before
    for _ in range(100):
        loss = mse_loss(linear(inputs / 10, whole(weight)), outputs / 10)
        best = min(best, float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert best < before
    back = whole.whole.to_planes()
    assert back.count == planes.planes.count
    torch.testing.assert_close(back.weight(), whole(weight), rtol=1e-6, atol=1e-7)
