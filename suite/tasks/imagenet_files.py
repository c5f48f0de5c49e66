"""Tasks: finding the images of ImageNet on disk, in the layout that torchvision calls ImageFolder.

`train/CLASS/NAME.JPEG` and `val/CLASS/NAME.JPEG`, where CLASS is a WordNet id. The label of a class is its place among
the sorted ids of all 1,000 classes, as in torchvision and in the public weights; so all of them must be there, in one
of the two folders at least, while images may be missing. Files are listed and measured here, and none is opened.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from suite.errors import DataMissing, SuiteError
from suite.tasks.on_demand import ImageFiles

FOLDER = "imagenet"
TRAIN, TEST = "train", "val"
CLASSES = 1000
CLASSES_HASH = "385e0240499426c022b773be1ae4da780f057b89c9694c7f47199f62746b6edd"
"""SHA-256 of the sorted WordNet ids of ILSVRC 2012, joined by line ends: folders of other names are other labels."""
ENDINGS = (".jpeg", ".jpg", ".png")
MOST_BYTES = 64 * 2**20  # of one image; the largest of ILSVRC 2012 has about 15 MB
_LAYOUT = f"{TRAIN}/CLASS/NAME.JPEG and {TEST}/CLASS/NAME.JPEG"


def read_imagenet(task: str, root: Path | None) -> tuple[ImageFiles, ImageFiles]:
    """Train and test images present below `root`, in the order of their names."""
    if root is None:
        raise DataMissing(
            f"'{task}' needs a data folder, and none is given",
            hint=f"--data DIR or SUITE_DATA; there {_LAYOUT}",
        )
    with _readable(root):
        found = next((place for place in (root / FOLDER, root) if _has_both(place)), None)
        if found is None:
            raise DataMissing(
                f"'{task}' was looked for as {FOLDER}/{TRAIN} and {FOLDER}/{TEST}, then {TRAIN} and {TEST}, in {root}",
                hint=f"put there {_LAYOUT}, as torchvision's ImageFolder has it",
            )
        listing = _Listing(found)
        folders = {part: listing.class_folders(found / part) for part in (TRAIN, TEST)}
        labels = _labels(found, sorted({*folders[TRAIN], *folders[TEST]}))
        train, test = (listing.images(found / part, names, labels) for part, names in folders.items())
    return train, test


def _has_both(place: Path) -> bool:
    return all((place / part).is_dir() for part in (TRAIN, TEST))


def _labels(found: Path, classes: list[str]) -> dict[str, int]:
    if len(classes) != CLASSES:
        raise SuiteError(
            f"{found} has {len(classes):,} class folders, not {CLASSES:,}: a label is a place among all of them",
            hint="a partial copy keeps every class folder, and empty ones for classes without images",
        )
    if hashlib.sha256("\n".join(classes).encode("utf-8", "surrogateescape")).hexdigest() != CLASSES_HASH:
        raise SuiteError(
            f"the class folders of {found}, {classes[0]} to {classes[-1]}, are not those of ILSVRC 2012",
            hint="they are named by WordNet ids, from n01440764 to n15075141; other names would give other labels",
        )
    return {name: label for label, name in enumerate(classes)}


class _Listing:
    """What lies below one folder; nothing in it may lead out of it."""

    def __init__(self, root: Path) -> None:
        self._inside = root.resolve()

    def class_folders(self, split: Path) -> list[str]:
        """Names of the class folders of a split, sorted. An image without a class is refused, other files pass."""
        self._require_inside(split)
        names = []
        with os.scandir(split) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink():
                    self._require_inside(Path(entry.path))
                if entry.is_dir():
                    names.append(entry.name)
                elif entry.name.lower().endswith(ENDINGS):
                    raise SuiteError(
                        f"{entry.path} lies in no class folder", hint=f"sort the images into class folders: {_LAYOUT}"
                    )
        return sorted(names)

    def images(self, split: Path, folders: list[str], labels: dict[str, int]) -> ImageFiles:
        """The images of a split, told by their endings as torchvision tells them."""
        names: list[str] = []
        sizes: list[int] = []
        counts: list[int] = []
        for folder in folders:
            inside = sorted(self._images_of(split / folder))
            names += [f"{folder}/{name}" for name, _ in inside]
            sizes += [size for _, size in inside]
            counts.append(len(inside))
        numbers = np.array([labels[folder] for folder in folders], dtype=np.int64)
        return ImageFiles(split, tuple(names), np.repeat(numbers, counts), np.array(sizes, dtype=np.int64))

    def _images_of(self, folder: Path) -> Iterator[tuple[str, int]]:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not entry.name.lower().endswith(ENDINGS):
                    continue
                if entry.is_symlink():
                    self._require_inside(Path(entry.path))
                if not entry.is_file():
                    raise SuiteError(f"{entry.path} is no file", hint="an image of ImageNet is an ordinary file")
                size = entry.stat().st_size
                if not 0 < size <= MOST_BYTES:
                    raise SuiteError(
                        f"{entry.path} has {size:,} bytes, and an image has 1 to {MOST_BYTES:,}", hint="fetch it again"
                    )
                yield entry.name, size

    def _require_inside(self, path: Path) -> None:
        if not path.resolve().is_relative_to(self._inside):
            raise SuiteError(
                f"{path} is a link that leaves {self._inside}", hint="name the folder that holds the images with --data"
            )


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """A folder that cannot be listed is the user's to mend, and so is a link that leads nowhere or to itself."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        place = getattr(error, "filename", None) or folder
        raise SuiteError(
            f"{place} cannot be read: {reason}", hint="see that every folder and file is readable"
        ) from error
