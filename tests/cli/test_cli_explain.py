"""`suite explain`: two real cards from the command line to the page, and what it refuses in one line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from suite.cards import new_card
from suite.cli.main import run
from suite.records import Store

PUBLISHED = sorted((Path(__file__).parents[2] / "cards" / "published").glob("*.yaml"))
COMMON = {"weight_bits": 3, "activation_bits": 32, "time_limit": 1000.0, "examples": 16}


def card(path: Path, method: str = "rtn", **axes: Any) -> str:
    path.write_text(new_card(method, title=path.stem, values={**COMMON, **axes}), encoding="utf-8")
    return str(path)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUITE_RUNS", raising=False)
    return tmp_path


@pytest.mark.slow
def test_the_gap_of_two_real_cards_is_split(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rounding with one scale for each tensor, against searched ranges with one for each channel."""
    first = card(folder / "plain.yaml", weight_granularity="per-tensor")
    second = card(folder / "searched.yaml", "mse", weight_range="mse", activation_range="mse")
    asked = ["explain", first, second, "--to", "page", "--json", "--quiet"]
    assert run(asked) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["of"] for one in found["shares"]] == ["method", "weight_granularity"]
    assert sum(one["share"] for one in found["shares"]) == pytest.approx(found["gap"])
    assert all(one["verdict"] in ("resolved", "not resolved") for one in found["shares"])
    assert sorted(found["runs"]) == sorted(Store(folder / "runs").run_ids())
    assert len(found["runs"]) == 4

    # The gap is that of the two runs which `suite evaluate` makes of the two cards alone.
    ends = []
    for path in (first, second):
        assert run(["evaluate", "--card", path, "--json"]) == 0
        alone = json.loads(capsys.readouterr().out)
        assert alone["found"]
        ends.append(alone)
    assert ends[1]["score"] - ends[0]["score"] == pytest.approx(found["gap"])

    # Once more, of the runs this time: nothing is measured again, and the terminal says the same numbers.
    stamps = {id: (folder / "runs" / id / "record.json").stat().st_mtime_ns for id in found["runs"]}
    assert run(["explain", ends[0]["run_id"], ends[1]["run_id"], "--quiet"]) == 0
    said = capsys.readouterr().out
    assert f"{100 * abs(found['gap']):.2f}" in said
    assert stamps == {id: (folder / "runs" / id / "record.json").stat().st_mtime_ns for id in found["runs"]}
    html, twin = (Path("page", f"explanation.{kind}").read_text(encoding="utf-8") for kind in ("html", "md"))
    for one in found["shares"]:
        shown = f"{100 * one['share']:+.2f}".replace("-", "−")
        assert shown in html
        assert shown in twin.replace("\\", "")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["explain", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    lines = [line for line in said.err.splitlines() if line.startswith("suite: ")]
    assert len(lines) == 1
    return lines[0]


def test_what_cannot_be_explained_is_refused_before_anything_runs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = card(folder / "one.yaml")
    assert "copied from papers" in refused(capsys, str(PUBLISHED[0]), str(PUBLISHED[-1]))
    assert "there is no such file" in refused(capsys, one, "missing.yaml")
    assert "no gap to explain" in refused(capsys, one, one)
    narrow = card(folder / "narrow.yaml", "mse", weight_range="mse")
    assert re.search("second of the two cannot be run: .* activation_range = min-max", refused(capsys, one, narrow))
    other = folder / "other.yaml"
    other.write_text(Path(one).read_text().replace("model: digits-resnet", "model: digits-vit"), encoding="utf-8")
    assert "another model" in refused(capsys, one, str(other))
    unknown = folder / "unknown.yaml"
    unknown.write_text(Path(one).read_text().replace("id: rtn", "id: rtnn"), encoding="utf-8")
    assert "rtn" in refused(capsys, one, str(unknown))
    weights = card(folder / "weights.yaml", baseline_weights="mine.pt")
    assert "--weights" in refused(capsys, one, weights)
    assert "budget" in refused(capsys, one, one, "--budget", "0")
    assert list(Store(folder / "runs").run_ids()) == []
