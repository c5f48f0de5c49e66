"""EasyQuant and ranking-aware quantization: their forms, what they refuse, and what they do to attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from search_benches import TinyTransformer, bench_of, scales
from toys import ToyBench

from suite.axes import Setting
from suite.errors import SuiteError, Unsupported
from suite.methods import METHODS
from suite.methods.api import Claims, Method
from suite.methods.easyquant import inverse_candidates
from suite.plan import quantizers_of


def method(name: str, **options: object) -> Method:
    return METHODS.get(name).from_mapping({"examples": 64, "candidates": 15, **options})


def quantized(name: str, bench: ToyBench | None = None, **options: object) -> tuple[ToyBench, dict[str, Any]]:
    bench = bench_of(TinyTransformer) if bench is None else bench
    claims = method(name, **options).quantize(bench)
    assert isinstance(claims, Claims)
    return bench, dict(claims.figures)


@pytest.mark.parametrize(
    ("form", "lowest", "highest"), [("ptq4vit", 0.5, 1.2), ("paper", 0.5, 2.0), ("code", 0.0, 1e9)]
)
def test_factors_stay_among_the_candidates_of_their_form(form: str, lowest: float, highest: float) -> None:
    before = scales(bench_of(TinyTransformer))
    bench, figures = quantized("easyquant", form=form)
    assert figures["examples_compared"] == 64
    for name, figure in figures["scales"].items():
        factor = float(scales(bench)[name] / before[name])
        assert lowest - 1e-6 <= factor <= highest + 1e-6
        assert figure["factor"] == pytest.approx(factor, rel=1e-4)
        if form == "code" and not quantizers_of(bench.model)[name].is_weight:
            assert 1.0 - 1e-6 <= factor <= 1.25 + 1e-6  # 0.8 to 1 times the inverse
    assert len({round(figure["factor"], 4) for figure in figures["scales"].values()}) > 2


def test_forms_and_similarities_differ() -> None:
    found = [
        torch.stack(list(scales(quantized("easyquant", **options)[0]).values()))
        for options in ({}, {"form": "paper"}, {"form": "code"}, {"similarity": "pearson"})
    ]
    assert all(not found[0].equal(other) for other in found[1:])


def test_inverses_of_candidates_are_evenly_spaced() -> None:
    start = torch.tensor([0.25, 0.01])
    weights = inverse_candidates(4)(start)
    torch.testing.assert_close(weights[:, 0].reciprocal(), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    torch.testing.assert_close(weights[:, 1].reciprocal(), torch.tensor([1.0, 34.0, 67.0, 100.0]))
    activations = inverse_candidates(3, lowest=0.8)(start)
    torch.testing.assert_close(activations * (1 / start), torch.tensor([1 / 0.8, 1 / 0.9, 1.0])[:, None].expand(3, 2))


def test_ranking_and_bias_correction_can_be_left_out() -> None:
    plain, figures = quantized("raq", ranking_weight=0.0, bias_correction=False)
    assert "bias_corrections" not in figures
    biases = {name: value for name, value in plain.model.named_parameters() if name.endswith("bias")}
    assert all(value.equal(plain.reference.get_parameter(name)) for name, value in biases.items())
    corrected, figures = quantized("raq", ranking_weight=0.0)
    assert figures["bias_corrections"].keys() == {"embed", "queries", "keys", "values", "head"}
    assert not corrected.model.head.bias.equal(corrected.reference.head.bias)
    for name, scale in scales(plain).items():
        assert scale.equal(scales(corrected)[name])


def test_the_ranking_touches_queries_and_keys_alone() -> None:
    without, with_ranking = (
        scales(quantized("raq", bench_of(TinyTransformer, activation_bits=2), ranking_weight=weight)[0])
        for weight in (0.0, 100.0)
    )
    changed = {name for name in without if not without[name].equal(with_ranking[name])}
    assert changed
    assert all("matmul:" in name for name in changed)


def test_correction_brings_the_outputs_nearer() -> None:
    errors = []
    for correction in (False, True):
        bench, _ = quantized("raq", bench_of(TinyTransformer, weight_bits=2), bias_correction=correction)
        with torch.no_grad():
            errors.append((bench.model(bench.data.inputs) - bench.reference(bench.data.inputs)).mean(0).norm())
    assert errors[1] < errors[0]


def test_factors_that_run_backwards_are_refused_before_any_data_is_asked_for() -> None:
    bench = bench_of(TinyTransformer)
    asked = bench.data.requests
    with pytest.raises(SuiteError, match=r"lowest = 1\.5 is not below highest = 1\.2"):
        method("raq", lowest=1.5).quantize(bench)
    assert bench.data.requests == asked


@pytest.mark.parametrize("name", ["easyquant", "raq"])
@pytest.mark.parametrize(
    "changes",
    [
        {"weight_granularity": "per-weight"},
        {"activation_granularity": "per-channel"},
        {"activation_range": "mse"},
        {"labels": "labeled"},
    ],
)
def test_settings_that_a_search_cannot_honour_are_refused(name: str, changes: dict[str, object]) -> None:
    kind = METHODS.get(name)
    setting = Setting.default().replace(**{**kind.recommended, **changes})
    with pytest.raises(Unsupported, match=f"does not support {next(iter(changes))}"):
        kind.check_setting(setting)


def test_our_reading_is_labelled_as_such() -> None:
    kind = METHODS.get("raq")
    assert "our reading" in kind.title
    assert any("remembered" in note.paper for note in kind.notes)
