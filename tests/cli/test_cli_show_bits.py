"""`suite show bits`: the bits of a run layer by layer, with every sum, from a real run and from what is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from suite.cli.main import run
from suite.models import get_baseline

RTN = str(Path(__file__).parents[2] / "cards" / "rtn.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with 4 bits: symmetric weights, a scale a channel, first and last layer at 8."""
    root = tmp_path_factory.mktemp("runs")
    axes = ("weight_bits=4", "weight_symmetry=symmetric", "scales_in_size=not-counted")
    wanted = [part for axis in axes for part in ("--set", axis)]
    assert run(["evaluate", "--card", RTN, "--out", str(root), "--threads", "1", "--json", *wanted]) == 0
    (found,) = (path.parent for path in root.glob("*/record.json"))
    return found


@pytest.fixture
def printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["show", "bits", str(folder), "--json"]) == 0
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    return data


def test_every_sum_is_that_of_the_layers_and_of_the_record(printed: dict[str, Any], folder: Path) -> None:
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    weights = get_baseline("digits-resnet").load(10).state_dict()
    sizes = {name.removesuffix(".weight"): value.numel() for name, value in weights.items() if value.dim() > 1}
    bits = {name: 8 if name in ("conv1", "linear") else 4 for name in sizes}
    assert {row["site"].removesuffix(":weight"): row["elements"] for row in printed["layers"]} == sizes
    totals = printed["totals"]
    average = sum(sizes[name] * bits[name] for name in sizes) / sum(sizes.values())
    assert totals["average_weight_bits"] == pytest.approx(
        {"signed": average, "unsigned": average, "implicit-sign": average - 1}
    )
    assert totals["average_weight_bits"]["signed"] == record["average_weight_bits"]
    assert totals["weight_bytes"] == sum(sizes[name] * bits[name] for name in sizes) // 8
    assert totals["model_bytes"]["not-counted"] == record["model_bytes"]
    assert totals["model_bytes"]["counted"] == record["model_bytes"] + totals["scale_bytes"]
    assert totals["scales_in_size"] == "not-counted"
    assert totals["precision_map_bytes"] == 0
    assert totals["feature_map_total_bytes"] == record["feature_map_total_bytes"]
    assert totals["feature_map_total_bytes"] == sum(one["bytes"] for one in printed["feature_maps"])


def test_a_person_reads_a_line_a_layer_and_what_each_sum_counts(
    folder: Path, printed: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["show", "bits", folder.name, "--runs", str(folder.parent)]) == 0
    text = capsys.readouterr().out
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert {row["site"].removesuffix(":weight") for row in printed["layers"]} <= set(lines)
    assert lines["layer2.0.conv2"].split() == ["layer2.0.conv2", "9,216", "4", "████", "15", "of", "16", "32", "4,736"]
    assert lines["4.05"].endswith("signed, or unsigned with a sign bit: every sign counts")
    assert lines["3.05"].endswith("implicit sign: only magnitudes count")
    assert "model, without scales and zero points, as the card counts" in text


def test_the_page_of_the_run_draws_the_map(folder: Path, printed: dict[str, Any]) -> None:
    html = (folder / "card.html").read_text(encoding="utf-8")
    assert html.count('<g role="img"') == len(printed["layers"])
    assert "## Bits, layer by layer" in (folder / "card.md").read_text(encoding="utf-8")


def test_no_torch_is_needed_to_read_it(folder: Path) -> None:
    program = (
        "import sys\nfrom suite.cli.main import run\n"
        f"assert run(['show', 'bits', {str(folder)!r}]) == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert run(["show", "bits", *arguments]) == 2
    answer = capsys.readouterr()
    assert answer.out == ""
    assert "Traceback" not in answer.err
    return answer.err


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema": 2}, "has no account of bits: an older suite wrote it"),
        (
            {"status": "diverged", "message": "not finite", "score": None, "difference": None, "bits": None},
            "diverged: nothing was left to count",
        ),
        ({"bits": {"layers": []}}, "bits needs exactly"),
    ],
)
def test_records_without_an_account(
    folder: Path, tmp_path: Path, changes: dict[str, Any], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record = {**json.loads((folder / "record.json").read_text(encoding="utf-8")), **changes}
    if changes.get("schema") == 2:
        del record["bits"]
    (tmp_path / "record.json").write_text(json.dumps(record), encoding="utf-8")
    assert says in refused([str(tmp_path / "record.json")], capsys)


def test_a_card_alone_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert "is a card: bits are counted layer by layer in the record of a run" in refused([RTN], capsys)


def test_a_run_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no run is called" in refused(["nothing", "--runs", str(tmp_path)], capsys)
