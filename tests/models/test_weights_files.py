"""Weights files: what is read, what is refused, and in which words."""

from __future__ import annotations

import hashlib
import os
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from suite.errors import DataMissing, WeightsError
from suite.models import build_model
from suite.models import weights as weights_module
from suite.models.weights import load_weights, read_weights, save_weights, state_hash, weights_hash


@pytest.fixture
def model():
    return build_model("digits-resnet", seed=5)


def same(left: torch.nn.Module, right: torch.nn.Module) -> bool:
    other = right.state_dict()
    return all(torch.equal(value, other[name]) for name, value in left.state_dict().items())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state},
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}, "best": 0.9},
        lambda state: {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")},
    ],
    ids=["plain", "state_dict", "model", "module.", "both", "without counters"],
)
def test_the_usual_wrappers_are_taken_off(tmp_path, model, wrap):
    file = tmp_path / "weights.pt"
    torch.save(wrap(model.state_dict()), file)
    assert same(build_model("digits-resnet", weights=file), model)


def test_safetensors_are_written_and_read_back_bit_for_bit(tmp_path, model):
    file = tmp_path / "weights.safetensors"
    save_weights(model, file)
    found = build_model("digits-resnet", weights=file)
    assert same(found, model)
    assert state_hash(found) == state_hash(model)
    assert state_hash(build_model("digits-resnet", seed=6)) != state_hash(model)


def test_the_old_torch_format_is_read(tmp_path, model):
    file = tmp_path / "weights.pt"
    torch.save(model.state_dict(), file, _use_new_zipfile_serialization=False)
    assert same(build_model("digits-resnet", weights=file), model)


def test_the_hash_of_weights_is_the_sha256_of_the_file(tmp_path):
    file = tmp_path / "weights.pt"
    file.write_bytes(b"anything")
    assert weights_hash(file) == hashlib.sha256(b"anything").hexdigest()


def test_names_and_shapes_that_do_not_fit_are_named(tmp_path, model):
    state = model.state_dict()
    del state["conv1.weight"]
    state["extra"] = torch.zeros(1)
    state["linear.weight"] = torch.zeros(7, 32)
    file = tmp_path / "weights.safetensors"
    save_file(state, file)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(WeightsError) as refused:
        load_weights(model, file)
    text = str(refused.value)
    assert "does not fit DigitsResNet" in text
    assert "missing conv1.weight" in text
    assert "unexpected extra" in text
    assert "linear.weight is 7x32, expected 10x32" in text
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_many_wrong_names_are_counted_and_not_listed(tmp_path):
    file = tmp_path / "weights.safetensors"
    save_weights(build_model("resnet20"), file)
    with pytest.raises(WeightsError, match=r"and \d+ more") as refused:
        build_model("digits-resnet", weights=file)
    assert len(str(refused.value)) < 1000
    assert "another architecture" in str(refused.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_of_a_diverged_training_are_refused(tmp_path, model, value):
    state = model.state_dict()
    state["layer1.0.conv1.weight"][0, 0, 0, 0] = value
    file = tmp_path / "weights.pt"
    torch.save(state, file)
    with pytest.raises(WeightsError, match=r"NaN or infinite values in layer1\.0\.conv1\.weight"):
        read_weights(file)


class Evil:
    def __reduce__(self):
        return os.system, ("touch OWNED",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_runs_something_is_refused_and_runs_nothing(tmp_path, monkeypatch, zipped):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "weights.pt"
    torch.save({"conv1.weight": Evil()}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match="not a plain weights file"):
        read_weights(file)
    assert not (tmp_path / "OWNED").exists()


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights", b"\x80\x02}", b"PK\x03\x04 torn", b"\xff" * 100])
def test_damaged_files_end_in_one_clear_line(tmp_path, name, content):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(WeightsError) as refused:
        read_weights(file)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [[1, 2], {}, {"a": 1}, {"state_dict": {}}, {3: torch.zeros(1)}, torch.zeros(2)])
def test_files_without_a_state_dict_are_refused(tmp_path, content):
    file = tmp_path / "weights.pt"
    torch.save(content, file)
    with pytest.raises(WeightsError, match=r"no state dict|not a tensor with a name"):
        read_weights(file)


def test_a_whole_model_is_refused(tmp_path, model):
    file = tmp_path / "weights.pt"
    torch.save(model, file)
    with pytest.raises(WeightsError, match="not a plain weights file"):
        read_weights(file)


def test_an_archive_that_unpacks_to_more_than_the_limit_is_not_unpacked(tmp_path, monkeypatch):
    file = tmp_path / "weights.pt"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 3_000_000)
    assert file.stat().st_size < 10_000
    monkeypatch.setattr(weights_module, "LARGEST_BYTES", 2_000_000)
    with pytest.raises(WeightsError, match="holds 3000000 bytes"):
        read_weights(file)


def test_missing_files_and_folders_are_missing_data(tmp_path):
    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(DataMissing, match="no weights file at"):
            read_weights(path)
