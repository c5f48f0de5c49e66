"""Samples of cards and records, made without running anything."""

from __future__ import annotations

from typing import Any

import numpy as np

from suite.axes import AXES, NOT_REPORTED, Setting
from suite.cards import Card, MethodChoice
from suite.records import Outcomes, Record, Status
from suite.reports import Entry, entry_of

PLAN = [
    {
        "site": "conv1:weight",
        "role": "weight",
        "tensor": "conv1.weight",
        "shape": [16, 1, 3, 3],
        "elements": 144,
        "spec": {"bits": 8, "signed": True, "symmetric": True, "granularity": "per-channel", "range_rule": "min-max"},
        "quantizer": "conv1:weight",
        "reason": "first_layer_weights: 8-bit",
    },
    {
        "site": "layer1.0.add:skip",
        "role": "skip",
        "tensor": "layer1.0.add",
        "shape": [16, 8, 8],
        "elements": 1024,
        "spec": None,
        "quantizer": None,
        "reason": "skip_connection: full-precision",
    },
]


def audit_of(setting: Setting, contradicted: tuple[str, ...] = ()) -> dict[str, Any]:
    axes = {}
    for position, (axis, value) in enumerate(setting.to_dict().items()):
        verdict = "not observable" if position % 4 == 3 else "verified"
        evidence = "no trace is left in the quantized model" if position % 4 == 3 else "21 tensors agree"
        observed = None if position % 4 == 3 else value
        if axis in contradicted:
            verdict, observed, evidence = (
                "contradicted",
                "something else",
                "layer1.0.conv1.weight has 17 levels, not 16",
            )
        axes[axis] = {"declared": value, "observed": observed, "verdict": verdict, "evidence": evidence}
    return {"verdict": "contradicted" if contradicted else "verified", "axes": axes}


def make_record(
    name: str = "lsq",
    *,
    seed: int = 0,
    score: float | None = 0.925,
    contradicted: tuple[str, ...] = (),
    changes: dict[str, Any] | None = None,
    **fields: Any,
) -> Record:
    """A completed, audited record; `changes` are axes, everything else replaces fields."""
    setting = Setting.default().replace(**(changes or {}))
    content: dict[str, Any] = {
        "run_id": f"{name}-digits-digits-resnet-s{seed}-0123456789",
        "status": Status.COMPLETED,
        "method": name,
        "task": "digits",
        "model": "digits-resnet",
        "seed": seed,
        "setting": setting.to_dict(),
        "metric": "top-1 accuracy",
        "identity": {"weights": "w" * 64, "data": "d" * 64},
        "float_score": 0.975,
        "score": score,
        "difference": None if score is None else score - 0.975,
        "difference_interval": None if score is None else (score - 0.99, score - 0.96),
        "average_weight_bits": 4.31,
        "average_activation_bits": 4.5,
        "model_bytes": 12_345,
        "feature_map_largest_bytes": 4096,
        "feature_map_total_bytes": 23_456,
        "audit": audit_of(setting, contradicted),
        "costs": {
            "seconds": 12.34,
            "epoch_fraction": 0.81,
            "examples": 1024,
            "examples_presented": 9000,
            "labels": True,
        },
        "environment": {"suite": "0.1.0", "packages": {"numpy": "2.4.6"}, "threads": 2},
        "plan": PLAN,
        "command": f"suite evaluate --card card.yaml --seed {seed}",
        "started": "2026-01-02T03:04:05Z",
    }
    return Record(**{**content, **fields})


def make_outcomes(score: float, count: int = 400, seed: int = 1) -> Outcomes:
    """Outcomes whose share of right answers is `score`; the same seed makes them agree where they can."""
    order = np.random.default_rng(seed).permutation(count)
    correct = np.zeros(count, dtype=bool)
    correct[order[: round(score * count)]] = True
    float_correct = np.zeros(count, dtype=bool)
    float_correct[order[: round(0.975 * count)]] = True
    return Outcomes(float_correct, correct)


def make_card(**fields: Any) -> Card:
    content: dict[str, Any] = {
        "kind": "run",
        "title": "LSQ on the embedded digits",
        "method": MethodChoice("lsq", {"epochs": 3}),
        "values": Setting.default().values,
        "task": "digits",
        "model": "digits-resnet",
        "remarks": ("The first remark.",),
    }
    return Card(**{**content, **fields})


def make_transcribed(**fields: Any) -> Card:
    silent = dict.fromkeys(AXES, NOT_REPORTED)
    content: dict[str, Any] = {
        "kind": "transcribed",
        "title": "Learned bit-widths, as published",
        "method": MethodChoice("learned-bits"),
        "values": {**silent, "grid": "uniform", "examples": 1024},
        "source": {"paper": "A paper", "table": "Table 4", "url": "https://example.org/paper"},
        "results": {"float_score": 0.76, "pointer": "Table 2"},
        "remarks": (),
    }
    return Card(**{**content, **fields})


def make_entry(name: str = "lsq", *, score: float = 0.925, outcomes: bool = True, **fields: Any) -> Entry:
    record = make_record(name, score=score, **fields)
    return entry_of(None, record, make_outcomes(score) if outcomes else None)
