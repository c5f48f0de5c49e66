"""Contract: what every method has to keep, in the package or from a third-party distribution.

Each check is one sentence that is true or not, with the numbers beside it. Nothing here knows a method: one is tried
exactly as `suite evaluate` runs it, on the embedded digits, with the options its author declares as `quick()`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from suite.axes import AXES, Setting
from suite.cards import Card, MethodChoice
from suite.contract.continuing import continuing_checks
from suite.contract.failures import failure_checks
from suite.contract.results import CheckResult
from suite.contract.trials import base_setting, together, trials
from suite.errors import SuiteError
from suite.harness.evaluate import evaluate
from suite.harness.request import Request, resolve
from suite.methods import METHODS
from suite.methods.api import Method, Options
from suite.methods.api.options import Scalar
from suite.records import Record, Status

__all__ = ["CheckResult", "check_method"]

TASK, MODEL = "digits", "digits-resnet"
SMALL_BUDGET = 32
# The time limit is a promise about a whole run on one machine, and no business of a trial of seconds.
PATIENCE = 1e6


def check_method(
    name: str,
    *,
    axes: tuple[str, ...] | None = None,
    quick: bool = False,
    report: Callable[[CheckResult], None] | None = None,
) -> list[CheckResult]:
    """Run the contract on the method `name`; `axes` limits what is tried, `report` is told each result at once.

    `quick`: values of different axes are tried together, and one by one only where that fails.
    """
    for axis in axes or ():
        Setting.default()[axis]  # an unknown axis is an error with a suggestion, before any work
    kind = METHODS.get(name)
    results = []
    with tempfile.TemporaryDirectory(prefix="suite-check-") as folder:
        for result in _all_checks(name, kind, Path(folder), axes, quick):
            results.append(result)
            if report is not None:
                report(result)
    return results


def _all_checks(
    name: str, kind: type[Method], folder: Path, axes: tuple[str, ...] | None, quick: bool
) -> Iterator[CheckResult]:
    if not (isinstance(kind, type) and issubclass(kind, Method)):
        yield CheckResult("documentation", "METHOD is a subclass of Method", False, f"it is {kind!r}")
        return
    yield from documentation_checks(name, kind)
    yield from option_checks(kind)
    claims = list(claim_checks(kind))
    yield from claims
    if not all(claim.passed for claim in claims):
        return  # without a setting to start from there is nothing to try
    bench = TrialBench(kind, folder)
    yield from axis_checks(kind, bench, axes, quick=quick)
    if axes is None:
        yield from determinism_checks(kind, bench)
        yield from continuing_checks(
            kind, lambda mortal, store: TrialBench(mortal, folder).record(base_setting(kind), store=store)
        )
        yield from budget_checks(kind, bench)
        yield from failure_checks(kind, base_setting(kind))


def documentation_checks(name: str, kind: type[Method]) -> Iterator[CheckResult]:
    """A method says what it is and where it comes from."""
    summary = METHODS.entry(name).summary()
    paper = getattr(kind, "paper", None)
    yield CheckResult("documentation", "the id is the name it is registered under", getattr(kind, "id", None) == name)
    yield CheckResult("documentation", "it has a title", bool(getattr(kind, "title", "")))
    yield CheckResult("documentation", "its file starts with a line that says what it is", bool(summary), summary)
    yield CheckResult("documentation", "its class has a docstring", bool((kind.__doc__ or "").strip()))
    complete = paper is not None and all((paper.title, paper.authors, paper.year, paper.url.startswith("https://")))
    yield CheckResult("documentation", "its paper has title, authors, year and an https address", complete, str(paper))
    notes = getattr(kind, "notes", ())
    questions = [note.about.strip() for note in notes]
    said = all(questions) and all(note.ours.strip() for note in notes) and len(set(questions)) == len(questions)
    yield CheckResult("documentation", "its notes each name one question, and what is done here", said)


def option_checks(kind: type[Method]) -> Iterator[CheckResult]:
    """Options are documented, typed and survive being written to a card."""
    if not issubclass(kind.Options, Options):
        yield CheckResult("options", "Options is a subclass of suite.methods.api.Options", False)
        return
    try:
        undocumented = [field.name for field in kind.Options.fields().values() if not field.doc.strip()]
        defaults = kind.Options()
        quick = kind.Options.quick()
    except (SuiteError, TypeError) as broken:
        yield CheckResult("options", "defaults and quick() are valid", False, str(broken))
        return
    yield CheckResult("options", "every option is documented", not undocumented, ", ".join(undocumented))
    for label, options in (("defaults", defaults), ("quick()", quick)):
        again = kind.Options.from_mapping(options.to_dict())
        yield CheckResult("options", f"{label} survive a round trip through a card", again == options)
    text = all(
        kind.Options.read(f"{name}={_written(value)}") == (name, value) for name, value in defaults.to_dict().items()
    )
    yield CheckResult("options", "defaults survive a round trip through a command line", text)
    try:
        kind.from_mapping({"no_such_option": 1})
        refused = "it was accepted"
    except SuiteError as error:
        refused = "" if "no_such_option" in str(error) else f"the message does not name it: {error}"
    yield CheckResult("options", "an unknown option is refused by name", not refused, refused)


def claim_checks(kind: type[Method]) -> Iterator[CheckResult]:
    """What a method says it supports exists, and what it recommends is among it."""
    unknown = [axis for axis in (*kind.supports, *kind.recommended) if axis not in AXES]
    yield CheckResult("claims", "every axis it names exists", not unknown, ", ".join(unknown))
    if unknown:
        return
    strange = [
        f"{axis} = {value}"
        for axis, values in kind.supports.items()
        for value in values
        if not AXES[axis].domain.accepts(value)
    ]
    yield CheckResult("claims", "every value it supports is a value of its axis", not strange, ", ".join(strange))
    try:
        kind.check_setting(base_setting(kind))
        refused = ""
    except SuiteError as error:
        refused = str(error)
    yield CheckResult("claims", "the setting it recommends is legal and supported", not refused, refused)


@dataclass(frozen=True)
class TrialBench:
    """Evaluates settings on the embedded task, with the method's quick options, each in a store of its own."""

    kind: type[Method]
    folder: Path

    def request(self, setting: Setting, *, seed: int = 0) -> Request:
        options = self.kind.Options.quick()
        card = Card(
            kind="run",
            title=f"contract of {self.kind.id}",
            method=MethodChoice(self.kind.id, options.to_dict()),
            values=setting.replace(time_limit=PATIENCE).values,
            task=TASK,
            model=MODEL,
            seed=seed,
        )
        return resolve(card, instance=self.kind(options))

    def record(self, setting: Setting, *, store: str = "trials", seed: int = 0) -> Record:
        return evaluate(self.request(setting, seed=seed), self.folder / store, quiet=True).record


