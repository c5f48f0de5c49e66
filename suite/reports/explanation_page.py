"""Reports: what the page of an explained gap says, before any template runs; a terminal prints it too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from suite.reports import numbers
from suite.reports.card_page import Banner
from suite.reports.explanation_words import NOT_RESOLVED, RESOLVED, interval_text, sentences
from suite.reports.waterfall import Waterfall, waterfall
from suite.statistics import Interval
from suite.statistics.attribution import Part
from suite.studies.explaining.players import Player
from suite.studies.explaining.run import Explanation
from suite.studies.explaining.spans import Span, Tried


@dataclass(frozen=True)
class SideRow:
    """One of the two sides."""

    letter: str
    title: str
    method: str
    score: str
    interval: str
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class ChangeRow:
    """One difference of a share."""

    name: str
    first: str
    second: str


@dataclass(frozen=True)
class ShareRow:
    """One share of the gap."""

    of: str
    changes: tuple[ChangeRow, ...]
    because: tuple[str, ...]
    share: str
    interval: str
    verdict: str
    kind: str
    sign: str
    label: str
    """What a screen reader says of its bar."""


@dataclass(frozen=True)
class InteractionRow:
    """Two shares that do more, or less, together than each by itself."""

    of: str
    value: str
    interval: str
    verdict: str
    kind: str


@dataclass(frozen=True)
class MixtureRow:
    """One mixture that was measured."""

    switched: str
    score: str
    interval: str
    runs: tuple[str, ...]


@dataclass(frozen=True)
class TriedRow:
    """An unreported axis with another value than the one that was taken."""

    axis: str
    taken: str
    tried: str
    difference: str
    interval: str


@dataclass(frozen=True)
class SpanSection:
    """What the axes that a card does not report could explain."""

    sentence: str
    rows: tuple[TriedRow, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ExplanationPage:
    """Everything the templates `explanation.html.j2` and `explanation.md.j2` print."""

    title: str
    banner: Banner
    subject: str
    sides: tuple[SideRow, SideRow]
    sentences: tuple[str, ...]
    shares: tuple[ShareRow, ...]
    figure: Waterfall
    interactions: tuple[InteractionRow, ...]
    mixtures: tuple[MixtureRow, ...]
    method: str
    span: SpanSection | None
    command: str


def explanation_page(explanation: Explanation, command: str) -> ExplanationPage:
    """Gather the page. Shares are shown from the largest to the smallest."""
    found = explanation.attribution
    order = sorted(
        range(len(found.shares)), key=lambda position: (-abs(found.shares[position].interval.estimate), position)
    )
    shares = tuple(_share_row(explanation.players[position], found.shares[position]) for position in order)
    whole = 2 ** len(explanation.players) - 1
    first, second = explanation.scores[0], explanation.scores[whole]
    return ExplanationPage(
        title=f"{explanation.first.title} · {explanation.second.title}",
        banner=_banner(found.gap, shares),
        subject=f"{explanation.first.model} on {explanation.first.task}, {_seeds(explanation.seeds)}, "
        f"{found.gap.count} test examples",
        sides=(_side_row("A", explanation, 0), _side_row("B", explanation, whole)),
        sentences=sentences(explanation),
        shares=shares,
        figure=waterfall(
            _bounds(first), [_bounds(found.shares[position].interval) for position in order], _bounds(second)
        ),
        interactions=_interaction_rows(explanation),
        mixtures=_mixture_rows(explanation),
        method=_method(explanation),
        span=_span_section(explanation.span, found.gap) if explanation.span is not None else None,
        command=command,
    )


def _bounds(interval: Interval) -> tuple[float, float, float]:
    return interval.estimate, interval.low, interval.high


def _seeds(seeds: Sequence[int]) -> str:
    listed = ", ".join(str(seed) for seed in seeds)
    return f"seed {listed}" if len(seeds) == 1 else f"seeds {listed}"


def _banner(gap: Interval, shares: Sequence[ShareRow]) -> Banner:
    resolved = [row for row in shares if row.verdict == RESOLVED]
    headline = f"B − A = {numbers.points(gap.estimate)} {interval_text(gap)}"
    sentence = f"{len(resolved)} of {len(shares)} shares are resolved"
    sentence += f": {', '.join(row.of for row in resolved)}." if resolved else "."
    return Banner("good" if gap.resolved and resolved else "doubtful", headline, sentence)


def _side_row(letter: str, explanation: Explanation, mixture: int) -> SideRow:
    side = explanation.second if mixture else explanation.first
    score = explanation.scores[mixture]
    remarks = list(side.remarks)
    if side.assumed:
        listed = ", ".join(f"{axis} {numbers.value_text(value)}" for axis, value in side.assumed.items())
        remarks.append(f"Not reported, and taken to be: {listed}.")
    return SideRow(
        letter,
        side.title,
        side.declared.method,
        numbers.percent(score.estimate),
        f"[{numbers.percent(score.low)}, {numbers.percent(score.high)}]",
        tuple(remarks),
    )


def _share_row(player: Player, part: Part) -> ShareRow:
    share, interval = numbers.points(part.interval.estimate), interval_text(part.interval)
    verdict = RESOLVED if part.resolved else NOT_RESOLVED
    sign = "none" if not part.resolved else "up" if part.interval.estimate > 0 else "down"
    return ShareRow(
        of=player.name,
        changes=tuple(
            ChangeRow(change.name, numbers.value_text(change.first), numbers.value_text(change.second))
            for change in player.changes
        ),
        because=player.because,
        share=share,
        interval=interval,
        verdict=verdict,
        kind="good" if part.resolved else "doubtful",
        sign=sign,
        label=f"{player.name}: {share}, 95 % interval {interval}, {verdict}",
    )


def _interaction_rows(explanation: Explanation) -> tuple[InteractionRow, ...]:
    found = sorted(explanation.attribution.interactions.items(), key=lambda held: -abs(held[1].interval.estimate))
    return tuple(
        InteractionRow(
            of=f"{explanation.players[one].name} × {explanation.players[other].name}",
            value=numbers.points(part.interval.estimate),
            interval=interval_text(part.interval),
            verdict=RESOLVED if part.resolved else NOT_RESOLVED,
            kind="good" if part.resolved else "doubtful",
        )
        for (one, other), part in found
    )


def _mixture_rows(explanation: Explanation) -> tuple[MixtureRow, ...]:
    runs: dict[str, list[str]] = {}
    for result in explanation.results:
        if result.record is not None:
            runs.setdefault(result.cell.group, []).append(result.record.run_id)
    rows = []
    for mixture in sorted(explanation.scores, key=lambda mixture: (mixture.bit_count(), mixture)):
        score = explanation.scores[mixture]
        switched = explanation.switched(mixture)
        name = "A" if not switched else "B" if len(switched) == len(explanation.players) else ""
        rows.append(
            MixtureRow(
                switched=name or f"A with {', '.join(player.name for player in switched)} of B",
                score=numbers.percent(score.estimate),
                interval=f"[{numbers.percent(score.low)}, {numbers.percent(score.high)}]",
                runs=tuple(runs.get(explanation.group_of(mixture), ())),
            )
        )
    return tuple(rows)


def _method(explanation: Explanation) -> str:
    """How the shares were found, in a sentence."""
    orders = explanation.attribution.orders
    count = len(explanation.players)
    if orders is None:
        return (
            f"All {2**count} mixtures of {count} differences were measured; a share is what switching a difference "
            "changes, averaged over all orders in which they can be switched (Shapley). Shares add up to the gap."
        )
    few = " Too few orders to know how much other orders would differ, so no share is resolved." if orders < 4 else ""
    return (
        f"{orders} orders of {count} differences were drawn, each with its reverse, and the mixtures on their way "
        "measured; a share is what switching a difference changes, averaged over these orders, and its interval holds "
        f"the spread between orders. Shares add up to the gap.{few}"
    )


def _span_section(span: Span, gap: Interval) -> SpanSection:
    count = len(span.side.assumed)
    sentence = f"{count} {'axis is' if count == 1 else 'axes are'} not reported for {span.of}. "
    if span.tried:
        sentence += _measured_span(span, gap)
    elif span.asked:
        sentence += f"None of {span.asked} other choices was measured, so what they could explain is not known."
    else:
        sentence += "None has another value that is both usual and allowed here."
    notes = []
    if span.settled:
        notes.append(f"No other value was tried of {', '.join(span.settled)}: none is both usual and allowed here.")
    if span.left_out:
        notes.append(f"Not compared: {'; '.join(span.left_out)}.")
    return SpanSection(sentence, tuple(_tried_row(span, tried) for tried in span.tried), tuple(notes))


def _measured_span(span: Span, gap: Interval) -> str:
    """How far the score moved in what was measured, and between which ends the gap could lie for it."""
    lowest, highest = (0.0 if end is None else end.difference.estimate for end in (span.lowest, span.highest))
    sign = 1.0 if span.of == "B" else -1.0
    ends = sorted((gap.estimate + sign * lowest, gap.estimate + sign * highest))
    whole = len(span.tried) == span.asked
    moves = " to ".join(
        numbers.points(0.0)
        if end is None
        else f"{numbers.points(end.difference.estimate)} {interval_text(end.difference)}"
        for end in (span.lowest, span.highest)
    )
    return (
        f"Over {'all ' if whole else f'{len(span.tried)} of '}{span.asked} other choices, one axis at a time and the "
        f"extremes together, the score of {span.of} moves by {moves}: with other choices the gap of "
        f"{numbers.points(gap.estimate)} could have been anything from {numbers.points(ends[0], unit=False)} to "
        f"{numbers.points(ends[1])}{'' if whole else ', and those not measured could widen this'}."
    )


def _tried_row(span: Span, tried: Tried) -> TriedRow:
    together = len(tried.values) > 1
    taken = "" if together else numbers.value_text(span.side.declared.values[next(iter(tried.values))])
    values = [f"{axis} {numbers.value_text(value)}" for axis, value in tried.values.items()]
    return TriedRow(
        axis="together" if together else next(iter(tried.values)),
        taken=taken,
        tried=", ".join(values) if together else numbers.value_text(next(iter(tried.values.values()))),
        difference=numbers.points(tried.difference.estimate),
        interval=interval_text(tried.difference),
    )
