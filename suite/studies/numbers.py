"""Studies: expectations about numbers: a score near an expected one, what a run counts, and the order of counts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from suite.statistics import Interval, over_seeds
from suite.studies.evidence import Evidence, Measured, Missing
from suite.studies.matching import Group, Pair
from suite.studies.measures import measure, values_of
from suite.studies.study import Number, Ordering, Quantity, Study
from suite.studies.together import CONFIDENCE, Compared, Judged, Verdict, count_of, judged_together, together


def number(
    test: Number, study: Study, held: Sequence[Group], evidence: Evidence
) -> tuple[Verdict, str, tuple[Compared, ...]]:
    """Scores against an expected one; where that is a mean of several, the sentence says how far those lie apart."""
    compared = judged_together([_against(test, group, evidence) for group in held], "all")
    wanted = (
        f"at least {test.value - test.tolerance:.2%}"
        if test.or_better
        else (f"{test.value:.2%} ± {100 * test.tolerance:.2f} points")
    )
    theirs = next((one.scores for one in study.references if one.id == test.reference), ())
    if len(theirs) > 1:
        wanted += f" (their {len(theirs)} scores: {min(theirs):.2%} to {max(theirs):.2%})"
    told = "; ".join(f"{one.what}: {one.says}" for one in compared)
    return together([one.verdict for one in compared], "all"), f"expected {wanted}; {told}", compared


def _against(test: Number, group: Group, evidence: Evidence) -> Judged:
    measured = evidence.of(group)
    if isinstance(measured, Missing):
        return Judged(Compared(group.id, None, measured.reason, Verdict.OPEN, True), None)
    least, most = test.value - test.tolerance, math.inf if test.or_better else test.value + test.tolerance

    def judge(confidence: float) -> Verdict:
        interval = _score(test, measured, confidence)
        low, high = (measured.scores[0],) * 2 if interval is None else (interval.low, interval.high)
        return _within(low, high, least, most)

    shown = _score(test, measured, CONFIDENCE)
    score = measured.scores[0] if shown is None else shown.estimate
    how = _seeds(len(measured.seeds))
    how += ", the same examples" if test.same_examples else ""
    if len(measured.seeds) == 1:
        how += ", no interval" if shown is None else ": the interval is that of the test examples alone"
    says = f"{score:.2%}, {100 * (score - test.value):+.2f} points ({how})"
    return Judged(Compared(group.id, shown, says, Verdict.OPEN, True), judge)


def quantity(test: Quantity, held: Sequence[Group], evidence: Evidence) -> tuple[Verdict, str, tuple[Compared, ...]]:
    """What is counted has no noise of examples: with one seed it is compared as it is, with several over seeds."""
    compared = judged_together([_counted(test, group, evidence) for group in held], "all")
    told = "; ".join(f"{one.what}: {one.says}" for one in compared)
    wanted = (
        f"of at least {test.value - test.tolerance:g}" if test.or_better else f"{test.value:g} ± {test.tolerance:g}"
    )
    expected = f"expected {measure(test.of).title} {wanted}"
    return together([one.verdict for one in compared], "all"), f"{expected}; {told}", compared


def counted_ordering(
    test: Ordering, pairs: Sequence[Pair], evidence: Evidence
) -> tuple[Verdict, str, tuple[Compared, ...]]:
    """Numbers that are counted: pairs with one seed are compared as they are, those with several over shared seeds."""
    held = [_counted_pair(test, pair, evidence) for pair in pairs]
    compared = judged_together(held, test.of)
    verdicts = [one.verdict for one in compared]
    beyond = f" by more than {test.by:g}" if test.by else ""
    detail = (
        f"{measure(test.measure).title}: {count_of(verdicts, Verdict.HOLDS)} known to be higher{beyond}, "
        f"{count_of(verdicts, Verdict.FAILS)} known not to be, {count_of(verdicts, Verdict.OPEN)} not resolved"
    )
    alone = sum(one.seeds == 1 for one in held)
    if alone:
        detail += f"; one seed, no interval in {alone} of {sum(one.judge is not None for one in held)} measured"
    return together(verdicts, test.of), detail, compared


def _counted_pair(test: Ordering, pair: Pair, evidence: Evidence) -> Judged:
    def missing(reason: str) -> Judged:
        return Judged(Compared(pair.named(), None, reason, Verdict.OPEN), None)

    numbers: list[dict[int, float]] = []
    for group in (pair.first, pair.second):
        measured = evidence.of(group)
        if isinstance(measured, Missing):
            return missing(measured.reason)
        values = values_of(test.measure, measured.records)
        if not values:
            return missing(f"a record has no {test.measure}")
        numbers.append(dict(zip(measured.seeds, values, strict=True)))
    lower, higher = numbers
    shared = [seed for seed in lower if seed in higher]
    if not shared:
        return missing("they have no seed in common")
    differences = [higher[seed] - lower[seed] for seed in shared]

    def judge(confidence: float) -> Verdict:
        low, high = _spread(differences, confidence)
        return Verdict.HOLDS if low > test.by else Verdict.FAILS if high <= test.by else Verdict.OPEN

    return Judged(Compared(pair.named(), None, _told(differences, "+.4g"), Verdict.OPEN), judge, len(shared))


def _counted(test: Quantity, group: Group, evidence: Evidence) -> Judged:
    measured = evidence.of(group)
    if isinstance(measured, Missing):
        return Judged(Compared(group.id, None, measured.reason, Verdict.OPEN, True), None)
    values = values_of(test.of, measured.records)
    if not values:
        return Judged(Compared(group.id, None, f"its record has no {test.of}", Verdict.OPEN, True), None)
    least, most = test.value - test.tolerance, math.inf if test.or_better else test.value + test.tolerance

    def judge(confidence: float) -> Verdict:
        return _within(*_spread(values, confidence), least, most)

    return Judged(Compared(group.id, None, _told(values, ".4g"), Verdict.OPEN, True), judge)


def _within(low: float, high: float, least: float, most: float) -> Verdict:
    """Whether what lies between `low` and `high` lies between `least` and `most`, as far as that is known."""
    if least <= low and high <= most:
        return Verdict.HOLDS
    return Verdict.FAILS if high < least or low > most else Verdict.OPEN


def _spread(values: Sequence[float], confidence: float) -> tuple[float, float]:
    """Both ends of what is known of a counted number, one value a seed; one seed is taken as it is."""
    summary = over_seeds(values, confidence)
    if summary.interval is None:
        return summary.mean, summary.mean
    return summary.interval.low, summary.interval.high


def _told(values: Sequence[float], shape: str) -> str:
    """A counted number with its interval in words: pages print intervals as shares of right answers."""
    mean = over_seeds(values, CONFIDENCE).mean
    if len(values) == 1:
        return f"{mean:{shape}} (one seed, no interval)"
    low, high = _spread(values, CONFIDENCE)
    return f"{mean:{shape}} [{low:{shape}}, {high:{shape}}] ({_seeds(len(values))})"


def _score(test: Number, measured: Measured, confidence: float) -> Interval | None:
    """The score, with the noise that separates it from the expected number.

    On the very same examples only the seeds do; with one seed nothing is known of them, there is no interval, and the
    number itself is compared.
    """
    if not test.same_examples:
        return measured.score(confidence)
    return over_seeds(measured.scores, confidence).interval


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds"
