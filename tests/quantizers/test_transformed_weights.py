"""Grids without zero, DoReFa's transform and PACT's clip: formulas by hand, numeric gradients, and what is folded."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from suite.errors import SuiteError
from suite.quantizers import GradientMask, Granularity, Quantizer, QuantizerSpec, RangeRule, fake_quantize
from suite.quantizers.learned_clip import LearnedClip, learned_clip
from suite.quantizers.tanh_weights import TanhWeights


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def transform(bits: int, *, rescaled: bool = True, **spec: object) -> TanhWeights:
    made = {"bits": bits, "signed": True, "symmetric": True, "without_zero": True, **spec}
    return TanhWeights(Quantizer(QuantizerSpec(**made), is_weight=True), rescaled=rescaled)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_a_grid_without_zero_has_all_its_odd_codes(bits: int) -> None:
    spec = QuantizerSpec(bits=bits, signed=True, symmetric=True, without_zero=True)
    largest = 2**bits - 1
    assert (spec.qmin, spec.qmax, spec.levels, spec.positions) == (-largest, largest, 2**bits, 2 * largest + 1)
    quantizer = Quantizer(spec, is_weight=True)
    x = torch.linspace(-1.0, 1.0, 10_001)
    quantizer.initialize(x, RangeRule.MIN_MAX)
    codes = quantizer.codes(x)
    assert codes.unique().tolist() == list(range(-largest, largest + 1, 2))
    torch.testing.assert_close(quantizer(x), codes * quantizer.scale)
    assert float((quantizer(x) - x).abs().max()) <= float(quantizer.scale) * (1 + 1e-5)
    assert torch.equal(quantizer(quantizer(x)), quantizer(x))


@pytest.mark.parametrize("mask", list(GradientMask))
def test_gradients_of_an_odd_grid_with_a_learned_step(mask: GradientMask) -> None:
    """The code minus the ratio inside, the limit outside: as on other grids, with codes that are odd."""
    x = torch.tensor([-0.85, -0.41, 0.1, 0.77, 5.0, -6.0], dtype=torch.float64, requires_grad=True)
    step = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    y = fake_quantize(x, step, None, -3, 3, mask=mask, odd=True)
    y.sum().backward()
    assert y.tolist() == pytest.approx([0.3 * code for code in (-3, -1, 1, 3, 3, -3)])
    assert x.grad.tolist() == [1, 1, 1, 1, 0, 0]
    inside = [code - value / 0.3 for code, value in zip((-3, -1, 1, 3), x.tolist(), strict=False)]
    assert float(step.grad) == pytest.approx(sum(inside) + 3 - 3)


@pytest.mark.parametrize("wrong", [{"signed": False}, {"symmetric": False, "signed": False}, {"extra_level": True}])
def test_other_grids_cannot_do_without_zero(wrong: dict[str, bool]) -> None:
    with pytest.raises(SuiteError, match="can do without zero"):
        QuantizerSpec(**{"bits": 4, "signed": True, "symmetric": True, "without_zero": True, **wrong})


@pytest.mark.parametrize("bits", [2, 4])
def test_the_rescaled_form_follows_its_formula_in_every_channel(bits: int) -> None:
    weight = noise(3, 40)
    found = transform(bits, granularity=Granularity.PER_CHANNEL)(weight)
    top = 2**bits - 1
    for row, values in enumerate(weight):
        t = torch.tanh(values)
        largest = t.abs().max()
        expected = largest * (2 * ((t / (2 * largest) + 0.5) * top).round() / top - 1)
        torch.testing.assert_close(found[row], expected)


def test_the_gradient_of_the_rescaled_form_is_that_of_the_tangent() -> None:
    weight = noise(5, 4).requires_grad_()
    upstream = noise(5, 4, seed=1)
    transform(3)(weight).backward(upstream)
    moved = weight.detach() + 1e-6
    numeric = (torch.tanh(moved) - torch.tanh(weight.detach() - 1e-6)) / 2e-6
    torch.testing.assert_close(weight.grad, upstream * numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("bits", "rescaled"), [(4, False), (1, True), (1, False)])
def test_the_gradient_of_the_other_forms_passes_as_it_is(bits: int, rescaled: bool) -> None:
    weight, upstream = noise(5, 4).requires_grad_(), noise(5, 4, seed=1)
    transform(bits, rescaled=rescaled)(weight).backward(upstream)
    assert torch.equal(weight.grad, upstream)


def test_one_bit_is_the_sign_times_the_mean_magnitude() -> None:
    weight = noise(6, 7)
    torch.testing.assert_close(transform(1)(weight), weight.sign() * weight.abs().mean())


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("without_zero", [True, False])
@pytest.mark.parametrize("rescaled", [True, False])
def test_the_quantizer_maps_the_folded_weight_to_itself(bits: int, without_zero: bool, rescaled: bool) -> None:
    made = transform(bits, rescaled=rescaled, without_zero=without_zero, narrow=without_zero)
    weight = noise(30, 20).float()
    folded = made(weight)
    assert torch.equal(made.quantizer(folded), folded)
    assert folded.unique().numel() <= 2**bits


@pytest.mark.parametrize("signed", [False, True])
def test_gradients_of_the_clip_agree_with_numeric_ones_away_from_its_ends(signed: bool) -> None:
    x = (3 * noise(200)).requires_grad_()
    limit = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    low = -2.0 if signed else 0.0
    away = ((x.detach() - 2.0).abs() > 1e-3) & ((x.detach() - low).abs() > 1e-3)
    x = x.detach()[away].requires_grad_()
    assert torch.autograd.gradcheck(lambda values, end: learned_clip(values, end, signed=signed), (x, limit), eps=1e-5)


def test_both_ends_of_the_range_pass_gradients_and_the_upper_one_moves_the_limit() -> None:
    x = torch.tensor([-0.1, 0.0, 1.0, 2.0, 2.1], requires_grad=True)
    limit = torch.tensor(2.0, requires_grad=True)
    learned_clip(x, limit).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]
    assert float(limit.grad) == 2


def test_rounding_adds_nothing_to_the_gradient_of_the_limit() -> None:
    quantizer = Quantizer(QuantizerSpec(bits=2, signed=False, symmetric=True), is_weight=False)
    quantizer.set_parameters(torch.tensor(1.0))
    clip = LearnedClip(quantizer, 3.0)
    x = torch.tensor([0.4, 1.3, 2.2, 7.0, 9.0])
    y = clip(x)
    y.sum().backward()
    assert y.tolist() == [0, 1, 2, 3, 3]
    assert float(clip.limit.grad) == 2


def test_a_limit_that_crossed_zero_comes_back() -> None:
    quantizer = Quantizer(QuantizerSpec(bits=2, signed=False, symmetric=True), is_weight=False)
    quantizer.set_parameters(torch.tensor(1.0))
    clip = LearnedClip(quantizer, 1.0)
    clip.limit.data.fill_(-0.5)
    clip.keep_positive()
    assert float(clip.limit.detach()) == 0.5


def test_the_unit_range_does_not_look_at_values() -> None:
    for signed, step in ((False, 1 / 15), (True, 1 / 7)):
        spec = QuantizerSpec(bits=4, signed=signed, symmetric=True, range_rule=RangeRule.UNIT)
        quantizer = Quantizer(spec, is_weight=False)
        quantizer.initialize(100 * noise(50).float())
        assert float(quantizer.scale) == pytest.approx(step)
