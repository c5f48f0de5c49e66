"""A record as a run would leave it, for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from suite.records import Record, Status, pack_outcomes

FLOAT_CORRECT = np.array([1, 1, 1, 0, 1, 1, 0, 1, 1, 1], dtype=bool)
CORRECT = np.array([1, 0, 1, 0, 1, 1, 1, 1, 0, 1], dtype=bool)


def make_record(**changed: Any) -> Record:
    fields: dict[str, Any] = {
        "run_id": "rtn-digits-digits-resnet-s0-0123456789",
        "status": Status.COMPLETED,
        "method": "rtn",
        "options": {"epochs": 2, "start": None},
        "task": "digits",
        "model": "digits-resnet",
        "seed": 0,
        "setting": {"weight_bits": 4, "allowed_bit_widths": (2, 4), "time_limit": 1.0, "labels": "unlabeled"},
        "metric": "top-1 accuracy",
        "float_score": 0.8,
        "score": 0.7,
        "difference": -0.1,
        "difference_interval": (-0.3, 0.1),
        "average_weight_bits": 4.25,
        "model_bytes": 5000,
        "audit": {
            "verdict": "verified",
            "axes": {
                "weight_bits": {"declared": 4, "observed": 4, "verdict": "verified", "evidence": "16 levels"},
                "time_limit": {"declared": 1.0, "observed": 0.31, "verdict": "verified", "evidence": "0.31 epochs"},
            },
        },
        "costs": {"seconds": 1.5, "epoch_fraction": 0.31, "peak_bytes": 10**8, "examples": 1024, "labels": False},
        "identity": {"method": "rtn", "setting": {"weight_bits": 4}, "threads": 1},
        "environment": {"torch": "2.13.0", "threads": 1},
        "plan": [{"site": "conv:weight", "bits": 4}],
        "command": "suite evaluate --card card.yaml",
        "started": "2026-01-02T03:04:05Z",
        "outcomes": "outcomes.npz",
    }
    return Record(**{**fields, **changed})


@pytest.fixture
def record() -> Record:
    return make_record()


@pytest.fixture
def build() -> Callable[..., Record]:
    return make_record


@pytest.fixture
def files() -> dict[str, bytes]:
    return {"outcomes.npz": pack_outcomes(FLOAT_CORRECT, CORRECT), "card.yaml": b"card: 1\n"}
