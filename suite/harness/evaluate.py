"""Laboratory, harness: one controlled run, from a request to a record on disk.

The order is the suite's one line: the card *declares*, the meter, the vault and the plan *enforce*, the audit
*observes*, and the record keeps all three. Everything a method may touch is made here and handed to it; everything that
is measured is measured here, after it has finished.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from suite.audit import AuditReport, audit
from suite.axes import Setting
from suite.errors import SuiteError
from suite.harness.checkpoints import Attempt, RunCheckpoints
from suite.harness.costs import EpochTime, Spent, epoch_time, spending
from suite.harness.environment import capture_environment
from suite.harness.files import WEIGHTS, run_files
from suite.harness.float_answers import Answers, FloatAnswers
from suite.harness.identity import identify, modules_of_float
from suite.harness.known_inputs import fingerprints_of_test
from suite.harness.meter import DataMeter, MeterReport
from suite.harness.progress import Mode, Reporter
from suite.harness.request import Request
from suite.harness.streams import Streams, deterministic
from suite.harness.watch import InputWatch
from suite.harness.workbench import Bench
from suite.methods.api import Claims, Diverged
from suite.models import Baseline, get_baseline
from suite.models.baselines import UNTRAINED, untrained_baseline
from suite.plan import Anatomy, Plan, chosen_plan, dissect, make_plan, place, prepare
from suite.records import Record, Status, Store
from suite.records.identity import Identity
from suite.records.record import check_figures
from suite.records.unfinished import UnfinishedFolder
from suite.statistics import paired_difference
from suite.tasks import Split, Task, get_task
from suite.tasks.vault import sealed

FLOAT_MODEL, QUANTIZED_MODEL = "float model on the test examples", "quantized model on the test examples"
EVALUATION_BATCH = 250
"""Examples in one forward pass of an evaluation; part of a run's identity, because it decides floating-point sums."""
ONE_BY_ONE = 1
"""The same where ranges are dynamic: an answer must not depend on which other test examples share its batch."""
AUDIT_BATCHES, AUDIT_BATCH = 3, 64
EPOCH_BATCH = 128


@dataclass(frozen=True)
class Evaluation:
    """A record, the folder it lies in, and whether it was found there instead of being measured."""

    record: Record
    folder: Path
    found: bool


def evaluate(
    request: Request, root: Path | None = None, *, force: bool = False, save_model: bool = False, quiet: bool = True
) -> Evaluation:
    """Measure `request`, or find its record; a run that failed, or whose model was not kept, is measured again."""
    store = Store(root)
    reporter = Reporter(Mode.SILENT if quiet else Mode.AUTO)
    task = get_task(request.task, request.data)
    baseline = _baseline(request, task)
    identity = identify(request, task, baseline, batch_size=evaluation_batch(request.setting))
    run_id = identity.run_id
    known = None if force else store.find(run_id)
    lacks_model = save_model and known is not None and not (store.folder(run_id) / WEIGHTS).is_file()
    if known is not None and known.status is not Status.FAILED and not (lacks_model and known.score is not None):
        return Evaluation(known, store.folder(run_id), found=True)
    streams = Streams(request.seed)
    unfinished = UnfinishedFolder(store.root, run_id)
    if force:
        unfinished.remove()
    checkpoints = RunCheckpoints(unfinished, reporter.say)
    try:
        with deterministic(streams, threads=request.threads):
            run = _Run(request, task, baseline, identity, streams, reporter, store, checkpoints, fresh=force)
            record, files = run.carry_out(save_model)
        folder = store.write(record, files, replace=known is not None or force)
        checkpoints.finish()
    except KeyboardInterrupt as stop:
        stop.add_note(checkpoints.interrupted())
        raise
    finally:
        checkpoints.release()
    return Evaluation(record, folder, found=False)


def _baseline(request: Request, task: Task) -> Baseline:
    """What the run starts from: trained weights, or where the card says so random ones, drawn for its seed."""
    if request.setting["baseline_weights"] == UNTRAINED:
        return untrained_baseline(request.model, task.classes, Streams(request.seed).seed_of("untrained weights"))
    return get_baseline(request.model, request.weights)


@dataclass
class _Measured:
    """What is known when the method has finished, or has not."""

    status: Status
    message: str = ""
    claims: Claims | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    correct: Tensor | None = None
    report: AuditReport | None = None


def evaluation_batch(setting: Setting) -> int:
    """How many examples pass the quantized model together. A scale per token is found within one example anyway."""
    dynamic = setting["activation_parameters"] == "dynamic" and setting["activation_granularity"] != "per-token"
    return ONE_BY_ONE if dynamic else EVALUATION_BATCH


