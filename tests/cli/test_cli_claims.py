"""`suite list claims`, `suite show claim`, `suite reproduce`: what they print, what they run, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from suite.claims import load_published, mapping
from suite.cli.main import run
from suite.studies import load as studies

STUDY = """\
study: 1
id: tiny
title: Two ways to round
question: Does the range matter at 2 bits?
fixed:
  method: rtn
  task: digits
  model: digits-resnet
  axes: {activation_bits: 32, weight_granularity: per-tensor, time_limit: 1000, examples: 16}
parts:
  - id: main
    title: Weights
    varies:
      - {factor: range, axis: weight_range, values: [min-max, mse]}
      - {factor: bits, axis: weight_bits, values: [2, 8]}
sizes:
  smoke: {says: The embedded digits.}
  small:
    says: With weights of somebody.
    weights: [{model: digits-resnet, name: somebody.pt, sha256: "SHA"}]
shows:
  - part: main
    table: {rows: range, columns: bits}
""".replace("SHA", "a" * 64)

MAPPING = """\
mapping: 1
study: tiny
papers:
  - paper: flexround
    differs: Everything.
    comparisons:
      - tables: table2
        where: {bits: 2}
        claims: {w_bits: 2}
        rows:
          - {id: AdaQuant, claims: {method: B + AdaQuant}, where: {range: min-max}}
          - {id: AdaRound, claims: {method: B + AdaRound}, where: {range: mse}}
        contrasts: [{of: AdaRound, minus: AdaQuant}]
