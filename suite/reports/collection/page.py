"""Reports, collection: what the page of many runs says, gathered before any template runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from suite.axes import AXES
from suite.reports import numbers
from suite.reports.card_page import Banner
from suite.reports.charts import Figure, Strip, differences_figure
from suite.reports.collection.effects import MOST_CONTRASTS, Effect, effects
from suite.reports.collection.fronts import TaskFronts, all_fronts
from suite.reports.collection.matching import METHOD, contrasts
from suite.reports.collection.runs import Collection, Problem, Run
from suite.reports.collection.table import MOST_CHOICES, Cell, Column, Table
from suite.reports.trajectories import Trajectory, trajectory

MOST_RUNS = 12_000
"""A page with more rows than this would be slow to open; the files beside it have all of them."""
MOST_PAIRS = 3_000
MOST_OF_METHODS, MOST_OF_AN_AXIS = 6, 3
MOST_FACTORS = 16
MOST_TRAJECTORIES = 4
MOST_PROBLEMS = 40

Figures = Callable[[str], Mapping[str, Any]]
"""The figures in the record of a run, by its id; empty where there are none."""


@dataclass(frozen=True)
class EffectRow:
    """One contrast, in words and as a strip of the figure."""

    factor: str
    of_method: bool
    change: str
    estimate: str
    interval: str
    how: str
    pairs: str
    verdict: str
    resolved: bool
    strip: Strip
    label: str


@dataclass(frozen=True)
class EffectGroup:
    """The largest contrasts of one factor, as the figure shows them."""

    factor: str
    of_method: bool
    rows: tuple[EffectRow, ...]
    others: int


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
    rows, figure = _effect_rows(judged)
    fronts, more_tasks = all_fronts(sound)
    shown = sorted(runs, key=lambda run: run.started)[-MOST_RUNS:] if len(runs) > MOST_RUNS else list(runs)
    every_axis = runs_table(runs)
    varying = [axis for axis in AXES if len(set(_column(every_axis, axis))) > 1]
    on_page = runs_table(sorted(shown, key=lambda run: run.run_id)) if len(shown) < len(runs) else every_axis
    return RecordsPage(
        title=f"{numbers.number(len(runs))} runs compared",
        lede=_lede(runs),
        banner=_banner(runs, sound, collection.problems),
        runs=on_page.without(*(axis for axis in AXES if axis not in varying)),
        left_out=len(runs) - len(shown),
        problems=collection.problems[:MOST_PROBLEMS],
        more_problems=max(0, len(collection.problems) - MOST_PROBLEMS),
        groups=tuple(_groups(rows)),
        figure=figure,
        all_effects=tuple(rows),
        effects=_effects_table(judged),
        unjudged=max(0, len(found) - MOST_CONTRASTS),
        pairs=_pairs_table(judged, sound),
        all_pairs=sum(len(one.pairs) for one in found),
        fronts=fronts,
        more_tasks=more_tasks,
        trajectories=tuple(_trajectories(sound, figures)),
        varying=tuple(_spread(axis, _column(every_axis, axis)) for axis in varying),
        agreed=tuple(
            (axis, numbers.value_text(_column(every_axis, axis)[0])) for axis in AXES if axis not in varying and runs
        ),
        every_axis=every_axis,
    )


COLUMNS: tuple[tuple[Column, Callable[[Run], Cell]], ...] = (
    (Column("run", "Run"), lambda run: run.run_id),
    (Column("method", "Method", filter="first"), lambda run: run.method),
    (Column("score", "Score", "percent"), lambda run: run.score),
    (Column("difference", "To float", "points"), lambda run: run.difference),
    (Column("difference_low", "95 % low", "points"), lambda run: None if run.interval is None else run.interval[0]),
    (Column("difference_high", "95 % high", "points"), lambda run: None if run.interval is None else run.interval[1]),
    (Column("average_weight_bits", "Bits, weights", "number"), lambda run: run.weight_bits),
    (Column("average_activation_bits", "Bits, activations", "number"), lambda run: run.activation_bits),
    (Column("model_bytes", "Model", "bytes"), lambda run: run.model_bytes),
    (Column("feature_map_largest_bytes", "Largest feature map", "bytes"), lambda run: run.feature_map_bytes),
    (Column("epochs", "Time, float epochs", "number"), lambda run: run.epochs),
    (Column("seconds", "Seconds", "seconds"), lambda run: run.seconds),
    (Column("audit", "Audit", filter="first"), lambda run: run.audit or "none"),
    (Column("status", "Status", filter="first"), lambda run: run.status),
    (Column("task", "Task", filter="first"), lambda run: run.task),
    (Column("model", "Network", filter="first"), lambda run: run.model),
    (Column("seed", "Seed", "number"), lambda run: run.seed),
    (Column("options", "Options"), lambda run: run.options),
    (Column("float_score", "Float score", "percent"), lambda run: run.float_score),
    (Column("metric", "Metric", shown=False), lambda run: run.metric),
    (Column("contradicted", "Contradicted axes"), lambda run: ", ".join(run.contradicted)),
    (Column("message", "Message"), lambda run: run.message),
    (Column("started", "Started"), lambda run: run.started),
    (Column("command", "Command", shown=False), lambda run: run.command),
)


def runs_table(runs: Sequence[Run]) -> Table:
    """Every run with every axis; a page keeps the axes that vary."""
    columns, cells = [], []
    for column, cell in COLUMNS:
        columns.append(column)
        cells.append([cell(run) for run in runs])
    texts: dict[Any, str] = {}
    for place, axis in enumerate(AXES):
        held = [run.values[place] for run in runs]
        for value in set(held):
            texts.setdefault(value, numbers.value_text(value))
        columns.append(Column(axis, axis, filter="more" if len(set(held)) <= MOST_CHOICES else "", shown=False))
        cells.append([texts[value] for value in held])
    return Table("runs", "Runs", "runs", tuple(columns), tuple(cells))


def _column(table: Table, id: str) -> Sequence[Cell]:
    return table.cells[next(place for place, column in enumerate(table.columns) if column.id == id)]


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


def _effect_rows(judged: Sequence[Effect]) -> tuple[list[EffectRow], Figure]:
    drawn = _drawn(judged)
    figure = differences_figure(
        [
            (one.estimate, *((one.interval.low, one.interval.high) if one.interval else (one.estimate,) * 2))
            for one in drawn
        ]
    )
    strips = dict(zip(map(id, drawn), figure.strips, strict=True))
    rows = []
    for one in judged:
        interval = (one.interval.low, one.interval.high) if one.interval else None
        change = f"{one.contrast.first} → {one.contrast.second}"
        estimate, bounds = numbers.points(one.estimate), numbers.interval_points(interval)
        rows.append(
            EffectRow(
                factor=one.contrast.factor,
                of_method=one.of_method,
                change=change,
                estimate=estimate,
                interval=bounds if interval else "no interval",
                how=one.interval.method if one.interval else "one pair without outcomes",
                pairs=_pairs_text(one),
                verdict=one.side.value if not one.resolved else f"resolved: {one.side.value}",
                resolved=one.resolved,
                strip=strips.get(id(one), Strip(None, None, None)),
                label=f"{one.contrast.factor}, {change}: {estimate}, 95 % interval {bounds}",
            )
        )
    return rows, figure


def _drawn(judged: Sequence[Effect]) -> list[Effect]:
    """What the figure shows: of each factor the contrasts that most is known of, the largest first."""
    of_factor: dict[str, list[Effect]] = {}
    for one in judged:
        of_factor.setdefault(one.contrast.factor, []).append(one)
    drawn: list[Effect] = []
    for held in list(of_factor.values())[:MOST_FACTORS]:
        limit = MOST_OF_METHODS if held[0].of_method else MOST_OF_AN_AXIS
        best_known = sorted(held, key=lambda one: (one.interval is None, -one.contrast.contexts))[:limit]
        drawn += [one for one in held if one in best_known]
    return drawn


def _groups(rows: Iterable[EffectRow]) -> list[EffectGroup]:
    by_factor: dict[str, list[EffectRow]] = {}
    for row in rows:
        by_factor.setdefault(row.factor, []).append(row)
    groups = []
    for factor, held in by_factor.items():
        shown = tuple(row for row in held if row.strip.x is not None)
        if shown:
            groups.append(EffectGroup(factor, factor == METHOD, shown, len(held) - len(shown)))
    return groups


def _pairs_text(effect: Effect) -> str:
    pairs, contexts = len(effect.contrast.pairs), effect.contrast.contexts
    return (
        f"{numbers.number(pairs)} pair{'s' * (pairs != 1)} in {numbers.number(contexts)} context{'s' * (contexts != 1)}"
    )


def _effects_table(judged: Sequence[Effect]) -> Table:
    columns: tuple[tuple[Column, Callable[[Effect], Cell]], ...] = (
        (Column("factor", "What differs"), lambda one: one.contrast.factor),
        (Column("first", "From"), lambda one: one.contrast.first),
        (Column("second", "To"), lambda one: one.contrast.second),
        (Column("effect", "Effect", "points"), lambda one: one.estimate),
        (Column("low", "95 % low", "points"), lambda one: None if one.interval is None else one.interval.low),
        (Column("high", "95 % high", "points"), lambda one: None if one.interval is None else one.interval.high),
        (Column("interval", "Interval by"), lambda one: "" if one.interval is None else one.interval.method),
        (Column("pairs", "Pairs", "number"), lambda one: len(one.contrast.pairs)),
        (Column("contexts", "Contexts", "number"), lambda one: one.contrast.contexts),
        (Column("verdict", "Verdict"), lambda one: one.side.value),
    )
    return Table(
        "effects", "Effects", "contrasts",
        tuple(column for column, _ in columns), tuple([cell(one) for one in judged] for _, cell in columns),
    )  # fmt: skip


def _pairs_table(judged: Sequence[Effect], runs: Sequence[Run]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for one in judged:
        for pair in one.contrast.pairs[: MOST_PAIRS - len(rows)]:
            first, second = runs[pair.first], runs[pair.second]
            if first.score is None or second.score is None:
                raise ValueError("only runs with a score make pairs")
            rows.append(
                (
                    one.contrast.factor,
                    f"{one.contrast.first} → {one.contrast.second}",
                    second.score - first.score,
                    first.score,
                    second.score,
                    first.model,
                    first.seed,
                    first.run_id,
                    second.run_id,
                )
            )
    columns = (
        Column("what", "What differs", filter="first"),
        Column("change", "From → to"),
        Column("difference", "Difference, points", "points"),
        Column("score_from", "Score from", "percent"),
        Column("score_to", "Score to", "percent"),
        Column("network", "Network", filter="first"),
        Column("seed", "Seed", "number"),
        Column("run_from", "Run from"),
        Column("run_to", "Run to"),
    )
    cells = tuple(list(held) for held in zip(*rows, strict=True)) if rows else tuple([] for _ in columns)
    return Table("pairs", "Matched pairs", "matched pairs", columns, cells)


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
