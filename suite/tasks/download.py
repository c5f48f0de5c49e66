"""Tasks: fetching a data set, on explicit request only (`suite download`)."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from suite.errors import SuiteError, Unsupported

DOWNLOADABLE = ("cifar10", "cifar10-clean40k")


def download(task: str, folder: Path, datasets: ModuleType) -> Path:
    """Fetch the data of `task` below `folder`, which is then the data folder to name; returns it.

    `datasets` is `torchvision.datasets`, handed in so that what is refused is refused before torchvision is imported.
    It fetches the official archive and checks its MD5.
    """
    require_downloadable(task)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        datasets.CIFAR10(root=str(folder), train=True, download=True)
    except (OSError, RuntimeError) as error:
        raise SuiteError(
            f"CIFAR-10 could not be fetched: {error}", hint="run again, or unpack the archive there by hand"
        ) from error
    return folder


def require_downloadable(task: str) -> None:
    """Refuse, before anything slow is imported, what cannot be fetched."""
    if task not in DOWNLOADABLE:
        raise Unsupported(f"'{task}' has nothing to download", hint=f"known: {', '.join(DOWNLOADABLE)}")
