"""All liars are caught, each on the axis it lies about; no honest run is accused.

Liars run through the entry point that runs every method. Honest runs of `rtn` and `lsq` cover all pairs of the axis
values that a method or a plan obeys, and some corners; they skip what the audit does not look at (scores, files).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import liars_activations
import liars_data
import liars_structure
import liars_weights
import pytest
from honest import CORNERS, LEARNED, POST_TRAINING, covering, supported
from honest import run as run_honestly
from liar import Liar

from suite.axes import Setting
from suite.cards import load_card
from suite.harness.evaluate import evaluate
from suite.harness.request import resolve
from suite.methods.api import Method
from suite.methods.lsq import LearnedStepSize, LsqOptions
from suite.methods.rtn import RoundToNearest
from suite.records import Record, Status

CARD = load_card(Path(__file__).parents[2] / "cards" / "rtn.yaml")
BASE = {
    "weight_symmetry": "symmetric",
    "weight_range": "min-max",
    "activation_range": "min-max",
    "examples": 256,
    "time_limit": 1e5,
}


def liars() -> list[type[Liar]]:
    found = [
        kind
        for module in (liars_weights, liars_activations, liars_structure, liars_data)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Liar) and kind is not Liar
    ]
    assert len({kind.id for kind in found}) == len(found)
    return found


@cache
def judged(liar: type[Liar], root: Path) -> tuple[bool, str]:
    """Whether the record of a liar names an axis that it lies about, and what it says."""
    values = {**BASE, **liar.declares}
    request = resolve(CARD, assignments=[f"{axis}={value}" for axis, value in values.items()], instance=liar())
    return caught(liar, evaluate(request, root).record)


def caught(liar: type[Liar], record: Record) -> tuple[bool, str]:
    if record.status is not Status.COMPLETED:
        return any(record.message.startswith(f"{axis}:") for axis in liar.axes), record.message
    assert record.audit is not None
    named = {axis: found for axis, found in record.audit["axes"].items() if found["verdict"] == "contradicted"}
    said = "; ".join(f"{axis}: {found['evidence']}" for axis, found in named.items())
    return record.audit["verdict"] == "contradicted" and bool(set(named) & set(liar.axes)), said


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize("liar", liars(), ids=lambda kind: kind.id)
def test_a_liar_is_caught(liar: type[Liar], root: Path) -> None:
    found, said = judged(liar, root)
    assert found, f"expected {' or '.join(liar.axes)}; said: {said or 'nothing'}"


LEARNS = {
    "weight_range": "learned-step",
    "activation_range": "learned-step",
    "gradient_mask": "clip-then-round",
    "step_gradient_scale": "features",
    "labels": "labeled",
}


def honest_runs() -> list[tuple[Method, Setting]]:
    few = {"examples": 128}
    lsq = LearnedStepSize(LsqOptions(steps=4, batch_size=32, compile="never"))
    runs: list[tuple[Method, Setting]] = []
    for corner in CORNERS:
        setting = supported(RoundToNearest, {**few, **corner})
        assert setting is not None, f"{corner} is refused"
        runs.append((RoundToNearest(), setting))
    runs += [(RoundToNearest(), setting) for setting in covering(RoundToNearest, few, POST_TRAINING, seed=1)]
    runs += [(lsq, setting) for setting in covering(LearnedStepSize, {**few, **LEARNS}, LEARNED, seed=2)]
    return runs


def accusations(method: Method, setting: Setting) -> list[str]:
    """What an audit of an honest run holds against it."""
    changed = {difference.axis: difference.left for difference in setting.differences(Setting.default())}
    return [f"{method.id} {changed}: {message}" for message in run_honestly(method, setting).messages()]


def test_liars_are_caught_and_the_honest_are_not_accused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everyone = liars()
    escaped = [liar.id for liar in everyone if not judged(liar, root)[0]]
    runs = honest_runs()
    accused = [text for method, setting in runs for text in accusations(method, setting)]
    with capsys.disabled():
        print(
            f"\n{len(everyone) - len(escaped)} liars caught of {len(everyone)}, "
            f"{len(accused)} false alarms in {len(runs)} honest runs"
        )
    assert len(everyone) >= 15
    assert len(runs) >= 100
    assert not escaped
    assert not accused, "\n".join(accused)
