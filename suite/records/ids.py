"""Reading wing, records: run ids, which are also folder names.

An id reads `<method>-<task>-<model>-s<seed>-<hash10>`. People type ids and other machines send them, so an id is
checked before it ever becomes part of a path.
"""

from __future__ import annotations

import re

from suite.errors import RecordError

HASH_CHARACTERS = 10
_PART_CHARACTERS = 40
_RUN_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,160}-s[0-9]{1,20}-[0-9a-f]{10}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,100}")


def make_run_id(method: str, task: str, model: str, seed: int, digest: str) -> str:
    """The id of a run, from what it ran and the hash of its identity.

    Names are made safe for a path (`torchvision:resnet18` → `torchvision-resnet18`); two names that become the same
    text still differ in the hash.
    """
    parts = [_safe(part) for part in (method, task, model)]
    return check_run_id(f"{'-'.join(parts)}-s{seed}-{digest[:HASH_CHARACTERS]}")


def check_run_id(run_id: str) -> str:
    """`run_id` itself, if it is one; otherwise a `RecordError`. Nothing that passes can leave the store's folder."""
    if not is_run_id(run_id):
        raise RecordError(
            f"'{run_id[:80]}' is not a run id",
            hint="a run id reads <method>-<task>-<model>-s<seed>-<hash>; `suite runs list` shows them",
        )
    return run_id


def is_run_id(text: str) -> bool:
    """Whether `text` reads like a run id."""
    return _RUN_ID.fullmatch(text) is not None and ".." not in text


def check_file_name(name: str) -> str:
    """`name` itself, if it is a plain file name that stays inside its folder; otherwise a `RecordError`."""
    if _FILE_NAME.fullmatch(name) is None or ".." in name:
        raise RecordError(
            f"'{name[:80]}' cannot be the name of a file of a run", hint="letters, digits, '.', '_' and '-'"
        )
    return name


def _safe(part: str) -> str:
    text = re.sub(r"[^a-z0-9_]+", "-", part.lower()).strip("-_")[:_PART_CHARACTERS].strip("-_")
    return text or "unnamed"
