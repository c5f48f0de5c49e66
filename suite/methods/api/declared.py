"""Methods API: what a method file says of itself, read from its source; running it would import torch.

Names are followed through the sources of the suite's own modules, never executed: constants, tuples, mappings, their
unpacking with `*` and `**`, and `TABLE["key"]`. What is computed otherwise cannot be read.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import suite
from suite.errors import Unsupported
from suite.methods.api.method import Needs, Note, Paper, Refusal
from suite.registry import Entry

_DEEPEST = 20
_PACKAGE = Path(suite.__file__).parent
_CALLABLE = {"Needs": Needs, "Note": Note, "Paper": Paper, "Refusal": Refusal}


@dataclass(frozen=True)
class Declared:
    """The class attributes of a method that speak of settings."""

    id: str
    supports: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    recommended: Mapping[str, object] = field(default_factory=dict)
    refuses: tuple[Refusal, ...] = ()
    needs: Needs = field(default_factory=Needs)


@dataclass(frozen=True)
class Told:
    """What a method file tells people; empty where it is not written down as a constant."""

    id: str
    title: str = ""
    description: str = ""
    paper: Paper | None = None
    notes: tuple[Note, ...] = ()


class _NotWritten(Exception):
    """The value is not written down: only running the code would tell."""


_UNREADABLE = (_NotWritten, OSError, SyntaxError, ValueError, TypeError, KeyError, RecursionError)


def read_declared(entry: Entry) -> Declared:
    """What the method behind an entry declares; refuses a file that computes it."""
    path = entry.source()
    attribute = entry.target.partition(":")[2]
    try:
        if path is None:
            raise _NotWritten("it has no source")
        module = _parse(path)
        owner = module.value(attribute)
        if not isinstance(owner, _Class):
            raise _NotWritten(f"{attribute} is no class")
        return Declared(
            entry.id,
            supports=owner.attribute("supports", {}),
            recommended=owner.attribute("recommended", {}),
            refuses=owner.attribute("refuses", ()),
            needs=owner.attribute("needs", Needs()),
        )
    except _UNREADABLE as error:
        raise Unsupported(
            f"what method '{entry.id}' declares cannot be read from its source: {error}",
            hint="write supports and recommended as constants",
        ) from error


def read_told(entry: Entry) -> Told:
    """What the method behind an entry says of itself; what it computes is left out."""
    try:
        path = entry.source()
        owner = _parse(path).value(entry.target.partition(":")[2]) if path is not None else None
    except (*_UNREADABLE, ImportError):
        owner = None
    if not isinstance(owner, _Class):
        return Told(entry.id)
    held: dict[str, Any] = {}
    for name in ("title", "paper", "notes"):
        with contextlib.suppress(*_UNREADABLE):
            held[name] = owner.attribute(name, None)
    title, paper, notes = held.get("title"), held.get("paper"), held.get("notes")
    return Told(
        entry.id,
        title=title if isinstance(title, str) else "",
        description=ast.get_docstring(owner.node) or "",
        paper=paper if isinstance(paper, Paper) else None,
        notes=tuple(note for note in notes if isinstance(note, Note)) if isinstance(notes, tuple) else (),
    )


@dataclass(frozen=True)
class _Class:
    """A class and the module whose names it sees."""

    module: _Module
    node: ast.ClassDef

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute of the class or of the class it is made from; the base class of all has the defaults."""
        for statement in self.node.body:
            if name in _targets(statement):
                return self.module.evaluate(_assigned(statement))
        for base in self.node.bases:
            if isinstance(base, ast.Name) and base.id != "Method":
                parent = self.module.value(base.id)
                if isinstance(parent, _Class):
                    return parent.attribute(name, default)
        return default


class _Module:
    """One source file: the names it assigns, and where those it imports come from."""

    def __init__(self, tree: ast.Module) -> None:
        self.nodes: dict[str, ast.stmt] = {}
        for statement in tree.body:
            for name in _names(statement):
                self.nodes[name] = statement

    def value(self, name: str, depth: int = 0) -> Any:
        if name not in self.nodes or depth > _DEEPEST:
            raise _NotWritten(f"'{name}' is not a constant")
        node = self.nodes[name]
        if isinstance(node, ast.ClassDef):
            return _CALLABLE.get(name) or _Class(self, node)
        if isinstance(node, ast.ImportFrom):
            original = next(alias.name for alias in node.names if (alias.asname or alias.name) == name)
            return _parse(_file_of(node.module or "")).value(original, depth + 1)
        return self.evaluate(_assigned(node), depth + 1)

    def evaluate(self, node: ast.expr, depth: int = 0) -> Any:
        """The value of an expression that needs no execution."""
        if depth > _DEEPEST:
            raise _NotWritten("it is nested too deeply")
        match node:
            case ast.Constant():
                return node.value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return -number
            case ast.Name():
                return self.value(node.id, depth + 1)
            case ast.Tuple() | ast.List():
                return tuple(self._items(node.elts, depth + 1))
            case ast.Dict():
                return self._mapping(node, depth + 1)
            case ast.Subscript():
                return self.evaluate(node.value, depth + 1)[self.evaluate(node.slice, depth + 1)]
            case ast.Call(func=ast.Name(id=called)) if called in _CALLABLE:
                arguments = self._items(node.args, depth + 1)
                named = {one.arg: self.evaluate(one.value, depth + 1) for one in node.keywords if one.arg is not None}
                return _CALLABLE[called](*arguments, **named)
        raise _NotWritten(f"'{ast.unparse(node)[:60]}' is computed")

    def _items(self, nodes: list[ast.expr], depth: int) -> list[Any]:
        found: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                found.extend(self.evaluate(node.value, depth))
            else:
                found.append(self.evaluate(node, depth))
        return found

    def _mapping(self, node: ast.Dict, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            held = self.evaluate(value, depth)
            if key is None:
                found.update(held)
            else:
                found[self.evaluate(key, depth)] = held
        return found


@cache
def _parse(path: Path) -> _Module:
    return _Module(ast.parse(path.read_text(encoding="utf-8")))


def _file_of(module: str) -> Path:
    """The source of a module of the suite, found without importing it or its parents."""
    parts = module.split(".")
    if parts[0] != _PACKAGE.name:
        raise _NotWritten(f"'{module}' is not the suite's")
    place = _PACKAGE.joinpath(*parts[1:])
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def _targets(statement: ast.stmt) -> tuple[str, ...]:
    nodes = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return tuple(node.id for node in nodes if isinstance(node, ast.Name))


def _names(statement: ast.stmt) -> tuple[str, ...]:
    if isinstance(statement, ast.ImportFrom):
        return tuple(alias.asname or alias.name for alias in statement.names)
    return (statement.name,) if isinstance(statement, ast.ClassDef) else _targets(statement)


def _assigned(statement: ast.stmt) -> ast.expr:
    value = getattr(statement, "value", None)
    if not isinstance(value, ast.expr):
        raise _NotWritten("it is not assigned once")
    return value
