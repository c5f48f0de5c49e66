"""Reports, collection: the page of effects alone. What each axis does, beside what the method does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
from suite.reports.collection.effects import MOST_CONTRASTS, Effect, effects
from suite.reports.collection.matching import contrasts
from suite.reports.collection.runs import Collection
from suite.reports.table import Table

NOT_COMPARED = "Only runs that completed and that no audit contradicts are put into pairs."


@dataclass(frozen=True)
class EffectsPage:
    """Everything the templates `effects.html.j2` and `effects.md.j2` print."""

    title: str
    lede: str
    banner: Banner
    runs: int
    unpaired: int
    largest: tuple[EffectRow, ...]
    groups: tuple[EffectGroup, ...]
    figure: Figure
    all_effects: tuple[EffectRow, ...]
    unjudged: int
    effects: Table
    pairs: Table
    all_pairs: int
    command: str


def effects_page(collection: Collection, command: str) -> EffectsPage:
    """Gather the page from the runs that may be compared."""
    sound = [run for run in collection.runs if run.sound]
    found = contrasts(sound)
    judged = effects(found, sound)
    rows, figure = effect_rows(judged)
    largest = _largest(judged)
    shown = dict(zip(map(id, judged), rows, strict=True))
    paired = {place for one in found for pair in one.pairs for place in (pair.first, pair.second)}
    left_out = len(collection.runs) - len(sound) + len(collection.problems)
    lede = f"{numbers.number(len(sound))} runs; {numbers.number(len(found))} contrasts."
    return EffectsPage(
        title="Effect of each axis, beside the effect of the method",
        lede=f"{lede} {NOT_COMPARED} {numbers.number(left_out)} are left out." if left_out else lede,
        banner=_banner(largest),
        runs=len(sound),
        unpaired=len(sound) - len(paired),
        largest=tuple(shown[id(one)] for one in largest),
        groups=tuple(effect_groups(rows)),
        figure=figure,
        all_effects=tuple(rows),
        unjudged=max(0, len(found) - MOST_CONTRASTS),
        effects=effects_table(judged),
        pairs=pairs_table(judged, sound),
        all_pairs=sum(len(one.pairs) for one in found),
        command=command,
    )


def _largest(judged: Sequence[Effect]) -> list[Effect]:
    """Of every factor its largest resolved effect, or its largest where none is resolved; the largest first."""
    best: dict[str, Effect] = {}
    for one in judged:
        known = best.get(one.contrast.factor)
        if known is None or _size(one) > _size(known):
            best[one.contrast.factor] = one
    return sorted(best.values(), key=lambda one: -abs(one.estimate))


def _size(effect: Effect) -> tuple[bool, float]:
    return effect.resolved, abs(effect.estimate)


def _banner(largest: Sequence[Effect]) -> Banner:
    """The paper's point in one sentence: how much an axis does, beside how much the method does."""
    axes = [one for one in largest if not one.of_method and one.resolved]
    method = next((one for one in largest if one.of_method), None)
    if not largest:
        return Banner("quiet", "No two of these runs differ in one thing alone", "So nothing can be told apart here.")
    swapped = (
        "No two runs differ in the method alone."
        if method is None
        else f"The largest effect of swapping the method: {_told(method)}."
    )
    if not axes:
        return Banner("doubtful", "No effect of an axis is resolved", swapped)
    headline = f"{axes[0].contrast.factor} is worth up to {numbers.points(abs(axes[0].estimate)).lstrip('+')}"
    if method is None or not method.resolved:
        return Banner("good", headline, f"{_told(axes[0])}. {swapped}")
    above = sum(abs(one.estimate) > abs(method.estimate) for one in axes)
    counted = f"{above} of {len(axes)} axes with a resolved effect have a larger one."
    return Banner("good", headline, f"{_told(axes[0])}. {swapped} {counted}")


def _told(effect: Effect) -> str:
    change = f"{effect.contrast.first} → {effect.contrast.second}"
    interval = numbers.interval_points((effect.interval.low, effect.interval.high)) if effect.interval else ""
    verdict = "" if effect.resolved else ", not resolved"
    return f"{change}, {numbers.points(effect.estimate)} {interval}".rstrip() + verdict
