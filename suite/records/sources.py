"""Reading wing, records: which source files decide a run, found by reading imports, and their hashes.

Starting from a method's module, every import of the `suite` package and of the method's own distribution is followed,
inside functions too, and the modules that a package names in text and loads on first use (`__getattr__`). Imports
made only for typing are not followed, nor what a registry loads. Nothing is imported to find out, so this works without
torch and for a method that does not run.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from suite.errors import SuiteError

PACKAGE = "suite"
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def source_hashes(modules: Iterable[str]) -> dict[str, str]:
    """Label -> SHA-256 of every source file that `modules` are made of and import, directly or not.

    A label is the file's path inside its package ("suite/methods/lsq.py"). Followed are imports of the suite and of the
    top-level packages of `modules` themselves. Line ends do not count.
    """
    roots = tuple(modules)
    followed = {PACKAGE} | {module.partition(".")[0] for module in roots}
    pending = [name for module in roots for name in _with_parents(module)]
    seen: set[str] = set()
    hashes: dict[str, str] = {}
    while pending:
        module = pending.pop()
        if module in seen:
            continue
        seen.add(module)
        path = module_path(module) or (_loaded_path(module) if module in roots else None)
        if path is None:
            if module in roots:
                raise SuiteError(f"the source of module '{module}' cannot be found", hint="install it with its sources")
            continue
        digest, imported = _read(path, path.stat().st_mtime_ns, path.stat().st_size)
        hashes[label(module, path)] = digest
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for level, name in imported:
            absolute = _absolute(level, name, package)
            if absolute.partition(".")[0] in followed:
                pending.extend(_with_parents(absolute))
    return dict(sorted(hashes.items()))


def module_path(module: str) -> Path | None:
    """The source file of a module, found without importing the module or its parents; None when there is none.

    Also None for the names of attributes, which is how `from package import name` is told from a submodule.
    """
    places: list[str] | None = None
    found: importlib.machinery.ModuleSpec | None = None
    parts = module.split(".")
    for position in range(len(parts)):
        name = ".".join(parts[: position + 1])
        try:
            # The parents' search paths are walked by hand: importlib.util.find_spec would import the parents.
            found = (
                importlib.util.find_spec(name)
                if position == 0
                else importlib.machinery.PathFinder.find_spec(name, places)
            )
        except (ImportError, ValueError):
            return None
        if found is None:
            return None
        places = list(found.submodule_search_locations or [])
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        return None
    return Path(found.origin)


def _loaded_path(module: str) -> Path | None:
    """The file of a module that was loaded from outside the search path: a script, or a method file given by path."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file) if isinstance(file, str) and Path(file).is_file() else None


def label(module: str, path: Path) -> str:
    """Path of a module's file inside its package, the same on every machine."""
    stem = module.replace(".", "/")
    return f"{stem}/__init__.py" if path.name == "__init__.py" else f"{stem}.py"


def _with_parents(module: str) -> Iterator[str]:
    """A module and the packages around it, whose `__init__` runs first."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])


def _absolute(level: int, name: str, package: str) -> str:
    if level == 0:
        return name
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - level + 1], *([name] if name else [])])


@lru_cache(maxsize=2048)
def _read(path: Path, changed: int, size: int) -> tuple[str, tuple[tuple[int, str], ...]]:
    """Hash and imports of one file; `changed` and `size` make an edited file a new question."""
    text = path.read_bytes().replace(b"\r\n", b"\n")
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise SuiteError(f"{path.name}, line {error.lineno}: {error.msg}; a run needs sources that parse") from error
    return hashlib.sha256(text).hexdigest(), tuple(sorted(_imports(tree)))


def _imports(tree: ast.Module) -> set[tuple[int, str]]:
    """(level, dotted name) of everything a file imports when it runs."""
    found: set[tuple[int, str]] = set()
    lazy = any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in tree.body)
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and _is_typing_guard(node.test):
            pending.extend(node.orelse)
            continue
        if lazy and isinstance(node, ast.Constant) and isinstance(node.value, str) and _DOTTED.fullmatch(node.value):
            found.add((0, node.value))
        elif isinstance(node, ast.Import):
            found.update((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            found.add((node.level, base))
            found.update((node.level, f"{base}.{alias.name}" if base else alias.name) for alias in node.names)
        pending.extend(ast.iter_child_nodes(node))
    return found


def _is_typing_guard(test: ast.expr) -> bool:
    name = test.id if isinstance(test, ast.Name) else test.attr if isinstance(test, ast.Attribute) else ""
    return name == "TYPE_CHECKING"
