"""Tasks: `cifar10`, CIFAR-10 with its official split, from a local copy that may be partial."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from suite.errors import DataMissing
from suite.tasks.catalogue import FACTS
from suite.tasks.cifar10_files import OFFICIAL_TEST, OFFICIAL_TRAIN, read_cifar10
from suite.tasks.classification import ImageTask, RawExamples

CLEAN_TRAIN = 40_000


def load(data: Path | None = None) -> ImageTask:
    """Train and calibrate on the official train images present, test on the official test images present."""
    train, test = read_cifar10("cifar10", data)
    return _task("cifar10", train, OFFICIAL_TRAIN, test, OFFICIAL_TEST)


def load_clean40k(data: Path | None = None) -> ImageTask:
    """Train and calibrate on official train images 0-39,999, test on 40,000-49,999; official test images unread."""
    train, _ = read_cifar10("cifar10-clean40k", data, with_test=False)
    seen = train.ids < CLEAN_TRAIN
    return _task(
        "cifar10-clean40k",
        train.select(np.flatnonzero(seen)),
        CLEAN_TRAIN,
        train.select(np.flatnonzero(~seen)),
        OFFICIAL_TRAIN - CLEAN_TRAIN,
    )


def _task(id: str, train: RawExamples, whole_train: int, test: RawExamples, whole_test: int) -> ImageTask:
    notes = []
    for name, part, whole in (("train", train, whole_train), ("test", test, whole_test)):
        if not len(part):
            raise DataMissing(
                f"the copy of CIFAR-10 holds no {name} image of '{id}'", hint="see `suite show task cifar10`"
            )
        if len(part) < whole:
            notes.append(f"partial copy: {len(part):,} of {whole:,} {name} images are present")
    return ImageTask(FACTS[id], train, test, tuple(notes))
