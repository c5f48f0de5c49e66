"""A folder of synthetic records with a plan and an account as long as real ones, written without running anything."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
from bits_samples import per_layer
from report_samples import PLAN, make_record

METHODS = ("adaround", "easyquant", "flexround", "lsq", "lsq_mse", "mse", "pact", "rtn")
MODELS = ("digits-resnet", "digits-vit")
BITS = (2, 3, 4, 8)
RANGES = ("min-max", "mse")
SKIPS = ("quantized", "full-precision")
FIRST = ("8-bit", "same", "full-precision")
GRANULARITY = ("per-channel", "per-tensor")
LENGTH_OF_PLAN = 60


def expected_score(method: str, bits: int, skip: str, granularity: str) -> float:
    """The score before noise: every factor adds its own part."""
    return (
        0.96
        - 0.16 / bits
        + 0.004 * METHODS.index(method) / len(METHODS)
        - (0.02 if skip == "quantized" else 0.0)
        - (0.015 if granularity == "per-tensor" else 0.0)
    )


def write_records(root: Path, count: int) -> None:
    """`count` records under `root`, one folder each, in the order of a full crossing of everything above."""
    base = make_record(bits=per_layer().to_dict()).to_dict()
    base["plan"] = [dict(PLAN[0], site=f"layer{place}:weight") for place in range(LENGTH_OF_PLAN)]
    sources = {f"suite/methods/engines/part{place}.py": "a" * 64 for place in range(30)}
    generator = np.random.default_rng(0)
    crossing = itertools.product(range(100), MODELS, BITS, RANGES, SKIPS, FIRST, GRANULARITY, METHODS)
    for seed, model, bits, rule, skip, first, granularity, method in itertools.islice(crossing, count):
        changes = {
            "weight_bits": bits,
            "activation_range": rule,
            "skip_connection": skip,
            "residual_connection": skip,
            "first_layer_weights": first,
            "weight_granularity": granularity,
        }
        digest = hashlib.sha256(json.dumps([seed, model, method, changes]).encode()).hexdigest()
        run_id = f"{method}-digits-{model}-s{seed}-{digest[:10]}"
        score = expected_score(method, bits, skip, granularity) + 0.004 * float(generator.standard_normal())
        record: dict[str, Any] = {
            **base,
            "run_id": run_id,
            "method": method,
            "model": model,
            "seed": seed,
            "setting": {**base["setting"], **changes},
            "identity": {"weights": model, "data": "d" * 64, "sources": sources},
            "score": score,
            "difference": score - 0.975,
            "difference_interval": [score - 0.985, score - 0.965],
            "average_weight_bits": bits + float(generator.random()),
            "model_bytes": int(2000 * bits * (1 + generator.random())),
            "feature_map_largest_bytes": int(4096 * (1 + generator.random())),
            "costs": {"seconds": float(generator.random() * 90), "epoch_fraction": float(generator.random())},
            "command": f"suite evaluate --card card.yaml --method {method} --model {model} --seed {seed}",
            "started": f"2026-01-02T03:{seed % 60:02}:05Z",
        }
        folder = root / run_id
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(record, indent=2), encoding="utf-8")


def unpacked(column: dict[str, Any]) -> list[Any]:
    """What the script of the page makes of a column."""
    if "codes" in column:
        return [column["distinct"][code] for code in column["codes"]]
    if "shared" in column:
        texts = [""]
        for count, rest in zip(column["shared"][::2], column["shared"][1::2], strict=True):
            texts.append(texts[-1][:count] + rest)
        return texts[1:]
    return list(column["values"])