"""


@pytest.fixture
def mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite whose only study is a tiny one, and whose only mapping is of it."""
    for name, text in (("studies/tiny.yaml", STUDY), ("mappings/tiny.yaml", MAPPING)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUITE_RUNS", raising=False)
    monkeypatch.setattr(studies, "SHIPPED", tmp_path / "studies")
    monkeypatch.setattr(mapping, "SHIPPED", tmp_path / "mappings")
    mapping.load_mappings.cache_clear()
    yield tmp_path
    mapping.load_mappings.cache_clear()


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert run([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_claims_are_listed_by_paper_by_table_and_by_words(capsys: pytest.CaptureFixture[str]) -> None:
    everything = answer(capsys, "list", "claims")
    assert len(everything) == len(load_published().claims)
    table = answer(capsys, "list", "claims", "--paper", "flexround/table2")
    assert {row["table"] for row in table} == {"table2"}
    found = answer(capsys, "list", "claims", "--paper", "flexround/table2", "--search", "mobilenetv2 ADAQUANT")
    assert {(row["model"], row["method"]) for row in found} == {("MobileNetV2", "B + AdaQuant")}
    assert all(row in table for row in found)
    first = found[0]["values"][0]
    assert (first["name"], first["unit"]) == ("top-1", "%")
    assert first["number"] == float(first["printed"])
    assert run(["list", "claims", "--search", "nothing-has-this-word"]) == 0
    assert "no claims have all of these words" in capsys.readouterr().out
    assert run(["list", "claims", "--paper", "smol/table7"]) == 0
    assert "smol/table7/3" in capsys.readouterr().out


def test_other_kinds_are_searched_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert {row["id"] for row in answer(capsys, "list", "axes", "--search", "skip_conn")} == {"skip_connection"}


def test_a_claim_is_shown_with_everything_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    data = answer(capsys, "show", "claim", "flexround/table6/6")
    assert (data["model"], data["weight_bits"], data["file"], data["line"]) == (
        "MobileNetV2",
        4.0,
        "flexround_table6.csv",
        7,
    )
    assert data["stated"]["weight_granularity"] == "per-tensor"
    assert "residual_connection" in data["not_reported"]
    assert {doubt["kind"] for doubt in data["doubts"]} == {"misprint", "contradiction"}
    assert data["needs"][0] == "ImageNet"
    assert data["studies"] == ["post-training-resnet20"]
    assert run(["show", "claim", "flexround/table6/6"]) == 0
    shown = capsys.readouterr().out
    for text in ("misprint", "not reported:", "unstated:", "ImageNet", "suite reproduce flexround/table6"):
        assert text in shown


def test_prose_settings_and_float_models_have_no_setting_to_state(capsys: pytest.CaptureFixture[str]) -> None:
    for id in ("edge-tradeoff/prose/20", "flexround/table13/1", "flexround/table2/1"):
        data = answer(capsys, "show", "claim", id)
        assert data["stated"] == {}
        assert data["not_reported"] == []
        assert run(["show", "claim", id]) == 0
        assert "not reported:" not in capsys.readouterr().out
    assert answer(capsys, "show", "claim", "edge-tradeoff/prose/20")["unstated"]


def test_a_paper_is_reproduced_as_far_as_it_goes(mapped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    waiting = answer(capsys, "reproduce", "flexround/table2", "--recorded")
    assert {line["verdict"] for line in waiting["lines"]} == {"not run"}
    assert not (mapped / "runs").exists()

    found = answer(capsys, "reproduce", "flexround/table2", "--jobs", "2", "--quiet")
    assert found["studies"] == [{"study": "tiny", "cells": 2, "differs": "Everything.", "says": "The embedded digits."}]
    scores = [line for line in found["lines"] if line["kind"] == "score"]
    (contrast,) = [line for line in found["lines"] if line["kind"] == "difference of methods"]
    assert {line["verdict"] for line in scores} == {"side by side only"}
    assert {line["basis"] for line in found["lines"]} == {"same question, other network"}
    assert all(line["differences"] == [] and line["interval"][0] <= line["reproduced"] for line in scores)
    # What is printed is in the table; what is measured is the difference of the two scores.
    claims = load_published()
    for held in contrast["published"]:
        above, below = (claims.claim(id).quantities[0].number for id in held["claims"])
        assert above is not None
        assert below is not None
        assert held["value"] == pytest.approx((above - below) / 100)
    assert contrast["reproduced"] == pytest.approx(scores[1]["reproduced"] - scores[0]["reproduced"])
    low, high = contrast["interval"]
    ahead = "same order" if low > 0 else "other order" if high < 0 else "not resolved"
    assert contrast["verdict"] == ahead
    nobody, asked = found["not_reproduced"]
    assert (asked["table"], asked["claims"], nobody["claims"]) == ("table2", 6, 24)
    assert asked["why"] == "the question is asked above, of another network"
    assert nobody["why"] == "no study that comes with the suite asks this"
    assert asked["needs"][0] == "ImageNet"

    assert run(["reproduce", "flexround/table2", "--recorded"]) == 0
    shown = capsys.readouterr().out
    assert f"{100 * scores[0]['reproduced']:.2f}" in shown
    for text in ("95 % interval", "same question, other network", "not reproduced", "Everything. Size smoke:"):
        assert text in shown

    written = answer(capsys, "reproduce", "flexround/table2", "--recorded", "--to", "page")
    assert written.pop("files")[:2] == ["page/reproduction.html", "page/reproduction.md"]
    assert written == found
    page = (mapped / "page" / "reproduction.html").read_text(encoding="utf-8")
    assert f"{100 * scores[0]['reproduced']:.2f}" in page

    site = answer(
        capsys,
        "report",
        "build",
        "--to",
        "site",
    )
    assert site["reproduced"] == 1
    assert (mapped / "site" / "reproduced" / "flexround-smoke" / "reproduction.html").is_file()


def test_what_cannot_be_run_here_says_what_it_needs(mapped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "reproduce", "flexround/table2", "--size", "small")
    assert found["lines"] == []
    assert found["not_run"][0]["study"] == "tiny"
    assert "the study needs the weights somebody.pt" in found["not_run"][0]["why"]
    assert "the study needs the weights somebody.pt" in found["not_reproduced"][0]["why"]
    paper = answer(capsys, "reproduce", "flexround", "--size", "paper")
    assert paper["not_run"] == [
        {"study": "tiny", "why": "it has the sizes smoke, small alone", "tables": ["table2"], "statements": []}
    ]
    assert run(["reproduce", "flexround", "--size", "paper"]) == 0
    assert "the study tiny: it has the sizes smoke, small alone" in capsys.readouterr().out
    (mapped / "other.pt").write_bytes(b"other")
    assert run(["reproduce", "flexround/table2", "--size", "small", "--weights", "other.pt"]) == 2
    assert "other.pt is not a weights file that is asked for here (asked for: somebody.pt)" in capsys.readouterr().err


def test_a_table_of_settings_has_nothing_to_reproduce(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reproduce", "flexround/table13"]) == 0
    assert "it states settings, no results" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["show", "claim", "flexround/table2/31"], "table2 of this paper has the rows 1 to 30"),
        (["show", "claim", "../../etc/passwd"], "no claim is called '../../etc/passwd'"),
        (["list", "claims", "--paper", "flexrond"], "no paper is called 'flexrond' (did you mean 'flexround'?)"),
        (["list", "methods", "--paper", "flexround"], "--paper is for claims, not for methods"),
        (["reproduce", "flexround/table99"], "flexround has no table 'table99'"),
        (["reproduce", "flexround", "--size", "huge"], "'huge' is not one of"),
        (["reproduce", "nobody"], "no paper is called 'nobody'"),
        (["reproduce", "flexround", "--weights", "none.pt"], "none.pt cannot be read"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert len(said.strip().splitlines()) == 1
