"""Reports, collection: accuracy against what a model costs, and the front of runs that no other run beats in both.

A run is on the front of a cost when no other run of the same task has at least its score at a lower cost, or a higher
score at its cost. Fronts of different tasks, or of other test examples of one task, have nothing to do with each other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from suite.reports.charts import Tick, round_step
from suite.reports.collection.runs import Run
from suite.reports.numbers import byte_size, number, percent

MOST_TASKS = 4
"""So many tasks, those with the most runs, have figures; the table has all of them."""
MOST_METHODS = 7
"""So many methods have a colour of their own; the others share the last one."""
OTHERS = "other methods"
WIDTH, HEIGHT = 1000, 600
"""The drawing's own units. Marks keep their size however it is stretched, because only their centres scale."""
CELL = 4
"""Runs whose marks would fall into one cell of so many units are drawn once."""
NARROW = 6.0
"""A range of costs whose ends differ by no more than this factor is shorter than a logarithmic scale is good for."""
VIEW_BELOW = 1.6
"""How far the view reaches below the lowest point of the front, in heights of the front."""


@dataclass(frozen=True)
class Cost:
    """One thing to pay with."""

    id: str
    title: str
    of: Callable[[Run], float | None]
    text: Callable[[float], str]
    logarithmic: bool


COSTS = (
    Cost("weight_bits", "Bits of a weight on average", lambda run: run.weight_bits, number, False),
    Cost("model_bytes", "Bytes of the model", lambda run: run.model_bytes, byte_size, True),
    Cost("feature_map_bytes", "Bytes of the largest feature map", lambda run: run.feature_map_bytes, byte_size, True),
    Cost("epochs", "Time, in training epochs of the float model", lambda run: run.epochs, lambda x: f"{x:.3g}", True),
)


@dataclass(frozen=True)
class Cloud:
    """All runs of one method, as the path of one element: a dot where each run is."""

    method: str
    style: int
    path: str


@dataclass(frozen=True)
class FrontPoint:
    """One run on the front, in percent of width and height."""

    x: float
    y: float
    style: int
    label: str
    run: Run
    cost: str
    score: str


@dataclass(frozen=True)
class Front:
    """The figure of one task and one cost."""

    id: str
    title: str
    cost: Cost
    clouds: tuple[Cloud, ...]
    points: tuple[FrontPoint, ...]
    stairs: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    below: int
    """Runs that lie below what is in view."""


@dataclass(frozen=True)
class TaskFronts:
    """The figures of one task, which share their legend."""

    task: str
    runs: int
    legend: tuple[tuple[str, int], ...]
    fronts: tuple[Front, ...]


def all_fronts(runs: Sequence[Run]) -> tuple[tuple[TaskFronts, ...], int]:
    """The figures of the tasks with the most runs, and how many tasks have none."""
    counted = Counter((run.task, run.data, run.metric) for run in runs).most_common()
    several = Counter(key[0] for key, _ in counted)
    found = []
    for place, (key, count) in enumerate(counted[:MOST_TASKS]):
        held = [run for run in runs if (run.task, run.data, run.metric) == key]
        name = key[0] if several[key[0]] == 1 else f"{key[0]}, {key[2]}, data {key[1][:8]}"
        found.append(_of_task(f"front-{place}", name, count, held))
    return tuple(found), max(0, len(counted) - MOST_TASKS)


