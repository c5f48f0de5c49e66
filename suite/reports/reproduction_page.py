"""Reports: what the page of a reproduced paper says, gathered before any template runs. Published beside reproduced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from suite.claims import Published
from suite.claims.compare import Kind, Line, Verdict
from suite.claims.reproduce import Answer, Left, Reproduction
from suite.reports import numbers
from suite.reports.card_page import Banner
from suite.reports.charts import Figure, Strip, differences_figure

TONES = {
    Verdict.REPRODUCED: "good", Verdict.SAME_ORDER: "good", Verdict.HOLDS: "good",
    Verdict.DIFFERS: "bad", Verdict.OTHER_ORDER: "bad", Verdict.FAILS: "bad",
    Verdict.OPEN: "doubtful",
}  # fmt: skip
"""Of every verdict that judges; the others are quiet."""
MOST_SHOWN = 4
"""Published values that are shown one by one; more are shown as their range, and listed behind a fold."""


@dataclass(frozen=True)
class PublishedValue:
    """What the paper prints for one of its networks, and how far the reproduction is from it."""

    network: str
    value: str
    difference: str


@dataclass(frozen=True)
class LineRow:
    """Published and reproduced of one score or difference, side by side."""

    what: str
    values: tuple[PublishedValue, ...]
    span: str
    """The range of the published values; empty where they are few enough to be shown one by one."""
    compared: bool
    """Whether the published values may be subtracted from what was reproduced."""
    difference_span: str
    reproduced: str
    interval: str
    verdict: str
    tone: str
    basis: str
    reason: str


@dataclass(frozen=True)
class Pictured:
    """One difference of methods as it is drawn: reproduced with its interval, and a mark for each published value."""

    what: str
    strip: Strip
    marks: tuple[float, ...]
    figure_text: str
    label: str


@dataclass(frozen=True)
class TableSection:
    """One table of the paper, as one study asks it again."""

    heading: str
    place: str
    rows: tuple[LineRow, ...]
    figure: Figure
    pictured: tuple[Pictured, ...]


@dataclass(frozen=True)
class StatementRow:
    """What the paper says in words, and what was found of it."""

    says: str
    place: str
    claims: str
    expected: str
    verdict: str
    tone: str
    detail: str


@dataclass(frozen=True)
class StudySection:
    """What one study answers."""

    study: str
    cells: int
    differs: str
    says: str
    tables: tuple[TableSection, ...]
    statements: tuple[StatementRow, ...]
    command: str


@dataclass(frozen=True)
class NotRun:
    """What a study asks and could not answer here."""

    study: str
    why: str
    asks: tuple[str, ...]


@dataclass(frozen=True)
class ReproductionPage:
    """Everything the templates `reproduction.html.j2` and `reproduction.md.j2` print."""

    title: str
    scope: str
    size: str
    about: str
    url: str
    banner: Banner
    studies: tuple[StudySection, ...]
    not_run: tuple[NotRun, ...]
    left: tuple[Left, ...]
    command: str


def reproduction_page(published: Published, found: Reproduction) -> ReproductionPage:
    """Gather the page of one paper, or of one of its tables, at one size."""
    paper = published.papers[published.scope(found.scope)[0]]
    year = f", {paper.year}" if paper.year else ""
    return ReproductionPage(
        title=paper.title,
        scope=found.scope,
        size=found.size,
        about=f"{paper.authors}{year}",
        url=paper.url,
        banner=_banner(found),
        studies=tuple(_study(published, found, answer) for answer in found.answers if answer.lines or answer.said),
        not_run=tuple(
            NotRun(held.study, held.why, (*held.tables, *(statement.says for statement in held.statements)))
            for held in found.refused
        ),
        left=found.left,
        command=_command(found),
    )


def _command(found: Reproduction) -> str:
    sizes = [answer.part.study.size(found.size) for answer in found.answers]
    weights = dict.fromkeys(need.name for size in sizes for need in size.weights)
    words = [
        f"suite reproduce {found.scope} --size {found.size} --to FOLDER",
        *(f"--weights {name}" for name in weights),
    ]
    return " ".join([*words, *["--data DATA"] * any(size.data for size in sizes)])


def _banner(found: Reproduction) -> Banner:
    """How many of the judged lines and statements agree with the paper."""
    verdicts = Counter(verdict for answer in found.answers for verdict in _verdicts(answer))
    judged = {tone: sum(count for verdict, count in verdicts.items() if TONES.get(verdict) == tone) for tone in
              ("good", "bad", "doubtful")}  # fmt: skip
    total = sum(judged.values())
    waiting = verdicts[Verdict.NOT_RUN]
    told = [f"{count} {verdict.value}" for verdict, count in verdicts.items() if count]
    sentence = f"{'; '.join(told)}." if told else ""
    if not total:
        headline = f"{waiting} comparisons wait for their runs" if waiting else "Nothing here is judged"
        return Banner("quiet", headline, sentence or "No study measured anything of this here.")
    if not judged["good"] and not judged["bad"]:
        return Banner("doubtful", f"Nothing is resolved: {total} comparisons and statements are open", sentence)
    headline = f"{judged['good']} of {total} judged comparisons agree with the paper"
    tone = "bad" if judged["bad"] else "doubtful" if judged["doubtful"] else "good"
    return Banner(tone, headline, sentence)


def _verdicts(answer: Answer) -> list[Verdict]:
    return [*(line.verdict for line in answer.lines), *(said.verdict for said in answer.said)]


def _study(published: Published, found: Reproduction, answer: Answer) -> StudySection:
    part = answer.part
    return StudySection(
        study=part.study.id,
        cells=len(part.cells),
        differs=part.mapping.told(part.size),
        says=part.study.size(part.size).says,
        tables=tuple(
            _table(published, found, id, [line for line in answer.lines if line.table == id])
            for id in dict.fromkeys(line.table for line in answer.lines)
        ),
        statements=tuple(
            StatementRow(
                says=said.statement.says,
                place=said.statement.place,
                claims=", ".join(said.statement.claims),
                expected=said.says.rstrip("."),
                verdict=said.verdict.value,
                tone=TONES.get(said.verdict, "quiet"),
                detail=said.detail,
            )
            for said in answer.said
        ),
        command=f"suite study report {part.study.id} --size {part.size} --to FOLDER",
    )


def _table(published: Published, found: Reproduction, id: str, lines: Sequence[Line]) -> TableSection:
    table = published.papers[published.scope(found.scope)[0]].table(id)
    figure, pictured = _picture([line for line in lines if line.kind is Kind.CONTRAST and line.reproduced is not None])
    return TableSection(
        heading=table.title if table is not None else id,
        place=table.place if table is not None else id,
        rows=tuple(_row(line) for line in lines),
        figure=figure,
        pictured=pictured,
    )


def _row(line: Line) -> LineRow:
    show = numbers.percent if line.kind is Kind.SCORE else numbers.points
    differences = line.differences or (None,) * len(line.published)
    many = len(line.published) > MOST_SHOWN
    shares = [value.share for value in line.published]
    found = line.reproduced
    if found is None:
        interval = numbers.NOTHING
    elif line.kind is Kind.SCORE:
        interval = f"[{numbers.percent(found.low)}, {numbers.percent(found.high)}]"
    else:
        interval = numbers.interval_points((found.low, found.high))
    return LineRow(
        what=line.what,
        values=tuple(
            PublishedValue(_network(value.network), show(value.share), numbers.points(difference))
            for value, difference in zip(line.published, differences, strict=True)
        ),
        span=f"{show(min(shares))} … {show(max(shares))}" if many else "",
        compared=bool(line.differences),
        difference_span=(
            f"{numbers.points(min(line.differences))} … {numbers.points(max(line.differences))}"
            if many and line.differences
            else ""
        ),
        reproduced=show(None if found is None else found.estimate),
        interval=interval,
        verdict=line.verdict.value,
        tone=TONES.get(line.verdict, "quiet"),
        basis=line.footing,
        reason=line.reason,
    )


def _picture(lines: Sequence[Line]) -> tuple[Figure, tuple[Pictured, ...]]:
    """All differences of methods of a table on one scale, with what is published of each."""
    held = [(line, line.reproduced) for line in lines if line.reproduced is not None]
    rows = [(one.estimate, one.low, one.high) for _, one in held]
    marks = [(value.share,) * 3 for line, _ in held for value in line.published]
    figure = differences_figure([*rows, *marks])
    places = iter(strip.x for strip in figure.strips[len(rows) :])
    pictured = []
    for (line, one), strip in zip(held, figure.strips[: len(rows)], strict=True):
        printed = tuple(place for _, place in zip(line.published, places, strict=False) if place is not None)
        shares = [value.share for value in line.published]
        said = numbers.points(shares[0]) if len(shares) == 1 else (
            f"{numbers.points(min(shares))} to {numbers.points(max(shares))}"
        )  # fmt: skip
        interval = numbers.interval_points((one.low, one.high))
        label = f"{line.what}: reproduced {numbers.points(one.estimate)} {interval}, published {said}"
        pictured.append(Pictured(line.what, strip, printed, numbers.points(one.estimate), label))
    return figure, tuple(pictured)


def _network(network: tuple[str, str]) -> str:
    dataset, model = network
    return model or dataset
