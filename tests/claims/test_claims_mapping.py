"""Mappings: those that come with the suite agree with claims and studies; broken ones are refused with their place."""

from __future__ import annotations

from pathlib import Path

import pytest
from claim_samples import MAPPING, TABLE1, sample_published
from study_samples import sample

from suite.claims import load_published
from suite.claims.mapping import SHIPPED, PaperMapping, load_mappings, read_mapping
from suite.errors import ClaimError
from suite.studies import shipped_studies

ROWS = "        rows:\n"


def mapping_of(folder: Path, text: str = MAPPING) -> tuple[PaperMapping, ...]:
    path = folder / "sample.yaml"
    path.write_text(text, encoding="utf-8")
    (folder / "numbers").mkdir()
    return read_mapping(path, sample_published(folder / "numbers"), sample())


def test_every_shipped_mapping_agrees_with_its_study() -> None:
    mappings = load_mappings()
    assert {path.stem for path in SHIPPED.glob("*.yaml")} == {mapping.study for mapping in mappings}
    assert {mapping.study for mapping in mappings} <= set(shipped_studies())
    assert all(mapping.comparisons or mapping.statements for mapping in mappings)


def test_the_orderings_of_flexrounds_table_2_are_asked() -> None:
    mapping = next(held for held in load_mappings() if held.study == "post-training-resnet20")
    asked = {
        (contrast.of, contrast.minus)
        for comparison in mapping.comparisons
        if comparison.table == "table2"
        for contrast in comparison.contrasts
        if contrast.minus
    }
    assert asked == {("AdaRound", "AdaQuant"), ("FlexRound", "AdaRound")}
    assert not any(same.margin for comparison in mapping.comparisons for same in comparison.same)
    claims = load_published().of("flexround")
    spoken = {claim.table for claim in claims if mapping.speaks_of(claim)}
    assert spoken == {"table1", "table2", "table3", "table6", "table7"}


def test_a_mapping_is_read(tmp_path: Path) -> None:
    (mapping,) = mapping_of(tmp_path)
    (comparison,) = mapping.comparisons
    assert [(held.of, held.minus) for held in comparison.contrasts] == [("good", ""), ("bad", ""), ("good", "bad")]
    assert comparison.rows[0].where == {"method": ("good",)}
    assert comparison.at[1].claims == {"w_bits": ("2",)}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("mapping: 1", "mapping: 2", "sample.yaml:1:10: mapping: expected"),
        ("study: sample", "study: other", ":2:8: the mapping of 'other' stands in the file sample.yaml"),
        ("paper: sample-paper", "paper: sampel-paper", "'sampel-paper' (did you mean 'sample-paper'?)"),
        ("tables: table1", "tables: table3", "sample-paper has no table of results 'table3'"),
        ("tables: table1", "tables: table2", "sample-paper has no table of results 'table2'"),
        ("method: Bad}", "method: Worse}", "bad at W4: no claim of table1 is so"),
        ("w_bits: 2}", "w_bits: 3}", "good at W2: no claim of table1 is so"),
        ("where: {method: bad}", "where: {method: worse}", "bad at W4: the study has no such cell at any size"),
        ("where: {bits: 2}", "where: {bits: 3}", "good at W2: the study has no such cell at any size"),
        ("where: {method: bad}", "where: {}", "bad at W4 stands for several cells: main.good.4, main.bad.4"),
        ("claims: {w_bits: 2}, ", "claims: {}, ", "stand for one network (say in claims which one is meant"),
        ("where: {bits: 2}", "where: {bits: 2, method: good}", "where of good at W2 names method more than once"),
        ("claims: {w_bits: 2}", "claims: {w_bits: 2, metric: BLEU}", "claims of good at W2 names metric more"),
        ("{id: bad,", "{id: good,", "'good' is given 2 times"),
        ("minus: bad", "minus: baad", "no row is called 'baad' (did you mean 'bad'?)"),
        ("minus: bad", "minus: good", "'good' is compared with itself"),
        ("float: {method: Float}", "float: {method: Float, model: Small}", "no float score is printed for ImageNet L"),
        ("float: {method: Float}", "float: {methode: Float}", "unknown key 'methode' (did you mean 'method'?)"),
        ("good-is-better", "good-is-beter", "the study expects no 'good-is-beter' (did you mean 'good-is-better'?)"),
        ("claims: sample-paper/table1", "claims: sample-paper/table9", "no claim of this paper is called"),
        ("    differs: Another network on other data.\n", "",
         ":4:5: how the size 'smoke' differs from the paper is not said (differs, or differs_at)"),
        ("    differs:", "    differs_at: {small: In much.}\n    differs:",
         "the study has no size 'small' (it has smoke)"),
        ("    differs:", "    differs_at: {large: In much.}\n    differs:", "unknown key 'large'"),
        (ROWS, "        same_number: {sizes: paper, margin: 0.01}\n" + ROWS,
         "the study has no size 'paper' (it has smoke)"),
        (ROWS, "        same_number: {sizes: smoke, margin: 0.01}\n" + ROWS,
         "good at W4 stands for several networks at the size 'smoke'"),
        (ROWS, "        same_number: {sizes: smoke, claims: {model: Tiny}, margin: 0.01}\n" + ROWS,
         ":10:22: no claim that it speaks of stands beside a cell of the study at these sizes"),
        (ROWS, "        same_network: {sizes: smoke, claims: {model: Tiny}, but: with more of it}\n" + ROWS,
         ":10:23: no claim that it speaks of stands beside a cell of the study at these sizes"),
        (ROWS, "        same_number: {sizes: smoke}\n" + ROWS, "missing key 'margin'"),
        (ROWS, "        same_network: {sizes: smoke}\n" + ROWS, "missing key 'but'"),
        ('place: "section 1, Table 1", ', "", "missing key 'place'"),
    ],
)  # fmt: skip
def test_a_wrong_mapping(old: str, new: str, expected: str, tmp_path: Path) -> None:
    assert old in MAPPING
    with pytest.raises(ClaimError) as error:
        mapping_of(tmp_path, MAPPING.replace(old, new, 1))
    assert expected in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "sample.yaml"))
    assert "\n" not in str(error.value)


def test_only_accuracies_are_compared_with_scores(tmp_path: Path) -> None:
    (tmp_path / "numbers").mkdir()
    published = sample_published(tmp_path / "numbers", table1=TABLE1.replace("Top-1 (%)", "BLEU"))
    path = tmp_path / "sample.yaml"
    path.write_text(MAPPING.replace("        claims: {metric: Top-1 (%)}\n", ""), encoding="utf-8")
    with pytest.raises(ClaimError, match=r"is no accuracy in percent: BLEU, 71\.0"):
        read_mapping(path, published, sample())