class _Run:
    """The state of one run while it is carried out."""

    def __init__(
        self,
        request: Request,
        task: Task,
        baseline: Baseline,
        identity: Identity,
        streams: Streams,
        reporter: Reporter,
        store: Store,
        checkpoints: RunCheckpoints,
        *,
        fresh: bool,
    ) -> None:
        self.fresh = fresh
        self.checkpoints = checkpoints
        self.request, self.task, self.baseline, self.identity = request, task, baseline, identity
        self.streams, self.reporter, self.store = streams, reporter, store
        self.setting = request.setting
        self.device = torch.device(request.device)
        self.started = time.time()
        self.reference = baseline.load_for(task).to(self.device).eval()
        self.test = task.split(Split.TEST)
        example = self.test.inputs[:2].to(self.device)
        self.prepared = prepare(self.reference, self.setting, example)
        self.anatomy: Anatomy = dissect(self.prepared, example)
        self.plan: Plan = make_plan(self.anatomy, self.setting)
        self.chosen: Plan | None = None  # the plan with the bits of the method's choice, once it has chosen
        self.model = place(self.prepared, self.plan)
        self.meter = DataMeter(
            task.split(Split.TRAIN),
            self.setting,
            streams,
            augment=task.augment,
            reference=self.reference,
            device=self.device,
        )
        self.knocks: tuple[str, ...] = ()
        self.further: dict[str, dict[str, float]] = {}  # by label of an evaluation: what else the task measures
        self.watch = InputWatch(task.input_shape, fingerprints_of_test(task, store.root))

    def carry_out(self, save_model: bool) -> tuple[Record, dict[str, bytes]]:
        self.reporter.say(f"run {self.identity.run_id}: {len(self.test)} test examples")
        for note in self.task.notes:
            self.reporter.say(f"  {note}")
        float_correct = self._float_answers()
        epoch = self._epoch()
        measured, spent = self._quantize()
        if measured.status is Status.COMPLETED:
            self._observe(measured, float_correct, spent.epochs(epoch, self.device))
        record = self._record(measured, float_correct, spent, epoch)
        model = self.model if save_model and measured.status is Status.COMPLETED else None
        return record, run_files(self.request, record, float_correct, measured.correct, model, self.chosen)

    def answers(self, model: nn.Module, label: str, batch_size: int) -> Tensor:
        """Per test label: was `model` right? Moves no random stream and no state of the model."""
        training = model.training
        model.eval()
        found: list[Tensor] = []
        beside: dict[str, list[Tensor]] = {}
        with torch.inference_mode(), self.reporter.bar(len(self.test), label) as bar:
            for inputs, labels in self._test_batches(batch_size):
                logits = model(inputs).float().cpu()
                if not torch.isfinite(logits).all():
                    raise Diverged("its outputs on the test examples are not finite")
                found.append(self.task.outcomes(logits, labels))
                for name, values in self.task.figures(logits, labels).items():
                    beside.setdefault(name, []).append(values)
                bar.advance(len(labels))
        model.train(training)
        self.further[label] = {name: float(torch.cat(parts).double().mean()) for name, parts in beside.items()}
        return torch.cat(found)

    def _float_answers(self) -> Tensor:
        """Measured, or as another run from the same weights has measured them."""
        modules = modules_of_float(self.task, self.baseline)
        shared = FloatAnswers(self.store.root, self.identity, modules=modules, batch_size=EVALUATION_BATCH)
        kept = None if self.fresh else shared.load(self.test.labels.numel())
        if kept is not None:
            self.further[FLOAT_MODEL] = kept.figures
            return kept.correct
        try:
            correct = self.answers(self.reference, FLOAT_MODEL, EVALUATION_BATCH)
            shared.keep(Answers(correct, self.further[FLOAT_MODEL]))
            return correct
        except Diverged as broken:
            raise SuiteError(f"the float model cannot be a baseline: {broken}", hint="check its weights") from broken

    def _test_batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self.test), size):
            part = slice(start, start + size)
            yield self.test.inputs[part].to(self.device), self.test.labels[part]

    def _epoch(self) -> EpochTime:
        train = self.task.split(Split.TRAIN)
        return epoch_time(
            self.reference,
            train.inputs,
            train.labels,
            batch_size=EPOCH_BATCH,
            train_size=self.task.train_size,
            names=(self.baseline.weights_hash, self.task.identity),
            cache=self.store.root,
        )

    def _quantize(self) -> tuple[_Measured, Spent]:
        """Let the method work, watched and under seal."""
        reference = copy.deepcopy(self.reference)
        for given in (self.model, reference):
            self.watch.attach(given)
        bench = Bench(
            self.model,
            reference,
            self.plan,
            self.setting,
            self.meter.door,
            self.device,
            self.streams,
            self.reporter,
            self.checkpoints,
        )
        with spending() as spent, sealed() as seal:
            attempt = Attempt(spent, self.meter, self.watch, seal)
            self.checkpoints.begin(attempt)
            measured = _Measured(Status.COMPLETED)
            try:
                measured.claims = self.request.method.quantize(bench)
                if measured.claims is not None:
                    measured.figures = check_figures(measured.claims.figures)
            except Exception as error:
                measured.status, measured.message = self._ending(error)
        self.watch.detach()
        self.knocks = attempt.knocks()
        if measured.status is Status.COMPLETED:
            self.chosen = chosen_plan(self.model, self.plan)
        return measured, attempt.total()

    def _ending(self, error: Exception) -> tuple[Status, str]:
        """How a run ends on this error; a bug shows its traceback, and all three leave a record."""
        if isinstance(error, Diverged):
            return Status.DIVERGED, _line(error)
        if isinstance(error, SuiteError):
            return Status.FAILED, str(error)
        self.reporter.say("".join(traceback.format_exception(error)))
        return Status.FAILED, f"{type(error).__name__}: {_line(error)}"

    def _observe(self, measured: _Measured, float_correct: Tensor, epoch_fraction: float) -> None:
        """Score the model the method left behind, and look at it from outside."""
        try:
            batch_size = evaluation_batch(self.setting)
            measured.correct = self.answers(self.model, QUANTIZED_MODEL, batch_size)
        except Exception as error:  # the method's doing: until it worked on it, this model ran
            measured.status, measured.message = self._ending(error)
            return
        batches = [self.test.inputs[start : start + AUDIT_BATCH].to(self.device) for start in self._audit_starts()]
        measured.report = audit(
            self.model,
            anatomy=self.anatomy,
            plan=self.plan,
            chosen=self.chosen,
            setting=self.setting,
            batches=batches,
            meter=self._metered(),
            watch=self.watch.report(),
            claims=measured.claims,
            float_score=_mean(float_correct),
            epoch_fraction=epoch_fraction,
            reference=self.prepared,
        )

    def _metered(self) -> MeterReport:
        """The meter's report, with every knock at the closed test split, swallowed by the method or not."""
        report = self.meter.report()
        return dataclasses.replace(report, refused=(*report.refused, *("checkpoint" for _ in self.knocks)))

    def _audit_starts(self) -> range:
        step = max(1, len(self.test) // AUDIT_BATCHES)
        return range(0, min(len(self.test), AUDIT_BATCHES * step), step)

    def _record(self, measured: _Measured, float_correct: Tensor, spent: Spent, epoch: EpochTime) -> Record:
        meter = self.meter.report()
        results: dict[str, Any] = {}
        if measured.correct is not None:
            interval = paired_difference(float_correct.numpy(), measured.correct.numpy())
            results = {
                "score": _mean(measured.correct),
                "difference": interval.estimate,
                "difference_interval": (interval.low, interval.high),
                "outcomes": "outcomes.npz",
            }
        if measured.report is not None:
            figures = measured.report.figures
            results |= {
                "average_weight_bits": figures.average_weight_bits,
                "average_activation_bits": figures.average_activation_bits,
                "model_bytes": figures.model_bytes,
                "feature_map_largest_bytes": figures.feature_map_largest_bytes,
                "feature_map_total_bytes": figures.feature_map_total_bytes,
                "bits": measured.report.bits.to_dict(),
                "audit": measured.report.to_dict(),
            }
        return Record(
            run_id=self.identity.run_id,
            status=measured.status,
            message=measured.message,
            method=self.request.method.id,
            options=dict(self.request.options),
            task=self.request.task,
            model=self.request.model,
            seed=self.request.seed,
            setting=self.setting.to_dict(),
            metric=self.task.metric,
            float_score=_mean(float_correct),
            identity=self.identity.to_dict(),
            costs={
                "seconds": spent.seconds,
                "epoch_seconds": epoch.seconds,
                "epoch_fraction": spent.epochs(epoch, self.device),
                "peak_bytes": spent.peak_bytes,
                "examples": meter.distinct_examples,
                "examples_presented": meter.examples_presented,
                "passes": meter.passes,
                "labels": meter.labels != "none",
            },
            environment={
                **capture_environment(self.device),
                **({"data": list(self.task.notes)} if self.task.notes else {}),
            },
            figures=self._figures(measured),
            plan=(self.chosen or self.plan).to_dict()["rows"],
            command=command_of(self.request),
            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            **results,
        )

    def _figures(self, measured: _Measured) -> dict[str, Any]:
        """The method's own figures, and under `test` what the task measures beside the score."""
        before, after = self.further[FLOAT_MODEL], self.further.get(QUANTIZED_MODEL, {})
        test = {name: {"float": before[name], "quantized": value} for name, value in after.items()}
        return {**measured.figures, "test": test} if test else measured.figures


def command_of(request: Request) -> str:
    """The command line that repeats this run from its own completed card."""
    parts = ["suite evaluate --card card.yaml"]
    if request.weights is not None:
        parts.append(f"--weights {request.weights.name}")
    if request.device != "cpu":
        parts.append(f"--device {request.device}")
    return " ".join([*parts, f"--threads {request.threads}"])


def _mean(correct: Tensor) -> float:
    score = correct.double().mean().item()
    assert math.isfinite(score), "a task has at least one test example"
    return score


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__
