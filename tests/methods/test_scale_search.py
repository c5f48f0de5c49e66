"""The search of scales: products of a placed model, candidates against loops over layers, and what must not matter."""

from __future__ import annotations

import pytest
import torch
from search_benches import TinyTransformer, bench_of, scales
from torch import Tensor, nn
from toys import ToyBench, ToyDoor, toy_bench

from suite.axes import Setting
from suite.errors import Unsupported
from suite.methods.api import Diverged
from suite.methods.engines.scale_search import (
    Measure,
    Ranking,
    ScaleSearch,
    Units,
    linear_candidates,
    search,
    search_scales,
)
from suite.methods.engines.scale_search.products import Product, Products
from suite.plan import all_off, quantizers_of
from suite.quantizers import Quantizer

FACTORS = linear_candidates(0.4, 1.3, 12)


class OddConvolutions(nn.Module):
    """Groups, strides, dilation, another padding, and no bias."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, padding=2, padding_mode="circular", bias=False)
        self.grouped = nn.Conv2d(6, 4, 3, stride=2, groups=2, padding=1)
        self.depthwise = nn.Conv2d(4, 4, 2, groups=4, dilation=2, padding=1)
        self.linear = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.depthwise(self.grouped(self.first(x))).mean((2, 3)))


def search_for(**changes: object) -> ScaleSearch:
    asked: dict[str, object] = {
        "measure": Measure.COSINE,
        "units": Units.POSITIONS,
        "weight_candidates": FACTORS,
        "activation_candidates": FACTORS,
        "examples": 64,
    }
    return ScaleSearch(**{**asked, **changes})  # type: ignore[arg-type]


def searched(bench: ToyBench, **changes: object) -> dict[str, Tensor]:
    search_scales(bench, search_for(**changes))
    return scales(bench)


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, scale in left.items():
        torch.testing.assert_close(scale, right[name], msg=name)


def by_name(bench: ToyBench) -> dict[str, Product]:
    return {product.name: product for product in Products(bench.model).all}


def test_products_of_a_transformer_with_their_quantizers() -> None:
    bench = bench_of(TinyTransformer)
    found = by_name(bench)
    quantizers = {quantizer: name for name, quantizer in quantizers_of(bench.model).items()}
    layers = ["embed", "queries", "keys", "values", "head"]
    assert [name for name, product in found.items() if product.layer is not None] == layers
    scores, attended = (product for product in found.values() if product.layer is None)
    assert (scores.ranks, attended.ranks) == (True, False)
    assert not any(found[name].ranks for name in layers)
    assert quantizers[found["queries"].left] == quantizers[found["keys"].left] == "queries:input"
    # The keys are turned around behind their quantizer, or before it; it is found either way.
    for product in (scores, attended):
        assert product.left in quantizers
        assert product.right in quantizers
        assert product.left is not product.right
    components = [{product.name for product in component} for component in Products(bench.model).components()]
    assert {"queries", "keys", "values"} in components
    assert len(components) == 5


class Viewed(nn.Module):
    """A pooled tensor that is reshaped by its own sizes, and scores that pass a function of many arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.linear = nn.Linear(16, 6)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pool(torch.relu(self.conv(x)))
        tokens = self.linear(pooled.view(pooled.size(0), -1)).view(pooled.size(0), 2, 3)
        scores = tokens @ tokens.transpose(-2, -1)
        masked = torch.where(scores > 100.0, scores * 0.0, scores)
        return self.head((torch.softmax(masked, dim=-1) @ tokens).mean(1))


def test_quantizers_and_attention_are_found_behind_views_and_masks() -> None:
    bench = bench_of(Viewed)
    quantizers = {quantizer: name for name, quantizer in quantizers_of(bench.model).items()}
    found = by_name(bench)
    assert quantizers[found["linear"].left] == "pool:pool-output"
    assert [product.ranks for product in found.values() if product.layer is None] == [True, False]
    assert all(product.left in quantizers for product in found.values())


