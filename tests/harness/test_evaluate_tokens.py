"""One controlled run on text: tokens pass the meter, the watch, the audit and the costs as images do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from suite.cards import load_card
from suite.harness.evaluate import Evaluation, evaluate
from suite.harness.request import resolve
from suite.harness.watch import InputWatch
from suite.methods.api import Claims, Method, Workbench
from suite.methods.engines.calibration import calibrate
from suite.models import build_model
from suite.models.weights import save_weights
from suite.plan import initialize_weights
from suite.tasks import Split, get_task
from suite.tasks.fingerprints import fingerprint
from suite.tasks.sequences import NATS

CARD = Path(__file__).parents[2] / "cards" / "rtn.yaml"
ID = "shakespeare-characters"
SETTING = ("weight_bits=8", "activation_bits=8", "examples=16", "time_limit=100")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data folder with a short text of 65 characters, and weights for the character transformer."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "tinyshakespeare").mkdir()
    order = np.random.default_rng(0).integers(65, size=9000)
    order[:65] = np.arange(65)
    (folder / "tinyshakespeare" / "input.txt").write_text("".join(chr(33 + number) for number in order))
    weights = folder / "random.safetensors"
    save_weights(build_model("char-transformer", 65, seed=1), weights)
    return folder, weights


class ReadsTheTextItself(Method):
    """Calibrates on 16 windows as declared, and shows the model 40 others behind the meter's back."""

    id = "reads-the-text-itself"
    summary = "Looks past the meter."
    data = Path()

    def quantize(self, work: Workbench) -> Claims | None:
        initialize_weights(work.model)
        calibrate(work, batch_size=16)
        work.model(get_task(ID, self.data).split(Split.TRAIN).inputs[:40])
        return None


def carried_out(places: tuple[Path, Path], root: Path, instance: Method | None = None) -> Evaluation:
    data, weights = places
    asked = resolve(
        load_card(CARD),
        task=ID,
        model="char-transformer",
        weights=weights,
        data=data,
        assignments=SETTING,
        instance=instance,
    )
    return evaluate(asked, root)


def test_a_run_on_text_is_measured_audited_and_recorded(places: tuple[Path, Path], tmp_path: Path) -> None:
    record = carried_out(places, tmp_path).record
    assert record.status == "completed", record.message
    assert record.metric == "next-token accuracy"
    task = get_task(ID, places[0])
    model, test = build_model("char-transformer", 65, places[1]), task.split(Split.TEST)
    with torch.no_grad():
        logits = model(test.inputs)
    assert record.float_score == pytest.approx(float((logits.argmax(1) == test.labels).double().mean()))
    expected = float(torch.nn.functional.cross_entropy(logits.double(), test.labels))
    assert record.figures["test"][NATS]["float"] == pytest.approx(expected, rel=1e-6)
    assert record.figures["test"][NATS]["quantized"] == pytest.approx(expected, rel=0.02)
    assert record.audit is not None
    assert record.audit["verdict"] == "verified"
    axes = record.audit["axes"]
    for axis in ("weight_bits", "activation_bits", "activation_parameters", "examples", "skip_connection"):
        assert axes[axis]["verdict"] == "verified", (axis, axes[axis])
    assert axes["network_input"]["verdict"] == "not observable", "tokens have no grid"
    assert (record.costs["examples"], record.average_weight_bits) == (16, 8.0)
    assert record.costs["epoch_seconds"] > 0


def test_tokens_that_came_past_the_meter_are_seen(places: tuple[Path, Path], tmp_path: Path) -> None:
    method = ReadsTheTextItself()
    method.data = places[0]
    record = carried_out(places, tmp_path, method).record
    assert record.status == "completed", record.message
    assert record.audit is not None
    found = record.audit["axes"]["examples"]
    assert found["verdict"] == "contradicted"
    assert "different inputs entered the model, 16 are declared" in found["evidence"]


def test_the_watch_tells_sequences_apart_and_knows_those_of_the_test_split() -> None:
    sequences = torch.randint(65, (12, 128), generator=torch.Generator().manual_seed(0))
    watch = InputWatch((128,), fingerprint(sequences[9:]))
    model = build_model("char-transformer", 65)
    watch.attach(model)
    with torch.no_grad():
        model(sequences[:8])
        model(sequences[4:11])
    report = watch.report()
    assert (report.inputs, report.distinct_inputs, report.forbidden_inputs) == (15, 11, 2)
