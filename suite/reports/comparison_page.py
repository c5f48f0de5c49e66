"""Reports: what the page of several entries says, gathered before any template runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from suite.axes import AXES
from suite.reports import numbers
from suite.reports.card_page import Banner
from suite.reports.charts import Figure, Strip, score_figure
from suite.reports.comparability import Comparability, comparability, letters_of
from suite.reports.entry import CONTRADICTED, Entry, method_names
from suite.reports.ranking import Ranking, rankings
from suite.reports.result_tables import ResultTable, result_tables
from suite.statistics import SeedSummary, over_seeds, wilson


@dataclass(frozen=True)
class ChartRow:
    """One score as a dot with its interval."""

    letter: str
    title: str
    strip: Strip
    score: str
    label: str
    contradicted: bool


@dataclass(frozen=True)
class SeedRow:
    """Entries that differ in the seed alone, as one mean."""

    letters: tuple[str, ...]
    method: str
    count: int
    score: str
    score_interval: str
    difference: str
    interval: str


@dataclass(frozen=True)
class Cell:
    """The value of one axis on one card; `other` when it is not what most cards say."""

    text: str
    reported: bool
    other: bool


@dataclass(frozen=True)
class DifferenceRow:
    """One axis in which the entries differ."""

    axis: str
    cells: tuple[Cell, ...]
    of_method: bool = False


@dataclass(frozen=True)
class EntryRow:
    """How to get an entry again."""

    letter: str
    title: str
    run_id: str
    command: str
    why_no_command: str


@dataclass(frozen=True)
class ComparisonPage:
    """Everything the templates `comparison.html.j2` and `comparison.md.j2` print."""

    verdict: Comparability
    rankings: tuple[Ranking, ...]
    lede: str
    banner: Banner
    reasons: tuple[str, ...]
    tables: tuple[ResultTable, ...]
    figure: Figure
    chart: tuple[ChartRow, ...]
    chart_note: str
    seeds: tuple[SeedRow, ...]
    letters: tuple[str, ...]
    axes_title: str
    differences: tuple[DifferenceRow, ...]
    unreported: tuple[DifferenceRow, ...]
    agreed: tuple[tuple[str, str], ...]
    entries: tuple[EntryRow, ...]


def comparison_page(entries: Sequence[Entry], *, rank_anyway: bool = False) -> ComparisonPage:
    """Gather the page of two or more entries."""
    verdict = comparability(entries)
    letters = letters_of(len(entries))
    ranked = rankings(entries, verdict, rank_anyway=rank_anyway)
    intervals = [_score_interval(entry) for entry in entries]
    figure = score_figure(intervals)
    differing = {difference.axis for difference in verdict.differences}
    return ComparisonPage(
        verdict=verdict,
        rankings=ranked,
        lede=_lede(entries),
        banner=_banner(verdict, rank_anyway),
        reasons=tuple(reason.sentence for reason in verdict.reasons),
        tables=tuple(result_tables(entries, letters, ranked, verdict)),
        figure=figure,
        chart=tuple(
            ChartRow(
                letter=letter,
                title=entry.title,
                strip=strip,
                score=numbers.percent(entry.measured.score),
                label=f"{letter}: {numbers.percent(entry.measured.score)}{_bounds(interval)}",
                contradicted=CONTRADICTED in (entry.audit_verdict, *(axis.verdict for axis in entry.audit.values())),
            )
            for letter, entry, strip, interval in zip(letters, entries, figure.strips, intervals, strict=True)
            if strip.x is not None
        ),
        chart_note=_chart_note(verdict, entries),
        seeds=tuple(_seed_rows(entries, letters)),
        letters=tuple(letters),
        axes_title=_axes_title(verdict),
        differences=tuple(_difference_rows(verdict, contradictory=True)),
        unreported=tuple(_difference_rows(verdict, contradictory=False)),
        agreed=tuple(
            (axis, numbers.value_text(value)) for axis, value in entries[0].values.items() if axis not in differing
        ),
        entries=tuple(
            EntryRow(
                letter,
                entry.title,
                entry.run_id,
                entry.command,
                "Transcribed from a paper; nothing was run." if entry.transcribed else "No command is on record.",
            )
            for letter, entry in zip(letters, entries, strict=True)
        ),
    )


def _banner(verdict: Comparability, rank_anyway: bool) -> Banner:
    if verdict.comparable:
        return Banner(
            "good",
            "Comparable",
            "Same task, model, weights, examples, metric and axes, save the method's own; every audit verified. "
            "What differs is the method.",
        )
    if rank_anyway:
        return Banner(
            "bad",
            "Ranked although not comparable",
            "The order below was asked for. It mixes the methods with the following differences:",
        )
    if verdict.groups:
        return Banner(
            "doubtful",
            "Not all of these are comparable",
            "Only entries that are comparable with each other are ranked. What keeps the others apart:",
        )
    return Banner("doubtful", "Not comparable, so not ranked", "What keeps these results apart:")


def _score_interval(entry: Entry) -> tuple[float, float, float] | None:
    """Score with Wilson's interval where the outcomes are at hand, else the bare score."""
    score = entry.measured.score
    if score is None:
        return None
    if entry.outcomes is None or len(entry.outcomes) == 0:
        return score, score, score
    interval = wilson(int(entry.outcomes.correct.sum()), len(entry.outcomes))
    return interval.estimate, interval.low, interval.high


