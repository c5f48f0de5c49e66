"""Methods, training engine: which examples a training sees, in how many steps, and in which batches."""

from __future__ import annotations

from collections.abc import Iterator

from suite.errors import SuiteError
from suite.methods.api import Batch, DataDoor, Workbench
from suite.methods.engines.recipe import Recipe


def parted_doors(work: Workbench, recipe: Recipe) -> tuple[DataDoor, DataDoor | None]:
    """The doors to training and, where the checkpoint asks for them, to validation examples.

    One run parts its examples once and for all, so whoever calibrates before the training asks here too: otherwise
    validation examples would set ranges.
    """
    if work.setting["checkpoint"] == "best-on-validation":
        return work.data.hold_out(recipe.validation_fraction)
    return work.data, None


def length(work: Workbench, recipe: Recipe, door: DataDoor) -> tuple[int, int]:
    """Steps in one pass through the examples of `door`, and in the whole training."""
    per_epoch = steps_per_epoch(door.size, recipe.batch_size, work.setting["incomplete_batches"] == "dropped")
    total = recipe.total_steps(per_epoch)
    if total < 1:
        raise SuiteError(
            f"{door.size} examples give no training step in batches of {recipe.batch_size}",
            hint="raise the axis examples, lower batch_size, or keep incomplete batches",
        )
    return per_epoch, total


def steps_per_epoch(examples: int, batch_size: int, drop_incomplete: bool) -> int:
    """Batches in one pass: the last, incomplete one counts unless it is dropped."""
    return examples // batch_size if drop_incomplete else -(-examples // batch_size)


def batches_of(door: DataDoor, recipe: Recipe, total: int) -> Iterator[Batch]:
    """Exactly `total` batches, with a new order in every pass."""
    given = 0
    while given < total:
        before = given
        for batch in door.batches(recipe.batch_size, labels=True, passes=recipe.epochs or 1, shuffle=True):
            yield batch
            given += 1
            if given == total:
                return
        if given == before:
            raise SuiteError("the data door gave no batch")
