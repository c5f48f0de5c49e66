"""Reports: the way of a training, from the figures that a trained method leaves in its record: loss and steps.

`after` counts training steps, `loss` is the mean since the last look (so it has no value at the start), and
`step_sizes` the mean step of each quantizer that learns. Other methods leave other figures; those are not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from suite.reports.charts import Tick, round_step
from suite.reports.numbers import clean, number

WIDTH, HEIGHT = 1000, 600
MOST_POINTS, MOST_LINES = 2000, 400
"""Figures come from methods that anybody wrote: no more of them is drawn than a page can hold."""
WEIGHT, ACTIVATION = 0, 1
"""The colours of the steps of weights and of everything else."""


@dataclass(frozen=True)
class Way:
    """One line: a path in the drawing's units, with the name that a pointer shows."""

    name: str
    style: int
    path: str


@dataclass(frozen=True)
class Course:
    """One drawing: lines over training steps."""

    title: str
    note: str
    label: str
    ways: tuple[Way, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    legend: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Trajectory:
    """What one run left of its training."""

    courses: tuple[Course, ...]
    rows: tuple[tuple[str, str, str], ...]
    """The same in words: what, at its start, at its end."""


def trajectory(figures: Mapping[str, Any]) -> Trajectory | None:
    """The drawings of a record's figures, or None where they tell of no training."""
    after = _numbers(figures.get("after"))
    if len(after) < 2 or after != sorted(after) or after[0] == after[-1]:
        return None
    loss = _numbers(figures.get("loss"))
    steps = {
        clean(str(name)): held
        for name, sizes in list(_mapping(figures.get("step_sizes")).items())[:MOST_LINES]
        if len(held := _numbers(sizes)) == len(after) and min(held) > 0.0
    }
    courses, rows = [], []
    if len(loss) in (len(after), len(after) - 1) and len(loss) > 1:
        courses.append(_loss(after[-len(loss) :], loss))
        rows.append(("loss", number(loss[0], 4), number(loss[-1], 4)))
    if steps:
        courses.append(_steps(after, steps))
        rows += [(name, f"{sizes[0]:.4g}", f"{sizes[-1]:.4g}") for name, sizes in steps.items()]
    return Trajectory(tuple(courses), tuple(rows)) if courses else None


def _loss(after: Sequence[float], loss: Sequence[float]) -> Course:
    low, high = min(0.0, *loss), max(loss)
    step = round_step(max(high - low, 1e-9) / 4.0)
    high = step * math.ceil(high / step - 1e-9) or step
    ticks = [step * place for place in range(math.floor(low / step), round(high / step) + 1)]
    low = ticks[0]

    def height(value: float) -> float:
        return 1.0 - (value - low) / (high - low)

    return Course(
        title="Loss",
        note="Mean training loss between two looks.",
        label=f"Loss over {number(after[-1])} training steps, from {number(loss[0], 4)} to {number(loss[-1], 4)}",
        ways=(Way("loss", WEIGHT, _path(after, [height(value) for value in loss], after[-1])),),
        x_ticks=_step_ticks(after[-1]),
        y_ticks=tuple(Tick(round(100.0 * height(value), 2), f"{value:.4g}", "end") for value in ticks),
        legend=(),
    )


def _steps(after: Sequence[float], steps: Mapping[str, Sequence[float]]) -> Course:
    """Steps relative to where they began, on a logarithmic scale: halves and doubles are as far from 1."""
    ratios = {name: [math.log2(size / sizes[0]) for size in sizes] for name, sizes in steps.items()}
    reach = max(0.25, *(abs(value) for held in ratios.values() for value in held))
    spacing = 0.25 if reach <= 0.5 else 0.5 if reach <= 1.0 else float(math.ceil(reach / 4.0))
    count = math.ceil(reach / spacing - 1e-9)
    reach = spacing * count

    def height(value: float) -> float:
        return 0.5 - value / (2.0 * reach)

    kinds = {name: WEIGHT if name.endswith(":weight") else ACTIVATION for name in steps}
    names = {WEIGHT: "weights", ACTIVATION: "activations"}
    return Course(
        title="Steps, relative to their start",
        note="Each line is the mean step of one quantizer, divided by its first value.",
        label=f"Steps of {len(steps)} quantizers over {number(after[-1])} training steps, relative to their start",
        ways=tuple(
            Way(name, kinds[name], _path(after, [height(value) for value in held], after[-1]))
            for name, held in ratios.items()
        ),
        x_ticks=_step_ticks(after[-1]),
        y_ticks=tuple(
            Tick(round(100.0 * height(spacing * place), 2), f"{2.0 ** (spacing * place):.3g}×", "end")
            for place in range(-count, count + 1)
        ),
        legend=tuple((names[kind], kind) for kind in sorted(set(kinds.values()))),
    )


def _path(after: Sequence[float], heights: Sequence[float], last: float) -> str:
    places = (
        f"{round(WIDTH * step / last)} {round(HEIGHT * height)}" for step, height in zip(after, heights, strict=True)
    )
    return "M" + "L".join(places)


def _step_ticks(last: float) -> tuple[Tick, ...]:
    step = max(1.0, round_step(last / 4.0))
    return tuple(
        Tick(round(100.0 * step * place / last, 2), number(step * place), "middle")
        for place in range(int(last / step) + 1)
    )


def _numbers(value: Any) -> list[float]:
    if not isinstance(value, list) or len(value) > MOST_POINTS:
        return []
    held = [float(item) for item in value if isinstance(item, int | float) and not isinstance(item, bool)]
    return held if len(held) == len(value) and all(math.isfinite(item) for item in held) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
