"""Laboratory, the audit: the register of observers, one for each axis, and the three ways to answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from suite.audit.evidence import Evidence
from suite.audit.plain import Plain, plain
from suite.audit.problems import Problem
from suite.audit.report import AxisVerdict, Verdict

Finding = tuple[Plain, Verdict, str]
"""What was observed, the verdict, and the evidence in words."""
Observer = Callable[[Evidence, str], Finding]

OBSERVERS: dict[str, Observer] = {}
SHOWN = 3
"""Sites quoted in one piece of evidence."""


def observes(*axes: str) -> Callable[[Observer], Observer]:
    """Register the observer of one or several axes; it is called with the evidence and the axis."""

    def register(observer: Observer) -> Observer:
        for axis in axes:
            if axis in OBSERVERS:
                raise ValueError(f"axis {axis} has two observers")
            OBSERVERS[axis] = observer
        return observer

    return register


def verified(observed: object, evidence: str) -> Finding:
    """What was observed is what is declared."""
    return plain(observed), Verdict.VERIFIED, evidence


def contradicted(observed: object, evidence: str) -> Finding:
    """What was observed is not what is declared."""
    return plain(observed), Verdict.CONTRADICTED, evidence


def unseen(reason: str) -> Finding:
    """Nothing was observed that decides, for this reason."""
    return None, Verdict.NOT_OBSERVABLE, reason


def of_problems(problems: Iterable[Problem]) -> Finding | None:
    """One contradiction out of all problems of an axis, quoting the first few; None where there is none."""
    found = list({problem.text: problem for problem in problems}.values())
    if not found:
        return None
    quoted = "; ".join(problem.text for problem in found[:SHOWN])
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return contradicted(found[0].observed, quoted + more)


def judged(axis: str, declared: Plain, finding: Finding) -> AxisVerdict:
    """A finding as a verdict; without words there is no verdict."""
    observed, verdict, evidence = finding
    if not evidence:
        raise ValueError(f"the verdict on {axis} gives no evidence")
    return AxisVerdict(declared, observed, verdict, evidence)


def some(names: Iterable[str]) -> str:
    """The first few of many names."""
    listed = list(names)
    shown = ", ".join(listed[:SHOWN])
    return f"{shown} and {len(listed) - SHOWN} more" if len(listed) > SHOWN else shown
