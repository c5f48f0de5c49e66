"""Studies: what a size needs before anything runs: weights files and data, known by their hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from suite.cards import Card
from suite.errors import StudyError
from suite.studies.journal import NOTHING_GIVEN, Start
from suite.studies.study import DataNeed, Size, WeightsNeed


@dataclass(frozen=True)
class Given:
    """A weights file that answers a need: for which model, and under which name cards speak of it."""

    model: str
    name: str
    path: Path
    sha256: str


@dataclass(frozen=True)
class Met:
    """The needs of a size, met: weights files, and task -> hash of its data as far as it was looked at."""

    weights: tuple[Given, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)

    def weights_of(self, card: Card) -> Given | None:
        """The file that a card starts from: of several for its model the one that its `baseline_weights` names."""
        own = [held for held in self.weights if held.model == card.model]
        named = [held for held in own if held.name == card.values["baseline_weights"]]
        return next(iter(named or own), None)


def meet(size: Size, files: Sequence[Path], data_identity: Callable[[str], str]) -> Met:
    """Check every need of a size, or say which one is not met and what would meet it.

    A weights file is recognised by its hash, so the order and the names of the files do not matter. Only where the
    study does not know the hash, the name counts.
    """
    found = {path: _sha256(path) for path in files}
    weights = []
    for need in size.weights:
        path = next((path for path, digest in found.items() if _answers(need, path, digest)), None)
        if path is None:
            raise StudyError(_missing(need, files), hint=_remedy(need))
        weights.append(Given(need.model, need.name, path, found[path]))
    strange = [path for path, digest in found.items() if not any(_answers(need, path, digest) for need in size.weights)]
    if strange:
        raise StudyError(
            f"{strange[0]} is not a weights file that this study asks for at the size '{size.name}'",
            hint=f"it asks for {', '.join(need.name for need in size.weights) or 'none'}, known by hash",
        )
    data = {}
    for held in size.data:
        identity = data_identity(held.task)
        if held.sha256 and identity != held.sha256:
            says = f": {held.says}" if held.says else ""
            raise StudyError(
                f"the data of the task '{held.task}' are not those the study was written for{says}",
                hint=f"their hash is {identity[:12]}…, the study asks for {held.sha256[:12]}…",
            )
        data[held.task] = identity
    return Met(tuple(weights), data)


def asked_for(size: Size, files: Sequence[Path]) -> tuple[Path, ...]:
    """Of several files, each of which must be readable, those that a size asks for."""
    found = {path: _sha256(path) for path in files}
    return tuple(path for path, digest in found.items() if any(_answers(need, path, digest) for need in size.weights))


def _answers(need: WeightsNeed, path: Path, digest: str) -> bool:
    return digest == need.sha256 if need.sha256 else path.name == need.name


def _missing(need: WeightsNeed, files: Sequence[Path]) -> str:
    says = f" ({need.says})" if need.says else ""
    given = f"; {', '.join(path.name for path in files)} has another hash" if files else ""
    return f"the study needs the weights {need.name}{says} for {need.model}{given}"


def told_weights(need: WeightsNeed) -> str:
    """A need as a page and a terminal tell it."""
    return f"weights {need.name} of {need.model}, {f'SHA-256 {need.sha256}' if need.sha256 else 'known by this name'}"


def told_data(need: DataNeed) -> str:
    """The same for data."""
    says = f" ({need.says})" if need.says else ""
    return f"data of the task {need.task}{f', hash {need.sha256}' if need.sha256 else says}"


def _remedy(need: WeightsNeed) -> str:
    known = f"its SHA-256 is {need.sha256[:12]}…" if need.sha256 else "it is known by its name"
    return f"give the file with --weights; {known}"


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror or error}", hint="see --weights") from error


def assumed(
    size: Size,
    files: Sequence[Path] = (),
    data_identity: Callable[[str], str] = lambda task: "",
    before: Start = NOTHING_GIVEN,
) -> Met:
    """The needs of a size, taken to be met: enough to look up what is on record.

    Where the study knows no hash, that of the file or of the data at hand counts; where they are not at hand (the
    identity of the data is empty), that of what the study was last started with.
    """
    named = {path.name: path for path in files}
    weights = []
    for need in size.weights:
        path = named.get(need.name, Path(need.name))
        at_hand = need.sha256 or (_sha256(path) if path.is_file() else "")
        weights.append(Given(need.model, need.name, path, at_hand or before.weights.get(_name(need), "")))
    data = {need.task: need.sha256 or data_identity(need.task) or before.data.get(need.task, "") for need in size.data}
    return Met(tuple(weights), {task: identity for task, identity in data.items() if identity})


def as_start(met: Met) -> Start:
    """What was given, as a journal keeps it."""
    return Start({_name(held): held.sha256 for held in met.weights}, dict(met.data))


def _name(held: WeightsNeed | Given) -> str:
    return f"{held.model}/{held.name}"
