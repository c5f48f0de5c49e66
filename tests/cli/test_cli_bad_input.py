"""Bad input for every method: one clear line and exit code 2, or a record that says so; never a traceback."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from suite.cli.main import run
from suite.methods import METHODS
from suite.models import MODELS, get_baseline

IDS = METHODS.ids()


def card_of(id: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The card a new user of the method starts with."""
    assert run(["card", "new", "--method", id]) == 0
    path = folder / f"{id}.yaml"
    path.write_text(capsys.readouterr().out)
    return str(path)


def quick(id: str) -> list[str]:
    """The method's own options for a trial of a second, as a person would type them."""
    kind = METHODS.get(id)
    default = kind.Options().to_dict()
    words = {"True": "true", "False": "false", "None": "none"}
    arguments: list[str] = []
    for name, value in kind.Options.quick().to_dict().items():
        if value != default[name]:
            arguments += ["--option", f"{name}={words.get(str(value), value)}"]
    return arguments


def refused(arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line a command prints that ends with exit code 2 and leaves nothing behind."""
    code = run(["evaluate", "--out", str(folder / "runs"), "--quiet", *arguments])
    printed = capsys.readouterr()
    lines = printed.err.strip().splitlines()
    assert code == 2, printed
    assert len(lines) == 1, printed.err
    assert lines[0].startswith("suite: ")
    assert printed.out == ""
    assert not (folder / "runs").exists() or not any((folder / "runs").glob("[a-z]*"))
    return lines[0]


@pytest.mark.parametrize("id", IDS)
def test_more_examples_than_there_are(id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(["--card", card_of(id, tmp_path, capsys), "--set", "examples=1000000"], tmp_path, capsys)
    assert "examples: the card declares 1000000 examples, but the training examples present are" in line


@pytest.mark.parametrize("id", IDS)
def test_options_beyond_their_limits(id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Zero iterations, an empty batch, a negative rate: whatever is below or above what an option allows."""
    card = card_of(id, tmp_path, capsys)
    tried = 0
    for name, field in METHODS.get(id).Options.fields().items():
        beyond = [limit for limit in ((field.minimum, -1), (field.maximum, 1)) if limit[0] is not None]
        for limit, step in beyond:
            value = field.kind(limit) + step
            line = refused(["--card", card, "--option", f"{name}={value}"], tmp_path, capsys)
            assert f"option '{name}' is {value}, expected {field.expectation()}" in line
            tried += 1
    assert tried


@pytest.mark.parametrize("word", ["nan", "inf", "1e999", "", "one", "0x10"])
def test_numbers_that_are_none(word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = card_of("lsq", tmp_path, capsys)
    assert "option 'learning_rate' is" in refused(
        ["--card", card, "--option", f"learning_rate={word}"], tmp_path, capsys
    )


BITS = [
    ("rtn", ["weight_bits=0"], "weight_bits"),
    ("rtn", ["weight_bits=2.5"], "weight_bits"),
    ("rtn", ["weight_bits=1", "signed_range=narrow"], ""),
    ("learned_bits", ["weight_bits=0.5"], "weight_bits: expected a number in [1, 32], found 0.5"),
    ("learned_bits", ["weight_bits=1.5", "allowed_bit_widths=[2,4,8]"], "no choice among the allowed bit-widths"),
    ("learned_bits", ["weight_bits=8.5", "allowed_bit_widths=[2,4,8]"], "no choice among the allowed bit-widths"),
    ("learned_bits", ["allowed_bit_widths=[9]"], "allowed_bit_widths"),
    ("max_feature_map", ["activation_bits=0.5"], "activation_bits"),
]


@pytest.mark.parametrize(("id", "axes", "words"), BITS, ids=str)
def test_bits_that_cannot_be_reached(
    id: str, axes: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assignments = [part for axis in axes for part in ("--set", axis)]
    assert words in refused(["--card", card_of(id, tmp_path, capsys), *assignments], tmp_path, capsys)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("nan weight", "NaN or infinite values in conv1.weight"),
        ("infinite variance", "NaN or infinite values in layer1.0.bn1.running_var"),
        ("negative variance", "the outputs of DigitsResNet are not finite"),
        ("huge weights", "the outputs of DigitsResNet are not finite"),
    ],
)
@pytest.mark.parametrize("id", ["rtn", "flexround"])
def test_weights_that_are_no_network(
    id: str, change: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {name: value.clone() for name, value in get_baseline("digits-resnet").load(10).state_dict().items()}
    if change == "nan weight":
        state["conv1.weight"][0, 0, 0, 0] = torch.nan
    elif change == "infinite variance":
        state["layer1.0.bn1.running_var"][2] = torch.inf
    elif change == "negative variance":
        state["layer1.0.bn1.running_var"][2] = -1.0
    else:
        state["conv1.weight"].mul_(1e38)
    save_file(state, tmp_path / "weights.safetensors")
    arguments = ["--card", card_of(id, tmp_path, capsys), "--weights", str(tmp_path / "weights.safetensors")]
    assert words in refused(arguments, tmp_path, capsys)


NO_LAYER = """
import torch
from torch import nn

class NoLayer(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(classes))

    def forward(self, x):
        return x.flatten(1)[:, : self.gain.numel()] * self.gain
"""


@pytest.mark.parametrize("id", IDS)
def test_a_model_without_any_site(
    id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no_layer_model.py").write_text(NO_LAYER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(MODELS, "_entries", dict(MODELS._entries))
    MODELS.register("no-layer", "no_layer_model:NoLayer")
    monkeypatch.delitem(sys.modules, "no_layer_model", raising=False)
    save_file({"gain": torch.ones(10)}, tmp_path / "gain.safetensors")
    arguments = ["--model", "no-layer", "--weights", str(tmp_path / "gain.safetensors")]
    line = refused(["--card", card_of(id, tmp_path, capsys), *arguments], tmp_path, capsys)
    assert "NoLayer has no site: no convolution and no linear layer lies on the way to its output" in line


RATES = [
    ("lsq", "learning_rate"),
    ("lsq", "step_rate_ratio"),
    ("flexround", "learning_rate"),
    ("adaquant", "learning_rate"),
    ("adaquant_flexround", "learning_rate"),
    ("adaround", "learning_rate"),
    ("adaround", "activation_learning_rate"),
    ("flexround", "activation_learning_rate"),
]


@pytest.mark.parametrize(("id", "option"), RATES)
def test_a_rate_that_diverges(id: str, option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not a mistake of the command: a record that says `diverged`, without a score, and exit code 1."""
    code = run([
        "evaluate", "--card", card_of(id, tmp_path, capsys), "--out", str(tmp_path / "runs"), "--json",
        *quick(id), "--option", f"{option}=1e30",
    ])  # fmt: skip
    printed = capsys.readouterr()
    data = json.loads(printed.out)
    assert code == 1
    assert "Traceback" not in printed.err
    assert data["status"] == "diverged"
    assert data["score"] is None
    assert "loss" in data["message"] or "has grown to" in data["message"]
    assert "\n" not in data["message"]
