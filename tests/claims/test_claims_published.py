"""Every published table is here, whole, checked, with its provenance; and it is found in an installation too."""

from __future__ import annotations

import csv
import tomllib
from collections import Counter
from pathlib import Path

import pytest

import suite
from suite.axes import AXES
from suite.cards import load_card
from suite.claims import load_published
from suite.claims.claim import Kind
from suite.claims.library import read_published
from suite.errors import UnknownName
from suite.shipped import shipped_files

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "baselines" / "published"
TABLES = sorted(FOLDER.glob("*_table*.csv"))
PUBLISHED = load_published()


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_table_and_the_prose_are_here() -> None:
    assert len(TABLES) == sum(len(paper.tables) for paper in PUBLISHED.papers.values()) == 27
    assert len(PUBLISHED.claims) == sum(len(rows_of(path)) for path in (*TABLES, FOLDER / "claims.csv"))
    assert Counter(claim.id for claim in PUBLISHED.claims).most_common(1)[0][1] == 1


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_table_says_what_its_file_says(path: Path) -> None:
    paper, table = path.stem.split("_")
    claims = PUBLISHED.of(f"{paper}/{table}")
    for number, (claim, row) in enumerate(zip(claims, rows_of(path), strict=True), 1):
        assert claim.id == f"{paper}/{table}/{number}"
        assert [quantity.text for quantity in claim.quantities] == [
            row["value"],
            *[row["value2"]][: bool(row["value2"])],
        ]
        assert claim.columns() == {**{name: row[name] for name in claim.columns()}, **_bits(row)}
        assert (claim.note, claim.line) == (row["notes"], number + 1)


def _bits(row: dict[str, str]) -> dict[str, str]:
    return {name: row[name].removesuffix(".0") for name in ("w_bits", "a_bits")}


def test_results_are_numbers_with_a_meaning() -> None:
    results = [
        claim for claim in PUBLISHED.claims if (table := PUBLISHED.table_of(claim)) and table.kind is Kind.RESULTS
    ]
    assert len(results) > 400
    for claim in results:
        assert all(quantity.number is not None for quantity in claim.quantities)
        assert not any(quantity.relation for quantity in claim.quantities)
        assert claim.model
        if claim.quantities[0].unit == "%":
            assert all(0 <= quantity.number <= 100 for quantity in claim.quantities if quantity.number is not None)


def test_what_a_paper_leaves_unstated_is_said() -> None:
    """The paper states per-tensor weights, says nothing of the residual, and leaves more open than axes ask for."""
    claim = PUBLISHED.claim("flexround/table2/10")
    statement = PUBLISHED.statement_of(claim)
    assert statement is not None
    assert (statement.stated["weight_granularity"], statement.stated["weight_bits"]) == ("per-tensor", 4)
    assert {"residual_connection", "data_source"} <= set(statement.not_reported)
    assert {*statement.stated, *statement.not_reported} == set(AXES)
    assert any("8-bit activations" in text for text in statement.unstated)
    assert PUBLISHED.statement_of(PUBLISHED.claim("flexround/table2/1")) is None  # a float model has no such setting


def test_statements_agree_with_the_transcribed_cards() -> None:
    """Table 4 is the card of the method behind Table 2: what both state has to be the same."""
    card = load_card(ROOT / "cards" / "published" / "confounding-tradeoffs-table4.yaml")
    table = PUBLISHED.papers["confounding-tradeoffs"].table("table2")
    assert table is not None
    both = {axis for axis in table.statement.stated if card.values[axis] != "not reported"}
    assert len(both) > 10
    assert {axis: card.values[axis] for axis in both} == {axis: table.statement.stated[axis] for axis in both}
    for table in PUBLISHED.papers["confounding-tradeoffs"].tables:
        assert not table.card or (ROOT / "cards" / "published" / f"{table.card}.yaml").is_file()


def test_doubts_are_told_where_they_belong() -> None:
    said = {doubt.kind for doubt in PUBLISHED.doubts_of(PUBLISHED.claim("flexround/table6/6"))}
    assert "misprint" in said
    assert [doubt.says for doubt in PUBLISHED.doubts_of(PUBLISHED.claim("edge-tradeoff/table1/2"))] == [
        doubt.says for doubt in PUBLISHED.doubts_of(PUBLISHED.claim("edge-tradeoff/table2/2"))
    ]
    assert not PUBLISHED.doubts_of(PUBLISHED.claim("edge-tradeoff/table1/1"))


@pytest.mark.parametrize(
    ("note", "paper"),
    [("misprint", "flexround"), ("Table 2 prints", "edge-tradeoff"), ("abstract prints", "fixedpoint-vit"),
     ("not met in Table 3", "flexround"), ("two different ranges", "edge-tradeoff"), ("inferred", "fixedpoint-vit")],
)  # fmt: skip
def test_doubtful_notes_of_the_rows_are_doubts_of_the_paper(note: str, paper: str) -> None:
    noted = [claim for claim in PUBLISHED.of(paper) if note in claim.note]
    assert noted
    assert all(PUBLISHED.doubts_of(claim) for claim in noted)


@pytest.mark.parametrize(
    ("words", "among"),
    [
        ("MobileNetV2 adaquant 0.48", {"flexround/table6/6", "flexround/table8/3", "flexround/table9/6"}),
        ("iwslt bleu 5.8", {"smol/table7/3"}),
        ("lambda zero-precision", {"smol/prose/9"}),
    ],
)
def test_claims_are_found_by_words(words: str, among: set[str]) -> None:
    assert {claim.id for claim in PUBLISHED.search(words)} >= among
    for claim in PUBLISHED.search(words):
        assert claim.paper in {id.partition("/")[0] for id in among}


def test_search_within_a_table_and_nothing_found() -> None:
    table = PUBLISHED.of("flexround/table2")
    assert {claim.model for claim in PUBLISHED.search("resnet-50", table)} == {"ResNet-50"}
    assert PUBLISHED.search("resnet-50 perplexity") == ()


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: PUBLISHED.claim("flexround/table2/99"), "table2 of this paper has the rows 1 to 30"),
        (lambda: PUBLISHED.claim("flexround/prose/99"), "prose of this paper has the rows 1 to 18"),
        (lambda: PUBLISHED.claim("flexroud/table2/1"), "did you mean 'flexround'?"),
        (lambda: PUBLISHED.claim("flexround"), "--search"),
        (lambda: PUBLISHED.of("flexround/tabel2"), "flexround has no table 'tabel2' (did you mean 'table2'?)"),
        (lambda: PUBLISHED.of("smoll"), "no paper is called 'smoll' (did you mean 'smol'?)"),
    ],
)
def test_unknown_names_are_answered_with_known_ones(call, expected: str) -> None:
    with pytest.raises(UnknownName) as error:
        call()
    assert expected in str(error.value)


def test_an_installation_finds_its_numbers_under_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    assert listed["share/quantization-suite/baselines/published"] == ["baselines/published/*"]
    site = tmp_path / "site-packages"
    folder = site / "share" / "quantization-suite" / "baselines" / "published"
    folder.mkdir(parents=True)
    (site / "suite").mkdir()
    for file in FOLDER.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(suite, "__file__", str(site / "suite" / "__init__.py"))
    found = [shipped_files(f"baselines/published/*.{kind}") for kind in ("yaml", "csv")]
    assert {file.parent for files in found for file in files} == {folder}
    assert read_published(*found).claims == PUBLISHED.claims
