"""Reports: an explained gap as an HTML page, as Markdown, and as the data that both are made of."""

from __future__ import annotations

import re
from typing import Any

from suite import __version__
from suite.axes import plain
from suite.reports.explanation_page import ExplanationPage
from suite.reports.explanation_words import NOT_RESOLVED, RESOLVED
from suite.reports.pages import SIGNS
from suite.reports.rendering import Markdown, escape_markdown, html_engine, markdown_engine
from suite.statistics import Interval
from suite.statistics.attribution import Part
from suite.studies.explaining.players import Player
from suite.studies.explaining.run import Explanation
from suite.studies.explaining.sides import Side
from suite.studies.explaining.spans import Span


def render_explanation_html(explanation: Explanation, page: ExplanationPage) -> str:
    """The whole page: it loads nothing, and embeds the explanation as JSON."""
    return (
        html_engine()
        .get_template("explanation.html.j2")
        .render(
            title=f"{page.title} · explained",
            page=page,
            version=__version__,
            embedded_name="explanation",
            embedded_id="explanation",
            embedded=explanation_document(explanation),
        )
    )


def render_explanation_markdown(page: ExplanationPage) -> str:
    """The same page as Markdown; the numbers of the figure stand in the table."""
    text = (
        markdown_engine()
        .get_template("explanation.md.j2")
        .render(page=page, sign=SIGNS, strong=lambda text: Markdown(f"**{escape_markdown(text)}**"))
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


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
        **{name: 0.0 if end is None else end.difference.estimate for name, end in ends.items()},
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


def _bounds(interval: Interval) -> list[float]:
    return [interval.low, interval.high]
