"""`suite explain`: what stands before anything runs: the two sides, what their methods allow, where cells are run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.errors import StudyError

if TYPE_CHECKING:
    from suite.reports.entry import Entry
    from suite.studies.explaining.legality import Limits
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
    return Met({model: Given(path.absolute(), digest)})


def side_of(entry: Entry, options: Mapping[str, Any], weights: Path | None) -> Side:
    """One side as its card or record declares it; a file that is given takes the place of the task's own weights."""
    from suite.studies.explaining.sides import Declared, Side

    values = dict(entry.values)
    if weights is not None and values["baseline_weights"] == "task-default":
        values["baseline_weights"] = weights.name
    if weights is None and values["baseline_weights"] != "task-default":
        raise StudyError(
            f"'{entry.title}' starts from the weights {values['baseline_weights']}", hint="give the file with --weights"
        )
    return Side(entry.title, Declared(entry.method, options, values), entry.task, entry.model, entry.seed or 0)


def explained(entries: tuple[Entry, Entry], asked: Asked) -> Explanation:
    """Run what is missing between two entries, and split their gap."""
    from suite.cli.stopping import terminable
    from suite.cli.study_setup import present
    from suite.studies.executor import LocalExecutor
    from suite.studies.explaining.legality import Legality
    from suite.studies.explaining.run import Laboratory, budget_end, explain, explanation_id
    from suite.studies.explaining.sides import require_one_subject
    from suite.studies.journal import locked
    from suite.studies.states import Conditions, folder_of

    until = budget_end(asked.budget_minutes)
    with helper() as lab:
        facts = [lab.facts(entry.method, entry.options) for entry in entries]
        first, second = (
            side_of(entry, options, asked.weights) for entry, (_, options) in zip(entries, facts, strict=True)
        )
        require_one_subject(first, second)
        limits = {entry.method: held for entry, (held, _) in zip(entries, facts, strict=True)}
        legality = Legality(limits, lambda declared: lab.refusals(first.model, first.task, declared))
        id = explanation_id(first, second)
        folder = folder_of(asked.runs.absolute(), id, "cells")
        laboratory = Laboratory(
            folder=folder,
            conditions=Conditions(
                asked.runs.absolute(),
                weights_given(asked.weights, first.model),
                asked.data,
                asked.threads,
                asked.device,
            ),
            executor=LocalExecutor(asked.jobs),
            display=_display(folder / "progress.log", asked.quiet, f"{id}, {asked.jobs} at once"),
            present=present,
            until=until,
        )
        seeds = asked.seeds or tuple(sorted({first.seed, second.seed}))
        try:
            with locked(folder, id), terminable():
                return explain(first, second, seeds, legality, laboratory)
        except KeyboardInterrupt as stop:
            stop.add_note("what finished is on record, and the same command continues")
            raise


def _display(log: Path, quiet: bool, title: str) -> Callable[[], Display]:
    from suite.studies.display import LiveDisplay, PlainDisplay

    if sys.stderr.isatty() and not quiet:
        return lambda: LiveDisplay(log, sys.stderr, title)
    return lambda: PlainDisplay(log, None if quiet else sys.stderr)
