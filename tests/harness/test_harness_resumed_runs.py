"""Runs that are killed or interrupted, and the same command given again: one record, as if nothing had happened."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from suite.cards import load_card
from suite.harness.evaluate import Evaluation, evaluate
from suite.harness.request import Request, resolve
from suite.records import Store
from suite.records.unfinished import find_unfinished

REPOSITORY = Path(__file__).parents[2]
LSQ = REPOSITORY / "cards" / "lsq.yaml"
OPTIONS = ("steps=12", "batch_size=300")
AXES = ("checkpoint=best-on-validation", "training_transform=augmented")

# A process that saves after every step, and is killed in the middle of the save after the last whole one.
DYING = """
import os, signal, sys
from suite.cli.main import run
from suite.harness import checkpoints
from suite.records.unfinished import UnfinishedFolder
checkpoints.LEAST_SECONDS, checkpoints.LARGEST_SHARE = 0.0, float("inf")
saves, write = 0, checkpoints.RunCheckpoints._write
def dying(self, name, tensors, facts):
    global saves
    saves += name != checkpoints.LEDGER
    if saves > int(sys.argv[1]):
        with self._folder.writing(name + ".safetensors") as part:
            part.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    write(self, name, tensors, facts)
checkpoints.RunCheckpoints._write = dying
sys.exit(run(sys.argv[2:]))
"""


def request() -> Request:
    return resolve(load_card(LSQ), options=OPTIONS, assignments=AXES)


def command(root: Path) -> list[str]:
    arguments = ["evaluate", "--card", str(LSQ), "--out", str(root), "--threads", "1"]
    for option in OPTIONS:
        arguments += ["--option", option]
    for axis in AXES:
        arguments += ["--set", axis]
    return arguments


def killed(root: Path, saves: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", DYING, str(saves), *command(root)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return evaluate(request(), tmp_path_factory.mktemp("unbroken"))


def test_a_killed_run_continues_to_the_same_record(unbroken: Evaluation, tmp_path: Path) -> None:
    """Killed twice: at its fourth save, then after three more, both times within a save."""
    assert "continues" not in killed(tmp_path, 3)
    (left,) = find_unfinished(tmp_path)
    assert (left.run_id, left.live, left.recorded) == (unbroken.record.run_id, False, False)
    assert list(Store(tmp_path).run_ids()) == []
    assert "continues a run that was interrupted" in killed(tmp_path, 3)
    again = evaluate(request(), tmp_path)
    assert not again.found
    assert again.record.content() == unbroken.record.content()
    for name in ("outcomes.npz", "card.md"):
        assert (again.folder / name).is_file()
    assert (again.folder / "outcomes.npz").read_bytes() == (unbroken.folder / "outcomes.npz").read_bytes()
    assert find_unfinished(tmp_path) == ()
    assert Store(tmp_path).verify(again.record.run_id).sound


def test_time_of_killed_attempts_is_in_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(tmp_path, 3)
    from suite.harness import checkpoints

    adopt = checkpoints._adopt

    def a_long_attempt(attempt: checkpoints.Attempt, ledger: checkpoints.Checkpoint) -> None:
        adopt(attempt, ledger)
        assert attempt.earlier.seconds > 0.0
        assert attempt.earlier.processor_seconds > 0.0
        attempt.earlier.seconds += 1000.0
        attempt.earlier.processor_seconds += 2000.0

    monkeypatch.setattr(checkpoints, "_adopt", a_long_attempt)
    costs = evaluate(request(), tmp_path).record.costs
    assert 1000.0 < costs["seconds"] < 1100.0
    # On the processor an epoch is processor time: two thousand seconds of it, and a few more.
    assert costs["epoch_fraction"] * costs["epoch_seconds"] > 1000.0


def test_force_starts_anew(unbroken: Evaluation, tmp_path: Path) -> None:
    killed(tmp_path, 3)
    forced = evaluate(request(), tmp_path, force=True)
    assert forced.record.content() == unbroken.record.content()
    assert forced.record.costs["seconds"] < 100.0
    assert find_unfinished(tmp_path) == ()


def test_another_option_does_not_continue_it(tmp_path: Path) -> None:
    killed(tmp_path, 3)
    other = resolve(load_card(LSQ), options=("steps=11", "batch_size=300"), assignments=AXES)
    assert evaluate(other, tmp_path).record.run_id not in {item.run_id for item in find_unfinished(tmp_path)}
    assert len(find_unfinished(tmp_path)) == 1


def test_damaged_checkpoints_start_anew(unbroken: Evaluation, tmp_path: Path) -> None:
    killed(tmp_path, 3)
    for path in (tmp_path / f".unfinished-{unbroken.record.run_id}").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-7])
    assert evaluate(request(), tmp_path).record.content() == unbroken.record.content()


STOPS = {
    signal.SIGINT: (130, "suite: interrupted; "),
    signal.SIGTERM: (143, "suite: terminated; "),
}


@pytest.mark.parametrize("saving", [True, False], ids=["with a checkpoint", "without"])
@pytest.mark.parametrize("how", STOPS, ids=lambda how: how.name)
def test_a_stopped_run_says_what_is_left_of_it(tmp_path: Path, how: signal.Signals, saving: bool) -> None:
    arguments = ["evaluate", "--card", str(LSQ), "--option", "epochs=500", "--out", str(tmp_path), "--threads", "1"]
    program = (
        "import sys\n"
        "from suite.cli.main import run\n"
        "from suite.harness import checkpoints\n"
        f"checkpoints.LEAST_SECONDS = {0.5 if saving else 1e9}\n"
        "checkpoints.LARGEST_SHARE = 1.0\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("training:"):  # shown after five seconds of it
            break
    running.send_signal(how)
    out, err = running.communicate(timeout=60)
    code, beginning = STOPS[how]
    last = err.strip().splitlines()[-1]
    assert running.returncode == code
    assert out == ""
    assert "Traceback" not in err
    assert last.startswith(beginning)
    expected = r"its checkpoint of \d+ s ago is kept: the same command continues from there"
    assert re.search(expected if saving else "nothing of it was kept: the same command starts anew", last)
    assert list(Store(tmp_path).run_ids()) == []
    assert len(find_unfinished(tmp_path)) == saving
    assert not any(item.live for item in find_unfinished(tmp_path))


def test_the_handler_of_the_caller_is_given_back() -> None:
    from suite.cli.stopping import Terminated, terminable

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), terminable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