def axis_checks(
    kind: type[Method], bench: TrialBench, axes: tuple[str, ...] | None, *, quick: bool = False
) -> Iterator[CheckResult]:
    """The base setting and every claimed value end in a completed run that the audit does not contradict."""
    yield _tried("base setting", bench, base_setting(kind))
    tried = list(trials(kind, axes))
    for trial in tried:
        if trial.setting is None:
            yield CheckResult("axis values", trial.name, True, f"not tried: {trial.reason}", skipped=True)
        elif not quick:
            yield _tried(trial.name, bench, trial.setting)
    for group in together(kind, tried) if quick else ():
        joint = _tried(", ".join(trial.name for trial in group.trials), bench, group.setting)
        if joint.passed:
            yield from (CheckResult("axis values", trial.name, True, joint.detail) for trial in group.trials)
        else:
            # Together they may ask for too much, two bits of everything for one: each has to hold by itself.
            yield from (_tried(trial.name, bench, trial.setting) for trial in group.trials if trial.setting is not None)


def _tried(name: str, bench: TrialBench, setting: Setting) -> CheckResult:
    try:
        record = bench.record(setting)
    except SuiteError as refused:
        return CheckResult("axis values", name, False, f"claimed, and then refused: {refused}")
    except Exception as bug:  # of the suite, then: what a method raises is in the record; the other checks go on
        return CheckResult("axis values", name, False, f"{type(bug).__name__} outside the method: {bug}")
    if record.status is not Status.COMPLETED:
        return CheckResult("axis values", name, False, f"{record.status}: {record.message}")
    if record.audit is None:
        return CheckResult("axis values", name, False, "the run was not audited")
    contradicted = [
        f"{axis}: {found['evidence']}"
        for axis, found in record.audit["axes"].items()
        if found["verdict"] == "contradicted"
    ]
    return CheckResult("axis values", name, not contradicted, "; ".join(contradicted) or f"score {record.score:.3f}")


def determinism_checks(kind: type[Method], bench: TrialBench) -> Iterator[CheckResult]:
    """The same card and seed twice give the same record, times apart."""
    setting = base_setting(kind)
    first, second = (bench.record(setting, store=store, seed=1) for store in ("first", "second"))
    different = [key for key, value in first.content().items() if second.content().get(key) != value]
    yield CheckResult("determinism", "two runs leave the same record", not different, ", ".join(different))


def budget_checks(kind: type[Method], bench: TrialBench) -> Iterator[CheckResult]:
    """With fewer examples the method sees fewer examples."""
    base = base_setting(kind)
    changes: dict[str, object] = {"examples": SMALL_BUDGET}
    if base["initialization_examples"] != "all":
        changes["initialization_examples"] = min(SMALL_BUDGET, int(str(base["initialization_examples"])))
    record = bench.record(base.replace(**changes))
    seen = int(record.costs.get("examples", 0))
    kept = record.status is Status.COMPLETED and seen <= SMALL_BUDGET
    detail = f"{record.status}, {seen} examples of {SMALL_BUDGET} {record.message}".strip()
    yield CheckResult("data budget", f"it works with {SMALL_BUDGET} examples and sees no more", kept, detail)


def _written(value: Scalar) -> str:
    """A value as a person writes it on a command line."""
    words = {"None": "none", "True": "true", "False": "false"}
    return words.get(str(value), str(value))
