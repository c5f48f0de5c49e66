"""Reports: an explained gap as an HTML page, as Markdown, and as the data that both are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from suite.axes import plain
from suite.reports.explanation_page import ExplanationPage
from suite.reports.explanation_words import NOT_RESOLVED, RESOLVED
from suite.reports.numbers import value_text
from suite.reports.rendering import html_page, markdown_page
from suite.reports.table import Cell, Table, columns_of_files, files_of
from suite.statistics import Interval
from suite.statistics.attribution import Part
from suite.studies.explaining.players import Player
from suite.studies.explaining.run import Explanation
from suite.studies.explaining.sides import Side
from suite.studies.explaining.spans import Span, Tried

PAGE, TWIN = "explanation.html", "explanation.md"

BOUNDS = ("low", "high")


def explanation_files(explanation: Explanation, page: ExplanationPage) -> dict[str, str | bytes]:
    """File name -> content: the page, which embeds the explanation; its twin; its tables."""
    document = explanation_document(explanation)
    files = files_of(_tables(document))
    names = sorted(files)
    html = html_page(
        "explanation.html.j2",
        title=f"{page.title} · explained",
        page=page,
        files=names,
        embedded=document,
        embedded_name="explanation",
        embedded_id="explanation",
    )
    return {PAGE: html, TWIN: markdown_page("explanation.md.j2", page=page, files=names)} | files


def explanation_document(explanation: Explanation) -> dict[str, Any]:
    """An explanation as plain data. Scores, and differences of scores, are fractions."""
    found = explanation.attribution
    players = explanation.players
    whole = 2 ** len(players) - 1
    return {
        "gap": found.gap.estimate,
        "gap_interval": _bounds(found.gap),
        "shares": [
            {"of": player.name} | _part("share", part) | _switched(player)
            for player, part in zip(players, found.shares, strict=True)
        ],
        "runs": [result.record.run_id for result in explanation.results if result.record is not None],
        "interactions": [
            {"of": [players[one].name, players[other].name]} | _part("interaction", part)
            for (one, other), part in found.interactions.items()
        ],
        "sides": [
            _side(explanation.first, explanation.scores[0]),
            _side(explanation.second, explanation.scores[whole]),
        ],
        "seeds": list(explanation.seeds),
        "orders": found.orders,
        "mixtures": [
            {
                "switched": [player.name for player in explanation.switched(mixture)],
                "score": score.estimate,
                "score_interval": _bounds(score),
            }
            for mixture, score in explanation.scores.items()
        ],
        "not_reported": _span(explanation.span) if explanation.span is not None else None,
    }


def _part(name: str, part: Part) -> dict[str, Any]:
    return {
        name: part.interval.estimate,
        "interval": _bounds(part.interval),
        "verdict": RESOLVED if part.resolved else NOT_RESOLVED,
    }


def _switched(player: Player) -> dict[str, Any]:
    return {
        "changes": [
            {"name": change.name, "from": plain(change.first), "to": plain(change.second)} for change in player.changes
        ],
        "because": list(player.because),
    }


def _side(side: Side, score: Interval) -> dict[str, Any]:
    return {
        "title": side.title,
        "method": side.declared.method,
        "task": side.task,
        "model": side.model,
        "score": score.estimate,
        "score_interval": _bounds(score),
        "assumed": {axis: plain(value) for axis, value in side.assumed.items()},
        "remarks": list(side.remarks),
    }


def _span(span: Span) -> dict[str, Any]:
    ends = {"low": span.lowest, "high": span.highest}
    return {
        "of": span.of,
        "asked": span.asked,
        **{name: _end(span, end) for name, end in ends.items()},
        **{f"{name}_interval": None if end is None else _bounds(end.difference) for name, end in ends.items()},
        "tried": [
            {
                "values": {axis: plain(value) for axis, value in tried.values.items()},
                "difference": tried.difference.estimate,
                "interval": _bounds(tried.difference),
            }
            for tried in span.tried
        ],
        "settled": list(span.settled),
        "left_out": list(span.left_out),
        "runs": [result.record.run_id for result in span.results if result.record is not None],
    }


def _end(span: Span, end: Tried | None) -> float | None:
    """How far the score moves one way: not at all where nothing moved it so; None where nothing was measured."""
    if end is not None:
        return end.difference.estimate
    return 0.0 if span.tried or not span.asked else None


def _bounds(interval: Interval) -> list[float]:
    return [interval.low, interval.high]


def _tables(document: dict[str, Any]) -> tuple[Table, ...]:
    """Shares, interactions, mixtures and what was tried of unreported axes; scores and differences are fractions."""

    def switched(share: Mapping[str, Any]) -> str:
        changes = [(held["name"], value_text(held["from"]), value_text(held["to"])) for held in share["changes"]]
        return "; ".join(f"{name}: {first} → {second}" for name, first, second in changes)

    shares: list[Sequence[Cell]] = [
        (held["of"], held["share"], *held["interval"], held["verdict"], switched(held), "; ".join(held["because"]))
        for held in document["shares"]
    ]
    interactions: list[Sequence[Cell]] = [
        (*held["of"], held["interaction"], *held["interval"], held["verdict"]) for held in document["interactions"]
    ]
    mixtures: list[Sequence[Cell]] = [
        ("; ".join(held["switched"]), held["score"], *held["score_interval"]) for held in document["mixtures"]
    ]
    tried: list[Sequence[Cell]] = [
        (
            "; ".join(f"{axis}: {value_text(value)}" for axis, value in held["values"].items()),
            held["difference"], *held["interval"],
        )
        for held in (document["not_reported"] or {}).get("tried", ())
    ]  # fmt: skip
    of_shares = columns_of_files("of", "share", *BOUNDS, "verdict", "switched", "because")
    of_interactions = columns_of_files("first", "second", "interaction", *BOUNDS, "verdict")
    of_mixtures = columns_of_files("switched_to_b", "score", *BOUNDS)
    of_tried = columns_of_files("values", "difference", *BOUNDS)
    return (
        Table.of_rows("shares", "Shares", "shares", of_shares, shares),
        Table.of_rows("interactions", "Interactions", "pairs", of_interactions, interactions),
        Table.of_rows("mixtures", "Mixtures", "mixtures", of_mixtures, mixtures),
        Table.of_rows("not-reported", "What is not reported", "values", of_tried, tried),
    )