def test_captured_operands_and_outputs_are_those_of_the_float_model() -> None:
    bench = bench_of(TinyTransformer)
    products = Products(bench.model)
    captured = products.capture(bench.data.inputs, products.all, 10)
    model, x = bench.reference, bench.data.inputs.squeeze(1)
    with torch.no_grad():
        tokens = model.embed(x)
        scores = model.queries(tokens) @ model.keys(tokens).transpose(-2, -1)
    names = {product.name: seen for product, seen in captured.items()}
    torch.testing.assert_close(names["keys"].left, tokens)
    torch.testing.assert_close(names["keys"].output, model.keys(tokens).detach())
    (ranked,) = (seen for product, seen in captured.items() if product.ranks)
    torch.testing.assert_close(ranked.output, scores)


@pytest.mark.parametrize("model", [OddConvolutions, TinyTransformer])
def test_all_weights_at_once_give_what_one_after_the_other_gives(model: type[nn.Module]) -> None:
    bench = bench_of(model)
    products = Products(bench.model)
    captured = products.capture(bench.data.inputs, products.all, 64)
    for product, seen in captured.items():
        if product.layer is None:
            continue
        weights = torch.stack([seen.right * factor for factor in (0.5, 1.0, -2.0)])
        with torch.no_grad():
            together = product.features_last(product.run_weights(seen.left, weights))
            for weight, outputs in zip(weights, together, strict=True):
                product.layer.weight.data.copy_(weight)
                with all_off(bench.model):
                    expected = product.features_last(product.layer(seen.left))
                torch.testing.assert_close(outputs, expected, rtol=1e-4, atol=1e-5)


def similarity(raw: Tensor, found: Tensor, channels: int | None = None) -> Tensor:
    """Mean cosine over positions, or one for each channel along the given axis."""
    raw, found = raw.double(), found.double()
    if channels is None:
        return torch.nn.functional.cosine_similarity(raw, found, dim=1 if raw.dim() == 4 else -1).mean()
    raw, found = (values.movedim(channels, 0).flatten(1) for values in (raw, found))
    return torch.nn.functional.cosine_similarity(raw, found, dim=1)


@pytest.mark.parametrize("granularity", ["per-tensor", "per-channel"])
@pytest.mark.parametrize("symmetry", ["symmetric", "asymmetric"])
def test_a_weight_takes_the_best_candidate_that_a_loop_finds(granularity: str, symmetry: str) -> None:
    changes = {"weight_granularity": granularity, "weight_symmetry": symmetry, "activation_symmetry": symmetry}
    bench, plain = bench_of(**changes), bench_of(**changes)
    found = searched(bench, rounds=1)["middle:weight"]
    products = Products(plain.model)
    middle = next(product for product in products.all if product.name == "middle")
    seen = products.capture(plain.data.inputs, [middle], 64)[middle]
    layer, quantizer, given = plain.model.middle, quantizers_of(plain.model)["middle:weight"], middle.left
    assert isinstance(given, Quantizer)
    start, zero_point = quantizer.scale.clone(), quantizer.zero_point
    raw = seen.output.movedim(-1, 1)
    scores = []
    candidates = [*FACTORS(start), start]
    for candidate in candidates:
        quantizer.set_parameters(candidate, zero_point)
        with torch.no_grad():
            scores.append(similarity(raw, layer(given(seen.left)), None if granularity == "per-tensor" else 1))
    best = torch.stack(scores).argmax(0)
    expected = torch.stack(candidates).reshape(len(candidates), -1).gather(0, best.reshape(1, -1)).reshape(start.shape)
    torch.testing.assert_close(found, expected)


