"""The methods that only choose ranges: what they choose, what they refuse and what they tell."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from torch import Tensor
from toys import ToyBench, toy_bench

from suite.axes import Setting
from suite.errors import Unsupported
from suite.methods import METHODS
from suite.methods.api import Claims, Method
from suite.methods.engines.trajectories import evenly_spread
from suite.plan import quantizers_of, weights_of

EVERYWHERE = {
    "first_layer_weights": "same",
    "last_layer_weights": "same",
    "first_layer_activations": "same",
    "last_layer_activations": "same",
    "network_input": "same",
    "batch_norm": "float",
    "weight_bits": 3,
    "activation_bits": 4,
    "activation_symmetry": "symmetric",
}


def bench_for(name: str, **changes: object) -> ToyBench:
    recommended = dict(METHODS.get(name).recommended)
    return toy_bench(Setting.default().replace(**{**recommended, **EVERYWHERE, **changes}))


def method(name: str, **options: object) -> Method:
    return METHODS.get(name).from_mapping(options)


def second_input(bench: ToyBench) -> Tensor:
    """What the second convolution reads in the float model, for every example."""
    with torch.no_grad():
        net = bench.reference
        return net.relu(net.norm(net.conv(bench.data.inputs)))


def test_percentile_is_that_of_all_values_together() -> None:
    bench = bench_for("percentile", percentile=99.0)
    method("percentile").quantize(bench)
    expected = torch.quantile(second_input(bench).flatten(), 0.99) / 15
    torch.testing.assert_close(quantizers_of(bench.model)["middle:input"].scale, expected)
    weight = bench.reference.middle.weight.detach()
    torch.testing.assert_close(
        quantizers_of(bench.model)["middle:weight"].scale.flatten(),
        (weight.amax((1, 2, 3)).clamp(min=0) - weight.amin((1, 2, 3)).clamp(max=0)) / 7,
    )


@pytest.mark.parametrize("batches", ["moving-average", "extremes"])
def test_percentile_of_every_batch(batches: str) -> None:
    bench = bench_for("percentile", percentile=99.0)
    method("percentile", batches=batches, batch_size=8).quantize(bench)
    ends = [torch.quantile(part.flatten(), 0.99) for part in second_input(bench).split(8)]
    high = ends[0]
    for end in ends[1:]:
        high = torch.maximum(high, end) if batches == "extremes" else high + 0.01 * (end - high)
    torch.testing.assert_close(quantizers_of(bench.model)["middle:input"].scale, high / 15)


def test_percentile_of_batches_finds_values_that_are_not_finite() -> None:
    bench = bench_for("percentile", percentile=99.0)
    bench.data.inputs[3] = torch.inf
    with pytest.raises(Exception, match="NaN or infinite"):
        method("percentile", batches="extremes").quantize(bench)


@pytest.mark.parametrize(
    ("name", "options"),
    [("percentile", {"batches": "extremes"}), ("mse", {"search": "qdrop"}), ("mse", {"search": "omse"})],
)
def test_what_joins_batches_is_not_made_for_every_input(name: str, options: dict[str, object]) -> None:
    bench = bench_for(name, activation_parameters="dynamic")
    with pytest.raises(Unsupported, match=r"dynamic ranges|every input anew"):
        method(name, **options).quantize(bench)


@pytest.mark.parametrize("name", ["mse", "iterative_mse"])
@pytest.mark.parametrize("granularity", ["per-tensor", "per-channel"])
@pytest.mark.parametrize("symmetry", ["symmetric", "asymmetric"])
def test_no_tensor_loses_more_than_with_its_whole_range(name: str, granularity: str, symmetry: str) -> None:
    changes = {"weight_granularity": granularity, "weight_symmetry": symmetry}
    bench, plain = bench_for(name, **changes), bench_for("rtn", **changes)
    method(name).quantize(bench)
    method("rtn").quantize(plain)
    ours, theirs = weights_of(bench.model), weights_of(plain.model)
    gained = False
    for site, (quantizer, weight) in ours.items():
        lost = [float((one(weight) - weight).detach().square().sum()) for one in (quantizer, theirs[site][0])]
        assert lost[0] <= lost[1] * (1 + 1e-6)
        gained |= lost[0] < 0.9 * lost[1]
    assert gained
    x = second_input(bench)
    lost = [
        float((quantizers_of(one.model)["middle:input"](x) - x).square().sum()) for one in (bench, plain)
    ]  # fmt: skip
    assert lost[0] <= lost[1]


@pytest.mark.parametrize("search", ["squared-error", "omse", "brecq", "qdrop"])
def test_searches_find_different_grids(search: str) -> None:
    """FQ-ViT's factors are the first 90 of ours, and no weight here asks for less; the exponent 2.4 changes grids."""
    scales = []
    for chosen in ("squared-error", search):
        bench = bench_for("mse")
        method("mse", search=chosen).quantize(bench)
        scales.append(quantizers_of(bench.model)["middle:weight"].scale)
    assert scales[0].equal(scales[1]) == (search in ("squared-error", "omse"))
    torch.testing.assert_close(scales[0], scales[1], rtol=0.25, atol=0)


def figures_of(bench: ToyBench, **options: object) -> dict[str, dict[str, list[float]]]:
    claims = method("iterative_mse", **options).quantize(bench)
    assert isinstance(claims, Claims)
    told: dict[str, dict[str, list[float]]] = json.loads(json.dumps(dict(claims.figures), allow_nan=False))
    return told


@pytest.mark.parametrize("starts", ["all", "largest", "lsq"])
def test_the_trajectory_is_told_and_never_rises(starts: str) -> None:
    bench = bench_for("iterative_mse")
    told = figures_of(bench, starts=starts)
    quantizers = quantizers_of(bench.model)
    assert told.keys() == quantizers.keys()
    assert any(len(figures["steps"]) > 2 for figures in told.values())
    for site, figures in told.items():
        assert all(after <= before * (1 + 1e-5) for before, after in itertools.pairwise(figures["errors"]))
        assert figures["steps"][-1] == pytest.approx(float(quantizers[site].scale), rel=1e-5)
        assert set(figures["starts"]) <= {"all": {"largest", "half", "quarter", "lsq"}}.get(starts, {starts})
        assert len(figures["iterations"]) == len(figures["steps"]) == len(figures["errors"])
    weight = bench.reference.middle.weight.detach()
    error = float((quantizers["middle:weight"](weight) - weight).square().sum() / weight.square().sum())
    assert told["middle:weight"]["errors"][-1] == pytest.approx(error, rel=1e-4)


def test_more_starts_lose_no_more() -> None:
    lost = {starts: figures_of(bench_for("iterative_mse"), starts=starts) for starts in ("all", "largest", "lsq")}
    for site, figures in lost["all"].items():
        assert figures["errors"][-1] <= min(lost[one][site]["errors"][-1] for one in ("largest", "lsq")) * (1 + 1e-5)


def test_iterations_are_bounded_and_the_quantizers_are_left_as_they_were() -> None:
    bench = bench_for("iterative_mse")
    told = figures_of(bench, iterations=1)
    assert all(figures["iterations"][-1] <= 1 for figures in told.values())
    assert all(one.solve.__name__ == "parameters_by_rule" for one in quantizers_of(bench.model).values())


def test_trajectories_are_thinned_out() -> None:
    assert evenly_spread(5, 64) == [0, 1, 2, 3, 4]
    assert evenly_spread(201, 3) == [0, 100, 200]
    assert evenly_spread(1, 2) == [0]
    thinned = evenly_spread(197, 40)
    assert len(thinned) == len(set(thinned)) == 40
