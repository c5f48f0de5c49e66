"""The search of scales for the outputs of a layer against what PTQ4ViT's base layer finds."""

from __future__ import annotations

import pytest
import torch
from golden_vectors import Vectors, case_parameters, check_close, check_output, load
from torch import Tensor, nn

from suite.axes import Setting
from suite.methods.engines.scale_search import Measure, ScaleSearch, Units, linear_candidates
from suite.methods.engines.scale_search.products import Products
from suite.methods.engines.scale_search.search import ComponentSearch
from suite.plan import calibrating, dissect, initialize_weights, make_plan, place, quantizers_of

FILE = "ptq4vit_scale_search"
TIE = 1e-7
MEASURES = {"cosine": Measure.COSINE, "pearson": Measure.PEARSON, "L2_norm": Measure.SQUARED_ERROR}


class OneLayer(nn.Module):
    """A linear layer in a model, because a plan wants one around it."""

    def __init__(self, vectors: Vectors) -> None:
        super().__init__()
        weight = vectors.tensor("w")
        self.linear = nn.Linear(weight.shape[1], weight.shape[0])
        self.linear.weight.data.copy_(weight)
        self.linear.bias.data.copy_(vectors.tensor("bias"))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


def placed_layer(vectors: Vectors, bits: int, x: Tensor) -> nn.Module:
    ends = ("first_layer_weights", "last_layer_weights", "network_input", "last_layer_activations")
    setting = Setting.default().replace(
        weight_bits=bits, activation_bits=bits, symmetric_step="two-max-over-levels", signed_range="full",
        weight_granularity="per-tensor", activation_symmetry="symmetric", unsigned_activations="never",
        weight_range="output-similarity", activation_range="output-similarity", **dict.fromkeys(ends, "same"),
    )  # fmt: skip
    model = OneLayer(vectors).eval()
    placed = place(model, make_plan(dissect(model, x), setting))
    initialize_weights(placed)
    with torch.no_grad(), calibrating(placed):
        placed(x)
    return placed.eval()


@pytest.mark.parametrize("case", case_parameters(FILE, "w_interval_init"))
def test_a_layer_finds_the_scales_of_the_published_search(case: str) -> None:
    vectors = load(FILE)
    measure, _, bits = case.partition(".b")
    x = vectors.tensor("x")
    placed = placed_layer(vectors, int(bits), x)
    quantizers = quantizers_of(placed)
    weight = quantizers.pop("linear:weight")
    (activation,) = quantizers.values()
    check_close(weight.scale, vectors.tensor(f"{case}.w_interval_init"))
    check_close(activation.scale, vectors.tensor(f"{case}.a_interval_init"))
    products = Products(placed)
    (product,) = products.all
    candidates = linear_candidates(
        vectors.number("eq_alpha"), vectors.number("eq_beta"), int(vectors.number("eq_n")), closed=False
    )
    search = ScaleSearch(
        measure=MEASURES[measure],
        units=Units.POSITIONS,
        weight_candidates=candidates,
        activation_candidates=candidates,
        rounds=int(vectors.number("search_round")),
        keep_current=False,  # as published, where the start itself is no candidate
        smallest_gain=0.0,
    )
    with torch.no_grad():
        ComponentSearch([product], products.capture(x, [product], len(x)), search).run()
        out = placed(x)
    published = vectors.tensor(f"{case}.out")
    ours, theirs = (similarity(measure, raw_output(vectors), found) for found in (out, published))
    found = [float(weight.scale), float(activation.scale)]
    expected = [float(vectors.tensor(f"{case}.{name}").squeeze()) for name in ("w_interval", "a_interval")]
    if found != pytest.approx(expected, rel=1e-6):
        # The published code adds in single precision; between candidates this close its choice is the noise of that.
        assert ours == pytest.approx(theirs, abs=TIE)
        return
    check_output(out, published, float(activation.scale) * float(vectors.tensor("w").abs().max()))


def raw_output(vectors: Vectors) -> Tensor:
    return nn.functional.linear(*(vectors.tensor(name).double() for name in ("x", "w", "bias")))


def similarity(measure: str, raw: Tensor, found: Tensor) -> float:
    """The mean over rows of what was searched for, in double precision."""
    raw, found = raw.double(), found.double()
    if measure == "L2_norm":
        return -float((raw - found).square().mean() / raw.square().mean())
    if measure == "pearson":
        raw, found = raw - raw.mean(-1, keepdim=True), found - found.mean(-1, keepdim=True)
    return float(nn.functional.cosine_similarity(raw, found, dim=-1).mean())
