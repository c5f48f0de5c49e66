"""Studies: expectations against evidence. Each ends in one of three verdicts, and says what it rests on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from suite.statistics import Equality as Equal
from suite.statistics import Interval, IntervalAt, Side, equivalence, over_seeds, sides
from suite.studies.cells import Cell
from suite.studies.evidence import Evidence, Measured, Missing
from suite.studies.matching import Group, Pair, matched, selected
from suite.studies.measures import measure, values_of
from suite.studies.study import Amount, Crossing, Equality, Expectation, Number, Ordering, Quantity, Study

CONFIDENCE = 0.95


class Verdict(StrEnum):
    """What a study says of an expectation."""

    HOLDS = "holds"
    FAILS = "does not hold"
    OPEN = "unresolved at this number of seeds"


@dataclass(frozen=True)
class Compared:
    """One comparison that an expectation rests on."""

    what: str
    interval: Interval | None
    """The difference or the score; None where it could not be measured."""
    says: str
    verdict: Verdict
    is_score: bool = False


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
        compare = _counted_ordering if test.measure else _ordering
        verdict, detail, compared = compare(test, pairs, evidence)
    elif isinstance(test, Equality):
        pairs = matched(cells, test.where, test.first, test.second)
        verdict, detail, compared = _equality(test, pairs, evidence)
    elif isinstance(test, Crossing):
        verdict, detail, compared = _crossing(test, study, cells, evidence)
    elif isinstance(test, Quantity):
        verdict, detail, compared = _quantity(test, selected(cells, test.where), evidence)
    else:
        verdict, detail, compared = _number(test, selected(cells, test.where), evidence)
    return Answer(expectation, verdict, detail, compared)


@dataclass(frozen=True)
class _Difference:
    """A pair with its difference second − first at any confidence, or the reason why there is none."""

    pair: Pair
    at: IntervalAt | None
    reason: str = ""

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
    found = evidence.difference(first, second)
    if found is None:
        return _Difference(pair, None, "they answered different examples")

    def at(confidence: float, first: Measured = first, second: Measured = second) -> Interval:
        if confidence == CONFIDENCE:
            return found
        again = evidence.difference(first, second, confidence)
        assert again is not None
        return again

    return _Difference(pair, at)


def _sides(differences: Sequence[_Difference], threshold: float) -> list[Side | None]:
    """The side of every difference that was measured, resolved together; None for the others."""
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
    verdict = _together(verdicts, test.of)
    higher = sum(held.shown.estimate > test.by for held in differences if held.shown is not None)
    measured = sum(held.at is not None for held in differences)
    beyond = f" by more than {100 * test.by:.2f} points" if test.by > 0 else ""
    beyond = f" or lower by less than {-100 * test.by:.2f} points" if test.by < 0 else beyond
    detail = (
        f"{_of(verdicts, Verdict.HOLDS)} known to be higher{beyond}, {_of(verdicts, Verdict.FAILS)} known not to be, "
        f"{_of(verdicts, Verdict.OPEN)} not resolved; the estimate is higher{beyond} in {higher} of {measured} measured"
    )
    return verdict, _with_reasons(detail, differences), _compared(differences, verdicts)


def _equality(test: Equality, pairs: Sequence[Pair], evidence: Evidence) -> tuple[Verdict, str, tuple[Compared, ...]]:
    differences = [_difference(pair, evidence) for pair in pairs]
    names = {Equal.EQUIVALENT: Verdict.HOLDS, Equal.DIFFERENT: Verdict.FAILS, Equal.UNRESOLVED: Verdict.OPEN}
    verdicts = [
        Verdict.OPEN if held.at is None else names[equivalence(held.at, test.margin, CONFIDENCE)]
        for held in differences
    ]
    detail = (
        f"{_of(verdicts, Verdict.HOLDS)} equal within {100 * test.margin:.2f} points, "
        f"{_of(verdicts, Verdict.FAILS)} different, {_of(verdicts, Verdict.OPEN)} not resolved"
    )
    return _together(verdicts, test.of), _with_reasons(detail, differences), _compared(differences, verdicts)


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
    detail = f"{_of(verdicts, Verdict.HOLDS)} series cross, {_of(verdicts, Verdict.FAILS)} are known not to"
    return _together(verdicts, "all"), _with_reasons(detail, differences), compared


def _crosses(held: Sequence[Side | None]) -> Verdict:
    """BELOW means that the first is ahead (second − first lies below zero)."""
    starts = [index for index, side in enumerate(held) if side is Side.BELOW]
    if starts and any(side is Side.ABOVE for side in held[starts[0] + 1 :]):
        return Verdict.HOLDS
    known = [side for side in held if side in (Side.ABOVE, Side.BELOW)]
    return Verdict.FAILS if len(known) == len(held) else Verdict.OPEN


def _number(test: Number, held: Sequence[Group], evidence: Evidence) -> tuple[Verdict, str, tuple[Compared, ...]]:
    compared = tuple(_against(test, group, evidence) for group in held)
    verdict = _together([one.verdict for one in compared], "all")
    wanted = (
        f"at least {test.value - test.tolerance:.2%}"
        if test.or_better
        else (f"{test.value:.2%} ± {100 * test.tolerance:.2f} points")
    )
    told = "; ".join(f"{one.what}: {one.says}" for one in compared)
    return verdict, f"expected {wanted}; {told}", compared


def _against(test: Number, group: Group, evidence: Evidence) -> Compared:
    measured = evidence.of(group)
    if isinstance(measured, Missing):
        return Compared(group.id, None, measured.reason, Verdict.OPEN, True)
    interval, how = _score(test, measured)
    low, high = test.value - test.tolerance, test.value + test.tolerance
    inside = interval.low >= low and (test.or_better or interval.high <= high)
    outside = interval.high < low or (not test.or_better and interval.low > high)
    verdict = Verdict.HOLDS if inside else Verdict.FAILS if outside else Verdict.OPEN
    difference = 100 * (interval.estimate - test.value)
    return Compared(group.id, interval, f"{interval.estimate:.2%}, {difference:+.2f} points ({how})", verdict, True)


def _quantity(test: Quantity, held: Sequence[Group], evidence: Evidence) -> tuple[Verdict, str, tuple[Compared, ...]]:
    """What is counted has no noise of examples: with one seed it is compared as it is, with several over seeds."""
    compared = tuple(_counted(test, group, evidence) for group in held)
    told = "; ".join(f"{one.what}: {one.says}" for one in compared)
    wanted = (
        f"of at least {test.value - test.tolerance:g}" if test.or_better else f"{test.value:g} ± {test.tolerance:g}"
    )
    expected = f"expected {measure(test.of).title} {wanted}"
    return _together([one.verdict for one in compared], "all"), f"{expected}; {told}", compared


def _counted_ordering(
    test: Ordering, pairs: Sequence[Pair], evidence: Evidence
) -> tuple[Verdict, str, tuple[Compared, ...]]:
    """Numbers that are counted: pairs with one seed are compared as they are, those with several over shared seeds."""
    compared = tuple(_counted_pair(test, pair, evidence) for pair in pairs)
    verdicts = [one.verdict for one in compared]
    beyond = f" by more than {test.by:g}" if test.by else ""
    detail = (
        f"{measure(test.measure).title}: {_of(verdicts, Verdict.HOLDS)} known to be higher{beyond}, "
        f"{_of(verdicts, Verdict.FAILS)} known not to be, {_of(verdicts, Verdict.OPEN)} not resolved"
    )
    return _together(verdicts, test.of), detail, compared


def _counted_pair(test: Ordering, pair: Pair, evidence: Evidence) -> Compared:
    numbers: list[dict[int, float]] = []
    for group in (pair.first, pair.second):
        measured = evidence.of(group)
        if isinstance(measured, Missing):
            return Compared(pair.named(), None, measured.reason, Verdict.OPEN)
        values = values_of(test.measure, measured.records)
        if not values:
            return Compared(pair.named(), None, f"a record has no {test.measure}", Verdict.OPEN)
        numbers.append(dict(zip(measured.seeds, values, strict=True)))
    lower, higher = numbers
    shared = [seed for seed in lower if seed in higher]
    if not shared:
        return Compared(pair.named(), None, "they have no seed in common", Verdict.OPEN)
    low, high, told = _spread([higher[seed] - lower[seed] for seed in shared], "+.4g")
    verdict = Verdict.HOLDS if low > test.by else Verdict.FAILS if high <= test.by else Verdict.OPEN
    return Compared(pair.named(), None, told, verdict)


def _counted(test: Quantity, group: Group, evidence: Evidence) -> Compared:
    measured = evidence.of(group)
    if isinstance(measured, Missing):
        return Compared(group.id, None, measured.reason, Verdict.OPEN, True)
    values = values_of(test.of, measured.records)
    if not values:
        return Compared(group.id, None, f"its record has no {test.of}", Verdict.OPEN, True)
    low, high, told = _spread(values, ".4g")
    least, most = test.value - test.tolerance, math.inf if test.or_better else test.value + test.tolerance
    inside = least <= low and high <= most
    outside = high < least or low > most
    verdict = Verdict.HOLDS if inside else Verdict.FAILS if outside else Verdict.OPEN
    return Compared(group.id, None, told, verdict, True)


def _spread(values: Sequence[float], shape: str) -> tuple[float, float, str]:
    """Both ends of what is known of a counted number, one value a seed, and that in words.

    Pages print intervals as shares of right answers, which this is not. One seed is taken as it is.
    """
    summary = over_seeds(values, CONFIDENCE)
    if summary.interval is None:
        return summary.mean, summary.mean, f"{summary.mean:{shape}} ({_seeds(len(values))})"
    low, high = summary.interval.low, summary.interval.high
    return low, high, f"{summary.mean:{shape}} [{low:{shape}}, {high:{shape}}] ({_seeds(len(values))})"


def _score(test: Number, measured: Measured) -> tuple[Interval, str]:
    """The score, with the noise that separates it from the expected number.

    On the very same examples only the seeds do; with one seed nothing is known of them, and the number itself is
    compared.
    """
    if not test.same_examples:
        return measured.score(CONFIDENCE), _seeds(len(measured.seeds))
    summary = over_seeds(measured.scores, CONFIDENCE)
    if summary.interval is not None:
        return summary.interval, f"{_seeds(len(measured.seeds))}, the same examples"
    score = measured.scores[0]
    return Interval(score, score, score, CONFIDENCE, "one seed", 1), "one seed, the same examples, no interval"


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds"


def _together(verdicts: Sequence[Verdict], of: Amount) -> Verdict:
    total = len(verdicts)
    holds, fails = verdicts.count(Verdict.HOLDS), verdicts.count(Verdict.FAILS)
    if of == "all":
        return Verdict.FAILS if fails else Verdict.HOLDS if holds == total and total else Verdict.OPEN
    if 2 * holds > total:
        return Verdict.HOLDS
    return Verdict.FAILS if 2 * fails >= total and total else Verdict.OPEN


def _of(verdicts: Sequence[Verdict], verdict: Verdict) -> str:
    return f"{verdicts.count(verdict)} of {len(verdicts)}"


def _with_reasons(detail: str, differences: Sequence[_Difference]) -> str:
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
