"""Imports only go down: the house of docs/architecture.md, held by reading every import in the package."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import suite

PACKAGE = Path(suite.__file__).parent

# What each room may import besides itself, the registry and the errors. Absent rooms may import nothing.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "registry": set(),
    "bits": set(),
    "axes": set(),
    "cards": {"axes"},
    "records": {"axes", "bits", "cards"},
    "statistics": set(),
    "shipped": set(),
    "torchvision_shim": set(),
    "hardware": {"axes", "cards"},
    "studies": {"axes", "cards", "records", "statistics"},
    "claims": {"axes", "cards", "records", "shipped", "statistics", "studies"},
    "reports": {"axes", "bits", "cards", "claims", "records", "statistics", "studies"},
    "quantizers": {"axes"},
    "tasks": {"torchvision_shim"},
    "models": {"tasks", "shipped", "torchvision_shim"},
    "plan": {"axes", "bits", "quantizers", "models"},
    "methods": {"axes", "bits", "plan", "quantizers"},
    "audit": {"axes", "bits", "plan", "quantizers", "models"},
    "harness": {
        "axes",
        "cards",
        "records",
        "statistics",
        "quantizers",
        "plan",
        "tasks",
        "models",
        "methods",
        "audit",
        "reports",
    },
    "contract": {"axes", "cards", "records", "methods", "harness", "tasks", "models", "plan"},
}
TORCH_FREE = {
    "errors",
    "registry",
    "bits",
    "axes",
    "cards",
    "records",
    "statistics",
    "studies",
    "claims",
    "hardware",
    "shipped",
    "reports",
    "cli",
    "__init__",
    "__main__",
}
HEAVY = {"torch", "torchvision", "timm", "transformers", "sklearn"}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path, *, top_level_only: bool) -> set[str]:
    """Dotted names a file imports; inside functions too unless only the top level is asked for."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            if not top_level_only:
                pending.extend(node.body)
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and top_level_only:
            continue
        pending.extend(ast.iter_child_nodes(node))
    return found


FILES = sorted(path for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    room = room_of(path)
    if room in ("cli", "__main__", "__init__"):
        return  # the command line stands above both wings
    rooms = {name.split(".")[1] for name in imports_of(path, top_level_only=False) if name.startswith("suite.")} & {
        room_of(other) for other in FILES
    }
    upward = rooms - ALLOWED.get(room, set()) - {room, "errors", "registry", "__init__"}
    assert not upward, f"{room} must not import {sorted(upward)}"


@pytest.mark.parametrize(
    "path", [path for path in FILES if room_of(path) in TORCH_FREE], ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_the_reading_wing_never_imports_the_laboratory_at_start(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports_of(path, top_level_only=True)}
    assert not roots & HEAVY


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["evaluate", "--help"],
        ["compare", "--help"],
        ["card", "validate", "cards/lsq.yaml"],
        ["card", "render", "cards/lsq.yaml"],
        ["list", "axes"],
        ["list", "methods"],
        ["list", "tasks"],
        ["list", "models"],
        ["show", "axis", "skip_connection"],
        ["runs", "list"],
        ["study", "list"],
        ["list", "claims"],
        ["show", "claim", "flexround/table2/4"],
        ["reproduce", "flexround/table13"],
        ["list", "hardware"],
        ["show", "hardware", "ethos-u"],
        ["card", "find", "--hardware", "tensorrt-int8"],
        ["report", "--help"],
        ["completion", "bash"],
    ],
    ids=" ".join,
)
def test_torch_free_commands_do_not_import_torch(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from suite.cli.main import run\n"
        f"code = run({arguments!r})\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
        "raise SystemExit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=PACKAGE.parent, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