def _bounds(interval: tuple[float, float, float] | None) -> str:
    if interval is None or interval[1] == interval[2]:
        return ""
    return f", 95 % interval {numbers.percent(interval[1])} to {numbers.percent(interval[2])}"


def _chart_note(verdict: Comparability, entries: Sequence[Entry]) -> str:
    note = "Score of each quantized model, in percent."
    if any(entry.outcomes is not None for entry in entries):
        note = (
            "Score of each quantized model, in percent, with its own 95 % interval (Wilson). Overlap decides nothing: "
            "models that answered the same examples are told apart by the sharper paired differences in the table."
        )
    return note if verdict.comparable else f"{note} Not all of these are comparable; read no ranking from this picture."


def _seed_rows(entries: Sequence[Entry], letters: Sequence[str]) -> list[SeedRow]:
    """Means of entries that are the same method under the same card, with different seeds."""
    gathered: dict[object, list[int]] = {}
    for position, entry in enumerate(entries):
        if entry.measured.score is None or entry.measured.difference is None or entry.contradicted_axes:
            continue
        options = tuple((name, numbers.value_text(value)) for name, value in sorted(entry.options.items()))
        key = (entry.method, options, entry.task, entry.model, tuple(entry.values.items()))
        gathered.setdefault(key, []).append(position)
    rows = []
    for positions in gathered.values():
        held = [entries[position] for position in positions]
        if len(held) < 2 or len({entry.seed for entry in held}) < len(held):
            continue
        score = over_seeds([entry.measured.score or 0.0 for entry in held])
        difference = over_seeds([entry.measured.difference or 0.0 for entry in held])
        rows.append(
            SeedRow(
                letters=tuple(letters[position] for position in positions),
                method=method_names(entries)[positions[0]],
                count=len(held),
                score=numbers.percent(score.mean),
                score_interval=_percent_bounds(score),
                difference=numbers.points(difference.mean),
                interval=numbers.interval_points(
                    (difference.interval.low, difference.interval.high) if difference.interval else None
                ),
            )
        )
    return rows


def _percent_bounds(summary: SeedSummary) -> str:
    if summary.interval is None:
        return numbers.NOTHING
    return f"[{numbers.percent(summary.interval.low)}, {numbers.percent(summary.interval.high)}]"


def _cells(values: tuple[object, ...]) -> tuple[Cell, ...]:
    """The most frequent reported value is the reference, the first entry's where none is more frequent."""
    counted = Counter(value for value in values if numbers.is_reported(value)).most_common(2)
    majority = counted and (len(counted) == 1 or counted[0][1] > counted[1][1])
    reference = counted[0][0] if majority else next(value for value in values if numbers.is_reported(value))
    return tuple(_cell(value, reference) for value in values)


def _cell(value: object, reference: object) -> Cell:
    reported = numbers.is_reported(value)
    return Cell(numbers.value_text(value), reported, reported and value != reference)


def _difference_rows(verdict: Comparability, *, contradictory: bool) -> list[DifferenceRow]:
    rows = (row for row in verdict.differences if row.contradictory is contradictory)
    return [DifferenceRow(row.axis, _cells(row.values), AXES[row.axis].of_method) for row in rows]


def _axes_title(verdict: Comparability) -> str:
    count = sum(row.contradictory for row in verdict.differences)
    silent = len(verdict.differences) - count
    if not count and not silent:
        return f"All {len(AXES)} axes agree"
    title = f"Different in {count} of {len(AXES)} axes" if count else "No axis differs that all report"
    return f"{title}; {silent} not reported by some" if silent else title


def _lede(entries: Sequence[Entry]) -> str:
    methods, tasks = (
        ", ".join(dict.fromkeys(name for name in names if numbers.is_reported(name)))
        for names in ([entry.method for entry in entries], [entry.task for entry in entries])
    )
    return f"{methods}{f' on {tasks}' if tasks else ''}: what may be said, and what may not."
