"""Contract: the skeleton of a new method, three files that work before their author has changed a word.

All files are made in memory and checked, then written; where one of them cannot be written, those already written are
taken away again. No existing file is ever replaced.
"""

from __future__ import annotations

import datetime
import keyword
import re
from importlib import resources
from pathlib import Path

import jinja2

from suite.axes import Setting
from suite.cards import Card, MethodChoice, card_to_yaml
from suite.errors import RegistryCollision, SuiteError
from suite.methods import METHODS

NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
# The axis values that the skeleton's method starts with; its file says the same under `recommended`.
START = {"weight_range": "mse", "weight_bits": 4}


def write_skeleton(name: str, root: Path, *, package: bool = False) -> list[Path]:
    """Write method, card and test under `root`, as the registry wants them or as a distribution; return the paths."""
    check_name(name)
    files = {root / path: text for path, text in skeleton(name, package=package).items()}
    for path in files:
        if path.exists() or path.is_symlink():
            raise SuiteError(f"'{path}' exists already", hint="choose another name, or another folder with --out")
    written: list[Path] = []
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise SuiteError(f"cannot write '{error.filename}': {error.strerror}", hint="nothing was written") from None
    return written


def check_name(name: str) -> None:
    """A method's name is a Python module, an option value and a file name, so it is held to the narrowest of them."""
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise SuiteError(
            f"'{name[:60]}' cannot be the name of a method",
            hint="use at most 48 lower-case letters, digits and underscores, beginning with a letter",
        )
    if name in METHODS:
        entry = METHODS.entry(name)
        raise RegistryCollision(f"method '{name}' exists already: {entry.target}, from {entry.origin}")
    if (Path(str(resources.files("suite.methods"))) / name).is_dir():
        raise SuiteError(f"'{name}' is a folder beside the methods", hint="choose another name")


def skeleton(name: str, *, package: bool) -> dict[str, str]:
    """Relative path -> text of every file of the skeleton."""
    words = {
        "name": name,
        "class_name": "".join(part.capitalize() for part in name.split("_")),
        "title": name.replace("_", " ").capitalize(),
        "year": datetime.date.today().year,
        "module": f"suite_method_{name}" if package else f"suite.methods.{name}",
        "distribution": f"suite-method-{name.replace('_', '-')}",
    }
    card = Card(
        kind="run",
        title=f"{words['title']} on the embedded digits",
        method=MethodChoice(name, {}),
        values=Setting.default().replace(**START).values,
        task="digits",
        model="digits-resnet",
    )
    files = {
        f"suite/methods/{name}.py": _render("method.py.j2", words),
        f"cards/{name}.yaml": card_to_yaml(card),
        f"tests/methods/test_{name}.py": _render("test.py.j2", words),
    }
    if package:
        files = {
            f"{words['module']}.py": files[f"suite/methods/{name}.py"],
            f"cards/{name}.yaml": files[f"cards/{name}.yaml"],
            f"tests/test_{name}.py": files[f"tests/methods/test_{name}.py"],
            "pyproject.toml": _render("pyproject.toml.j2", words),
        }
    return files


def is_checkout(root: Path) -> bool:
    """Whether `root` is a working copy of the suite, where a method belongs into the package."""
    return (root / "suite" / "methods" / "__init__.py").is_file() and (root / "pyproject.toml").is_file()


def _render(template: str, words: dict[str, object]) -> str:
    text = resources.files("suite.contract").joinpath("templates", template).read_text(encoding="utf-8")
    # Not HTML: the words are a checked identifier and what is made of it, so there is nothing to escape.
    environment = jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(text).render(words)
