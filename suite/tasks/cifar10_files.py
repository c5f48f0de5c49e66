"""Tasks: reading CIFAR-10 from disk, in the official python-batch layout or packed in lossless image sheets.

Both layouts give the same examples with the same ids: an official train image is called by its index 0-49,999, an
official test image by 50,000 + its index. Files are checked before they are decoded; batches go through a reader that
can build arrays and plain containers and nothing else.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import DataMissing, SuiteError
from suite.tasks.classification import RawExamples
from suite.tasks.plain_pickle import load_plain_pickle

OFFICIAL_TRAIN = 50_000
OFFICIAL_TEST = 10_000
BATCH_FOLDER = "cifar-10-batches-py"  # what torchvision and the official archive call it
SHEET_FOLDER = "cifar10"
_BATCH_IMAGES = 10_000
_SHEET_ROWS, _SHEET_COLUMNS, _SIDE = 25, 40, 32
_SHEET_IMAGES = _SHEET_ROWS * _SHEET_COLUMNS
_LARGEST_BATCH_BYTES = 64 * 2**20
_LARGEST_SHEET_BYTES = 16 * 2**20
_LARGEST_LABELS_BYTES = 2**20


def read_cifar10(task: str, root: Path | None, *, with_test: bool = True) -> tuple[RawExamples, RawExamples]:
    """Train and test images present below `root`, in the order of their ids."""
    how = f"suite download {task} DIR, then --data DIR or SUITE_DATA=DIR"
    if root is None:
        raise DataMissing(
            f"'{task}' needs a data folder, and none is given", hint=f"--data DIR or SUITE_DATA; to get it: {how}"
        )
    batches = next((folder for folder in (root / BATCH_FOLDER, root) if (folder / "data_batch_1").is_file()), None)
    if batches is not None:
        return _read_batches(batches, with_test)
    sheets = next((folder for folder in (root / SHEET_FOLDER, root) if (folder / "train_labels.txt").is_file()), None)
    if sheets is not None:
        return _read_sheets(sheets, with_test)
    raise DataMissing(
        f"'{task}' was looked for as {BATCH_FOLDER}/data_batch_1 and as {SHEET_FOLDER}/train_labels.txt in {root}",
        hint=how,
    )


def _read_batches(folder: Path, with_test: bool) -> tuple[RawExamples, RawExamples]:
    train = [
        _read_batch(file, first=(number - 1) * _BATCH_IMAGES)
        for number in range(1, 6)
        if (file := folder / f"data_batch_{number}").is_file()
    ]
    file = folder / "test_batch"
    test = [_read_batch(file, first=OFFICIAL_TRAIN)] if with_test and file.is_file() else []
    return _join(train), _join(test)


def _read_batch(file: Path, first: int) -> RawExamples:
    """One batch: {"data": uint8 [N, 3072] (red, green, blue planes), "labels": N integers}, N at most 10,000."""
    content = load_plain_pickle(file, _LARGEST_BATCH_BYTES)
    if not isinstance(content, dict):
        raise SuiteError(f"{file} holds no CIFAR-10 batch")
    # Python 2 wrote the official keys; they arrive as bytes or as text.
    fields: dict[str, Any] = {
        key.decode("latin-1") if isinstance(key, bytes) else str(key): content[key] for key in content
    }
    data, labels = fields.get("data"), fields.get("labels")
    if (
        not isinstance(data, np.ndarray)
        or data.dtype != np.uint8
        or data.ndim != 2
        or data.shape[1] != 3 * _SIDE * _SIDE
    ):
        raise SuiteError(f"{file}: 'data' is not an array of uint8 [N, {3 * _SIDE * _SIDE}]")
    if not isinstance(labels, list) or len(labels) != len(data) or not 0 < len(data) <= _BATCH_IMAGES:
        raise SuiteError(f"{file}: 'labels' does not list one label for each of 1 to {_BATCH_IMAGES} images")
    if any(type(label) is not int or not 0 <= label < 10 for label in labels):
        raise SuiteError(f"{file}: a label is not an integer from 0 to 9")
    ids = np.arange(first, first + len(data), dtype=np.int64)
    return RawExamples(data.reshape(-1, 3, _SIDE, _SIDE), np.array(labels, dtype=np.int64), ids)


def _read_sheets(folder: Path, with_test: bool) -> tuple[RawExamples, RawExamples]:
    train = _read_sheet_split(folder, "train", OFFICIAL_TRAIN, first=0)
    test = _read_sheet_split(folder, "test", OFFICIAL_TEST, first=OFFICIAL_TRAIN) if with_test else _join([])
    return train, test


def _read_sheet_split(folder: Path, split: str, whole: int, first: int) -> RawExamples:
    """Sheets `split_00.webp` … of 1,000 images, and `split_labels.txt` with the labels from index 0 on."""
    labels_file = folder / f"{split}_labels.txt"
    if not labels_file.is_file():
        return _join([])
    labels = _read_labels(labels_file)
    parts = []
    for file in sorted(folder.glob(f"{split}_*.webp")):
        match = re.fullmatch(rf"{split}_([0-9]{{2}})\.webp", file.name)
        start = int(match[1]) * _SHEET_IMAGES if match else whole
        if start >= whole:
            raise SuiteError(f"{file} is not one of the {whole // _SHEET_IMAGES} sheets of the {split} images")
        if start + _SHEET_IMAGES > len(labels):
            raise SuiteError(f"{labels_file} ends before the images of {file.name}", hint="the copy is damaged")
        ids = np.arange(first + start, first + start + _SHEET_IMAGES, dtype=np.int64)
        parts.append(RawExamples(_read_sheet(file), labels[start : start + _SHEET_IMAGES], ids))
    return _join(parts)


def _read_sheet(file: Path) -> NDArray[np.uint8]:
    """uint8 [1000, 3, 32, 32] from one lossless sheet of 25 rows and 40 columns."""
    from PIL import Image, UnidentifiedImageError

    if file.stat().st_size > _LARGEST_SHEET_BYTES:
        raise SuiteError(f"{file} is larger than {_LARGEST_SHEET_BYTES} bytes")
    try:
        with Image.open(file, formats=["WEBP"]) as image:
            # The size stands in the header; a wrong one is refused before any pixel is decoded.
            if image.size != (_SHEET_COLUMNS * _SIDE, _SHEET_ROWS * _SIDE):
                raise SuiteError(f"{file} is {image.size[0]}x{image.size[1]} pixels, not a sheet of 1,000 images")
            sheet = np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise SuiteError(f"{file} is not a readable WebP sheet: {error}") from error
    grid = sheet.reshape(_SHEET_ROWS, _SIDE, _SHEET_COLUMNS, _SIDE, 3)
    return np.ascontiguousarray(grid.transpose(0, 2, 4, 1, 3).reshape(_SHEET_IMAGES, 3, _SIDE, _SIDE))


def _read_labels(file: Path) -> NDArray[np.int64]:
    if file.stat().st_size > _LARGEST_LABELS_BYTES:
        raise SuiteError(f"{file} is larger than {_LARGEST_LABELS_BYTES} bytes")
    words = file.read_bytes().split()
    if any(len(word) != 1 or not word.isdigit() for word in words):
        raise SuiteError(f"{file}: a label is not a digit from 0 to 9")
    return np.array([int(word) for word in words], dtype=np.int64)


def _join(parts: list[RawExamples]) -> RawExamples:
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        return RawExamples(np.zeros((0, 3, _SIDE, _SIDE), dtype=np.uint8), empty, empty)
    return RawExamples(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.ids for part in parts]),
    )
