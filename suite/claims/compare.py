"""Claims: published beside reproduced. What may be subtracted is; what may not is compared in its order alone.

A score of another network, on other data, or in another setting is no reproduction of the printed number, however near
it lies. What can be asked of it is the order: is the method ahead that the paper has ahead? And what does quantization
cost? Only where a study runs the paper's own network on its own data, in all that the paper states of the setting, is
the number itself judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from suite.claims.library import Published
from suite.claims.mapping import Comparison, Contrast, PaperMapping
from suite.claims.points import Network, Point, Printed, float_scores, points
from suite.statistics import Interval, IntervalAt, Side, sides
from suite.studies.cells import Cell
from suite.studies.evidence import Evidence, Measured, Missing

CONFIDENCE = 0.95


class Basis(StrEnum):
    """What a comparison is worth; the surest first."""

    NUMBER = "same network, data and setting"
    NETWORK = "same network and data"
    QUESTION = "same question, other network"


class Verdict(StrEnum):
    """What is found of a published score, of a published order, or of a statement."""

    REPRODUCED = "reproduced"
    DIFFERS = "differs"
    NOT_JUDGED = "side by side only"
    SAME_ORDER = "same order"
    OTHER_ORDER = "other order"
    MIXED = "no one order is published"
    HOLDS = "holds"
    FAILS = "does not hold"
    OPEN = "not resolved"
    NOT_RUN = "not run"


class Kind(StrEnum):
    """What a line is about."""

    SCORE = "score"
    COST = "cost of quantization"
    CONTRAST = "difference of methods"


@dataclass(frozen=True)
class Value:
    """What the paper prints for one of its networks: a score, or a difference of two; as shares."""

    network: Network
    share: float
    claims: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """Published, reproduced, difference, interval and verdict, side by side; all numbers are shares."""

    table: str
    kind: Kind
    what: str
    basis: Basis
    published: tuple[Value, ...]
    reproduced: Interval | None
    verdict: Verdict
    reason: str = ""
    """Why it was not run or cannot be judged."""
    but: str = ""
    """What of the setting is not the paper's, where the network and the data are."""
    others: tuple[str, ...] = ()
    """Claims of the paper's other networks, where it is asked of one of its own."""

    @property
    def footing(self) -> str:
        """The basis in words."""
        return f"{self.basis.value}, but {self.but}" if self.but else self.basis.value

    @property
    def differences(self) -> tuple[float, ...]:
        """Reproduced − published, for each network of the paper; none where they may not be subtracted."""
        if self.reproduced is None or (self.kind is Kind.SCORE and self.basis is not Basis.NUMBER):
            return ()
        return tuple(self.reproduced.estimate - value.share for value in self.published)

    @property
    def claims(self) -> frozenset[str]:
        return frozenset(id for value in self.published for id in value.claims)


def compare(
    mapping: PaperMapping,
    comparison: Comparison,
    published: Published,
    cells: Sequence[Cell],
    size: str,
    evidence: Evidence,
) -> tuple[Line, ...]:
    """Every line of one comparison at a size: first the scores, then the differences. Cells it lacks give no line."""
    found = points(mapping, comparison, published, cells, size)
    floats = float_scores(mapping, comparison, published)
    scores = [_score(comparison, point, evidence) for point in found.values() if point.group is not None]
    differences = []
    for at in comparison.at:
        for contrast in comparison.contrasts:
            of = found[contrast.of, at.id]
            minus = found[contrast.minus, at.id] if contrast.minus else None
            if of.group is not None and (minus is None or minus.group is not None):
                differences.append(_difference(comparison, contrast, of, minus, floats, evidence))
    return (*scores, *_judged(differences, comparison.margin))


def _basis(*asked: Point) -> tuple[Basis, str]:
    """What the points have in common with the paper, and what not: no more than the least of them."""
    same = [point.same for point in asked if point.same is not None]
    if len(same) < len(asked):
        return Basis.QUESTION, ""
    but = "; ".join(dict.fromkeys(held.but for held in same if held.but))
    return (Basis.NETWORK if but else Basis.NUMBER), but


