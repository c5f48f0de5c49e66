"""Tasks: `digits`, the 1,797 real handwritten digits that scikit-learn ships; no download."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.tasks.catalogue import FACTS
from suite.tasks.classification import ImageTask, RawExamples

TRAIN_EXAMPLES = 1024


def load(data: Path | None = None) -> ImageTask:
    """The task. `data` is not used: the images are inside scikit-learn."""
    table = _table()
    pixels = table[:, :-1].astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = table[:, -1].astype(np.int64)
    everything = RawExamples(np.ascontiguousarray(pixels), labels, np.arange(len(labels), dtype=np.int64))
    train, test = stratified_split(labels, TRAIN_EXAMPLES)
    return ImageTask(FACTS["digits"], everything.select(train), everything.select(test))


def _table() -> NDArray[np.float64]:
    """One row an example, 64 pixels and the label.

    The file is read where scikit-learn keeps it, because importing that package takes longer than quantizing a small
    model; where a release keeps it elsewhere, the package itself is asked.
    """
    found = importlib.util.find_spec("sklearn")
    file = Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz" if found and found.origin else None
    if file is not None and file.is_file():
        return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return np.column_stack((bunch.data, bunch.target))


def stratified_split(labels: NDArray[np.int64], train_examples: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of train and test, class by class in proportion, decided by a hash of the position and nothing else.

    Inside a class, examples are ranked by SHA-256("digits:" + position). Class c gives floor(n_c * train / n) of its
    first ranks to train; the examples still missing go to the classes with the largest remainders.
    """
    classes, counts = np.unique(labels, return_counts=True)
    exact = counts * train_examples / len(labels)
    quotas = np.floor(exact).astype(np.int64)
    largest_remainders = np.argsort(-(exact - quotas), kind="stable")
    quotas[largest_remainders[: train_examples - int(quotas.sum())]] += 1
    train = np.zeros(len(labels), dtype=bool)
    for label, quota in zip(classes, quotas, strict=True):
        ranked = sorted(np.flatnonzero(labels == label).tolist(), key=_rank)
        train[ranked[:quota]] = True
    return np.flatnonzero(train), np.flatnonzero(~train)


def _rank(position: int) -> bytes:
    return hashlib.sha256(f"digits:{position}".encode()).digest()
