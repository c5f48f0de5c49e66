"""Reports, collection: what a page of thousands of runs keeps of each, and how the runs are found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.errors import Place, RecordError
from suite.records import Outcomes, Record, Store, unpack_outcomes
from suite.records.brief import read_brief
from suite.records.store import RECORD
from suite.reports.entry import COMPLETED, CONTRADICTED, VERIFIED, declared_values
from suite.reports.numbers import clean, value_text
from suite.studies.journal import FILE as JOURNAL
from suite.studies.journal import Journal

BETWEEN = "; "
"""What stands between two options. All of them are kept, because runs with other options make no pair."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: names, numbers and the value of every axis, in the order of the axes."""

    run_id: str
    method: str
    options: str
    task: str
    model: str
    seed: int
    status: str
    message: str
    audit: str
    contradicted: tuple[str, ...]
    metric: str
    float_score: float | None
    score: float | None
    difference: float | None
    interval: tuple[float, float] | None
    weight_bits: float | None
    activation_bits: float | None
    model_bytes: int | None
    feature_map_bytes: int | None
    seconds: float | None
    epochs: float | None
    values: tuple[Any, ...]
    weights: str
    data: str
    started: str
    command: str
    file: Path | None
    """The record itself; None where it was never in a file."""
    outcomes: Path | None

    @property
    def sound(self) -> bool:
        """Completed, with a score, and observed without a contradiction: what may be compared at all."""
        return self.status == COMPLETED and self.audit == VERIFIED and self.score is not None


def best_first(run: Run) -> tuple[bool, float, str]:
    """The order from the highest score to the lowest; runs without one stand last."""
    return run.score is None, -(run.score or 0.0), run.run_id


@dataclass(frozen=True)
class Problem:
    """A record that could not be read, and why."""

    where: str
    why: str


@dataclass(frozen=True)
class Collection:
    """Runs in the order of their ids, and what could not be read among them."""

    runs: tuple[Run, ...]
    problems: tuple[Problem, ...] = ()


def collect(texts: Sequence[str], store: Store) -> Collection:
    """The runs that `texts` name, all of the store where there are none; each run once.

    A text is a folder of runs, the folder of a run, that of a study, a record.json, or the id of a run. What is named
    and is not there is an error; what is there and cannot be read becomes a problem beside the good runs.
    """
    files: list[Path] = []
    for text in texts:
        files += _files_of(text, store)
    if not texts:
        files = _of_store(store)
    return read_runs(dict.fromkeys(file.absolute() for file in files))


def read_runs(files: Iterable[Path]) -> Collection:
    """The runs of record files. The same run in two folders counts once, the one that began later."""
    runs: dict[str, Run] = {}
    problems: list[Problem] = []
    for file in files:
        try:
            run = run_of(read_brief(file), file)
        except RecordError as error:
            problems.append(Problem(clean(f"{file.parent.name}/{file.name}"), clean(str(error))))
            continue
        known = runs.get(run.run_id)
        if known is None or known.started < run.started:
            runs[run.run_id] = run
    return Collection(tuple(runs[run_id] for run_id in sorted(runs)), tuple(problems))


def run_of(record: Record, file: Path | None = None) -> Run:
    """What is kept of a record; its outcomes lie beside its file."""
    audit: Any = record.audit or {}
    costs = record.costs
    return Run(
        run_id=record.run_id,
        method=clean(record.method),
        options=BETWEEN.join(value_text({name: value}) for name, value in record.options.items()),
        task=clean(record.task),
        model=clean(record.model),
        seed=record.seed,
        status=str(record.status.value),
        message=clean(record.message),
        audit=clean(str(audit.get("verdict", ""))),
        contradicted=tuple(
            clean(axis) for axis, found in audit.get("axes", {}).items() if found["verdict"] == CONTRADICTED
        ),
        metric=clean(record.metric),
        float_score=record.float_score,
        score=record.score,
        difference=record.difference,
        interval=record.difference_interval,
        weight_bits=record.average_weight_bits,
        activation_bits=record.average_activation_bits,
        model_bytes=record.model_bytes,
        feature_map_bytes=record.feature_map_largest_bytes,
        seconds=_number(costs.get("seconds")),
        epochs=_number(costs.get("epoch_fraction")),
        values=tuple(declared_values(record.setting).values()),
        weights=value_text(record.identity.get("weights")),
        data=value_text(record.identity.get("data")),
        started=clean(record.started),
        command=clean(record.command),
        file=file,
        outcomes=None if file is None or record.outcomes is None else file.parent / record.outcomes,
    )


def outcomes_of(run: Run) -> Outcomes | None:
    """Which examples a run answered rightly; None where its file is gone or broken, which costs the pairing only."""
    if run.outcomes is None or run.outcomes.is_symlink() or not run.outcomes.is_file():
        return None
    try:
        return unpack_outcomes(run.outcomes)
    except RecordError:
        return None


def _files_of(text: str, store: Store) -> list[Path]:
    path = Path(text)
    if path.is_dir():
        if (path / RECORD).is_file():
            return [path / RECORD]
        if (path / JOURNAL).is_file():
            return _of_study(path)
        held = _of_store(Store(path))
        if not held:
            raise RecordError("this folder holds no runs", place=Place(text), hint="name a folder of runs, or a run")
        return held
    if path.is_file():
        return [path]
    if path.suffix == ".json" or len(path.parts) > 1:
        raise RecordError("there is no such file or folder", place=Place(text))
    return [store.folder(store.resolve(text)) / RECORD]


def _of_study(folder: Path) -> list[Path]:
    """The last run of every cell that the journal of a study names; its runs lie in the folder above all studies."""
    store = Store(folder.absolute().parent.parent)
    last = {line.cell: line.run_id for line in Journal(folder).lines() if line.event == "ended" and line.run_id}
    if not last:
        raise RecordError("no cell of this study has a run yet", place=Place(str(folder)))
    return [store.folder(run_id) / RECORD for run_id in last.values()]


def _of_store(store: Store) -> list[Path]:
    return [store.folder(run_id) / RECORD for run_id in store.run_ids()]


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
