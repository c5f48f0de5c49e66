"""A paper of one table, as files; its claims, and a mapping of it to the sample study."""

from __future__ import annotations

from pathlib import Path

from suite.claims import Published
from suite.claims.library import read_published

PAPER = """\
published: 1
id: sample-paper
title: A paper
read_from: the paper
measures:
  - {metric: Top-1 (%), values: top-1, unit: "%", better: higher}
  - {metric: Top-1 error (%), values: top-1 error, unit: "%", better: lower}
  - {metric: BLEU, values: BLEU, better: higher}
settings:
  - {id: usual, stated: {weight_granularity: per-tensor}, unstated: [the weather]}
tables:
  - {id: table1, title: Ways to round, place: section 1, kind: results, setting: usual, needs: [ImageNet]}
  - {id: table2, title: Settings, place: section 2, kind: configuration}
prose: {unstated: [the season]}
doubts:
  - {kind: misprint, says: Something is wrong., claims: [sample-paper/table1/1]}
"""
HEADER = "paper,table,dataset,model,method,setting,w_bits,a_bits,metric,value,value2,notes\n"
TABLE1 = (
    HEADER
    + """\
sample-paper,table1,ImageNet,Small,Float,,32,32,Top-1 (%),71.0,,
sample-paper,table1,ImageNet,Large,Float,,32,32,Top-1 (%),76.0,,
sample-paper,table1,ImageNet,Small,Good,,4,32,Top-1 (%),70.0,,
sample-paper,table1,ImageNet,Large,Good,,4,32,Top-1 (%),75.0,,
sample-paper,table1,ImageNet,Small,Bad,,4,32,Top-1 (%),65.0,,
sample-paper,table1,ImageNet,Large,Bad,,4,32,Top-1 (%),60.0,,
sample-paper,table1,ImageNet,Small,Good,,2,32,Top-1 (%),50.0,,
sample-paper,table1,ImageNet,Large,Good,,2,32,Top-1 (%),40.0,,
sample-paper,table1,ImageNet,Small,Bad,,2,32,Top-1 (%),40.0,,
sample-paper,table1,ImageNet,Large,Bad,,2,32,Top-1 (%),45.0,,
"""
)
TABLE2 = HEADER + "sample-paper,table2,,,recipe,,,,learning rate,1e-3,,\n"
PROSE = HEADER + 'sample-paper,claim: section 3,ImageNet,Small,Good,,,,gain (%),"about 5",,said twice\n'

MAPPING = """\
mapping: 1
study: sample
papers:
  - paper: sample-paper
    differs: Another network on other data.
    comparisons:
      - tables: table1
        claims: {metric: Top-1 (%)}
        where: {part: main}
        rows:
          - {id: good, title: Good, claims: {method: Good}, where: {method: good}}
          - {id: bad, title: Bad, claims: {method: Bad}, where: {method: bad}}
        at:
          - {id: W4, title: 4 bits, claims: {w_bits: 4}, where: {bits: 4}}
          - {id: W2, title: 2 bits, claims: {w_bits: 2}, where: {bits: 2}}
        float: {method: Float}
        contrasts: [{of: good, minus: bad}]
    statements:
      - {says: Good is good, place: "section 1, Table 1", claims: sample-paper/table1, expectation: good-is-better}
"""


def write(folder: Path, **changes: str) -> tuple[list[Path], list[Path]]:
    """The files of the sample paper, some of them with other contents; the descriptions, and the tables."""
    contents = {
        "sample-paper.yaml": PAPER,
        "sample-paper_table1.csv": TABLE1,
        "sample-paper_table2.csv": TABLE2,
        "claims.csv": PROSE,
    }
    named = {"paper": "sample-paper.yaml", "table1": "sample-paper_table1.csv", "prose": "claims.csv"}
    contents |= {named.get(name, name): text for name, text in changes.items()}
    for name, text in contents.items():
        (folder / name).write_text(text, encoding="utf-8")
    return sorted(folder.glob("*.yaml")), sorted(folder.glob("*.csv"))


def sample_published(folder: Path, **changes: str) -> Published:
    return read_published(*write(folder, **changes))