def pareto(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """Positions of the points that no other beats, from the cheapest to the dearest."""
    order = sorted(range(len(costs)), key=lambda place: (costs[place], -scores[place]))
    kept: list[int] = []
    for place in order:
        if not kept or scores[place] > scores[kept[-1]]:
            kept.append(place)
    return kept


def _of_task(id: str, name: str, count: int, runs: Sequence[Run]) -> TaskFronts:
    common = [method for method, _ in Counter(run.method for run in runs).most_common(MOST_METHODS)]
    styles = {method: place for place, method in enumerate(sorted(common))}
    fronts = [_front(f"{id}-{cost.id}", name, cost, runs, styles) for cost in COSTS]
    legend = list(styles.items())
    if len({run.method for run in runs}) > len(styles):
        legend.append((OTHERS, MOST_METHODS))
    return TaskFronts(name, count, tuple(legend), tuple(front for front in fronts if front is not None))


def _front(id: str, task: str, cost: Cost, runs: Sequence[Run], styles: dict[str, int]) -> Front | None:
    held = [
        (run, paid, run.score)
        for run in runs
        if run.score is not None and (paid := cost.of(run)) is not None and (paid > 0.0 or not cost.logarithmic)
    ]
    if len(held) < 2:
        return None
    best = pareto([paid for _, paid, _ in held], [score for _, _, score in held])
    x_scale = _Scale.of([paid for _, paid, _ in held], cost.logarithmic)
    top, bottom = held[best[-1]][2], held[best[0]][2]
    lowest = max(min(score for _, _, score in held), bottom - VIEW_BELOW * max(top - bottom, 0.01))
    y_scale = _Scale.of([lowest, top], False)
    seen = [(run, x_scale.part(paid), y_scale.part(score)) for run, paid, score in held if score >= y_scale.start]
    points = tuple(
        FrontPoint(
            x=round(100.0 * x_scale.part(paid), 2),
            y=round(100.0 * (1.0 - y_scale.part(score)), 2),
            style=styles.get(run.method, MOST_METHODS),
            label=f"{run.method} on {run.model}, seed {run.seed}: {percent(score)} at {cost.text(paid)}",
            run=run,
            cost=cost.text(paid),
            score=percent(score),
        )
        for run, paid, score in (held[place] for place in best)
    )
    return Front(
        id=id,
        title=f"Score against {cost.title[0].lower()}{cost.title[1:]}",
        cost=cost,
        clouds=_clouds(seen, styles),
        points=points,
        stairs=_stairs(points),
        x_ticks=tuple(
            Tick(round(100.0 * x_scale.part(value), 2), cost.text(value), "middle") for value in x_scale.ticks
        ),
        y_ticks=tuple(
            Tick(round(100.0 * (1.0 - y_scale.part(value)), 2), f"{100.0 * value:.4g}", "end")
            for value in y_scale.ticks
        ),
        below=len(held) - len(seen),
    )


def _clouds(seen: Sequence[tuple[Run, float, float]], styles: dict[str, int]) -> tuple[Cloud, ...]:
    cells: dict[int, dict[tuple[int, int], None]] = {}
    for run, x, y in seen:
        cell = (round(WIDTH * x / CELL), round(HEIGHT * (1.0 - y) / CELL))
        cells.setdefault(styles.get(run.method, MOST_METHODS), {})[cell] = None
    names = {style: method for method, style in styles.items()}
    # A line of no length with a round end is a dot whose size does not stretch with the drawing.
    return tuple(
        Cloud(names.get(style, OTHERS), style, "".join(f"M{CELL * x} {CELL * y}h0" for x, y in held))
        for style, held in sorted(cells.items())
    )


def _stairs(points: Sequence[FrontPoint]) -> str:
    """The edge of what is reached: level until the next point, then up to it."""
    if not points:
        return ""
    place = [(round(WIDTH * point.x / 100.0), round(HEIGHT * point.y / 100.0)) for point in points]
    return f"M{place[0][0]} {place[0][1]}" + "".join(f"H{x}V{y}" for x, y in place[1:]) + f"H{WIDTH}"


@dataclass(frozen=True)
class _Scale:
    """Values to parts of a length, linear or logarithmic, with round ticks."""

    start: float
    stop: float
    logarithmic: bool
    ticks: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float], logarithmic: bool) -> _Scale:
        low, high = min(values), max(values)
        logarithmic = logarithmic and high / low > NARROW
        if logarithmic:
            low, high = low / 1.15, high * 1.15
            powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            factors = (1.0, 2.0, 5.0) if high / low < 50.0 else (1.0, 3.0) if high / low < 500.0 else (1.0,)
            ticks = [factor * 10.0**power for power in powers for factor in factors]
        else:
            step = round_step(max(high - low, 1e-6 * abs(high), 1e-9) / 4.0)
            margin = 0.0 if high > low else step
            low, high = low - margin - 0.15 * step, high + margin + 0.15 * step
            first = math.ceil(low / step - 1e-9)
            ticks = [round(step * place, 12) for place in range(first, math.floor(high / step + 1e-9) + 1)]
        return cls(
            low,
            high,
            logarithmic and low > 0.0 and high / low > NARROW,
            tuple(tick for tick in ticks if low <= tick <= high),
        )

    def part(self, value: float) -> float:
        if self.logarithmic:
            return math.log(value / self.start) / math.log(self.stop / self.start)
        return (value - self.start) / (self.stop - self.start)
