"""Reconstruction losses and the Gram form of one layer's squared error, against direct computation in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from suite.errors import Unsupported
from suite.methods.engines.reconstruction import gram, losses
from suite.methods.engines.reconstruction.gram import GramMatrices


def direct(layer: nn.Module, weight_hat: Tensor, inputs: Tensor, floating: Tensor) -> tuple[float, Tensor]:
    """Mean over examples and positions of the sum over channels of the squared error, and its gradient: float64."""
    wide = copy.deepcopy(layer).double()
    with torch.no_grad():
        target = wide(floating.double())
    weight = weight_hat.detach().double().requires_grad_()
    error = torch.func.functional_call(wide, {"weight": weight}, (inputs.double(),)) - target
    channels = error.shape[-1] if isinstance(layer, nn.Linear) else error.shape[1]
    loss = error.square().sum() * (channels / error.numel())
    loss.backward()
    return loss.item(), weight.grad


convolutions = st.fixed_dictionaries(
    {
        "dimensions": st.sampled_from([1, 2, 3]),
        "groups": st.sampled_from([1, 2, 4]),
        "multiple": st.sampled_from([1, 3]),
        "kernel": st.integers(1, 3),
        "stride": st.integers(1, 3),
        "padding": st.integers(0, 2),
        "dilation": st.integers(1, 2),
        "padding_mode": st.sampled_from(["zeros", "reflect", "circular"]),
        "bias": st.booleans(),
    }
)
situations = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 1000),
        "bits": st.integers(2, 8),
        "mean": st.sampled_from([0.0, 3.0]),
        "same_inputs": st.booleans(),
        "precision": st.sampled_from([torch.float64, torch.float32]),
        "parts": st.integers(1, 3),
    }
)


def check(layer: nn.Module, shape: tuple[int, ...], situation: dict[str, object]) -> None:
    floating = torch.randn(shape) + situation["mean"]
    inputs = floating if situation["same_inputs"] else (floating * 4).round() / 4
    matrices = GramMatrices(layer, precision=situation["precision"])  # type: ignore[arg-type]
    for part, part_floating in zip(
        inputs.tensor_split(situation["parts"]), floating.tensor_split(situation["parts"]), strict=True
    ):  # type: ignore[arg-type]
        matrices.add(part, None if situation["same_inputs"] else part_floating)
    step = float(layer.weight.detach().abs().max()) / 2 ** (int(situation["bits"]) - 1)  # type: ignore[call-overload]
    weight_hat = ((layer.weight.detach() / step).round() * step).requires_grad_()
    found = matrices.loss().loss(weight_hat)
    found.backward()
    expected, gradient = direct(layer, weight_hat, inputs, floating)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert float((weight_hat.grad - gradient).abs().max()) <= 1e-5 * float(gradient.abs().max())


@given(convolution=convolutions, situation=situations)
@settings(max_examples=60, deadline=None)
def test_the_gram_form_of_a_convolution_is_its_squared_error(
    convolution: dict[str, object], situation: dict[str, object]
) -> None:
    torch.manual_seed(situation["seed"])
    chosen = dict(convolution)
    dimensions, multiple = chosen.pop("dimensions"), chosen.pop("multiple")
    kind = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dimensions]
    outputs = 4 * multiple
    layer = kind(4, outputs, chosen.pop("kernel"), **chosen)
    check(layer, (4, 4, *[7, 6, 5][:dimensions]), situation)


@given(leading=st.sampled_from([(6,), (4, 3), (3, 2, 2)]), situation=situations)
@settings(max_examples=30, deadline=None)
def test_the_gram_form_of_a_linear_layer_is_its_squared_error(
    leading: tuple[int, ...], situation: dict[str, object]
) -> None:
    torch.manual_seed(situation["seed"])
    check(nn.Linear(5, 7), (*leading, 5), situation)


def test_padding_by_name_and_rectangular_kernels() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, (3, 2), padding="same", dilation=(1, 2))
    check(layer, (5, 3, 6, 7), {"mean": 1.0, "same_inputs": False, "precision": torch.float64, "parts": 2, "bits": 3})


def test_little_room_for_patches_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer, inputs = nn.Conv2d(3, 4, 3, padding=1), torch.randn(5, 3, 6, 6)
    found = []
    for room in (gram.PATCH_BYTES, 1):
        monkeypatch.setattr(gram, "PATCH_BYTES", room)
        matrices = GramMatrices(layer)
        matrices.add(inputs, inputs.round())
        found.append(matrices.loss().loss(torch.zeros_like(layer.weight)).item())
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_the_gradient_passes_to_whatever_made_the_weight() -> None:
    torch.manual_seed(0)
    layer, inputs = nn.Linear(4, 3), torch.randn(10, 4)
    matrices = GramMatrices(layer)
    matrices.add(inputs)
    factor = torch.tensor(1.5, requires_grad=True)
    loss = matrices.loss().loss(layer.weight.detach() * factor)
    loss.backward()
    # With W^ = f W the loss is (f - 1)^2 mean |W x|^2, so its derivative is 2 loss / (f - 1).
    assert factor.grad.item() == pytest.approx(2 * loss.item() / 0.5, rel=1e-5)


def test_layers_that_are_no_product_with_patches_are_refused() -> None:
    with pytest.raises(Unsupported, match="ConvTranspose2d"):
        GramMatrices(nn.ConvTranspose2d(2, 2, 3))
    with pytest.raises(Unsupported, match="needs examples"):
        GramMatrices(nn.Linear(2, 2)).loss()


@pytest.mark.parametrize("exponent", [2.0, 2.4, 3.0])
def test_power_error_has_the_gradient_of_its_formula(exponent: float) -> None:
    prediction, target = (torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    loss = losses.power_error(prediction, target, exponent)
    assert loss.item() == pytest.approx(((prediction - target).abs() ** exponent).sum(1).mean().item())
    for kind in (losses.power_error, losses.mean_power_error):
        assert torch.autograd.gradcheck(lambda p, t, kind=kind: kind(p, t, exponent), (prediction, target))


def test_an_error_of_zero_has_a_gradient_of_zero() -> None:
    prediction = torch.ones(2, 3, requires_grad=True)
    losses.power_error(prediction, torch.ones(2, 3)).backward()
    assert prediction.grad.abs().max().item() == 0.0


def test_channels_are_where_one_says() -> None:
    prediction, target = torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    square = (prediction - target).square()
    assert losses.squared_error(prediction, target).item() == pytest.approx(square.sum(1).mean().item(), rel=1e-6)
    found = losses.squared_error(prediction, target, channel_axis=-1).item()
    assert found == pytest.approx(square.sum(-1).mean().item(), rel=1e-6)


def test_distances_by_name() -> None:
    prediction, target, importance = (torch.randn(4, 3, 5, 5) for _ in range(3))
    plain = losses.distance(prediction, target, "plain")
    assert plain.item() == pytest.approx((prediction - target).square().sum(1).mean().item(), rel=1e-6)
    power = losses.distance(prediction, target, "power-2.4")
    assert power.item() == pytest.approx((prediction - target).abs().pow(2.4).sum(1).mean().item(), rel=1e-5)
    fisher = losses.distance(prediction, target, "fisher", importance)
    expected = ((prediction - target) * importance).square().sum(1).mean()
    assert fisher.item() == pytest.approx(expected.item(), rel=1e-5)
    uniform = losses.distance(prediction, target, "fisher", torch.ones_like(prediction))
    assert uniform.item() == pytest.approx(plain.item(), rel=1e-6)
