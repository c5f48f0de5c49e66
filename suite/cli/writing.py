"""Files that a command leaves behind: a page, its twin and its tables, in one folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from suite.errors import SuiteError


def write_files(folder: Path, contents: Mapping[str, str | bytes]) -> list[Path]:
    """Write files into a folder and the folders in it, each whole or not at all."""
    from suite.cards import write_whole

    written = []
    for name, content in contents.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SuiteError(f"{path.parent} cannot be made: {error.strerror or error}") from None
        write_whole(path, content)
        written.append(path)
    return written
