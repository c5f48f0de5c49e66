"""Calibrated benches for methods that search scales: the tiny network of toys, and attention over four tokens."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from toys import ToyBench, toy_bench

from suite.axes import Setting
from suite.methods.engines.calibration import calibrate
from suite.plan import dissect, make_plan, place, prepare, quantizers_of

EVERYWHERE = {
    "first_layer_weights": "same",
    "last_layer_weights": "same",
    "first_layer_activations": "same",
    "last_layer_activations": "same",
    "network_input": "same",
    "batch_norm": "folded",
    "weight_bits": 3,
    "activation_bits": 3,
    "activation_symmetry": "symmetric",
    "weight_granularity": "per-tensor",
    "weight_range": "output-similarity",
    "activation_range": "output-similarity",
    "initialization_examples": "all",
    "skip_connection": "full-precision",
    "residual_connection": "full-precision",
}


class TinyTransformer(nn.Module):
    """Attention over four tokens of three features, with scaling between its product and its softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(4, 6)
        self.queries, self.keys, self.values = (nn.Linear(6, 6) for _ in range(3))
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x.squeeze(1))
        scores = self.queries(tokens) @ self.keys(tokens).transpose(-2, -1)
        attended = torch.softmax(scores / 2.4, dim=-1) @ self.values(tokens)
        return self.head(attended.mean(1))


def bench_of(model: Callable[[], nn.Module] | None = None, **changes: object) -> ToyBench:
    """A calibrated bench."""
    setting = Setting.default().replace(**{**EVERYWHERE, **changes})
    bench = toy_bench(setting)
    if model is not None:
        torch.manual_seed(3)
        reference = model().eval()
        prepared = prepare(reference, setting)
        plan = make_plan(dissect(prepared, bench.data.inputs[:2]), setting)
        bench = ToyBench(place(prepared, plan), reference, plan, setting, bench.data)
    calibrate(bench)
    return bench


def scales(bench: ToyBench) -> dict[str, Tensor]:
    return {name: quantizer.scale.clone() for name, quantizer in quantizers_of(bench.model).items()}
