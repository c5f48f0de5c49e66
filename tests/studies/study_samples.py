"""A small study, an executor that writes records instead of running methods, and stores filled with chosen scores."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from suite.cards import load_card
from suite.records import Record, Status, Store, make_run_id, pack_outcomes
from suite.records.identity import torch_version
from suite.records.plain import digest_of
from suite.studies import Study, examine_text
from suite.studies.evidence import Evidence
from suite.studies.executor import Ended, Job
from suite.studies.states import CellResult, result_of

EXAMPLES = 400
FLOAT_SCORE = 0.9

STUDY = """\
study: 1
id: sample
title: A sample
question: Does it matter?
fixed:
  task: digits
  model: digits-resnet
  axes: {activation_bits: 32, time_limit: 10}
parts:
  - id: main
    title: The only part
    varies:
      - factor: method
        levels:
          - {id: good, method: rtn, axes: {weight_range: mse}}
          - {id: bad, method: rtn}
      - {factor: bits, axis: weight_bits, values: [4, 2]}
    adjust:
      - {where: {bits: 2}, seeds: [0, 1]}
sizes:
  smoke: {says: Everything.}
expectations:
  - id: good-is-better
    says: Good is better.
    ordering: {higher: {method: good}, lower: {method: bad}}
shows:
  - part: main
    table: {rows: method, columns: bits}
    figures: [{x: bits, lines: method}]
"""


def sample(text: str = STUDY, path: Path | None = None) -> Study:
    study, problems = examine_text(text, str(path or "study.yaml"))
    assert study is not None, problems
    return study


def with_expectation(test: str) -> Study:
    """The sample with one other expectation, given as the YAML of its test."""
    head, _, tail = STUDY.partition("    ordering:")
    return sample(head + "    " + test + "\nshows:" + tail.partition("shows:")[2])


def outcomes_of(score: float, seed: int = 0, count: int = EXAMPLES) -> np.ndarray:
    """Outcomes with exactly this share of right answers; nested: a higher score is right wherever a lower one is.

    Another seed answers other examples at the edge, so that seeds differ as they do in life.
    """
    order = np.random.default_rng(7).permutation(count)
    correct = np.zeros(count, dtype=bool)
    right = round(score * count)
    correct[order[:right]] = True
    generator = np.random.default_rng(100 + seed)
    if seed and 4 < right < count - 4:  # as many right answers as wrong ones change places
        correct[generator.choice(np.flatnonzero(correct), 4, replace=False)] = False
        correct[generator.choice(np.flatnonzero(~correct), 4, replace=False)] = True
    return correct


def record_of(
    card: Any, score: float | None, *, version: str = "today", **fields: Any
) -> tuple[Record, dict[str, bytes]]:
    """The record that a run of this card would leave, with its outcomes."""
    parts = {
        "method": card.method.id,
        "options": dict(card.method.options),
        "setting": {axis: list(value) if isinstance(value, tuple) else value for axis, value in card.values.items()},
        "seed": card.seed,
        "data": "d" * 64,
        "threads": 1,
        "device": "cpu",
        "torch": torch_version(),
    }
    name = card.method.id
    content: dict[str, Any] = {
        "run_id": make_run_id(name, card.task, card.model, card.seed, digest_of([parts, version])),
        "status": Status.COMPLETED,
        "method": name,
        "options": dict(card.method.options),
        "task": card.task,
        "model": card.model,
        "seed": card.seed,
        "setting": dict(card.values),
        "metric": "top-1 accuracy",
        "identity": parts,
        "float_score": FLOAT_SCORE,
        "costs": {"seconds": 2.0, "labels": False, "examples": 64},
    }
    files: dict[str, bytes] = {}
    if score is not None:
        correct = outcomes_of(score, card.seed)
        content |= {"score": float(correct.mean()), "difference": float(correct.mean()) - FLOAT_SCORE}
        content["outcomes"] = "outcomes.npz"
        files["outcomes.npz"] = pack_outcomes(outcomes_of(FLOAT_SCORE), correct)
    return Record(**{**content, **fields}), files


Behaviour = Callable[[Job, Any], int]


class FakeExecutor:
    """Runs nothing: `answer(card)` gives a score, a `Record`'s other fields, or an exit code."""

    def __init__(self, runs: Path, answer: Callable[[Any], Any], slots: int = 2) -> None:
        self._store, self._answer, self._slots = Store(runs), answer, slots
        self.submitted: list[Job] = []
        self.waiting: list[Job] = []
        self.most_at_once = 0
        self.stopped = 0

    @property
    def slots(self) -> int:
        return self._slots

    def submit(self, job: Job) -> None:
        assert len(self.waiting) < self._slots
        self.submitted.append(job)
        self.waiting.append(job)
        self.most_at_once = max(self.most_at_once, len(self.waiting))

    def ended(self, timeout_seconds: float) -> tuple[Ended, ...]:
        if not self.waiting:
            return ()
        job = self.waiting.pop(0)
        return (Ended(job.id, self._carry_out(job), 1.5),)

    def stop(self) -> None:
        self.stopped += 1
        self.waiting.clear()

    def _carry_out(self, job: Job) -> int:
        arguments = list(job.arguments)
        card = load_card(arguments[arguments.index("--card") + 1])
        answer = self._answer(card)
        job.output.parent.mkdir(parents=True, exist_ok=True)
        job.output.write_text("")
        job.log.touch()
        if isinstance(answer, int):
            return answer
        fields: dict[str, Any] = answer if isinstance(answer, dict) else {"score": answer}
        said = fields.pop("says", None)
        if said is not None:
            job.log.write_text(said)
            return int(fields["exit_code"])
        record, files = record_of(card, fields.pop("score", None), **fields)
        self._store.write(record, files)
        job.output.write_text(json.dumps({"run_id": record.run_id, "status": record.status.value}))
        return 0 if record.status is Status.COMPLETED else 1


class Silent:
    """A display that shows nothing and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[CellResult] = []
        self.renewed = 0

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def renew(self, results: Mapping[str, CellResult], forecast: object) -> None:
        self.renewed += 1

    def ended(self, result: CellResult, results: Mapping[str, CellResult], forecast: object) -> None:
        self.told.append(result)


def evidence_of(cells: Sequence[Any], scores: Callable[[Any], Any], runs: Path) -> tuple[list[CellResult], Evidence]:
    """Records with these scores on disk, and the evidence made of them; None leaves a cell out."""
    store = Store(runs)
    results = []
    for cell in cells:
        answer = scores(cell)
        if answer is None:
            from suite.studies.states import State

            results.append(CellResult(cell, State.WAITING))
            continue
        fields: dict[str, Any] = dict(answer) if isinstance(answer, dict) else {"score": answer}
        record, files = record_of(cell.card, fields.pop("score", None), **fields)
        store.write(record, files)
        results.append(result_of(cell, record))
    return results, Evidence(results, store)
