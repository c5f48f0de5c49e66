"""Reports, collection: effects of axes and of the method in words, as a figure, and as tables with their pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from suite.reports import numbers
from suite.reports.charts import Figure, Strip, differences_figure
from suite.reports.collection.effects import Effect
from suite.reports.collection.matching import METHOD
from suite.reports.collection.runs import Run
from suite.reports.table import Cell, Column, Table

MOST_PAIRS = 3_000
MOST_OF_METHODS, MOST_OF_AN_AXIS = 6, 3
MOST_FACTORS = 16
DRAWN_REACH = 1.5
"""The drawing goes so many times as far as its largest estimate."""


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


def effect_rows(judged: Sequence[Effect]) -> tuple[list[EffectRow], Figure]:
    drawn = _drawn(judged)
    reach = DRAWN_REACH * max((abs(one.estimate) for one in drawn), default=0.0)
    figure = differences_figure([_on_drawing(one, reach) for one in drawn])
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


def _on_drawing(one: Effect, reach: float) -> tuple[float, float, float]:
    """Two contexts may leave an interval of hundreds of points; it ends with the drawing, or nothing else shows."""
    if one.interval is None:
        return one.estimate, one.estimate, one.estimate
    return one.estimate, max(-reach, one.interval.low), min(reach, one.interval.high)


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


def effect_groups(rows: Iterable[EffectRow]) -> list[EffectGroup]:
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


def effects_table(judged: Sequence[Effect]) -> Table:
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


def pairs_table(judged: Sequence[Effect], runs: Sequence[Run]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for one in judged:
        for pair, interval in list(zip(one.contrast.pairs, one.of_pairs, strict=True))[: MOST_PAIRS - len(rows)]:
            first, second = runs[pair.first], runs[pair.second]
            if first.score is None or second.score is None:
                raise ValueError("only runs with a score make pairs")
            rows.append(
                (
                    one.contrast.factor,
                    f"{one.contrast.first} → {one.contrast.second}",
                    second.score - first.score,
                    None if interval is None else interval.low,
                    None if interval is None else interval.high,
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
        Column("low", "95 % low", "points"),
        Column("high", "95 % high", "points"),
        Column("score_from", "Score from", "percent"),
        Column("score_to", "Score to", "percent"),
        Column("network", "Network", filter="first"),
        Column("seed", "Seed", "number"),
        Column("run_from", "Run from"),
        Column("run_to", "Run to"),
    )
    return Table.of_rows("pairs", "Matched pairs", "matched pairs", columns, rows)
