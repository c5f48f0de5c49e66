"""One controlled run, end to end on the embedded task: recorded once, repeatable, honest about failure."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from suite.cards import load_card
from suite.errors import DataAccessError, SuiteError, Unsupported
from suite.harness import evaluate as evaluate_module
from suite.harness.evaluate import Evaluation, evaluate
from suite.harness.request import Request, resolve
from suite.methods import METHODS
from suite.methods.api import Claims, Diverged, Method, Workbench
from suite.records import Record, Status, Store

REPOSITORY = Path(__file__).parents[2]
LSQ, RTN = REPOSITORY / "cards" / "lsq.yaml", REPOSITORY / "cards" / "rtn.yaml"
QUICK_LSQ = ("steps=6", "batch_size=32")


def request_for(card: Path, *, options: tuple[str, ...] = (), method: Method | None = None, **axes: object) -> Request:
    assignments = [f"{axis}={value}" for axis, value in axes.items()]
    return resolve(load_card(card), assignments=assignments, options=options, instance=method)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def lsq(root: Path) -> Evaluation:
    return evaluate(request_for(LSQ, options=QUICK_LSQ), root)


def test_a_run_leaves_a_whole_folder_behind(lsq: Evaluation) -> None:
    names = {path.name for path in lsq.folder.iterdir()}
    assert {"card.yaml", "card.md", "card.html", "record.json", "outcomes.npz"} <= names
    assert Store(lsq.folder.parent).verify(lsq.record.run_id).sound
    completed = load_card(lsq.folder / "card.yaml")
    assert completed.results is not None
    assert completed.results["score"] == lsq.record.score
    assert completed.audit is not None
    assert completed.audit["verdict"] == "verified"


def test_scores_are_the_means_of_the_outcomes(lsq: Evaluation) -> None:
    outcomes = Store(lsq.folder.parent).outcomes(lsq.record.run_id)
    assert outcomes is not None
    assert lsq.record.score == np.mean(outcomes.correct)
    assert lsq.record.float_score == np.mean(outcomes.float_correct)
    assert lsq.record.difference == pytest.approx(lsq.record.score - lsq.record.float_score)
    low, high = lsq.record.difference_interval or (1.0, 0.0)
    assert low <= lsq.record.difference <= high


def test_the_same_request_is_found_and_force_measures_again(lsq: Evaluation, root: Path) -> None:
    again = evaluate(request_for(LSQ, options=QUICK_LSQ), root)
    assert again.found
    assert again.record == lsq.record
    forced = evaluate(request_for(LSQ, options=QUICK_LSQ), root, force=True)
    assert not forced.found
    assert forced.record.content() == lsq.record.content()


def test_a_model_that_was_not_kept_is_made_again_and_the_record_stays(tmp_path: Path) -> None:
    first = evaluate(request_for(RTN), tmp_path)
    assert not (first.folder / "model.safetensors").exists()
    kept = evaluate(request_for(RTN), tmp_path, save_model=True)
    assert (kept.found, kept.record.content()) == (False, first.record.content())
    weights = load_file(kept.folder / "model.safetensors")
    assert any(name.endswith("weight_quantizer.scale") for name in weights)
    assert evaluate(request_for(RTN), tmp_path, save_model=True).found


@pytest.mark.parametrize("change", [{"seed": 1}, {"weight_bits": 3}, {"options": ("steps=7",)}], ids=str)
def test_another_request_is_another_run(lsq: Evaluation, change: dict[str, object]) -> None:
    card = load_card(LSQ)
    axes = [f"{axis}={value}" for axis, value in change.items() if axis == "weight_bits"]
    options = change.get("options", QUICK_LSQ)
    request = resolve(card, assignments=axes, options=options, seed=change.get("seed"))  # type: ignore[arg-type]
    task = evaluate_module.get_task(request.task, request.data)
    baseline = evaluate_module.get_baseline(request.model, request.weights)
    identity = evaluate_module.identify(request, task, baseline, batch_size=evaluate_module.EVALUATION_BATCH)
    assert identity.run_id != lsq.record.run_id


def test_two_processes_write_the_same_record(lsq: Evaluation, tmp_path: Path) -> None:
    contents = []
    for name in ("first", "second"):
        arguments = ["evaluate", "--card", str(LSQ), "--threads", "1", "--json", "--out", str(tmp_path / name)]
        for option in QUICK_LSQ:
            arguments += ["--option", option]
        done = subprocess.run(
            [sys.executable, "-m", "suite", *arguments], capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        printed = json.loads(done.stdout)
        record = Store(tmp_path / name).load(printed["run_id"])
        contents.append(record.content())
        contents.append((Path(printed["folder"]) / "outcomes.npz").read_bytes())
    assert contents[0] == contents[2]
    assert contents[1] == contents[3]
    assert contents[0] == lsq.record.content()


@pytest.mark.parametrize("granularity", ["per-tensor", "per-channel", "per-token"])
def test_dynamic_ranges_do_not_depend_on_which_test_examples_share_a_batch(
    granularity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for size in (250, 7):
        monkeypatch.setattr(evaluate_module, "EVALUATION_BATCH", size)
        asked = request_for(
            RTN, activation_parameters="dynamic", activation_granularity=granularity, activation_bits=2, weight_bits=3
        )
        run = evaluate(asked, tmp_path / str(size))
        outcomes = Store(tmp_path / str(size)).outcomes(run.record.run_id)
        assert outcomes is not None
        found.append(outcomes.correct)
    assert np.array_equal(*found)


class Looking(METHODS.get("lsq")):  # type: ignore[misc]
    """LSQ that also looks at its model, draws random numbers and asks for data once more, all to no effect."""

    def quantize(self, work: Workbench) -> None:
        super().quantize(work)
        next(iter(work.data.batches(8, labels=True)))
        torch.rand(3, generator=work.random("curiosity"))
        torch.rand(3)
        work.model.eval()
        work.model(work.data.fixed(4))


def test_an_extra_look_changes_nothing(lsq: Evaluation, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = METHODS.get("lsq").Options.from_mapping({"steps": 6, "batch_size": 32})
    original = evaluate_module._Run.answers

    def twice(run: object, model: torch.nn.Module, label: str, batch_size: int) -> torch.Tensor:
        original(run, model, label, batch_size)  # type: ignore[arg-type]
        return original(run, model, label, batch_size)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluate_module._Run, "answers", twice)
    extra = evaluate(request_for(LSQ, method=Looking(plain)), root, force=True)
    assert extra.record.score == lsq.record.score
    ours = Store(extra.folder.parent).outcomes(extra.record.run_id)
    theirs = Store(lsq.folder.parent).outcomes(lsq.record.run_id)
    assert ours == theirs


class Measuring(METHODS.get("rtn")):  # type: ignore[misc]
    """Round to nearest that tells what it measured."""

    told: object

    def quantize(self, work: Workbench) -> Claims:
        super().quantize(work)
        return Claims(figures=self.told)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "status", "kept"),
    [
        ({"conv1:weight": {"errors": [0.5, 0.25]}}, "completed", {"conv1:weight": {"errors": [0.5, 0.25]}}),
        ({"loss": float("inf")}, "failed", {}),
    ],
)
def test_what_a_method_measured_is_on_record(told: object, status: str, kept: object, root: Path) -> None:
    method = Measuring()
    method.told = told
    record = evaluate(request_for(RTN, method=method), root, force=True).record
    assert (record.status.value, record.figures) == (status, kept)
    assert Store(root).load(record.run_id).figures == kept


class Stub(METHODS.get("rtn")):  # type: ignore[misc]
    """Round to nearest with an accident."""

    error: Exception

    def quantize(self, work: Workbench) -> None:
        raise self.error


def stub(error: Exception) -> Stub:
    method = Stub()
    method.error = error
    return method


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (Diverged("loss is not finite at step 12"), Status.DIVERGED, "step 12"),
        (DataAccessError("too many", axis="examples"), Status.FAILED, "examples"),
        (SuiteError("cannot", hint="do that"), Status.FAILED, "do that"),
        (ZeroDivisionError("division by zero"), Status.FAILED, "ZeroDivisionError: division by zero"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_accident_is_a_record_too(tmp_path: Path, error: Exception, status: Status, words: str) -> None:
    result = evaluate(request_for(RTN, method=stub(error)), tmp_path)
    assert result.record.status is status
    assert words in result.record.message
    assert result.record.score is None
    assert result.record.float_score is not None
    assert "NaN" not in (result.folder / "record.json").read_text(encoding="utf-8")


def test_a_failed_run_is_measured_again_and_a_diverged_one_is_not(tmp_path: Path) -> None:
    for error, found in ((ValueError("bug"), False), (Diverged("gone"), True)):
        evaluate(request_for(RTN, method=stub(error)), tmp_path, force=True)
        assert evaluate(request_for(RTN, method=stub(error)), tmp_path).found is found


class NotFinite(METHODS.get("rtn")):  # type: ignore[misc]
    """Leaves weights behind that are not numbers."""

    def quantize(self, work: Workbench) -> None:
        super().quantize(work)
        with torch.no_grad():
            next(parameter for parameter in work.model.parameters() if parameter.dim() == 1).fill_(float("nan"))


class Broken(METHODS.get("rtn")):  # type: ignore[misc]
    """Leaves a model behind that cannot run."""

    def quantize(self, work: Workbench) -> None:
        super().quantize(work)
        work.model.double()


def test_a_model_that_no_longer_runs_is_a_failed_record(tmp_path: Path) -> None:
    result = evaluate(request_for(RTN, method=Broken()), tmp_path)
    assert result.record.status is Status.FAILED
    assert result.record.score is None
    assert "Error" in result.record.message


def test_outputs_that_are_not_numbers_are_a_divergence(tmp_path: Path) -> None:
    result = evaluate(request_for(RTN, method=NotFinite()), tmp_path)
    assert result.record.status is Status.DIVERGED
    assert "not finite" in result.record.message


def test_a_card_that_cannot_be_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="transcribed"):
        resolve(load_card(REPOSITORY / "cards" / "published" / "confounding-tradeoffs-table3.yaml"))
    with pytest.raises(Unsupported, match="integer-approximation"):
        request_for(RTN, softmax="integer-approximation")
    with pytest.raises(Unsupported, match="does not support weight_range"):
        resolve(load_card(LSQ), method="rtn")
    with pytest.raises(SuiteError, match="no option 'step'"):
        request_for(LSQ, options=("step=3",))
    request = dataclasses.replace(request_for(RTN), model="resnet-20")
    with pytest.raises(SuiteError, match="resnet20"):
        evaluate(request, tmp_path)
    assert not any(tmp_path.iterdir())


def test_weights_given_by_path_are_named_on_the_card() -> None:
    given = resolve(load_card(RTN), weights=Path("somewhere/mine.safetensors"))
    assert given.setting["baseline_weights"] == "mine.safetensors"
    assert given.card.values["baseline_weights"] == "mine.safetensors"
    named = resolve(load_card(RTN), assignments=["baseline_weights=my own training"], weights=Path("mine.pt"))
    assert named.setting["baseline_weights"] == "my own training"


def test_more_examples_than_there_are_name_the_axis(tmp_path: Path) -> None:
    with pytest.raises(DataAccessError, match=r"examples: .*2000.*1024"):
        evaluate(request_for(RTN, examples=2000), tmp_path)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["interrupt", "kill"])
def test_a_stopped_run_leaves_no_record_and_runs_again(tmp_path: Path, how: signal.Signals) -> None:
    arguments = ["evaluate", "--card", str(LSQ), "--option", "epochs=500", "--out", str(tmp_path), "--threads", "1"]
    running = subprocess.Popen(
        [sys.executable, "-m", "suite", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("training:"):
            break
    running.send_signal(how)
    out, err = running.communicate(timeout=60)
    assert running.returncode == (130 if how is signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in err
    assert out == ""
    assert list(Store(tmp_path).run_ids()) == []


def test_the_record_survives_reading_back(lsq: Evaluation) -> None:
    content = (lsq.folder / "record.json").read_bytes()
    record = Record.from_json(content, "record.json")
    assert record.to_json().encode() == content
    assert record.content() == lsq.record.content()
    started = time.strptime(record.started, "%Y-%m-%dT%H:%M:%SZ")
    assert started.tm_year >= 2024
