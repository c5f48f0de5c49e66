"""Studies, explained gaps: running the cells between two sides, and splitting the gap by what they scored."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from suite.errors import StudyError
from suite.records import Store
from suite.records.plain import digest_of
from suite.statistics import Interval
from suite.statistics.attribution import Attribution, Outcomes, attribute
from suite.studies.cells import Cell
from suite.studies.evidence import Evidence, Measured, Missing
from suite.studies.executor import Executor
from suite.studies.explaining.legality import Legality, Refusal
from suite.studies.explaining.players import (
    Player,
    joined_where_refused,
    mixed,
    mixtures_to_run,
    orders_to_run,
    players_of,
)
from suite.studies.explaining.sides import METHOD, Declared, Side, card_of
from suite.studies.run import Display, run_cells
from suite.studies.states import CellResult, Conditions, Present, State

if TYPE_CHECKING:
    from suite.studies.explaining.spans import Span


@dataclass(frozen=True)
class Explanation:
    """A gap, what it is split among, and the cells that it rests on."""

    first: Side
    second: Side
    players: tuple[Player, ...]
    seeds: tuple[int, ...]
    attribution: Attribution
    scores: Mapping[int, Interval]
    """Mixture -> its score; bit i of a mixture stands for player i."""
    results: tuple[CellResult, ...]
    span: Span | None = None
    """How far what a card of a paper does not report could move its score."""

    def switched(self, mixture: int) -> tuple[Player, ...]:
        """The players that have the second side's values in a mixture."""
        return tuple(player for position, player in enumerate(self.players) if mixture >> position & 1)

    def group_of(self, mixture: int) -> str:
        """The id that the cells of a mixture share."""
        return ".".join(letters(self.players, mixture).values())


@dataclass(frozen=True)
class Laboratory:
    """Where and how cells are run, and until when new ones may be begun (on the clock of `time.monotonic`)."""

    folder: Path
    conditions: Conditions
    executor: Executor
    display: Callable[[], Display]
    present: Present
    until: float

    def run(self, cells: Sequence[Cell]) -> tuple[CellResult, ...]:
        """What is known of each cell now; those that the budget left no time for are waiting."""
        results = run_cells(
            self.folder, cells, self.conditions, self.executor, self.display(), self.present, self.until
        )
        failed = [result for result in results if result.state is State.FAILED]
        if failed:
            raise StudyError(
                f"{len(failed)} of {len(results)} cells failed; {failed[0].cell.id}: {failed[0].message}",
                hint="what finished is on record, and the same command tries the others again",
            )
        return results


def explanation_id(first: Side, second: Side) -> str:
    """The folder of an explanation, beside those of studies: two methods, and the hash of what both sides declare."""
    both = [
        [side.task, side.model, side.declared.method, dict(side.declared.options), dict(side.declared.values)]
        for side in (first, second)
    ]
    return f"explain-{first.declared.method}-{second.declared.method}-{digest_of(both)[:8]}"


def explain(first: Side, second: Side, seeds: Sequence[int], legality: Legality, laboratory: Laboratory) -> Explanation:
    """Run what is missing between two sides and split their gap.

    Cells that diverge, or whose audit contradicts them, cannot be compared: the players that such a cell keeps apart
    are joined, as if a rule had refused it, until no cell is needed that could not be had.
    """
    players = players_of(first.declared, second.declared, legality)
    if not players and not (first.assumed or second.assumed):
        raise StudyError("the two declare the same method, options and axes: there is no gap to explain")
    while True:
        mixtures = mixtures_to_run(len(players))
        declared = {mixture: mixed(first.declared, second.declared, players, mixture) for mixture in mixtures}
        cells = {
            mixture: [_cell(first, second, players, mixture, one, seed) for seed in seeds]
            for mixture, one in declared.items()
        }
        results = laboratory.run([cell for group in cells.values() for cell in group])
        by_id = {result.cell.id: result for result in results}
        unfit = {
            mixture: why
            for mixture, group in cells.items()
            if (why := _unfit([by_id[cell.id] for cell in group])) is not None
        }
        if not unfit:
            break
        for mixture, why in unfit.items():
            if mixture in (0, 2 ** len(players) - 1):
                raise StudyError(
                    f"the {'second' if mixture else 'first'} of the two cannot be compared: {why.sentence}"
                )
            legality.forbid(declared[mixture], why)
        players = joined_where_refused(first.declared, second.declared, players, legality)
    evidence = Evidence(results, Store(laboratory.conditions.runs))
    measured = _measured(cells, evidence, tuple(seeds))
    outcomes = {mixture: _stacked(one) for mixture, one in measured.items()}
    whole = 2 ** len(players) - 1
    attribution = (
        attribute(len(players), outcomes, orders_to_run(len(players))) if {0, whole} <= outcomes.keys() else None
    )
    if attribution is None:
        raise StudyError(
            f"the budget was over when {len(outcomes)} of {len(mixtures)} mixtures were measured, too few to split it",
            hint="the same command goes on from there, and --budget gives it more minutes",
        )
    return Explanation(
        first,
        second,
        players,
        tuple(seeds),
        attribution,
        {mixture: one.score() for mixture, one in measured.items()},
        tuple(result for result in results if result.state is not State.WAITING),
    )


def letters(players: Sequence[Player], mixture: int) -> dict[str, str]:
    """Player -> whose values it has in a mixture."""
    return {player.name: "B" if mixture >> position & 1 else "A" for position, player in enumerate(players)}


def budget_end(minutes: float) -> float:
    """When a budget that begins now is over, on the clock of `time.monotonic`."""
    return time.monotonic() + 60.0 * minutes


def _cell(first: Side, second: Side, players: Sequence[Player], mixture: int, declared: Declared, seed: int) -> Cell:
    levels = letters(players, mixture)
    switched = [name for name, letter in levels.items() if letter == "B"]
    if mixture == 0:
        title = first.title
    elif len(switched) == len(players):
        title = second.title
    else:
        title = f"{first.title}, with {', '.join(switched)} of {second.title}"
    return Cell(levels, seed, card_of(declared, first, seed, title))


def _unfit(results: Sequence[CellResult]) -> Refusal | None:
    """Why cells that differ in the seed alone cannot be compared, although they ran."""
    for result in results:
        if result.state is State.DIVERGED:
            return Refusal(frozenset(), f"it diverged: {result.message}")
        audit = result.record.audit if result.record is not None else None
        if audit is not None and audit["verdict"] == "contradicted":
            axes = [axis for axis, held in audit["axes"].items() if held["verdict"] == "contradicted"]
            return Refusal(frozenset((METHOD, *axes)), f"its audit contradicts {', '.join(axes)}")
    return None


def _measured(cells: Mapping[int, Sequence[Cell]], evidence: Evidence, seeds: tuple[int, ...]) -> dict[int, Measured]:
    """The mixtures of which every seed was measured, on the same examples."""
    found: dict[int, Measured] = {}
    for mixture, group in cells.items():
        held = evidence.measured(group[0].group, seeds)
        if isinstance(held, Missing):
            continue
        if found and held.data != found[min(found)].data:
            raise StudyError(
                f"{group[0].id} was measured on other data than {cells[min(found)][0].id}",
                hint="run both on the same data (--data)",
            )
        found[mixture] = held
    return found


def _stacked(measured: Measured) -> Outcomes:
    return np.stack(measured.outcomes)
