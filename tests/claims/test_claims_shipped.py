"""What the mappings that come with the suite say at each size, and that nothing a paper says in words is passed over.

Nothing is run: `suite reproduce --recorded` in an empty folder lists what would be compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from suite.claims import load_published
from suite.claims.mapping import load_mappings
from suite.cli.main import run
from suite.studies import load_study

OBSERVATIONS = tuple(f"observation {number}" for number in range(1, 9))
QUESTIONS = ("D.1", "D.2", "D.3")
PUBLISHED = load_published()


@pytest.fixture
def reproduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """The answer for a paper at a size, where nothing is on record."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUITE_RUNS", raising=False)

    def answer(scope: str, size: str) -> Mapping[str, Any]:
        assert run(["reproduce", scope, "--size", size, "--recorded", "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return answer


def told(study: str, size: str) -> str:
    return next(held.told(size) for held in load_mappings() if held.study == study)


@pytest.mark.parametrize("size", ["smoke", "small", "paper"])
@pytest.mark.parametrize(("paper", "questions"), [("confounding-tradeoffs", OBSERVATIONS), ("smol", QUESTIONS)])
def test_everything_that_a_paper_observes_is_asked_or_listed(
    paper: str, questions: tuple[str, ...], size: str, reproduced: Any
) -> None:
    found = reproduced(paper, size)
    places = {statement.says: statement.place for held in load_mappings() for statement in held.statements}
    asked = [places[statement["says"]] for statement in found["statements"]]
    assert asked == [statement["place"] for statement in found["statements"]]
    refused = [places[says] for held in found["not_run"] for says in held["statements"]]
    for question in questions:
        # A few questions of SMOL's appendix need more than the smallest size.
        listed = asked if (paper, size) != ("smol", "smoke") else [*asked, *refused]
        assert any(question in place for place in listed), question
    # Whatever is not asked at this size is listed as not run: together they are everything that is mapped.
    assert len(asked) + len(refused) == sum(len(held.statements) for held in load_mappings() if held.paper == paper)
    assert size != "paper" or not refused


def test_every_statement_names_its_place_and_no_two_are_the_same() -> None:
    statements = [(held.paper, statement) for held in load_mappings() for statement in held.statements]
    assert len({(paper, statement.says) for paper, statement in statements}) == len(statements)
    for paper, statement in statements:
        tables = {id.split("/")[1].removeprefix("table") for id in statement.claims if "/table" in id}
        named = set(re.findall(r"Table ([0-9IV]+)", statement.place))
        roman = {"II": "2", "III": "3", "IV": "4"}
        assert {roman.get(name, name) for name in named} <= tables or not tables, (paper, statement.says)


@pytest.mark.parametrize("mapping", load_mappings(), ids=lambda held: f"{held.study}-{held.paper}")
def test_what_differs_is_said_of_each_size_alone(mapping: Any) -> None:
    sizes = [size.name for size in load_study(mapping.study).sizes]
    texts = [mapping.told(size) for size in sizes]
    assert len(set(texts)) == len(sizes)
    for size, text in zip(sizes, texts, strict=True):
        assert "at the size" not in text
        assert size != "paper" or ("on the digits" not in text and "in the place of" not in text)


def test_at_the_papers_size_flexrounds_study_has_the_papers_grids_iterations_and_seeds() -> None:
    at_paper, at_small = told("flexround-resnet20", "paper"), told("flexround-resnet20", "small")
    assert "asymmetric" not in at_paper
    assert "2,000" not in at_paper
    for text in ("symmetric grids", "5,000 iterations", "five seeds", "ResNet-18"):
        assert text in at_paper
    assert "asymmetric grids" in at_small


@pytest.mark.parametrize(
    ("table", "bits", "basis"),
    [
        ("table1", 2, "same network and data"),
        ("table6", 4, "same network, data and setting"),
        ("table8", 4, "same network, data and setting"),
        ("table9", 4, "same network, data and setting"),
        ("table9", 3, "same network, data and setting"),
        ("table9", 2, "same network and data"),
    ],
)
def test_at_the_papers_size_resnet_18_is_the_papers_network(table: str, bits: int, basis: str, reproduced: Any) -> None:
    lines = [
        line
        for line in reproduced(f"flexround/{table}", "paper")["lines"]
        if line["study"] == "flexround-resnet20"
        and any(PUBLISHED.claim(id).weight_bits == bits for value in line["published"] for id in value["claims"])
    ]
    assert lines
    assert {line["basis"] for line in lines} == {basis}
    assert {value["model"] for line in lines for value in line["published"]} == {"ResNet-18"}
    assert all(bool(line["but"]) == (basis == "same network and data") for line in lines)


def test_other_weights_and_grids_are_said_where_the_network_is_the_papers(reproduced: Any) -> None:
    lines = [line for line in reproduced("flexround", "paper")["lines"] if line["study"] == "post-training-resnet20"]
    assert {line["basis"] for line in lines} == {"same network and data"}
    assert all("asymmetric grids" in line["but"] for line in lines)
    assert all(("other weights" in line["but"]) == (line["table"] in ("table2", "table3")) for line in lines)
    assert {line["basis"] for line in reproduced("flexround", "small")["lines"]} == {"same question, other network"}


def test_of_deit_small_only_the_papers_own_number_after_training_is_judged(reproduced: Any) -> None:
    lines = {(line["table"], line["what"]): line for line in reproduced("fixedpoint-vit", "paper")["lines"]}
    own = {what for (_, what), line in lines.items() if line["basis"] == "same network, data and setting"}
    assert own == {"iterative MSE", "iterative MSE \N{MINUS SIGN} float"}
    assert {line["basis"] for line in lines.values()} == {"same network, data and setting", "same network and data"}
    assert {value["model"] for line in lines.values() for value in line["published"]} == {"DeiT-Small"}


def test_smol_is_of_its_own_network_in_a_setting_that_is_half_known(reproduced: Any) -> None:
    assert {line["basis"] for line in reproduced("smol/table6", "paper")["lines"]} == {"same network and data"}
    assert {line["basis"] for line in reproduced("smol/table6", "small")["lines"]} == {"same question, other network"}
