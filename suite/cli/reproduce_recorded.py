"""What is on record of every paper, for the site: published beside reproduced, as far as its studies have run."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from suite.claims import Published
    from suite.claims.reproduce import Part, Refused, Reproduction

SIZES = ("paper", "small", "smoke")


def on_record(published: Published, runs: Path) -> tuple[Reproduction, ...]:
    """Each paper at each size at which something of it was measured, on a processor and one thread.

    Studies that left nothing in this folder of runs are named as not run.
    """
    from suite.claims.mapping import load_mappings
    from suite.claims.reproduce import plan

    if not (runs / "studies").is_dir():
        return ()
    mappings, found = load_mappings(), []
    for paper, size in itertools.product(published.papers, SIZES):
        parts, refused = plan(published, mappings, paper, size)
        found.append(_of_paper(published, paper, size, parts, refused, runs))
    return tuple(one for one in found if one is not None)


def _of_paper(
    published: Published, paper: str, size: str, parts: tuple[Part, ...], beforehand: tuple[Refused, ...], runs: Path
) -> Reproduction | None:
    """None where nothing was measured."""
    from suite.claims.reproduce import Reproduction, left_over, not_met, results
    from suite.cli.study_setup import known
    from suite.records import Store
    from suite.studies.evidence import Evidence
    from suite.studies.journal import FILE
    from suite.studies.states import folder_of

    answers, refused = [], list(beforehand)
    for part in parts:
        if not (folder_of(runs, part.study.id, size) / FILE).is_file():
            refused.append(not_met(part, "nothing of it has run here"))
            continue
        cells = known(part.study, size, part.cells, (), None, "cpu", 1, runs)
        if any(cell.record is not None for cell in cells):
            answers.append(results(part, published, Evidence(cells, Store(runs))))
        else:
            refused.append(not_met(part, "none of its cells is on record here"))
    if not answers:
        return None
    left = left_over(published, paper, answers, refused)
    return Reproduction(paper, size, tuple(answers), tuple(refused), left)
