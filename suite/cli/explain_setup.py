"""`suite explain`: what stands before anything runs: the two sides, what their methods allow, where cells are run."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.cli.stopping import terminable
from suite.errors import StudyError, UnknownName

if TYPE_CHECKING:
    from suite.reports.entry import Entry
    from suite.studies.explaining.legality import Legality, Limits
    from suite.studies.explaining.run import Explanation
    from suite.studies.explaining.sides import Declared, Side
    from suite.studies.needs import Met
    from suite.studies.run import Display


@dataclass(frozen=True)
class Asked:
    """What the command line asks for, besides the two sides."""

    seeds: tuple[int, ...]
    budget_minutes: float
    jobs: int
    weights: Path | None
    data: Path | None
    device: str
    threads: int
    runs: Path
    quiet: bool


class Helper:
    """The laboratory in a process of its own: this one stays free of torch, and cells start their own."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def facts(self, method: str, options: Mapping[str, Any]) -> tuple[Limits, dict[str, Any]]:
        """What a method allows, and its options with their defaults."""
        from suite.cli.explain_data import method_facts
        from suite.studies.explaining.legality import Limits

        held = self._pool.submit(method_facts, method, dict(options)).result()
        limits = Limits(held["supports"], held["recommended"], held["labels"], held["examples"])
        return limits, held["options"]

    def refusals(self, model: str, task: str, asked: Sequence[Declared]) -> list[str | None]:
        """Why each is refused by its method or by the plan of the model, or None."""
        from suite.cli.explain_data import refusals

        plain = [(one.method, dict(one.options), dict(one.values)) for one in asked]
        return self._pool.submit(refusals, model, task, plain).result()


@contextmanager
def helper() -> Iterator[Helper]:
    """A helper process that lives as long as the block."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield Helper(pool)


def weights_given(path: Path | None, model: str) -> Met:
    """The weights file of the one model that both sides have, if one is given."""
    import hashlib

    from suite.studies.needs import Given, Met

    if path is None:
        return Met()
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror or error}", hint="see --weights") from error
    return Met((Given(model, path.name, path.absolute(), digest),))


@dataclass(frozen=True)
class _Method:
    """The method of one side: its id, all its options, what it allows."""

    id: str
    options: Mapping[str, Any]
    limits: Limits
    remarks: tuple[str, ...] = ()


def sides_of(entries: tuple[Entry, Entry], lab: Helper, weights: Path | None) -> tuple[Side, Side, Legality]:
    """Both sides, complete, and what may lie between them. A card copied from a paper is completed from the other."""
    from suite.studies.explaining.legality import Legality
    from suite.studies.explaining.sides import require_one_subject

    base = next((entry for entry in entries if not entry.transcribed), None)
    if base is None:
        raise StudyError(
            "both cards are copied from papers, which can be compared but not run",
            hint="give one card of kind run; what the other does not report is taken from it",
        )
    methods = [_method_of(entry, base, lab) for entry in entries]
    subject = _run_side(base, methods[entries.index(base)], weights)
    legality = Legality(
        {held.id: held.limits for held in methods},
        lambda declared: lab.refusals(subject.model, subject.task, declared),
    )
    first, second = (
        _transcribed_side(entry, held, subject, legality) if entry.transcribed else _run_side(entry, held, weights)
        for entry, held in zip(entries, methods, strict=True)
    )
    require_one_subject(first, second)
    return first, second, legality


def _method_of(entry: Entry, base: Entry, lab: Helper) -> _Method:
    """A method that a paper names and that is not here gives way to the other side's."""
    try:
        limits, options = lab.facts(entry.method, entry.options)
    except UnknownName:
        if not entry.transcribed:
            raise
        limits, options = lab.facts(base.method, base.options)
        remark = f"The method {entry.method} is not here; {base.method} takes its place."
        return _Method(base.method, options, limits, (remark,))
    return _Method(entry.method, options, limits)


def _run_side(entry: Entry, method: _Method, weights: Path | None) -> Side:
    """A side as its card or record declares it; a weights file that is given takes the place of the task's own."""
    from suite.axes import NOT_REPORTED
    from suite.studies.explaining.sides import Declared, Side

    values = dict(entry.values)
    silent = [*entry.unreported_axes, *(what for what in ("task", "model") if getattr(entry, what) == NOT_REPORTED)]
    if silent:
        raise StudyError(f"'{entry.title}' does not say {', '.join(silent)}", hint="a run is told by its complete card")
    if weights is None and values["baseline_weights"] != "task-default":
        raise StudyError(
            f"'{entry.title}' starts from the weights {values['baseline_weights']}", hint="give the file with --weights"
        )
    if weights is not None and values["baseline_weights"] == "task-default":
        values["baseline_weights"] = weights.name
    declared = Declared(method.id, method.options, values)
    return Side(entry.title, declared, entry.task, entry.model, entry.seed or 0)


def _transcribed_side(entry: Entry, method: _Method, subject: Side, legality: Legality) -> Side:
    from suite.studies.explaining.completing import completed
    from suite.studies.explaining.sides import Declared

    remarks = list(method.remarks)
    if (entry.model, entry.task) != (subject.model, subject.task):
        remarks.append(
            f"The card tells of {entry.model} on {entry.task}; everything here is measured with {subject.model} on "
            f"{subject.task}."
        )
    side = completed(entry.title, Declared(method.id, method.options, entry.values), subject, method.limits, legality)
    return dataclasses.replace(side, remarks=(*remarks, *side.remarks))


def explained(entries: tuple[Entry, Entry], asked: Asked) -> Explanation:
    """Run what is missing between two entries and split their gap; for a card of a paper, what it leaves open too."""
    from suite.cli.study_setup import present
    from suite.studies.executor import LocalExecutor
    from suite.studies.explaining.run import Laboratory, budget_end, explain, explanation_id
    from suite.studies.explaining.spans import span_of
    from suite.studies.journal import locked
    from suite.studies.states import Conditions, folder_of

    until = budget_end(asked.budget_minutes)
    runs = asked.runs.absolute()
    with helper() as lab:
        first, second, legality = sides_of(entries, lab, asked.weights)
        id = explanation_id(first, second)
        folder = folder_of(runs, id, "cells")
        laboratory = Laboratory(
            folder=folder,
            conditions=Conditions(
                runs, weights_given(asked.weights, first.model), asked.data, asked.threads, asked.device
            ),
            executor=LocalExecutor(asked.jobs),
            display=_display(folder / "progress.log", asked.quiet, f"{id}, {asked.jobs} at once"),
            present=present,
            until=until,
        )
        seeds = asked.seeds or tuple(sorted({first.seed, second.seed}))
        try:
            with locked(folder, id), terminable():
                explanation = explain(first, second, seeds, legality, laboratory)
                for letter, side in (("A", first), ("B", second)):
                    if side.assumed:
                        span = span_of(letter, side, seeds, legality, laboratory)
                        explanation = dataclasses.replace(explanation, span=span)
                return explanation
        except KeyboardInterrupt as stop:
            stop.add_note("what finished is on record, and the same command continues")
            raise


def _display(log: Path, quiet: bool, title: str) -> Callable[[], Display]:
    from suite.studies.display import LiveDisplay, PlainDisplay

    if sys.stderr.isatty() and not quiet:
        return lambda: LiveDisplay(log, sys.stderr, title)
    return lambda: PlainDisplay(log, None if quiet else sys.stderr)
