"""Tasks: `imagenet`, ILSVRC 2012, from a local copy that may hold a part of the images but every class folder."""

from __future__ import annotations

from pathlib import Path

from suite.errors import DataMissing, SuiteError
from suite.tasks.catalogue import FACTS
from suite.tasks.imagenet_files import read_imagenet
from suite.tasks.on_demand import PhotographTask

ID = "imagenet"
WHOLE_TRAIN, WHOLE_TEST = 1_281_167, 50_000


def load(data: Path | None = None) -> PhotographTask:
    """Calibrate on the training images present, test on the validation images present; none is decoded yet."""
    train, test = read_imagenet(ID, data)
    notes = []
    for name, part, whole in (("train", train, WHOLE_TRAIN), ("validation", test, WHOLE_TEST)):
        if not len(part):
            raise DataMissing(
                f"{part.folder} holds no image of '{ID}'",
                hint="images are CLASS/NAME.JPEG, see `suite show task imagenet`",
            )
        if len(part) > whole:
            raise SuiteError(
                f"{part.folder} holds {len(part):,} images, and ILSVRC 2012 has {whole:,}",
                hint="something was added to the copy",
            )
        if len(part) < whole:
            notes.append(f"partial copy: {len(part):,} of {whole:,} {name} images are present")
    return PhotographTask(FACTS[ID], train, test, tuple(notes))
