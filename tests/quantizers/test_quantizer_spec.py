"""The vocabulary of quantizers: limits, levels, refusals, round trip; and that it needs no torch."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from suite.errors import SuiteError
from suite.quantizers import GradientMask, QuantizerSpec, StepRule


@pytest.mark.parametrize(
    ("spec", "limits", "levels"),
    [
        (QuantizerSpec(4, signed=True, symmetric=True), (-7, 7), 15),
        (QuantizerSpec(4, signed=True, symmetric=True, narrow=False), (-8, 7), 16),
        (QuantizerSpec(4, signed=False, symmetric=True), (0, 15), 16),
        (QuantizerSpec(4, signed=True, symmetric=False), (-8, 7), 16),
        (QuantizerSpec(4, signed=False, symmetric=False), (0, 15), 16),
        (QuantizerSpec(16, signed=True, symmetric=True), (-32767, 32767), 65535),
        (QuantizerSpec(4, signed=True, symmetric=True, extra_level=True), (-8, 8), 17),
        (QuantizerSpec(4, signed=False, symmetric=True, extra_level=True), (0, 15), 16),
        (QuantizerSpec(4, signed=False, symmetric=False, extra_level=True), (0, 15), 16),
        (QuantizerSpec(1, signed=True, symmetric=True), (-1, 1), 2),
        (QuantizerSpec(1, signed=True, symmetric=True, narrow=False, extra_level=True), (-1, 1), 2),
        (QuantizerSpec(1, signed=False, symmetric=True), (0, 1), 2),
        (QuantizerSpec(1, signed=True, symmetric=False), (-1, 0), 2),
    ],
)
def test_limits_and_levels(spec: QuantizerSpec, limits: tuple[int, int], levels: int) -> None:
    assert (spec.qmin, spec.qmax) == limits
    assert spec.levels == levels


def test_extra_level_clips_half_a_step_inside_the_last_code() -> None:
    quirk = QuantizerSpec(
        3, signed=True, symmetric=True, extra_level=True,
        step_rule=StepRule.TWO_MAX_OVER_LEVELS, mask=GradientMask.CLIP_THEN_ROUND,
    )  # fmt: skip
    assert quirk.clip_limits == (-3.5, 3.5)
    assert (quirk.qmin, quirk.qmax) == (-4, 4)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"bits": 0}, "0 bits"),
        ({"bits": 9}, "9 bits"),
        ({"bits": True}, "True bits"),
        ({"bits": 4.0}, "4.0 bits"),
        ({"bits": 32}, "32 bits"),
        ({"granularity": "per-group"}, "group size"),
        ({"group_size": 32}, "group size"),
        ({"granularity": "per-group", "group_size": 0}, "0 weights"),
        ({"granularity": "per-row"}, "per-row"),
        ({"granularity": "per-token"}, "dynamic"),
        ({"dynamic": True, "range_rule": "ema-min-max"}, "ema-min-max"),
        ({"dynamic": True, "range_rule": "learned-step"}, "learned-step"),
        ({"percentile": 50.0}, "percentile"),
        ({"percentile": 100.5}, "percentile"),
        ({"mask": "not-applicable"}, "clip-then-round"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_refusals_name_what_is_wrong(values: dict[str, object], words: str) -> None:
    with pytest.raises(SuiteError, match=words):
        QuantizerSpec.from_dict({"bits": 4, "signed": True, "symmetric": True, **values})


def test_missing_entries_are_named() -> None:
    with pytest.raises(SuiteError, match="signed, symmetric"):
        QuantizerSpec.from_dict({"bits": 4})


def test_round_trip_through_json() -> None:
    spec = QuantizerSpec.from_dict(
        {"bits": 3, "signed": True, "symmetric": False, "granularity": "per-group", "group_size": 8,
         "range_rule": "mse", "mask": "clip-then-round", "step_gradient_scale": "features"}
    )  # fmt: skip
    assert QuantizerSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_vocabulary_does_not_import_torch() -> None:
    code = "import sys, suite.quantizers, suite.quantizers.spec; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
