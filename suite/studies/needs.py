"""Studies: what a size needs before anything runs: weights files and data, known by their hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from suite.errors import StudyError
from suite.studies.study import Size, WeightsNeed


@dataclass(frozen=True)
class Given:
    """A weights file that answers a need."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Met:
    """The needs of a size, met: model -> weights file, and task -> hash of its data as far as it was looked at."""

    weights: Mapping[str, Given] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)


def meet(size: Size, files: Sequence[Path], data_identity: Callable[[str], str]) -> Met:
    """Check every need of a size, or say which one is not met and what would meet it.

    A weights file is recognised by its hash, so the order and the names of the files do not matter.
    """
    found = {digest: path for path in files for digest in (_sha256(path),)}
    weights = {}
    for need in size.weights:
        if need.sha256 not in found:
            raise StudyError(_missing(need, files), hint=_remedy(need))
        weights[need.model] = Given(found[need.sha256], need.sha256)
    wanted = {need.sha256 for need in size.weights}
    strange = [path for digest, path in found.items() if digest not in wanted]
    if strange:
        raise StudyError(
            f"{strange[0]} is not a weights file that this study asks for at the size '{size.name}'",
            hint=f"it asks for {', '.join(need.name for need in size.weights) or 'none'}, known by hash",
        )
    data = {}
    for held in size.data:
        identity = data_identity(held.task)
        if identity != held.sha256:
            says = f": {held.says}" if held.says else ""
            raise StudyError(
                f"the data of the task '{held.task}' are not those the study was written for{says}",
                hint=f"their hash is {identity[:12]}…, the study asks for {held.sha256[:12]}…",
            )
        data[held.task] = identity
    return Met(weights, data)


def asked_for(size: Size, files: Sequence[Path]) -> tuple[Path, ...]:
    """Of several files, those that a size asks for."""
    wanted = {need.sha256 for need in size.weights}
    return tuple(path for path in files if _sha256(path) in wanted)


def _missing(need: WeightsNeed, files: Sequence[Path]) -> str:
    says = f" ({need.says})" if need.says else ""
    given = f"; {', '.join(path.name for path in files)} has another hash" if files else ""
    return f"the study needs the weights {need.name}{says} for {need.model}{given}"


def _remedy(need: WeightsNeed) -> str:
    return f"give the file with --weights; its SHA-256 is {need.sha256[:12]}…"


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror or error}", hint="see --weights") from error


def assumed(size: Size, files: Sequence[Path] = ()) -> Met:
    """The needs of a size, taken to be met: enough to look up what is on record."""
    named = {path.name: path for path in files}
    return Met(
        {need.model: Given(named.get(need.name, Path(need.name)), need.sha256) for need in size.weights},
        {need.task: need.sha256 for need in size.data},
    )
