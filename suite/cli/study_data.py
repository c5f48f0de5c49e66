"""`suite study`: what a helper process runs to read data, so that the study itself never imports torch."""

from __future__ import annotations

from pathlib import Path


def task_identity(id: str, data: Path | None) -> str:
    """SHA-256 of everything of a task that decides a score, its data included."""
    from suite.tasks import get_task

    return get_task(id, data).identity
