"""Reports, site: what the file of a method says of it, read as text. A page must not have to import torch."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import suite
from suite.registry import Entry
from suite.reports.card_page import is_web_address
from suite.reports.numbers import clean

PACKAGE = Path(suite.__file__).parent
DEEPEST = 4
"""A name is followed through so many imports."""
NOTE = ("about", "ours", "paper", "code")


@dataclass(frozen=True)
class MethodNote:
    """Where the sources of a method differ, or are silent."""

    about: str
    ours: str
    paper: str = ""
    code: str = ""


@dataclass(frozen=True)
class MethodPage:
    """A method as its file tells it; title, paper and notes are empty where they are not written out there."""

    id: str
    summary: str
    origin: str
    title: str
    description: tuple[str, ...]
    """Its paragraphs; a formula that is set apart keeps its lines."""
    paper: str
    url: str
    notes: tuple[MethodNote, ...]


def read_method(entry: Entry) -> MethodPage:
    path = entry.source()
    module = _parsed(path) if path else ast.Module([], [])
    own = next((node for node in module.body if isinstance(node, ast.ClassDef) and _id(node) == entry.id), None)
    paper = _keywords(_value(module, _assigned(own.body, "paper"))) if own else {}
    named = ", ".join(paper[part] for part in ("authors", "title", "year") if paper.get(part))
    return MethodPage(
        id=entry.id,
        summary=clean(entry.summary()),
        origin=clean(entry.origin),
        title=_text(own, "title") if own else "",
        description=tuple(_paragraphs(ast.get_docstring(own) or "")) if own else (),
        paper=named,
        url=address if is_web_address(address := paper.get("url", "")) else "",
        notes=tuple(_notes(module, _assigned(own.body, "notes"))) if own else (),
    )


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _paragraphs(text: str) -> Iterator[str]:
    for block in inspect.cleandoc(text).split("\n\n"):
        lines = [line for line in block.splitlines() if line.strip()]
        if any(line.startswith("  ") for line in lines):
            yield "\n".join(" " * (len(line) - len(line.lstrip())) + clean(line) for line in lines)
        elif lines:
            yield clean(block)


def _notes(module: ast.Module, written: ast.expr | None) -> Iterator[MethodNote]:
    """Notes of a tuple, those of other tuples that it unfolds among them."""
    value = _value(module, written)
    for item in value.elts if isinstance(value, ast.Tuple) else ():
        if isinstance(item, ast.Starred):
            home, held = _followed(module, item.value)
            yield from _notes(home, held)
            continue
        told = {name: text for name, text in _keywords(item).items() if name in NOTE}
        if told.get("about") and told.get("ours"):
            yield MethodNote(**told)


def _keywords(call: ast.expr | None) -> dict[str, str]:
    """The texts that a call names and writes out."""
    return {
        word.arg: clean(str(word.value.value))
        for word in (call.keywords if isinstance(call, ast.Call) else ())
        if word.arg and isinstance(word.value, ast.Constant) and word.value.value is not None
    }


def _value(module: ast.Module, written: ast.expr | None) -> ast.expr | None:
    return _followed(module, written)[1]


def _followed(module: ast.Module, written: ast.expr | None, depth: int = 0) -> tuple[ast.Module, ast.expr | None]:
    """What a name stands for, and the module that says so: assigned there, or imported from elsewhere in the suite."""
    if not isinstance(written, ast.Name) or depth > DEEPEST:
        return module, written
    held = _assigned(module.body, written.id)
    if held is not None:
        return _followed(module, held, depth + 1)
    for statement in module.body:
        if isinstance(statement, ast.ImportFrom):
            name = next((one.name for one in statement.names if (one.asname or one.name) == written.id), None)
            path = _file_of(statement.module or "")
            if name is not None and path is not None:
                return _followed(_parsed(path), ast.Name(name), depth + 1)
    return module, None


def _file_of(module: str) -> Path | None:
    """The file of one of the suite's own modules; nothing is imported to find it."""
    first, *rest = module.split(".")
    if first != PACKAGE.name:
        return None
    place = PACKAGE.joinpath(*rest)
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def _assigned(body: list[ast.stmt], name: str) -> ast.expr | None:
    for statement in body:
        if isinstance(statement, ast.Assign):
            targets: list[ast.expr] = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        else:
            continue
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return statement.value
    return None


def _id(node: ast.ClassDef) -> str:
    return _text(node, "id")


def _text(node: ast.ClassDef, name: str) -> str:
    value = _assigned(node.body, name)
    return clean(value.value) if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