def test_a_shared_activation_takes_the_best_for_the_mean_of_its_readers() -> None:
    bench = bench_of(TinyTransformer, weight_bits=32)
    found = searched(bench, rounds=1)["queries:input"]
    plain = bench_of(TinyTransformer, weight_bits=32)
    model, quantizer = plain.reference, quantizers_of(plain.model)["queries:input"]
    start, tokens = quantizer.scale.clone(), plain.reference.embed(plain.data.inputs.squeeze(1)).detach()
    scores = []
    candidates = [*FACTORS(start), start]
    for candidate in candidates:
        quantizer.set_parameters(candidate)
        with torch.no_grad():
            on_grid = quantizer(tokens)
            readers = (model.queries, model.keys, model.values)
            scores.append(torch.stack([similarity(layer(tokens), layer(on_grid)) for layer in readers]).mean())
    torch.testing.assert_close(found, candidates[int(torch.stack(scores).argmax())])


@pytest.mark.parametrize("model", [None, TinyTransformer, OddConvolutions])
@pytest.mark.parametrize("measure", list(Measure))
@pytest.mark.parametrize("units", [Units.POSITIONS, Units.EXAMPLES])
def test_no_score_ends_below_its_start(model: type[nn.Module] | None, measure: Measure, units: Units) -> None:
    bench = bench_of(model)
    before = scales(bench)
    figures = search_scales(bench, search_for(measure=measure, units=units))
    after = scales(bench)
    told = figures["scales"]
    assert isinstance(told, dict)
    read = {products_quantizer for product in Products(bench.model).all for products_quantizer in
            (product.left, product.right) if products_quantizer is not None}  # fmt: skip
    assert told.keys() == {name for name, quantizer in quantizers_of(bench.model).items() if quantizer in read}
    moved = 0
    for name, figure in told.items():
        start, end = figure["score"]
        assert end >= start - 1e-9
        assert figure["factor"] == pytest.approx(float(after[name] / before[name]), rel=1e-5)
        moved += not torch.equal(after[name], before[name])
    assert moved > len(told) / 2
    assert all(torch.equal(after[name], before[name]) for name in before.keys() - told.keys())


def test_whatever_no_product_reads_keeps_its_start() -> None:
    bench = bench_of(network_output="8-bit")
    before = scales(bench)["network:output"]
    assert searched(bench)["network:output"].equal(before)


@pytest.mark.parametrize("model", [None, TinyTransformer, OddConvolutions])
def test_chunks_passes_and_memory_do_not_matter(model: type[nn.Module] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"ranking": Ranking(0.1, 0.2), "units": Units.EXAMPLES, "measure": Measure.PEARSON, "rounds": 1}
    expected = searched(bench_of(model), **asked)
    monkeypatch.setattr(search, "CHUNK_ELEMENTS", 397)
    assert_same(searched(bench_of(model), **asked), expected)
    monkeypatch.setattr(search, "PASS_BATCH", 7)
    assert_same(searched(bench_of(model), **asked), expected)
    bench = bench_of(model)
    products = Products(bench.model)
    sizes = products.bytes_per_example(bench.data.inputs)
    largest = max(sum(sizes[product] for product in component) for component in products.components())
    budget = int(64 * largest)
    monkeypatch.setattr(search, "CAPTURE_BYTES", budget)
    assert len(list(products.passes(bench.data.inputs, budget))) > 1
    assert_same(searched(bench, **asked), expected)


def test_little_memory_compares_fewer_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "CAPTURE_BYTES", 5000)
    figures = search_scales(bench_of(), search_for())
    assert 2 <= int(str(figures["examples_compared"])) < 64


@pytest.mark.parametrize("model", [None, TinyTransformer])
def test_the_order_of_examples_does_not_matter(model: type[nn.Module] | None) -> None:
    expected = searched(bench_of(model), rounds=2)
    bench = bench_of(model)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(9))
    bench.data = ToyDoor(bench.data.inputs[order], bench.data.labels[order])
    assert_same(searched(bench, rounds=2), expected)


