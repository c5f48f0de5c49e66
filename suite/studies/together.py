"""Studies: many comparisons under one expectation. Whoever looks twenty times finds something by chance.

Which verdicts have to be corrected for that depends on what the expectation says of its comparisons.

* **All of them hold.** A wrong "holds" needs the very comparison that does not hold to pass at its own 95 %, however
  many pass beside it: nothing is corrected. A wrong "does not hold" needs any one of many to fail by chance: the
  failures are corrected together, by Holm's rule.
* **The majority holds.** Either verdict counts comparisons, and each one that is counted by chance leads it astray:
  both are corrected together.

Holm's rule, told in verdicts: while m comparisons are open, those decided at the confidence 1 − 0.05/m leave; then the
rest is asked again, with fewer of them open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from suite.statistics import Interval
from suite.studies.study import Amount

CONFIDENCE = 0.95


class Verdict(StrEnum):
    """What a study says of an expectation."""

    HOLDS = "holds"
    FAILS = "does not hold"
    OPEN = "unresolved at this number of seeds"


Judge = Callable[[float], Verdict]
"""What one comparison says at any confidence."""


@dataclass(frozen=True)
class Compared:
    """One comparison that an expectation rests on."""

    what: str
    interval: Interval | None
    """The difference or the score at 95 %, by itself; None where it was not measured, or by one seed that has none."""
    says: str
    verdict: Verdict
    is_score: bool = False


@dataclass(frozen=True)
class Judged:
    """A comparison whose verdict is still to be given, by what judges it; None where it was not measured."""

    compared: Compared
    judge: Judge | None
    seeds: int = 0
    """How many it rests on, where that is told of the whole; one gives no interval."""


def judged_together(held: Sequence[Judged], of: Amount) -> tuple[Compared, ...]:
    """The comparisons, each with its verdict."""
    verdicts = judged([one.judge for one in held], of)
    return tuple(replace(one.compared, verdict=verdict) for one, verdict in zip(held, verdicts, strict=True))


def judged(judges: Sequence[Judge | None], of: Amount) -> list[Verdict]:
    """The verdict on every comparison, corrected as far as the expectation needs it; None was not measured."""
    measured = {position: judge for position, judge in enumerate(judges) if judge is not None}
    found = [Verdict.OPEN] * len(judges)
    if of == "all":
        for position, judge in measured.items():
            if judge(CONFIDENCE) is Verdict.HOLDS:
                found[position] = Verdict.HOLDS
    decisive = (Verdict.FAILS,) if of == "all" else (Verdict.HOLDS, Verdict.FAILS)
    while measured:
        strict = 1.0 - (1.0 - CONFIDENCE) / len(measured)
        asked = {position: judge(strict) for position, judge in measured.items()}
        decided = {position: verdict for position, verdict in asked.items() if verdict in decisive}
        for position, verdict in decided.items():
            found[position] = verdict
            del measured[position]
        if not decided:
            break
    return found


def together(verdicts: Sequence[Verdict], of: Amount) -> Verdict:
    """The verdict on an expectation from those on its comparisons."""
    total = len(verdicts)
    holds, fails = verdicts.count(Verdict.HOLDS), verdicts.count(Verdict.FAILS)
    if of == "all":
        return Verdict.FAILS if fails else Verdict.HOLDS if holds == total and total else Verdict.OPEN
    if 2 * holds > total:
        return Verdict.HOLDS
    return Verdict.FAILS if 2 * fails >= total and total else Verdict.OPEN


def count_of(verdicts: Sequence[Verdict], verdict: Verdict) -> str:
    """How many comparisons have this verdict, in words."""
    return f"{verdicts.count(verdict)} of {len(verdicts)}"
