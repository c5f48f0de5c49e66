"""Tasks: the registry of data sets. Listing ids and facts imports neither torch nor data.

A task is registered by a function `load(data: Path | None) -> Task`; third parties add theirs through the
entry-point group `suite.tasks`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from suite.registry import Registry
from suite.tasks.api import Inputs, LabelledTensors, Split, Task
from suite.tasks.catalogue import FACTS, TaskFacts

DATA_VARIABLE = "SUITE_DATA"

TASKS: Registry[Callable[[Path | None], Task]] = Registry("task", "suite.tasks")
TASKS.register("digits", "suite.tasks.digits:load")
TASKS.register("cifar10", "suite.tasks.cifar10:load")
TASKS.register("cifar10-clean40k", "suite.tasks.cifar10_clean40k:load")
TASKS.register("imagenet", "suite.tasks.imagenet:load")
TASKS.register("shakespeare-characters", "suite.tasks.shakespeare:load")


def get_task(id: str, data: str | Path | None = None) -> Task:
    """The task `id`, ready to be read. `data` is the folder to look in; without it, the variable SUITE_DATA."""
    return TASKS.get(id)(data_root(data))


def data_root(data: str | Path | None) -> Path | None:
    """The folder data sets are looked for in: the one given, else the one SUITE_DATA names, else none."""
    chosen = data if data is not None else os.environ.get(DATA_VARIABLE) or None
    return Path(chosen).expanduser() if chosen is not None else None


def task_title(id: str) -> str:
    """One line about a task, without importing it."""
    entry = TASKS.entry(id)
    return FACTS[id].title if id in FACTS else entry.summary()


__all__ = [
    "DATA_VARIABLE",
    "FACTS",
    "TASKS",
    "Inputs",
    "LabelledTensors",
    "Split",
    "Task",
    "TaskFacts",
    "data_root",
    "get_task",
    "task_title",
]