def test_one_pass_captures_all_products_of_a_small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward passes do not multiply with candidates: one to measure sizes, one to capture."""
    bench = bench_of(TinyTransformer)
    calls: list[int] = []
    bench.model.embed.register_forward_hook(lambda *_: calls.append(1))
    search_scales(bench, search_for(examples=32))
    assert len(calls) <= 3


def test_weights_may_be_searched_before_float_inputs() -> None:
    fine = linear_candidates(0.5, 1.2, 100)
    few_bits = {"activation_bits": 2}
    quantized = searched(bench_of(**few_bits), rounds=1, weight_candidates=fine)
    floating = searched(bench_of(**few_bits), rounds=1, weight_candidates=fine, weights_see_float=True)
    assert not quantized["middle:weight"].equal(floating["middle:weight"])
    wide = searched(bench_of(activation_bits=16), rounds=1, weight_candidates=fine)
    torch.testing.assert_close(wide["middle:weight"], floating["middle:weight"])


def test_without_the_current_scale_a_search_may_lose() -> None:
    bad = linear_candidates(2.0, 4.0, 3)
    changes = {"weight_candidates": bad, "activation_candidates": bad}
    before = scales(bench_of())
    kept = searched(bench_of(), **changes)
    assert all(scale.equal(before[name]) for name, scale in kept.items() if name != "network:input")
    lost = searched(bench_of(), keep_current=False, **changes)
    assert all(bool((lost[name] >= 1.99 * before[name]).all()) for name in ("middle:weight", "linear:weight"))


def test_bias_correction_takes_the_mean_error_off() -> None:
    bench = bench_of(TinyTransformer)
    figures = search_scales(bench, search_for(correct_bias=True))
    corrections = figures["bias_corrections"]
    assert isinstance(corrections, dict)
    assert corrections.keys() == {"embed", "queries", "keys", "values", "head"}
    products = Products(bench.model)
    # Operands of the float model: the captures of the corrected model would have moved biases in them.
    plain = bench_of(TinyTransformer)
    originals = Products(plain.model)
    raw = {product.name: seen for product, seen in originals.capture(bench.data.inputs, originals.all, 64).items()}
    for product in products.all:
        if product.layer is None:
            continue
        seen = raw[product.name]
        with torch.no_grad():
            left = seen.left if product.left is None else product.left(seen.left)
            error = (product.layer(left) - seen.output).flatten(0, -2)
        assert float(error.mean(0).abs().max()) < 1e-5
        assert float(error.abs().max()) > 1e-3


def test_layers_without_a_bias_are_left_alone() -> None:
    bench = bench_of(OddConvolutions)
    figures = search_scales(bench, search_for(correct_bias=True))
    corrections = figures["bias_corrections"]
    assert isinstance(corrections, dict)
    assert "first" not in corrections
    assert bench.model.first.bias is None


def test_a_heavy_ranking_penalty_orders_attention_no_worse() -> None:
    """Queries are searched first, against the keys as they start: their penalty is least where little else counts."""
    penalties = []
    for weight in (1e-9, 1e3):
        bench = bench_of(TinyTransformer, activation_bits=2)
        products = Products(bench.model)
        scores = next(product for product in products.all if product.ranks)
        assert scores.left is not None
        assert scores.right is not None
        keys = scores.right.scale.clone()
        ranking = Ranking(weight, 0.2)
        search_scales(bench, search_for(measure=Measure.PEARSON, units=Units.EXAMPLES, ranking=ranking, rounds=1))
        scores.right.set_parameters(keys)
        seen = products.capture(bench.data.inputs, [scores], 64)[scores]
        ours = scores.run(scores.left(seen.left), scores.right(seen.right))
        penalties.append(float(Ranking(1.0, 0.2).penalties(seen.output, ours[None])))
    assert penalties[1] < penalties[0]


def test_nothing_to_search_is_an_error() -> None:
    bench = toy_bench(Setting.default().replace(weight_bits=32, activation_bits=32, first_layer_weights="same",
        last_layer_weights="same", last_layer_activations="same", network_input="same"))  # fmt: skip
    with pytest.raises(Unsupported, match="no scale to search"):
        search_scales(bench, search_for())


def test_inputs_that_are_not_finite_are_an_error() -> None:
    bench = bench_of()
    bench.data.inputs[0] = torch.nan
    with pytest.raises(Diverged, match="not finite"):
        search_scales(bench, search_for())
