"""Ground floor: names that lead to objects, loaded only when asked for.

A `Registry` maps an id to a lazy target, written "module:attribute". Listing ids imports nothing. Two places
that claim one id are an error that names both; an unknown id is an error that suggests the nearest one. Third-party
distributions add entries through an entry-point group of the same name as the registry (for example
`suite.methods`).
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pkgutil import iter_modules
from typing import Generic, TypeVar

from suite.errors import RegistryCollision, UnknownName

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One registered id: where it leads, and who put it there."""

    id: str
    target: str
    origin: str

    @property
    def module(self) -> str:
        return self.target.partition(":")[0]

    def load(self) -> object:
        module, _, attribute = self.target.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def summary(self) -> str:
        """First line of the target module's docstring, read without running the module."""
        path = self.source()
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path else None
        return text.splitlines()[0] if text else ""

    def source(self) -> Path | None:
        found = importlib.util.find_spec(self.module)
        return Path(found.origin) if found and found.origin else None


class Registry(Generic[T]):
    """Ids of one kind of thing ("method", "task", …), each leading to a lazily imported object."""

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
        self._entries: dict[str, Entry] = {}
        self._discovered = False

    def register(self, id: str, target: str, origin: str = "suite") -> None:
        known = self._entries.get(id)
        if known is not None and known.target != target:
            raise RegistryCollision(
                f"{self.kind} '{id}' is registered twice: by {known.origin} ({known.target}) "
                f"and by {origin} ({target})",
                hint="rename one of them",
            )
        self._entries[id] = Entry(id, target, origin)

    def register_package(self, package: str, attribute: str) -> None:
        """One module a thing: every public module of `package` registers `attribute` under its own file name."""
        found = importlib.util.find_spec(package)
        for location in (found.submodule_search_locations or []) if found else []:
            for module in iter_modules([location]):
                if not module.name.startswith("_") and not module.ispkg:
                    self.register(module.name, f"{package}.{module.name}:{attribute}")

    def _discover(self) -> None:
        if not self._discovered:
            self._discovered = True
            from importlib import metadata  # a fifth of a cold start; most commands ask no registry

            for point in metadata.entry_points(group=self.group):
                origin = point.dist.name if point.dist else "an entry point"
                self.register(point.name, point.value, origin)

    def __contains__(self, id: object) -> bool:
        self._discover()
        return id in self._entries

    def __iter__(self) -> Iterator[Entry]:
        self._discover()
        return iter(sorted(self._entries.values(), key=lambda entry: entry.id))

    def ids(self) -> list[str]:
        return [entry.id for entry in self]

    def entry(self, id: str) -> Entry:
        self._discover()
        if id not in self._entries:
            raise unknown(self.kind, id, self.ids())
        return self._entries[id]

    def get(self, id: str) -> T:
        return self.entry(id).load()  # type: ignore[return-value]


def unknown(kind: str, name: str, known: list[str]) -> UnknownName:
    """The error for a name nobody knows, with the nearest known one."""
    return UnknownName(f"no {kind} is called '{name}'", hint=suggestion(name, known))


def suggestion(name: str, known: list[str]) -> str:
    """A hint: the nearest known name, or the known ones where none is near."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    shown = ", ".join(sorted(known)[:12])
    return f"known: {shown}{', …' if len(known) > 12 else ''}"
