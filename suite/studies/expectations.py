"""Studies: expectations against evidence. Each ends in one of three verdicts, and says what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from suite.statistics import Equality as Equal
from suite.statistics import Interval, IntervalAt, Side, equivalence, sides
from suite.studies.cells import Cell
from suite.studies.evidence import Evidence, Measured, Missing
from suite.studies.matching import Pair, matched, selected
from suite.studies.numbers import counted_ordering, number, quantity
from suite.studies.study import Crossing, Equality, Expectation, Ordering, Quantity, Study
from suite.studies.together import CONFIDENCE, Compared, Judge, Verdict, count_of, judged, together

__all__ = ["Answer", "Compared", "Verdict", "answer", "answers"]


@dataclass(frozen=True)
class Answer:
    """An expectation with its verdict, one sentence about it, and every comparison."""

    expectation: Expectation
    verdict: Verdict
    detail: str
    compared: tuple[Compared, ...]


def answers(study: Study, size: str, cells: Sequence[Cell], evidence: Evidence) -> tuple[Answer, ...]:
    """The answer to every expectation that is asked at this size."""
    return tuple(answer(study, expectation, cells, evidence) for expectation in study.expectations_at(size))


def answer(study: Study, expectation: Expectation, cells: Sequence[Cell], evidence: Evidence) -> Answer:
    """The answer to one expectation."""
    test = expectation.test
    if isinstance(test, Ordering):
        pairs = matched(cells, test.where, test.lower, test.higher)
        compare = counted_ordering if test.measure else _ordering
        verdict, detail, compared = compare(test, pairs, evidence)
    elif isinstance(test, Equality):
        pairs = matched(cells, test.where, test.first, test.second)
        verdict, detail, compared = _equality(test, pairs, evidence)
    elif isinstance(test, Crossing):
        verdict, detail, compared = _crossing(test, study, cells, evidence)
    elif isinstance(test, Quantity):
        verdict, detail, compared = quantity(test, selected(cells, test.where), evidence)
    else:
        verdict, detail, compared = number(test, study, selected(cells, test.where), evidence)
    return Answer(expectation, verdict, detail, compared)


@dataclass(frozen=True)
class _Difference:
    """A pair with its difference second − first at any confidence, or the reason why there is none."""

    pair: Pair
    at: IntervalAt | None
    reason: str = ""
    seeds: tuple[int, int] = (0, 0)
    """How many seeds both sides have; what has one does not know how far another would move it."""

    @property
    def shown(self) -> Interval | None:
        return self.at(CONFIDENCE) if self.at is not None else None


def _difference(pair: Pair, evidence: Evidence) -> _Difference:
    first, second = evidence.of(pair.first), evidence.of(pair.second)
    for held in (first, second):
        if isinstance(held, Missing):
            return _Difference(pair, None, held.reason)
    assert isinstance(first, Measured)
    assert isinstance(second, Measured)
    at = evidence.between(first, second)
    if at is None:
        return _Difference(pair, None, "they answered different examples")
    return _Difference(pair, at, seeds=(len(first.seeds), len(second.seeds)))


def _sides(differences: Sequence[_Difference], threshold: float) -> list[Side | None]:
    """The side of every difference that was measured, resolved together in both directions; None for the others.

    That is stricter than a verdict on all of them needs, so that the counts in its sentence can be read by themselves.
    """
    open_ = [held.at for held in differences if held.at is not None]
    found = iter(sides(open_, threshold, CONFIDENCE))
    return [None if held.at is None else next(found) for held in differences]


def _ordering(test: Ordering, pairs: Sequence[Pair], evidence: Evidence) -> tuple[Verdict, str, tuple[Compared, ...]]:
    differences = [_difference(pair, evidence) for pair in pairs]
    found = _sides(differences, test.by)
    verdicts = [
        {Side.ABOVE: Verdict.HOLDS, Side.BELOW: Verdict.FAILS}.get(side, Verdict.OPEN) if side else Verdict.OPEN
        for side in found
    ]
    verdict = together(verdicts, test.of)
    higher = sum(held.shown.estimate > test.by for held in differences if held.shown is not None)
    measured = sum(held.at is not None for held in differences)
    beyond = f" by more than {100 * test.by:.2f} points" if test.by > 0 else ""
    beyond = f" or lower by less than {-100 * test.by:.2f} points" if test.by < 0 else beyond
    detail = (
        f"{count_of(verdicts, Verdict.HOLDS)} known to be higher{beyond}, "
        f"{count_of(verdicts, Verdict.FAILS)} known not to be, {count_of(verdicts, Verdict.OPEN)} not resolved; "
        f"the estimate is higher{beyond} in {higher} of {measured} measured"
    )
    return verdict, _with_limits(detail, differences), _compared(differences, verdicts)


def _equality(test: Equality, pairs: Sequence[Pair], evidence: Evidence) -> tuple[Verdict, str, tuple[Compared, ...]]:
    differences = [_difference(pair, evidence) for pair in pairs]
    names = {Equal.EQUIVALENT: Verdict.HOLDS, Equal.DIFFERENT: Verdict.FAILS, Equal.UNRESOLVED: Verdict.OPEN}

    def judge(at: IntervalAt) -> Judge:
        return lambda confidence: names[equivalence(at, test.margin, confidence)]

    verdicts = judged([None if held.at is None else judge(held.at) for held in differences], test.of)
    detail = (
        f"{count_of(verdicts, Verdict.HOLDS)} equal within {100 * test.margin:.2f} points, "
        f"{count_of(verdicts, Verdict.FAILS)} different, {count_of(verdicts, Verdict.OPEN)} not resolved"
    )
    return together(verdicts, test.of), _with_limits(detail, differences), _compared(differences, verdicts)


def _crossing(
    test: Crossing, study: Study, cells: Sequence[Cell], evidence: Evidence
) -> tuple[Verdict, str, tuple[Compared, ...]]:
    """Every series of pairs along the factor must begin with `first` ahead and come to have `second` ahead."""
    differences = [_difference(pair, evidence) for pair in matched(cells, test.where, test.first, test.second)]
    found = _sides(differences, 0.0)
    series: dict[tuple[str, ...], list[tuple[int, Side | None]]] = {}
    for held, side in zip(differences, found, strict=True):
        shared = dict(held.pair.shared)
        part = study.part(shared["part"]) if "part" in shared else study.parts[0]
        level = shared.pop(test.along)
        order = part.factor(test.along).ids.index(level)
        series.setdefault(tuple(shared.values()), []).append((order, side))
    verdicts = [_crosses([side for _, side in sorted(held, key=lambda pair: pair[0])]) for held in series.values()]
    told = {Side.ABOVE: "the second is ahead", Side.BELOW: "the first is ahead"}
    compared = tuple(
        Compared(
            held.pair.named(),
            held.shown,
            told.get(side, "not resolved") if side is not None else held.reason,
            Verdict.OPEN if side in (None, Side.UNRESOLVED) else Verdict.HOLDS,
        )
        for held, side in zip(differences, found, strict=True)
    )
    detail = f"{count_of(verdicts, Verdict.HOLDS)} series cross, {count_of(verdicts, Verdict.FAILS)} are known not to"
    return together(verdicts, "all"), _with_limits(detail, differences), compared


def _crosses(held: Sequence[Side | None]) -> Verdict:
    """BELOW means that the first is ahead (second − first lies below zero)."""
    starts = [index for index, side in enumerate(held) if side is Side.BELOW]
    if starts and any(side is Side.ABOVE for side in held[starts[0] + 1 :]):
        return Verdict.HOLDS
    known = [side for side in held if side in (Side.ABOVE, Side.BELOW)]
    return Verdict.FAILS if len(known) == len(held) else Verdict.OPEN


def _with_limits(detail: str, differences: Sequence[_Difference]) -> str:
    """A sentence about differences of scores, with what it does not know: other seeds, and pairs without a result."""
    measured = [held for held in differences if held.at is not None]
    alone = sum(1 in held.seeds for held in measured)
    if alone and all(held.seeds == (1, 1) for held in measured):
        detail += "; one seed each: the intervals are those of the test examples alone"
    elif alone:
        detail += f"; a single seed in {alone} of {len(measured)} measured: their intervals do not know its spread"
    reasons = [held.reason for held in differences if held.reason]
    if not reasons:
        return detail
    more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return f"{detail}; not measured: {reasons[0]}{more}"


def _compared(differences: Sequence[_Difference], verdicts: Sequence[Verdict]) -> tuple[Compared, ...]:
    says = {Verdict.HOLDS: "as expected", Verdict.FAILS: "not as expected", Verdict.OPEN: "not resolved"}
    return tuple(
        Compared(
            held.pair.named(),
            held.shown,
            held.reason or says[verdict],
            verdict,
        )
        for held, verdict in zip(differences, verdicts, strict=True)
    )
