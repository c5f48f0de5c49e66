"""Numbers read again in the papers' own text, and compared with the claims. No number stands in this file.

The texts are not part of the suite: `SUITE_PAPERS` names the folder that holds them, one `PAPER.txt` each.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from suite.claims import Claim, load_published

VARIABLE = "SUITE_PAPERS"
FILES = {"smol": "smol-appendix.txt"}
PUBLISHED = load_published()

pytestmark = pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} is not set")


def text_of(paper: str) -> str:
    return (Path(os.environ[VARIABLE]) / FILES.get(paper, f"{paper}.txt")).read_text(encoding="utf-8")


def the_claim(table: str, **columns: str) -> Claim:
    found = [claim for claim in PUBLISHED.of(table) if columns.items() <= claim.columns().items()]
    assert len(found) == 1, [claim.id for claim in found]
    return found[0]


def printed(claim: Claim) -> list[str]:
    return [quantity.text for quantity in claim.quantities]


def numbers(cell: str) -> list[str]:
    """The numbers of a cell, without what typesetting left around them."""
    return re.findall(r"\d+(?:\.\d+)?", cell.replace("${f", "").replace("}$", ""))


def cell(paper: str, caption: str, row: tuple[str, ...], column: str | int) -> str:
    """The cell of a table in the text: the first row after its caption that begins with these cells, by its column.

    A column is found by its name in the header, which is the first line with tabs after the caption.
    """
    after = text_of(paper).partition(caption)[2]
    assert after, f"{paper} has no {caption}"
    lines = [line.split("\t") for line in after.splitlines() if "\t" in line]
    place = lines[0].index(column) if isinstance(column, str) else column
    found = next(line for line in lines if tuple(line[: len(row)]) == row)
    return found[place]


@pytest.mark.parametrize(
    ("table", "method", "bits", "model"),
    [
        ("table2", "B + AdaRound", ("4", "32"), "ResNet-18"),
        ("table2", "B + AdaQuant", ("3", "32"), "ResNet-50"),
        ("table2", "B + FlexRound (Ours)", ("2", "32"), "MobileNetV2"),
        ("table3", "Q + AdaRound", ("3", "3"), "ResNet-18"),
        ("table3", "B + FlexRound (Ours)", ("3", "3"), "MobileNetV2"),
        ("table6", "B + AdaQuant", ("4", "32"), "MobileNetV2"),
        ("table6", "Full-precision", ("32", "32"), "ResNet-50"),
        ("table7", "Q + FlexRound (Ours)", ("4", "4"), "ResNet-50"),
        ("table9", "B + AdaQuant + FlexRound", ("2", "32"), "ResNet-18"),
    ],
)
def test_flexround_by_method_bits_and_model(table: str, method: str, bits: tuple[str, str], model: str) -> None:
    claim = the_claim(f"flexround/{table}", method=method, w_bits=bits[0], a_bits=bits[1], model=model)
    caption = f"Table {table.removeprefix('table')}:"
    assert numbers(cell("flexround", caption, (method, "/".join(bits)), model)) == printed(claim)


@pytest.mark.parametrize(
    ("table", "method", "model"),
    [
        ("table1", "B + FlexRound without s_3 , s_4", "ResNet-50"),
        ("table1", "B + AdaQuant", "MobileNetV2"),
        ("table8", "B + FlexRound with s_1 fixed", "MobileNetV2"),
        ("table8", "B + AdaRound", "ResNet-18"),
    ],
)
def test_flexround_by_method_and_model(table: str, method: str, model: str) -> None:
    claim = the_claim(f"flexround/{table}", method=method, model=model)
    assert numbers(cell("flexround", f"Table {table.removeprefix('table')}:", (method,), model)) == printed(claim)


def test_flexround_perplexity() -> None:
    claim = the_claim("flexround/table5", dataset="WikiText2", method="Q+AdaRound", model="OPT_125M")
    assert numbers(cell("flexround", "Table 5:", ("WikiText2", "Q+AdaRound"), "OPT_{125M}")) == printed(claim)


@pytest.mark.parametrize("method", ["EasyQuant [51]", "RAQ [19]"])
def test_fixedpoint_vit_after_training(method: str) -> None:
    claim = the_claim("fixedpoint-vit/table2", model="DeiT-Small", method=method.partition(" ")[0])
    rows = [line.split("\t") for line in text_of("fixedpoint-vit").splitlines() if method in line.split("\t")]
    assert [row[-1] for row in rows] == printed(claim)


def test_smol_retrained() -> None:
    for method in ("Original (SMOL)", "Re-trained with shuffled precisions"):
        claim = the_claim("smol/table6", method=method, metric="Test Accuracy (%)")
        ratio = the_claim("smol/table6", method=method, metric="Compression Ratio (x)")
        row = cell("smol", "Table 6:", (method,), 3), cell("smol", "Table 6:", (method,), 2)
        assert [row[0]] == printed(claim)
        assert [row[1]] == printed(ratio)


def test_edge_tradeoff_float_networks() -> None:
    for dataset, model in (("CIFAR-10", "EfficientNet (light)"), ("WikiText-103", "Transformer (adaptive inputs)")):
        claim = the_claim("edge-tradeoff/table1", dataset=dataset, model=model)
        found = cell("edge-tradeoff", "Table 1: Performances", (dataset, model), "Score")
        assert [found] == printed(claim)


@pytest.mark.parametrize(("weights", "activations"), [("4", "4"), ("4.32", "8")])
def test_confounding_tradeoffs_learned_bits(weights: str, activations: str) -> None:
    claim = the_claim("confounding-tradeoffs/table2", w_bits=weights, a_bits=activations, metric="Top-1 (%)")
    size = the_claim("confounding-tradeoffs/table2", w_bits=weights, a_bits=activations, metric="model size (MB)")
    row = rf"([\d.]+) MB {re.escape(weights)} [\d.]+ MB {re.escape(activations)} ([\d.]+) ± ([\d.]+)"
    found = re.search(row, text_of("confounding-tradeoffs"))
    assert found is not None
    assert [found[2], found[3]] == printed(claim)
    assert [found[1]] == printed(size)


@pytest.mark.parametrize(
    ("paper", "metric", "pattern"),
    [
        ("flexround", "aggressively rounded", r"first block of MobileNetV2 is around ([\d.]+%)"),
        ("flexround", "calibration images", r"low-bit PTQ reconstruction with (\d+)\s+randomly sampled images"),
        ("flexround", "degradation of 4-bit", r"performance degradation[^.]*negligible \(less than ([\d.]+%)\)"),
        ("flexround", "random trials", r"report the (?P<second>\w+) over (?P<first>\w+) random trials"),
        ("fixedpoint-vit", "gap MSE-only", r"still has a gap of ([\d.]+)%"),
        ("fixedpoint-vit", "margin over RAQ", r"outperforms previous state-of-art RAQ \[19\] by ([\d.]+)%"),
        ("fixedpoint-vit", "calibration images", r"we sample (\d+) images from the trainset"),
        ("smol", "total epochs", r"of the total (?P<first>\d+) epochs.*allocating (?P<second>\d+) epochs"),
        ("smol", "compression / BLEU loss", r"\(\$([\d.]+)\\times\$ ratio\), the BLEU score is lower by only ([\d.]+)"),
        ("confounding-tradeoffs", "percentile for activation", r"clipping of activa-\s*tions at the ([\d.]+)th"),
    ],
)  # fmt: skip
def test_numbers_in_prose(paper: str, metric: str, pattern: str) -> None:
    claim = next(claim for claim in PUBLISHED.of(f"{paper}/prose") if claim.metric.startswith(metric))
    found = re.search(pattern, text_of(paper), re.DOTALL)
    assert found is not None, pattern
    read = [found[name] for name in ("first", "second")] if found.groupdict() else list(found.groups())
    words = {"five": "5"}
    assert [words.get(text, text).rstrip(".") for text in read] == [text.strip("<x") for text in printed(claim)]
