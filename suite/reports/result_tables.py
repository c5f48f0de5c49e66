"""Reports: the tables of results in a comparison, ranked where that is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from suite.reports import numbers
from suite.reports.comparability import Comparability
from suite.reports.entry import COMPLETED, CONTRADICTED, NOT_RUN, VERIFIED, Entry, method_names
from suite.reports.ranking import RankedRow, Ranking


@dataclass(frozen=True)
class ResultRow:
    """One entry in a table of results; the fields after `measured` are filled in a ranking only."""

    letter: str
    title: str
    method: str
    what: str
    score: str
    float_score: str
    difference: str
    interval: str
    bits: str
    size: str
    audit: str
    audit_kind: str
    measured: bool
    rank: str = ""
    above: str = ""
    above_interval: str = ""
    above_p: str = ""
    resolution: str = ""
    resolved: bool = False
    obstacles: str = ""


@dataclass(frozen=True)
class ResultTable:
    """Results with ranks or, where ranking is refused, in the order in which they were given."""

    title: str
    ranked: bool
    comparable: bool
    rows: tuple[ResultRow, ...]
    note: str


def result_tables(
    entries: Sequence[Entry], letters: Sequence[str], ranked: Sequence[Ranking], verdict: Comparability
) -> list[ResultTable]:
    """One table for each ranking, and one for everything that is not ranked."""
    tables = []
    methods = method_names(entries)
    shown: set[int] = set()
    for ranking in ranked:
        shown.update(row.position for row in ranking.rows)
        several = len(ranked) > 1
        names = ", ".join(letters[position] for position in sorted(row.position for row in ranking.rows))
        title = f"Ranking of {names}" if several or not verdict.comparable else "Ranking"
        tables.append(
            ResultTable(
                title=title if ranking.comparable else "Ranking of what is not comparable",
                ranked=True,
                comparable=ranking.comparable,
                rows=tuple(
                    _result_row(entries[row.position], letters[row.position], methods[row.position], row)
                    for row in ranking.rows
                ),
                note=_note(ranking),
            )
        )
    rest = [position for position in range(len(entries)) if position not in shown]
    if rest:
        tables.append(
            ResultTable(
                title="Results, not ranked",
                ranked=False,
                comparable=False,
                rows=tuple(_result_row(entries[position], letters[position], methods[position]) for position in rest),
                note="In the order in which they were given.",
            )
        )
    return tables


def _note(ranking: Ranking) -> str:
    if not ranking.pairs:
        return "A rank is a range: without outcomes on the same examples no entry is resolved from another."
    together = f"all {ranking.pairs} pairs are" if ranking.pairs > 1 else "the only pair is"
    return (
        f"A rank is a range: it counts differences that are resolved, for which {together} judged together (Holm). "
        "Interval and p (McNemar's exact test) are those of each pair alone."
    )


def _result_row(entry: Entry, letter: str, method: str, ranked: RankedRow | None = None) -> ResultRow:
    measured = entry.measured
    audit, kind = _audit(entry)
    row = ResultRow(
        letter=letter,
        title=entry.title,
        method=method,
        what=", ".join(filter(numbers.is_reported, _circumstances(entry, method))),
        score=numbers.percent(measured.score),
        float_score=numbers.percent(measured.float_score),
        difference=numbers.points(measured.difference),
        interval=numbers.interval_points(measured.interval),
        bits=_bits(entry),
        size=numbers.byte_size(measured.model_bytes),
        audit=audit,
        audit_kind=kind,
        measured=measured.score is not None,
    )
    if ranked is None:
        return row
    interval = ranked.to_above
    first = ranked.difference_to_above is None
    return ResultRow(
        **{
            **vars(row),
            "rank": ranked.rank,
            "above": "" if first else numbers.points(ranked.difference_to_above),
            "above_interval": numbers.interval_points((interval.low, interval.high)) if interval else "no interval",
            "above_p": "" if ranked.p_to_above is None else numbers.p_value(ranked.p_to_above),
            "resolution": "" if first else _resolution(ranked),
            "resolved": ranked.resolved,
            "obstacles": ", ".join(ranked.obstacles_to_above),
        }
    )


def _circumstances(entry: Entry, method: str) -> list[str]:
    named = [method, entry.model, entry.task]
    return named if entry.transcribed else [*named, f"seed {entry.seed}"]


def _bits(entry: Entry) -> str:
    measured = entry.measured
    if measured.weight_bits is None and measured.activation_bits is None:
        return numbers.NOTHING
    return f"W{numbers.number(measured.weight_bits)} A{numbers.number(measured.activation_bits)}"


def _resolution(row: RankedRow) -> str:
    if row.to_above is None:
        return "not resolved: no paired outcomes"
    return "resolved" if row.resolved else "not resolved"


def _audit(entry: Entry) -> tuple[str, str]:
    if entry.status not in (COMPLETED, NOT_RUN):
        return entry.status, "bad"
    if entry.audit_verdict is None:
        return "not audited", "quiet"
    verified = entry.audit_verdict == VERIFIED and not entry.contradicted_axes
    return (VERIFIED, "good") if verified else (CONTRADICTED, "bad")
