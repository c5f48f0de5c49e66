"""CIFAR-10 from both layouts on disk, whole or partial, and what happens when it is missing or broken."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from suite.cli.download import command as download_command
from suite.errors import DataMissing, SuiteError
from suite.tasks import Split, get_task
from suite.tasks.cifar10_files import read_cifar10
from suite.torchvision_shim import ensure_torchvision


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, 32, 32, 3] and labels."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), generator.integers(0, 10, count)


def write_batch(folder: Path, name: str, images: np.ndarray, labels: np.ndarray, protocol: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.stack([image.transpose(2, 0, 1).reshape(3072) for image in images])
    content = {"batch_label": name, "labels": [int(label) for label in labels], "data": rows, "filenames": ["x"]}
    (folder / name).write_bytes(pickle.dumps(content, protocol=protocol))


def write_sheet(folder: Path, split: str, number: int, images: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sheet = np.zeros((25 * 32, 40 * 32, 3), np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, 40)
        sheet[row * 32 : row * 32 + 32, column * 32 : column * 32 + 32] = image
    Image.fromarray(sheet).save(folder / f"{split}_{number:02d}.webp", lossless=True, quality=0, method=0)


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """The same 3,000 images (train 0-999 and 40,000-40,999, test 0-999) in both layouts."""
    root = tmp_path_factory.mktemp("cifar")
    parts = {("train", 0): draw(1000, 0), ("train", 40): draw(1000, 1), ("test", 0): draw(1000, 2)}
    batches, sheets = root / "batches" / "cifar-10-batches-py", root / "sheets" / "cifar10"
    for name, key in (("data_batch_1", ("train", 0)), ("data_batch_5", ("train", 40)), ("test_batch", ("test", 0))):
        write_batch(batches, name, *parts[key])
    for (split, number), (images, _) in parts.items():
        write_sheet(sheets, split, number, images)
    train_labels = np.zeros(50_000, int)
    train_labels[:1000], train_labels[40_000:41_000] = parts["train", 0][1], parts["train", 40][1]
    (sheets / "train_labels.txt").write_text("\n".join(map(str, train_labels)) + "\n")
    (sheets / "test_labels.txt").write_text("\n".join(map(str, parts["test", 0][1])) + "\n")
    return root / "batches", root / "sheets", parts


def test_both_layouts_give_the_same_pixels_labels_ids_and_hashes(copies):
    batches, sheets, parts = copies
    for id in ("cifar10", "cifar10-clean40k"):
        one, other = get_task(id, batches), get_task(id, sheets)
        assert one.data_hash == other.data_hash
        assert one.identity == other.identity
    train, test = read_cifar10("cifar10", sheets)
    assert train.ids.tolist() == [*range(1000), *range(40_000, 41_000)]
    assert test.ids.tolist() == list(range(50_000, 51_000))
    assert np.array_equal(train.pixels[:1000].transpose(0, 2, 3, 1), parts["train", 0][0])
    assert np.array_equal(train.labels[1000:], parts["train", 40][1])
    assert np.array_equal(test.pixels.transpose(0, 2, 3, 1), parts["test", 0][0])


def test_the_official_split_tests_on_official_test_images_and_the_clean_split_does_not_read_them(copies):
    batches = copies[0]
    official, clean = get_task("cifar10", batches), get_task("cifar10-clean40k", batches)
    assert official.train_size == 2000
    assert official.split(Split.TEST).ids.tolist() == list(range(50_000, 51_000))
    assert clean.train_size == 1000
    assert clean.split(Split.TRAIN).ids.tolist() == clean.split(Split.CALIBRATION).ids.tolist() == list(range(1000))
    assert clean.split(Split.TEST).ids.tolist() == list(range(40_000, 41_000))
    assert official.identity != clean.identity


def test_a_partial_copy_says_so_and_has_another_hash(copies, tmp_path):
    batches, _, parts = copies
    task = get_task("cifar10", batches)
    assert task.notes == (
        "partial copy: 2,000 of 50,000 train images are present",
        "partial copy: 1,000 of 10,000 test images are present",
    )
    smaller = tmp_path / "cifar-10-batches-py"
    write_batch(smaller, "data_batch_1", *parts["train", 0])
    write_batch(smaller, "test_batch", *parts["test", 0])
    less = get_task("cifar10", tmp_path)
    assert less.train_size == 1000
    assert less.data_hash != task.data_hash


def test_the_folder_itself_may_be_named_and_the_variable_is_a_fallback(copies, monkeypatch):
    batches, sheets, _ = copies
    expected = get_task("cifar10", batches).data_hash
    assert get_task("cifar10", batches / "cifar-10-batches-py").data_hash == expected
    assert get_task("cifar10", sheets / "cifar10").data_hash == expected
    monkeypatch.setenv("SUITE_DATA", str(sheets))
    assert get_task("cifar10").data_hash == expected


def test_missing_data_says_what_was_looked_for_where_and_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.delenv("SUITE_DATA", raising=False)
    with pytest.raises(DataMissing, match=r"--data DIR or SUITE_DATA.*suite download cifar10"):
        get_task("cifar10")
    with pytest.raises(DataMissing) as missing:
        get_task("cifar10-clean40k", tmp_path)
    text = str(missing.value)
    assert str(tmp_path) in text
    assert "cifar-10-batches-py/data_batch_1" in text
    assert "suite download cifar10-clean40k DIR" in text


def test_a_copy_without_test_images_of_a_split_is_missing_data(copies, tmp_path):
    write_batch(tmp_path / "cifar-10-batches-py", "data_batch_1", *copies[2]["train", 0])
    for id in ("cifar10", "cifar10-clean40k"):
        with pytest.raises(DataMissing, match=f"no test image of '{id}'"):
            get_task(id, tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "no CIFAR-10 batch"),
        ({"labels": [1]}, "'data' is not an array"),
        ({"data": np.zeros((1, 3072), np.int16), "labels": [1]}, "'data' is not an array"),
        ({"data": np.zeros((1, 3071), np.uint8), "labels": [1]}, "'data' is not an array"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, "one label for each"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [10]}, "from 0 to 9"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [True]}, "from 0 to 9"),
        ({"data": np.zeros((0, 3072), np.uint8), "labels": []}, "one label for each"),
    ],
)
def test_a_broken_batch_is_named_with_its_fault(tmp_path, content, message):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(pickle.dumps(content, protocol=4))
    with pytest.raises(SuiteError, match=message) as refused:
        get_task("cifar10", tmp_path)
    assert "data_batch_1" in str(refused.value)


def test_a_batch_that_runs_something_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(b"cos\nsystem\n(S'touch OWNED'\ntR.")
    with pytest.raises(SuiteError, match=r"asks for os\.system"):
        get_task("cifar10", tmp_path)
    assert not (tmp_path / "OWNED").exists()


def test_broken_sheets_are_named_with_their_fault(copies, tmp_path):
    folder = tmp_path / "cifar10"
    folder.mkdir()
    (folder / "train_labels.txt").write_text("1\n" * 1000)
    Image.new("RGB", (64, 64)).save(folder / "train_00.webp", lossless=True)
    with pytest.raises(SuiteError, match=r"train_00\.webp is 64x64 pixels"):
        get_task("cifar10", tmp_path)
    (folder / "train_00.webp").write_bytes(b"RIFF no picture")
    with pytest.raises(SuiteError, match=r"train_00\.webp is not a readable WebP"):
        get_task("cifar10", tmp_path)
    Image.new("RGB", (1280, 800)).save(folder / "train_00.webp", format="PNG")
    with pytest.raises(SuiteError, match="not a readable WebP"):
        get_task("cifar10", tmp_path)
    write_sheet(folder, "train", 0, copies[2]["train", 0][0])
    (folder / "train_labels.txt").write_text("1\n" * 999)
    with pytest.raises(SuiteError, match=r"train_labels\.txt ends before"):
        get_task("cifar10", tmp_path)
    (folder / "train_labels.txt").write_text("1\n" * 999 + "11\n")
    with pytest.raises(SuiteError, match="from 0 to 9"):
        get_task("cifar10", tmp_path)
    (folder / "train_labels.txt").write_text("1\n" * 1000)
    (folder / "train_00.webp").rename(folder / "train_50.webp")
    with pytest.raises(SuiteError, match="not one of the 50 sheets"):
        get_task("cifar10", tmp_path)


def run_download(*arguments: str):
    return CliRunner().invoke(download_command, arguments, standalone_mode=False)


def test_a_download_asks_torchvision_for_exactly_this(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(ensure_torchvision().datasets, "CIFAR10", lambda **options: calls.append(options))
    answer = run_download("cifar10-clean40k", str(tmp_path / "new"), "--json")
    assert calls == [{"root": str(tmp_path / "new"), "train": True, "download": True}]
    assert json.loads(answer.stdout) == {"task": "cifar10-clean40k", "data": str(tmp_path / "new")}


def test_a_failed_download_and_an_undownloadable_task_are_clear(tmp_path, monkeypatch):
    def fail(**options):
        raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr(ensure_torchvision().datasets, "CIFAR10", fail)
    failed = run_download("cifar10", str(tmp_path))
    assert isinstance(failed.exception, SuiteError)
    assert "could not be fetched: File not found or corrupted." in str(failed.exception)
    refused = run_download("digits", str(tmp_path / "never"))
    assert "nothing to download" in str(refused.exception)
    assert not (tmp_path / "never").exists()


@pytest.mark.skipif("SUITE_DATA" not in os.environ, reason="needs the packed CIFAR-10 that SUITE_DATA names")
def test_the_real_packed_copy_has_the_images_its_description_promises():
    task = get_task("cifar10-clean40k", os.environ["SUITE_DATA"])
    assert task.train_size == 20_000
    labels = task.split(Split.TEST).labels
    assert len(labels) == 10_000
    # The first official train images are a frog, a truck, a truck, a deer.
    assert task.split(Split.TRAIN).labels[:4].tolist() == [6, 9, 9, 4]
