"""The float model answers once for all runs that begin from it, and again wherever its answers cannot be trusted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from suite.cards import load_card
from suite.harness import evaluate as evaluate_module
from suite.harness.evaluate import FLOAT_MODEL, Evaluation, evaluate
from suite.harness.float_answers import FIGURES, FOLDER
from suite.harness.request import resolve
from suite.records import Store

CARD = Path(__file__).parents[2] / "cards" / "rtn.yaml"
LABELS = 773
"""Test images of the embedded digits."""


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The labels of all evaluations, in their order."""
    labels: list[str] = []
    original = evaluate_module._Run.answers

    def answers(run: evaluate_module._Run, model: nn.Module, label: str, batch_size: int) -> Tensor:
        labels.append(label)
        return original(run, model, label, batch_size)

    monkeypatch.setattr(evaluate_module._Run, "answers", answers)
    return labels


def run(root: Path, bits: int, *, force: bool = False, weights: Path | None = None) -> Evaluation:
    request = resolve(load_card(CARD), assignments=[f"weight_bits={bits}"], weights=weights)
    return evaluate(request, root, force=force)


def file_in(root: Path) -> Path:
    (file,) = (root / FOLDER).iterdir()
    return file


def test_the_second_run_reads_what_the_first_one_measured(tmp_path: Path, evaluated: list[str]) -> None:
    first, second = run(tmp_path, 8), run(tmp_path, 4)
    assert evaluated.count(FLOAT_MODEL) == 1
    alone = run(tmp_path, 4, force=True)
    assert evaluated.count(FLOAT_MODEL) == 2
    assert second.record.content() == alone.record.content()
    assert second.record.float_score == first.record.float_score
    outcomes = [Store(tmp_path).outcomes(one.record.run_id) for one in (first, second)]
    assert outcomes[0] is not None
    assert outcomes[1] is not None
    assert (outcomes[0].float_correct == outcomes[1].float_correct).all()


def test_other_weights_have_answers_of_their_own(tmp_path: Path, evaluated: list[str]) -> None:
    first = run(tmp_path, 8)
    baseline = Path(__file__).parents[2] / "baselines" / "digits-resnet" / "weights.safetensors"
    changed = {name: value * (0.5 if value.is_floating_point() else 1) for name, value in load_file(baseline).items()}
    save_file(changed, tmp_path / "other.safetensors")
    second = run(tmp_path, 8, weights=tmp_path / "other.safetensors")
    assert evaluated.count(FLOAT_MODEL) == 2
    assert second.record.float_score != first.record.float_score
    assert len(list((tmp_path / FOLDER).iterdir())) == 2


def damage(kind: str, file: Path) -> None:
    tensors = load_file(file)
    with safe_open(file, framework="pt") as held:
        figures = held.metadata()[FIGURES]
    if kind == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif kind == "not a file of tensors":
        file.write_bytes(b"\x80\x04.")
    elif kind == "other name":
        save_file({"right": tensors["correct"]}, file, {FIGURES: figures})
    elif kind == "too few":
        save_file({"correct": tensors["correct"][1:]}, file, {FIGURES: figures})
    elif kind == "other type":
        save_file({"correct": tensors["correct"].to(torch.uint8)}, file, {FIGURES: figures})
    elif kind == "no figures":
        save_file(tensors, file)
    elif kind == "figures that are no numbers":
        save_file(tensors, file, {FIGURES: json.dumps({"loss": "low"})})
    elif kind == "figures that are not finite":
        save_file(tensors, file, {FIGURES: '{"loss": NaN}'})
    elif kind == "huge":
        with file.open("ab") as end:
            end.truncate(2**30)
    elif kind == "a link":
        file.rename(file.with_name("elsewhere"))
        file.symlink_to(file.with_name("elsewhere"))
    else:
        file.unlink()
        file.mkdir()


@pytest.mark.parametrize(
    "kind",
    [
        "cut",
        "not a file of tensors",
        "other name",
        "too few",
        "other type",
        "no figures",
        "figures that are no numbers",
        "figures that are not finite",
        "huge",
        "a link",
        "a folder",
    ],
)
def test_damaged_answers_are_measured_again(kind: str, tmp_path: Path, evaluated: list[str]) -> None:
    whole = run(tmp_path, 8)
    damage(kind, file_in(tmp_path))
    again = run(tmp_path, 4)
    assert evaluated.count(FLOAT_MODEL) == 2
    assert again.record.float_score == whole.record.float_score


def test_a_folder_that_cannot_be_made_costs_an_evaluation_alone(tmp_path: Path, evaluated: list[str]) -> None:
    (tmp_path / FOLDER).write_text("a file where a folder should be", encoding="utf-8")
    assert run(tmp_path, 8).record.score is not None
    assert run(tmp_path, 4).record.score is not None
    assert evaluated.count(FLOAT_MODEL) == 2


def test_nothing_temporary_is_left(tmp_path: Path) -> None:
    run(tmp_path, 8)
    assert file_in(tmp_path).suffix == ".safetensors"
    assert file_in(tmp_path).stat().st_size < LABELS + 1024
    assert str(os.getpid()) not in file_in(tmp_path).name
