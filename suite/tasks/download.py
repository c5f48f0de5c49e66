"""Tasks: fetching a data set, on explicit request only: `python -m suite.tasks.download cifar10 DIR`."""

from __future__ import annotations

import sys
from pathlib import Path

from suite.errors import SuiteError, Unsupported

DOWNLOADABLE = ("cifar10", "cifar10-clean40k")


def download(task: str, folder: Path) -> Path:
    """Fetch the data of `task` below `folder` with torchvision, which checks its MD5, and return the data folder."""
    if task not in DOWNLOADABLE:
        raise Unsupported(f"'{task}' has nothing to download", hint=f"known: {', '.join(DOWNLOADABLE)}")
    from suite.models.torchvision_shim import ensure_torchvision

    ensure_torchvision()
    from torchvision import datasets

    folder.mkdir(parents=True, exist_ok=True)
    try:
        datasets.CIFAR10(root=str(folder), train=True, download=True)
    except (OSError, RuntimeError) as error:
        raise SuiteError(
            f"CIFAR-10 could not be fetched: {error}", hint="run again, or unpack the archive by hand"
        ) from error
    return folder


def main(arguments: list[str]) -> int:
    """Exit code 0 done, 2 wrong request."""
    if len(arguments) != 2 or arguments[0] in ("-h", "--help"):
        print(f"usage: python -m suite.tasks.download {{{','.join(DOWNLOADABLE)}}} DIR", file=sys.stderr)
        return 2
    try:
        folder = download(arguments[0], Path(arguments[1]))
    except SuiteError as error:
        print(f"suite: {error}", file=sys.stderr)
        return 2
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