def _score(comparison: Comparison, point: Point, evidence: Evidence) -> Line:
    values = tuple(Value(held.network, held.share, (held.claim.id,)) for held in point.printed.values())
    measured = _measured(point, evidence)
    basis, but = _basis(point)
    line = Line(comparison.table, Kind.SCORE, point.title, basis, values, None, Verdict.NOT_RUN, "", but, point.others)
    if isinstance(measured, Missing):
        return replace(line, reason=measured.reason)
    return _near(replace(line, reproduced=measured.score(CONFIDENCE)), comparison.margin)


def _near(line: Line, margin: float) -> Line:
    """The verdict on a number, where it is of the same network and data in the same setting."""
    assert line.reproduced is not None
    if line.basis is not Basis.NUMBER:
        return replace(line, verdict=Verdict.NOT_JUDGED)
    return replace(line, verdict=_nearness(line.reproduced, line.published[0].share, margin))


def _nearness(interval: Interval, printed: float, margin: float) -> Verdict:
    """Reproduced where the whole interval lies within the margin, differing where it lies wholly outside."""
    if printed - margin <= interval.low and interval.high <= printed + margin:
        return Verdict.REPRODUCED
    if interval.high < printed - margin or printed + margin < interval.low:
        return Verdict.DIFFERS
    return Verdict.OPEN


def _difference(
    comparison: Comparison,
    contrast: Contrast,
    of: Point,
    minus: Point | None,
    floats: Mapping[Network, Printed],
    evidence: Evidence,
) -> tuple[Line, IntervalAt | None]:
    """A line of differences that is not judged yet, with its interval at any confidence."""
    against = floats if minus is None else minus.printed
    values = tuple(
        Value(network, held.share - against[network].share, (held.claim.id, against[network].claim.id))
        for network, held in of.printed.items()
        if network in against
    )
    kind = Kind.COST if minus is None else Kind.CONTRAST
    other = "float" if minus is None else minus.row.title
    what = ", ".join(text for text in (f"{of.row.title} \N{MINUS SIGN} {other}", of.at.title) if text)
    found = _interval(of, minus, evidence)
    asked = (of,) if minus is None else (of, minus)
    basis, but = _basis(*asked)
    others = [id for point in asked for id in point.others]
    if minus is None and of.same is not None:
        others += [held.claim.id for network, held in floats.items() if network not in of.printed]
    line = Line(comparison.table, kind, what, basis, values, None, Verdict.NOT_RUN, "", but, tuple(others))
    if isinstance(found, str):
        return replace(line, reason=found), None
    return replace(line, reproduced=found(CONFIDENCE)), found


def _interval(of: Point, minus: Point | None, evidence: Evidence) -> IntervalAt | str:
    """The difference at any confidence, or the reason why there is none."""
    second = _measured(of, evidence)
    if isinstance(second, Missing):
        return second.reason
    if minus is None:
        return second.loss
    first = _measured(minus, evidence)
    if isinstance(first, Missing):
        return first.reason
    if evidence.difference(first, second) is None:
        return "they answered different examples"

    def at(confidence: float) -> Interval:
        found = evidence.difference(first, second, confidence)
        assert found is not None
        return found

    return at


def _judged(differences: Sequence[tuple[Line, IntervalAt | None]], margin: float) -> list[Line]:
    """The order of methods, resolved together: of many comparisons, some would look sure by chance.

    That quantization costs accuracy is no finding: what it costs is shown and, of the same network, judged as a number.
    """
    found = iter(
        sides([at for line, at in differences if at is not None and line.kind is Kind.CONTRAST], 0.0, CONFIDENCE)
    )
    lines = []
    for line, at in differences:
        if at is None:
            lines.append(line)
        elif line.kind is Kind.CONTRAST:
            lines.append(replace(line, verdict=_order(line.published, next(found))))
        else:
            lines.append(_near(line, margin))
    return lines


def _order(values: Sequence[Value], side: Side) -> Verdict:
    signs = {(value.share > 0) - (value.share < 0) for value in values}
    if len(signs) != 1 or signs == {0}:
        return Verdict.MIXED
    if side is Side.UNRESOLVED:
        return Verdict.OPEN
    return Verdict.SAME_ORDER if (side is Side.ABOVE) == (signs == {1}) else Verdict.OTHER_ORDER


def _measured(point: Point, evidence: Evidence) -> Measured | Missing:
    assert point.group is not None
    return evidence.of(point.group)
