"""`suite audit`: a saved model against the card it was made under, and against others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from suite.cli.main import run

CARD = str(Path(__file__).parents[2] / "cards" / "rtn.yaml")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    four = ["--set", "weight_bits=4", "--set", "activation_bits=4", "--set", "time_limit=1000"]
    assert run(["evaluate", "--card", CARD, *four, "--out", str(root), "--save-model", "--quiet"]) == 0
    (file,) = root.glob("*/model.safetensors")
    return file.parent


def test_a_saved_model_keeps_its_own_card(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", str(saved), "--card", str(saved / "card.yaml"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "verified"
    assert report["axes"]["weight_bits"]["verdict"] == "verified"
    assert report["axes"]["labels"]["verdict"] == "not observable"
    record = json.loads((saved / "record.json").read_text())
    assert report["figures"]["model_bytes"] == record["model_bytes"]
    assert report["figures"]["average_weight_bits"] == record["average_weight_bits"]


def test_scales_of_channels_contradict_a_card_of_tensors(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["audit", str(saved), "--card", str(saved / "card.yaml"), "--set", "weight_granularity=per-tensor"]
    assert run(arguments) == 1
    printed = capsys.readouterr().out
    assert "audit: contradicted" in printed
    assert any(line.startswith("contradicted") and "weight_granularity" in line for line in printed.splitlines())


def test_another_plan_does_not_fit_the_file(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["audit", str(saved), "--card", str(saved / "card.yaml"), "--set", "network_output=8-bit"]
    assert run(arguments) == 2
    assert "was not saved from the model of this card" in capsys.readouterr().err


def test_tensors_of_the_wrong_shape_are_refused_in_one_line(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = load_file(saved / "model.safetensors")
    state["conv1.weight"] = state["conv1.weight"][:3].clone()
    save_file(state, tmp_path / "cut.safetensors")
    assert run(["audit", str(tmp_path / "cut.safetensors"), "--card", str(saved / "card.yaml")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_scale_that_cannot_broadcast_is_refused_in_one_line(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = load_file(saved / "model.safetensors")
    name = next(name for name in state if name.endswith("weight_quantizer.scale"))
    state[name] = state[name].reshape(-1)[:7].reshape(1, 7).clone()
    save_file(state, tmp_path / "bent.safetensors")
    assert run(["audit", str(tmp_path / "bent.safetensors"), "--card", str(saved / "card.yaml")]) == 2
    assert "does not run as the model of this card" in capsys.readouterr().err


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", str(tmp_path), "--card", CARD]) == 2
    assert "model.safetensors" in capsys.readouterr().err
