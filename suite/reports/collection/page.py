"""Reports, collection: what the page of many runs says, gathered before any template runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from suite.axes import AXES
from suite.reports import numbers
from suite.reports.card_page import Banner
from suite.reports.charts import Figure
from suite.reports.collection.effect_rows import (
    EffectGroup,
    EffectRow,
    effect_groups,
    effect_rows,
    effects_table,
    pairs_table,
)
from suite.reports.collection.effects import MOST_CONTRASTS, effects
from suite.reports.collection.fronts import TaskFronts, all_fronts
from suite.reports.collection.matching import contrasts
from suite.reports.collection.runs import Collection, Problem, Run
from suite.reports.collection.runs_table import column_of, runs_table
from suite.reports.table import Cell, Table
from suite.reports.trajectories import Trajectory, trajectory

MOST_RUNS = 12_000
"""A page with more rows than this would be slow to open; the files beside it have all of them."""
MOST_TRAJECTORIES = 4
MOST_PROBLEMS = 40

Figures = Callable[[str], Mapping[str, Any]]
"""The figures in the record of a run, by its id; empty where there are none."""


@dataclass(frozen=True)
class Spread:
    """One axis on which the runs differ, with how many runs have each value."""

    axis: str
    question: str
    values: str
    count: int
    of_method: bool


@dataclass(frozen=True)
class Shown:
    """The trajectory of one run."""

    title: str
    run_id: str
    held: Trajectory


@dataclass(frozen=True)
class RecordsPage:
    """Everything the templates `records.html.j2` and `records.md.j2` print."""

    title: str
    lede: str
    banner: Banner
    runs: Table
    left_out: int
    problems: tuple[Problem, ...]
    more_problems: int
    groups: tuple[EffectGroup, ...]
    figure: Figure
    all_effects: tuple[EffectRow, ...]
    effects: Table
    unjudged: int
    pairs: Table
    all_pairs: int
    fronts: tuple[TaskFronts, ...]
    more_tasks: int
    trajectories: tuple[Shown, ...]
    varying: tuple[Spread, ...]
    agreed: tuple[tuple[str, str], ...]
    every_axis: Table

    @property
    def tables(self) -> tuple[Table, ...]:
        """What is written beside the page as files."""
        return self.every_axis, self.effects, self.pairs


def records_page(collection: Collection, figures: Figures) -> RecordsPage:
    """Gather the page; `figures` is asked for few runs only."""
    runs = collection.runs
    sound = [run for run in runs if run.sound]
    found = contrasts(sound)
    judged = effects(found, sound)
    rows, figure = effect_rows(judged)
    fronts, more_tasks = all_fronts(sound)
    shown = sorted(runs, key=lambda run: run.started)[-MOST_RUNS:] if len(runs) > MOST_RUNS else list(runs)
    every_axis = runs_table(runs)
    varying = [axis for axis in AXES if len(set(column_of(every_axis, axis))) > 1]
    on_page = runs_table(sorted(shown, key=lambda run: run.run_id)) if len(shown) < len(runs) else every_axis
    return RecordsPage(
        title=f"{numbers.number(len(runs))} runs compared",
        lede=_lede(runs),
        banner=_banner(runs, sound, collection.problems),
        runs=on_page.without(*(axis for axis in AXES if axis not in varying)),
        left_out=len(runs) - len(shown),
        problems=collection.problems[:MOST_PROBLEMS],
        more_problems=max(0, len(collection.problems) - MOST_PROBLEMS),
        groups=tuple(effect_groups(rows)),
        figure=figure,
        all_effects=tuple(rows),
        effects=effects_table(judged),
        unjudged=max(0, len(found) - MOST_CONTRASTS),
        pairs=pairs_table(judged, sound),
        all_pairs=sum(len(one.pairs) for one in found),
        fronts=fronts,
        more_tasks=more_tasks,
        trajectories=tuple(_trajectories(sound, figures)),
        varying=tuple(_spread(axis, column_of(every_axis, axis)) for axis in varying),
        agreed=tuple(
            (axis, numbers.value_text(column_of(every_axis, axis)[0])) for axis in AXES if axis not in varying and runs
        ),
        every_axis=every_axis,
    )


def _banner(runs: Sequence[Run], sound: Sequence[Run], problems: Sequence[Problem]) -> Banner:
    count, rest = len(runs), len(runs) - len(sound)
    said = []
    for what, held in (
        ("diverged", sum(run.status == "diverged" for run in runs)),
        ("failed", sum(run.status == "failed" for run in runs)),
        ("contradicted by the audit", sum(run.audit == "contradicted" for run in runs)),
    ):
        said += [f"{numbers.number(held)} {what}"] * bool(held)
    if problems:
        said.append(f"{numbers.number(len(problems))} could not be read")
    sentence = (
        "Only what completed and what no audit contradicts is put into pairs, fronts and effects. "
        "The table has everything."
    )
    if not rest and not problems:
        return Banner("good", f"All {numbers.number(count)} runs completed, and every audit verified them", sentence)
    tone = "doubtful" if sound else "bad"
    return Banner(
        tone,
        f"{numbers.number(len(sound))} of {numbers.number(count)} runs can be compared",
        f"{', '.join(said)}. {sentence}" if said else sentence,
    )


def _lede(runs: Sequence[Run]) -> str:
    methods, tasks = (Counter(getattr(run, name) for run in runs) for name in ("method", "task"))
    return f"{_several(methods, 'method')} on {_several(tasks, 'task')}." if runs else "There are no runs here yet."


def _several(counted: Counter[str], what: str) -> str:
    return ", ".join(sorted(counted)) if len(counted) <= 6 else f"{len(counted)} {what}s"


def _trajectories(runs: Sequence[Run], figures: Figures) -> Iterable[Shown]:
    """The best run of each method that left a trajectory; few records are opened to find them."""
    best: dict[str, Run] = {}
    for run in sorted(runs, key=lambda one: -(one.score or 0.0)):
        best.setdefault(run.method, run)
    count = 0
    for method in sorted(best):
        held = trajectory(figures(best[method].run_id)) if count < MOST_TRAJECTORIES else None
        if held is not None:
            count += 1
            run = best[method]
            title = f"{run.method} on {run.model}, {numbers.percent(run.score)}"
            yield Shown(title, run.run_id, held)


def _spread(axis: str, cells: Sequence[Cell]) -> Spread:
    counted = Counter(cells).most_common()
    told = ", ".join(f"{value} ({numbers.number(count)})" for value, count in counted[:8])
    more = f" and {len(counted) - 8} more" if len(counted) > 8 else ""
    return Spread(axis, AXES[axis].question, told + more, len(counted), AXES[axis].of_method)
