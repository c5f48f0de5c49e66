"""Laboratory, harness: small files beside the runs that spare later runs a measurement, and that nobody misses."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def keep(file: Path, content: bytes) -> None:
    """Write a whole file or none; where nothing can be written, the next run measures again."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(content)
        os.replace(temporary, file)
