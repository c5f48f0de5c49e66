"""Reading wing, records: the identity of a run, as named parts whose hash is the run's name.

Two runs with equal parts are the same run, and the second is found instead of computed. The parts are stored apart, so
that `suite runs why-stale` can say which of them changed.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from suite.records.ids import make_run_id
from suite.records.plain import Json, digest_of, plain
from suite.records.record import Record
from suite.records.sources import source_hashes

PARTS = (
    "method",
    "options",
    "setting",
    "task",
    "model",
    "seed",
    "modules",
    "sources",
    "data",
    "weights",
    "library",
    "torch",
    "device",
    "batch_size",
    "dtype",
    "threads",
)


@dataclass(frozen=True)
class Identity:
    """The parts that decide what a run computes."""

    parts: Mapping[str, Json]

    @classmethod
    def of(
        cls,
        *,
        method: str,
        options: Mapping[str, object],
        setting: Mapping[str, object],
        task: str,
        model: str,
        seed: int,
        modules: Iterable[str],
        data: str,
        weights: str,
        torch: str,
        device: str,
        batch_size: int,
        dtype: str,
        threads: int,
        library: str = "",
    ) -> Identity:
        """Gather the parts. `modules` are where sources are followed from; `data` and `weights` are hashes.

        `library` names the distribution and version that a model's code comes from, where it is not the suite's own.
        """
        roots = sorted(modules)
        given: dict[str, object] = {
            "method": method,
            "options": options,
            "setting": setting,
            "task": task,
            "model": model,
            "seed": seed,
            "modules": roots,
            "sources": source_hashes(roots),
            "data": data,
            "weights": weights,
            "library": library,
            "torch": torch,
            "device": device,
            "batch_size": batch_size,
            "dtype": dtype,
            "threads": threads,
        }
        return cls({name: plain(given[name], name) for name in PARTS})

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of the parts."""
        return digest_of(self.parts, "identity")

    @property
    def run_id(self) -> str:
        parts = self.parts
        return make_run_id(
            str(parts["method"]), str(parts["task"]), str(parts["model"]), int(str(parts["seed"])), self.digest
        )

    def to_dict(self) -> dict[str, Json]:
        return dict(self.parts)


@dataclass(frozen=True)
class Change:
    """One part of an identity that is not what it was."""

    part: str
    """The name of the part; for one value of many, "setting.weight_bits" or "sources.suite/methods/lsq.py"."""
    then: Json
    now: Json

    def __str__(self) -> str:
        part, _, name = self.part.partition(".")
        if part == "sources":
            verb = "added" if self.then is None else "removed" if self.now is None else "changed"
            return f"source {verb}: {name}"
        if part in ("data", "weights"):
            return f"{part} changed: {str(self.then)[:12]} → {str(self.now)[:12]}"
        return f"{self.part}: {self.then} → {self.now}"


def changes(then: Mapping[str, Json], now: Mapping[str, Json]) -> tuple[Change, ...]:
    """The parts in which two identities differ, one level deep, so that each axis and each file is named."""
    found: list[Change] = []
    for part in [*then, *(name for name in now if name not in then)]:
        before, after = then.get(part), now.get(part)
        if isinstance(before, dict) and isinstance(after, dict):
            names = sorted({*before, *after})
            found += [
                Change(f"{part}.{name}", before.get(name), after.get(name))
                for name in names
                if before.get(name) != after.get(name)
            ]
        elif before != after:
            found.append(Change(part, before, after))
    return tuple(found)


@dataclass(frozen=True)
class Staleness:
    """What separates a recorded run from the same run today."""

    run_id: str
    changes: tuple[Change, ...]
    unchecked: tuple[str, ...]
    """Parts nobody recomputed: they depend on files or on a machine that were not looked at."""

    @property
    def stale(self) -> bool:
        return bool(self.changes)


def why_stale(record: Record, present: Mapping[str, object]) -> Staleness:
    """Compare a record's identity with today's: its sources read again, and what `present` says of other parts."""
    then = {name: plain(value, name) for name, value in record.identity.items()}
    now = dict(then)
    checked: set[str] = set()
    modules = then.get("modules")
    if isinstance(modules, list):
        now["sources"] = dict(source_hashes(str(module) for module in modules))
        checked |= {"modules", "sources"}
    version = torch_version()
    if version is not None:
        now["torch"] = version
        checked.add("torch")
    for name, value in present.items():
        now[name] = plain(value, name)
        checked.add(name)
    unchecked = tuple(name for name in then if name not in checked and name in ENVIRONMENTAL)
    return Staleness(record.run_id, changes(then, now), unchecked)


ENVIRONMENTAL = ("data", "weights", "library", "device", "batch_size", "dtype", "threads")
"""Parts that a record alone cannot recompute; the others (method, setting, …) are what the record is a record of."""


def torch_version() -> str | None:
    """The version of the installed torch, build included ("2.13.0+cpu"), read without importing it."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return None
    file = Path(found.origin).parent / "version.py"
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError):
        return None
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if (
            "__version__" in names
            and isinstance(node, ast.Assign | ast.AnnAssign)
            and isinstance(node.value, ast.Constant)
        ):
            return str(node.value.value)
    return None
