"""Reports: an explained gap as a person would say it, on a page and at a terminal."""

from __future__ import annotations

from suite.reports import numbers
from suite.statistics import Interval
from suite.studies.explaining.players import Player
from suite.studies.explaining.run import Explanation
from suite.studies.explaining.sides import METHOD, Change

RESOLVED, NOT_RESOLVED = "resolved", "not resolved"


def sentences(explanation: Explanation) -> tuple[str, ...]:
    """The explanation as a person would say it: the gap, then every share from the largest to the smallest."""
    found = explanation.attribution
    gap = found.gap
    size = numbers.points(abs(gap.estimate)).lstrip("+")
    place = "above" if gap.estimate > 0 else "below"
    known = "" if gap.resolved else "; not resolved from zero"
    said = [f"B is {size} {place} A {interval_text(gap)}{known}."]
    if gap.estimate == 0.0:
        said = [f"B and A score the same {interval_text(gap)}."]
    parts = sorted(
        zip(explanation.players, found.shares, strict=True), key=lambda pair: -abs(pair[1].interval.estimate)
    )
    for player, part in parts:
        verdict = "" if part.resolved else f" ({NOT_RESOLVED})"
        share = f"{numbers.points(part.interval.estimate)} {interval_text(part.interval)}"
        said.append(f"{share} come from {told(player)}{verdict}.")
    for player in explanation.players:
        if player.because:
            said.append(f"{player.name} cannot be switched one by one: {'; '.join(player.because)}.")
    resolved = [(pair, part) for pair, part in found.interactions.items() if part.resolved]
    for (one, other), part in sorted(resolved, key=lambda held: -abs(held[1].interval.estimate)):
        more = "more" if part.interval.estimate > 0 else "less"
        amount = numbers.points(abs(part.interval.estimate)).lstrip("+")
        said.append(
            f"{explanation.players[one].name} and {explanation.players[other].name} together give {amount} {more} "
            f"than each by itself {interval_text(part.interval)}."
        )
    return tuple(said)


def told(player: Player) -> str:
    """A player with what it switches: `weight_bits (8 → 4)`, `the method (rtn → mse; weight_range min-max → mse)`."""
    names = [change for change in player.changes if change.name == METHOD]
    others = [change for change in player.changes if change.name != METHOD]
    if len(player.changes) == 1 and not names and not player.changes[0].of_method:
        return f"{player.name} ({_arrow(player.changes[0])})"
    listed = "; ".join([*(_arrow(change) for change in names), *(f"{held.name} {_arrow(held)}" for held in others)])
    subject = "the method" if all(change.of_method for change in player.changes) else player.name
    return f"{subject} ({listed})"


def _arrow(change: Change) -> str:
    return f"{numbers.value_text(change.first)} → {numbers.value_text(change.second)}"


def interval_text(interval: Interval) -> str:
    """An interval of a difference, in points."""
    return numbers.interval_points((interval.low, interval.high))
