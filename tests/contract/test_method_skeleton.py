"""`suite method new`: what it writes works, and it never replaces or half-writes anything."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from suite.cards import load_card
from suite.cli.main import run
from suite.cli.method import command
from suite.contract.skeleton import START, check_name, skeleton, write_skeleton
from suite.errors import RegistryCollision, SuiteError

REGISTRY_FILES = {"suite/methods/mine.py", "cards/mine.yaml", "tests/methods/test_mine.py"}
PACKAGE_FILES = {"suite_method_mine.py", "cards/mine.yaml", "tests/test_mine.py", "pyproject.toml"}


def files_below(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("package", "expected"), [(False, REGISTRY_FILES), (True, PACKAGE_FILES)])
def test_the_files_are_where_a_pull_request_or_a_distribution_needs_them(
    tmp_path: Path, package: bool, expected: set[str]
) -> None:
    paths = write_skeleton("mine", tmp_path, package=package)
    assert files_below(tmp_path) == expected
    assert {str(path.relative_to(tmp_path)) for path in paths} == expected
    for path in paths:
        if path.suffix == ".py":
            ast.parse(path.read_text(encoding="utf-8"))
    card = load_card(tmp_path / "cards/mine.yaml")
    assert card.method.id == "mine"
    assert {axis: card.values[axis] for axis in START} == START


def test_python_files_are_formatted_and_free_of_lint(tmp_path: Path) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("ruff is not installed here")
    write_skeleton("mine", tmp_path)
    shutil.copy(Path(__file__).parents[2] / "pyproject.toml", tmp_path)
    # In a checkout ruff sees where the rest of the package lies; here only the new file is there.
    first_party = ["--config", "lint.isort.known-first-party=['suite']"]
    for arguments in (["check", *first_party], ["format", "--check"]):
        done = subprocess.run(
            [ruff, *arguments, "--no-cache", "."], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Mine",
        "my-method",
        "../escape",
        "/etc/passwd",
        "a/b",
        "a.b",
        "1st",
        "_hidden",
        "class",
        "a" * 49,
        "naïve",
        "a\n",
    ],
)
def test_names_that_are_no_module_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="cannot be the name of a method"):
        write_skeleton(name, tmp_path)
    assert files_below(tmp_path) == set()


def test_a_known_name_collides_and_both_places_are_named() -> None:
    with pytest.raises(RegistryCollision, match=r"method 'lsq' exists already: suite\.methods\.lsq:METHOD, from suite"):
        check_name("lsq")


@pytest.mark.parametrize("name", ["api", "engines"])
def test_a_name_of_a_folder_beside_the_methods_is_refused(name: str) -> None:
    with pytest.raises(SuiteError, match="is a folder beside the methods"):
        check_name(name)


@pytest.mark.parametrize("existing", sorted(REGISTRY_FILES))
def test_no_existing_file_is_replaced_and_nothing_else_is_written(existing: str, tmp_path: Path) -> None:
    path = tmp_path / existing
    path.parent.mkdir(parents=True)
    path.write_text("mine already", encoding="utf-8")
    with pytest.raises(SuiteError, match="exists already"):
        write_skeleton("mine", tmp_path)
    assert files_below(tmp_path) == {existing}
    assert path.read_text(encoding="utf-8") == "mine already"


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards/mine.yaml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SuiteError, match="exists already"):
        write_skeleton("mine", tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_what_was_written_before_a_failure_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "cards").write_text("a file where a folder is needed", encoding="utf-8")
    with pytest.raises(SuiteError, match="nothing was written"):
        write_skeleton("mine", tmp_path)
    assert files_below(tmp_path) == {"cards"}


def test_outside_a_checkout_the_command_asks_for_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(command, ["new", "mine"])
    assert isinstance(result.exception, SuiteError)
    assert "not a checkout" in str(result.exception)
    assert files_below(tmp_path) == set()


def test_a_wrong_name_ends_the_command_with_two_and_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["method", "new", "../mine", "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_the_command_names_files_and_next_steps_in_json(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["new", "mine", "--package", "--out", str(tmp_path / "dist"), "--json"])
    told = json.loads(result.stdout)
    assert {str(Path(path).relative_to(tmp_path / "dist")) for path in told["files"]} == PACKAGE_FILES
    assert told["next"][1] == "suite method check mine"


def test_an_installed_distribution_is_found_through_its_entry_point(tmp_path: Path) -> None:
    write_skeleton("mine", tmp_path, package=True)
    points = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    # What an installer writes; running one here would need a network.
    info = tmp_path / "suite_method_mine-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: suite-method-mine\nVersion: 0.1.0\n", encoding="utf-8")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {to}\n" for name, to in held.items()) for group, held in points.items()
    ]
    (info / "entry_points.txt").write_text("".join(lines), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "suite", "list", "methods", "--json"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    rows = {row["id"]: row for row in json.loads(done.stdout)}
    assert rows["mine"]["origin"] == "suite-method-mine"
    assert rows["mine"]["summary"].startswith("Mine: one shrink factor")


def test_the_skeleton_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weight error is never above that of plain round-to-nearest, which is its first candidate."""
    import torch
    from torch import nn

    from suite.axes import Setting
    from suite.plan import dissect, make_plan, place

    module = type(sys)("skeleton_under_test")
    monkeypatch.setitem(sys.modules, "skeleton_under_test", module)
    text = skeleton("mine", package=True)["suite_method_mine.py"]
    exec(compile(text, "mine.py", "exec"), module.__dict__)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4)).eval()
    setting = Setting.default().replace(
        **{**START, "weight_bits": 3, "first_layer_weights": "same", "weight_granularity": "per-tensor"},
        activation_parameters="dynamic",
    )
    placed = place(model, make_plan(dissect(model, torch.zeros(2, 16)), setting))

    class Work:
        pass

    work = Work()
    work.model, work.setting = placed, setting  # type: ignore[attr-defined]
    module.METHOD().quantize(work)
    weight = model[0].weight.detach()
    step = weight.abs().max() / 3
    plain = ((weight / step).round().clamp(-3, 3) * step - weight).square().sum()
    found = (placed.get_submodule("0").weight_quantizer(weight) - weight).square().sum()
    assert float(found) < float(plain)
