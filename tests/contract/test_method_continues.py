"""The contract's check on checkpoints: it kills in earnest, and finds out who does not continue truly."""

from __future__ import annotations

from pathlib import Path

from suite.contract.checks import TrialBench
from suite.contract.continuing import continuing_checks
from suite.contract.results import CheckResult
from suite.contract.trials import base_setting
from suite.methods.api import Method, Workbench
from suite.methods.engines.calibration import calibrate
from suite.methods.rtn import RoundToNearest
from suite.plan import quantizers_of


def results_of(kind: type[Method], folder: Path) -> list[CheckResult]:
    return list(
        continuing_checks(
            kind, lambda mortal, store: TrialBench(mortal, folder).record(base_setting(kind), store=store)
        )
    )


class Patient(RoundToNearest):
    """Shrinks its scales by one percent for each pass through the data, and keeps them after every pass."""

    def quantize(self, work: Workbench) -> None:
        calibrate(work)
        scales = {name: quantizer.scale for name, quantizer in quantizers_of(work.model).items()}
        kept = work.checkpoints.load("scales")
        done = 0 if kept is None else self.done(int(kept.facts["passes"]))
        if kept is not None:
            scales = dict(kept.tensors)
        for number in range(self.first_pass(done), 3):
            images = sum(len(batch) for batch in work.data.batches(64))
            if number >= done:
                scales = {name: scale * (1 - 0.01 * images / work.data.size) for name, scale in scales.items()}
                work.checkpoints.save("scales", scales, {"passes": number + 1})
        for name, quantizer in quantizers_of(work.model).items():
            quantizer.set_parameters(scales[name], quantizer.zero_point)

    def done(self, passes: int) -> int:
        return passes

    def first_pass(self, done: int) -> int:
        return 0


class Forgetful(Patient):
    """Forgets how far it was, and shrinks once more."""

    def done(self, passes: int) -> int:
        return passes - 1


class Skimping(Patient):
    """Does not ask for the data again that it has used already."""

    def first_pass(self, done: int) -> int:
        return done


def test_a_method_that_continues_truly_passes(tmp_path: Path) -> None:
    results = results_of(Patient, tmp_path)
    assert [result.name.rpartition("(")[2] for result in results] == ["save 1 of 3)", "save 2 of 3)", "save 3 of 3)"]
    assert all(result.passed for result in results)


def test_a_method_that_forgets_where_it_was_is_found_out(tmp_path: Path) -> None:
    assert not any(result.passed for result in results_of(Forgetful, tmp_path))


def test_a_method_that_skips_its_requests_counts_too_little(tmp_path: Path) -> None:
    results = results_of(Skimping, tmp_path)
    # After the last save there is nothing left to ask for, and what the ledger kept is the whole of it.
    assert [result.detail for result in results] == ["costs", "costs", ""]


def test_a_method_without_checkpoints_is_not_tried(tmp_path: Path) -> None:
    (result,) = results_of(RoundToNearest, tmp_path)
    assert (result.passed, result.skipped, result.detail) == (True, True, "it keeps no checkpoints")
