"""Records: a run's name changes exactly when something that decides it changes, and says what."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import suite
from suite.errors import SuiteError
from suite.records import Record
from suite.records.identity import Identity, changes, torch_version, why_stale
from suite.records.sources import source_hashes

PARTS: dict[str, Any] = {
    "method": "lsq",
    "options": {"epochs": 3},
    "setting": {"weight_bits": 4, "allowed_bit_widths": (2, 4)},
    "task": "digits",
    "model": "digits-resnet",
    "seed": 0,
    "modules": ["suite.registry"],
    "data": "d" * 64,
    "weights": "w" * 64,
    "torch": "2.13.0",
    "device": "cpu",
    "batch_size": 128,
    "dtype": "float32",
    "threads": 1,
}


def test_equal_parts_are_the_same_run() -> None:
    reordered = {**PARTS, "setting": {"allowed_bit_widths": [2, 4], "weight_bits": 4}}
    assert Identity.of(**PARTS).run_id == Identity.of(**reordered).run_id
    assert Identity.of(**PARTS).run_id.startswith("lsq-digits-digits-resnet-s0-")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("method", "rtn"),
        ("options", {"epochs": 4}),
        ("setting", {"weight_bits": 3, "allowed_bit_widths": (2, 4)}),
        ("task", "cifar10"),
        ("model", "resnet20"),
        ("seed", 1),
        ("modules", ["suite.registry", "suite.axes"]),
        ("data", "e" * 64),
        ("weights", "v" * 64),
        ("torch", "2.14.0"),
        ("device", "cuda"),
        ("batch_size", 64),
        ("dtype", "bfloat16"),
        ("threads", 2),
    ],
)
def test_every_part_decides(part: str, value: object) -> None:
    before, after = Identity.of(**PARTS), Identity.of(**{**PARTS, part: value})
    assert before.digest != after.digest
    assert {change.part.partition(".")[0] for change in changes(before.parts, after.parts)} - {"sources"} == {part}


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A third-party distribution with a method, a helper and a module the method does not use."""
    package = tmp_path / "plugin_of_a_stranger"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "deep" / "__init__.py").write_text("")
    (package / "method.py").write_text(
        "from __future__ import annotations\n"
        "import json\n"
        "from typing import TYPE_CHECKING\n"
        "from plugin_of_a_stranger import helper\n"
        "if TYPE_CHECKING:\n"
        "    from suite.records import Record\n"
        "    from plugin_of_a_stranger import only_for_types\n"
        "def late():\n"
        "    from .deep import inner\n"
        "    from suite.registry import suggestion\n"
        "raise RuntimeError('hashing must not run this')\n"
    )
    (package / "helper.py").write_text("VALUE = 1\n")
    (package / "deep" / "inner.py").write_text("from .. import sibling\n")
    (package / "sibling.py").write_text("")
    (package / "unused.py").write_text("")
    (package / "only_for_types.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    return package


def test_sources_are_what_a_method_imports_and_nothing_is_run(plugin: Path) -> None:
    assert list(source_hashes(["plugin_of_a_stranger.method"])) == [
        "plugin_of_a_stranger/__init__.py",
        "plugin_of_a_stranger/deep/__init__.py",
        "plugin_of_a_stranger/deep/inner.py",
        "plugin_of_a_stranger/helper.py",
        "plugin_of_a_stranger/method.py",
        "plugin_of_a_stranger/sibling.py",
        "suite/__init__.py",
        "suite/errors.py",
        "suite/registry.py",
    ]


def test_an_edit_changes_one_hash_and_line_ends_do_not(plugin: Path) -> None:
    before = source_hashes(["plugin_of_a_stranger.method"])
    (plugin / "helper.py").write_bytes(b"VALUE = 1\r\n")
    assert source_hashes(["plugin_of_a_stranger.method"]) == before
    (plugin / "helper.py").write_text("VALUE = 22\n")
    after = source_hashes(["plugin_of_a_stranger.method"])
    assert {name for name in after if after[name] != before[name]} == {"plugin_of_a_stranger/helper.py"}


@pytest.mark.parametrize(
    ("module", "then"),
    [
        ("suite.records.store", ""),
        # Packages that load their parts on first use: the parts are sources too.
        ("suite.plan", "from suite.plan import *\n"),
        ("suite.methods.lsq", "from suite.quantizers import Quantizer\n"),
    ],
)
def test_the_graph_holds_what_python_really_imports(module: str, then: str) -> None:
    """Oracle: a fresh interpreter that imports the module, and tells which files of the suite it loaded."""
    program = (
        f"import {module}, sys\n{then}"
        "print('\\n'.join(sorted(m.__file__ for n, m in sys.modules.items() if n.partition('.')[0] == 'suite')))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    root = Path(suite.__file__).parent.parent
    expected = {Path(file).relative_to(root).as_posix() for file in loaded}
    assert expected <= set(source_hashes([module]))


def test_a_module_without_source_is_a_clear_error() -> None:
    with pytest.raises(SuiteError, match="source of module 'no_such_module' cannot be found"):
        source_hashes(["no_such_module"])


def test_a_source_that_does_not_parse_is_a_clear_error(plugin: Path) -> None:
    (plugin / "helper.py").write_text("def broken(:\n")
    with pytest.raises(SuiteError, match=r"helper\.py, line 1"):
        source_hashes(["plugin_of_a_stranger.method"])


def stored(build: Callable[..., Record], modules: list[str]) -> Record:
    version = torch_version()
    assert version is not None
    return build(identity=Identity.of(**{**PARTS, "modules": modules, "torch": version}).to_dict())


def test_an_unchanged_run_is_up_to_date(build: Callable[..., Record], plugin: Path) -> None:
    found = why_stale(stored(build, ["plugin_of_a_stranger.method"]), {})
    assert not found.stale
    assert found.unchecked == ("data", "weights", "library", "device", "batch_size", "dtype", "threads")


def test_why_stale_names_the_source_file(build: Callable[..., Record], plugin: Path) -> None:
    record = stored(build, ["plugin_of_a_stranger.method"])
    (plugin / "helper.py").write_text("VALUE = 2\nimport plugin_of_a_stranger.unused\n")
    found = why_stale(record, {})
    assert [str(change) for change in found.changes] == [
        "source changed: plugin_of_a_stranger/helper.py",
        "source added: plugin_of_a_stranger/unused.py",
    ]


def test_why_stale_names_data_weights_torch_and_axes(build: Callable[..., Record]) -> None:
    record = build(identity=Identity.of(**{**PARTS, "torch": "1.0.0"}).to_dict())
    present = {
        "data": "f" * 64,
        "weights": "w" * 64,
        "threads": 4,
        "setting": {"weight_bits": 8, "allowed_bit_widths": [2, 4]},
    }
    found = why_stale(record, present)
    assert [str(change) for change in found.changes] == [
        "setting.weight_bits: 4 → 8",
        "data changed: dddddddddddd → ffffffffffff",
        f"torch: 1.0.0 → {torch_version()}",
        "threads: 1 → 4",
    ]
    assert "weights" not in found.unchecked


def test_torch_version_is_read_without_torch() -> None:
    version = torch_version()
    assert version is not None
    assert version.partition("+")[0] == metadata.version("torch").partition("+")[0]
