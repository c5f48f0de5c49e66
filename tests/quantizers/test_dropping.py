"""Random dropping: how often, how independently, and with which gradients; the same numbers when compiled."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from suite.quantizers import Quantizer, QuantizerSpec
from suite.quantizers.dropping import drop, mix, random_keep


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(7)
        yield


@pytest.mark.parametrize("probability", [0.0, 0.25, 0.5, 0.3, 1.0])  # 0.3 is no multiple of 1/256
def test_elements_are_kept_with_the_probability(probability: float) -> None:
    keep = random_keep(torch.empty(200_003), probability)
    assert set(keep.unique().tolist()) <= {0.0, 1.0}
    deviation = (probability * (1 - probability) / keep.numel()) ** 0.5
    assert abs(float(keep.mean()) - probability) <= 4 * deviation


@pytest.mark.parametrize("probability", [0.5, 0.3])
def test_neighbours_and_draws_are_independent(probability: float) -> None:
    first, second = (random_keep(torch.empty(100_000), probability) for _ in range(2))
    for left, right in ((first[:-1], first[1:]), (first[:-8], first[8:]), (first, second)):
        correlation = torch.corrcoef(torch.stack([left, right]))[0, 1]
        assert abs(float(correlation)) < 0.02  # six standard deviations


def test_the_generator_decides() -> None:
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(random_keep(torch.empty(64, 3), 0.5))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_numbers_lie_as_the_tensor_does(layout: torch.memory_format) -> None:
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64).to(memory_format=layout)
    keep = random_keep(x, 0.5)
    assert (keep.shape, keep.stride(), keep.dtype) == (x.shape, x.stride(), x.dtype)
    assert random_keep(x.transpose(0, 1), 0.5).shape == (3, 2, 4, 5)


def test_mixing_is_exact_and_so_are_its_gradients() -> None:
    raw = (torch.randn(1000) * torch.logspace(-20, 20, 1000)).requires_grad_()
    quantized = (torch.randn(1000) * torch.logspace(20, -20, 1000)).requires_grad_()
    keep = torch.rand(1000) < 0.4
    mixed = mix(quantized, raw, keep)
    assert torch.equal(mixed, torch.where(keep, quantized, raw))
    arriving = torch.randn(1000)
    mixed.backward(arriving)
    assert torch.equal(quantized.grad, torch.where(keep, arriving, 0.0))
    assert torch.equal(raw.grad, torch.where(keep, 0.0, arriving))


def made_quantizer() -> Quantizer:
    quantizer = Quantizer(QuantizerSpec(bits=3, signed=True, symmetric=True), is_weight=False)
    quantizer.set_parameters(torch.tensor(0.5))
    return quantizer


def test_a_quantizer_drops_only_when_told() -> None:
    quantizer, x = made_quantizer(), torch.randn(4000)
    whole = quantizer(x)
    quantizer.keep_probability = 0.25
    dropped = quantizer(x)
    kept = dropped == whole
    assert torch.equal(dropped[~kept], x[~kept])
    assert float(kept.float().mean()) == pytest.approx(0.25, abs=0.03)
    quantizer.keep_probability = 1.0
    assert torch.equal(quantizer(x), whole)
    quantizer.enabled, quantizer.keep_probability = False, 0.25
    assert quantizer(x) is x


def test_the_step_learns_from_kept_elements_only() -> None:
    quantizer, x = made_quantizer(), torch.randn(400)
    step = quantizer.learn_step()
    quantizer.keep_probability = 0.5
    torch.manual_seed(3)
    quantizer(x).sum().backward()
    found, step.grad = step.grad, None
    torch.manual_seed(3)
    keep = random_keep(x, 0.5)
    quantizer.keep_probability = 1.0
    quantizer(x).backward(keep)
    torch.testing.assert_close(found, step.grad)


def test_compiled_it_draws_the_same_numbers_and_merges_no_draws() -> None:
    x = torch.randn(8, 50)

    def two(x: Tensor) -> tuple[Tensor, Tensor]:
        return drop(x * 2, x, 0.5), drop(x * 3, x, 0.5)

    torch._dynamo.reset()
    results = []
    for run in (two, torch.compile(two, backend="aot_eager", fullgraph=True)):
        torch.manual_seed(11)
        results.append(run(x))
    for eager, fast in zip(*results, strict=True):
        assert torch.equal(eager, fast)
    assert not torch.equal(results[1][0] == x, results[1][1] == x)
