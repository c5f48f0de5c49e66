"""`suite method check`: honest methods pass, and each kind of broken promise fails the check that is about it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from suite.axes import AXES
from suite.cli.method import command
from suite.contract.checks import (
    TrialBench,
    axis_checks,
    budget_checks,
    claim_checks,
    determinism_checks,
    documentation_checks,
    option_checks,
)
from suite.contract.failures import failure_checks
from suite.contract.results import CheckResult
from suite.contract.trials import NOT_TRIED, TRIED_ALONE, base_setting, make_trial, together, trials
from suite.errors import DataAccessError, UnknownName
from suite.methods.api import POST_TRAINING, Method, Needs, Options, Paper, Workbench, option
from suite.methods.engines.calibration import calibrate
from suite.methods.lsq import LearnedStepSize
from suite.methods.rtn import RoundToNearest
from suite.plan import quantizers_of, weights_of


class Sound(Method):
    """A method with nothing wrong; each test breaks one thing of it."""

    id = "sound"
    title = "Sound"
    paper = Paper("Title", "Authors", 2020, "https://example.org/")
    needs = Needs(examples=False)
    supports = POST_TRAINING

    def quantize(self, work: Workbench) -> None:
        calibrate(work)


def failed(results: Iterable[CheckResult]) -> list[str]:
    return [result.name for result in results if not result.passed]


def test_a_sound_method_passes_everything_that_needs_no_registry(tmp_path: Path) -> None:
    assert failed(option_checks(Sound)) == []
    assert failed(claim_checks(Sound)) == []
    bench = TrialBench(Sound, tmp_path)
    assert failed(axis_checks(Sound, bench, ("activation_parameters",))) == []
    assert failed(determinism_checks(Sound, bench)) == []
    assert failed(budget_checks(Sound, bench)) == []
    assert failed(failure_checks(Sound, base_setting(Sound))) == []


def test_missing_documentation_is_named() -> None:
    class Bare(Sound):
        paper = Paper("", "", 0, "http://example.org/")
        title = ""

    Bare.__doc__ = None
    found = failed(documentation_checks("rtn", Bare))
    assert "the id is the name it is registered under" in found
    assert "it has a title" in found
    assert "its class has a docstring" in found
    assert "its paper has title, authors, year and an https address" in found


def test_an_option_without_words_is_named() -> None:
    @dataclass(frozen=True)
    class Mute(Options):
        speed: int = option(1, doc="")

    class Undocumented(Sound):
        Options = Mute

    results = list(option_checks(Undocumented))
    assert failed(results) == ["defaults and quick() are valid"]
    assert "speed" in results[0].detail


def test_a_default_outside_its_limits_is_named() -> None:
    @dataclass(frozen=True)
    class Wild(Options):
        speed: int = option(0, doc="steps at once", minimum=1)

    class Limitless(Sound):
        Options = Wild

    assert failed(option_checks(Limitless)) == ["defaults and quick() are valid"]


@pytest.mark.parametrize(
    ("attributes", "check"),
    [
        ({"supports": {"weight_bit": (4,)}}, "every axis it names exists"),
        (
            {"supports": {"weight_granularity": ("per-channel", "per-token")}},
            "every value it supports is a value of its axis",
        ),
        ({"recommended": {"weight_range": "learned-step"}}, "the setting it recommends is legal and supported"),
        ({"recommended": {"labels": "labeled"}}, "the setting it recommends is legal and supported"),
    ],
)
def test_claims_that_cannot_be_are_named(attributes: dict[str, object], check: str) -> None:
    assert failed(claim_checks(type("Claiming", (Sound,), attributes))) == [check]


def test_weights_left_in_float_contradict_the_audit(tmp_path: Path) -> None:
    class Lying(Sound):
        id = "lying"

        def quantize(self, work: Workbench) -> None:
            calibrate(work)
            for quantizer, _ in weights_of(work.model).values():
                quantizer.enabled = False

    results = list(axis_checks(Lying, TrialBench(Lying, tmp_path), ("weight_granularity",)))
    assert "base setting" in failed(results)
    assert any("weight_bits" in result.detail for result in results)


def test_a_crash_fails_and_the_other_checks_go_on(tmp_path: Path) -> None:
    class Crashing(Sound):
        id = "crashing"

        def quantize(self, work: Workbench) -> None:
            if work.setting["weight_granularity"] == "per-tensor":
                raise ZeroDivisionError("by design")
            calibrate(work)

    results = list(axis_checks(Crashing, TrialBench(Crashing, tmp_path), ("weight_granularity",)))
    assert failed(results) == ["weight_granularity = per-tensor"]
    assert "ZeroDivisionError: by design" in next(result.detail for result in results if not result.passed)
    assert results[-1].name == "weight_granularity = per-weight"


def test_randomness_without_a_name_is_found_out(tmp_path: Path) -> None:
    class Moody(Sound):
        id = "moody"

        def quantize(self, work: Workbench) -> None:
            calibrate(work)
            generator = torch.Generator().manual_seed(time.time_ns())
            with torch.no_grad():
                for quantizer in quantizers_of(work.model).values():
                    quantizer.set_parameters(
                        quantizer.scale * (0.5 + torch.rand((), generator=generator)), quantizer.zero_point
                    )

    assert failed(determinism_checks(Moody, TrialBench(Moody, tmp_path))) == ["two runs leave the same record"]


def test_asking_for_more_than_the_budget_fails(tmp_path: Path) -> None:
    class Greedy(Sound):
        id = "greedy"

        def quantize(self, work: Workbench) -> None:
            work.data.fixed(200)
            calibrate(work)

    results = list(budget_checks(Greedy, TrialBench(Greedy, tmp_path)))
    assert failed(results) == ["it works with 32 examples and sees no more"]
    assert "examples" in results[0].detail


def test_going_on_with_images_of_nan_fails() -> None:
    class Careless(Sound):
        id = "careless"

        def quantize(self, work: Workbench) -> None:
            for quantizer, weight in weights_of(work.model).values():
                quantizer.initialize(weight.detach())
            work.data.fixed(8)
            for quantizer in quantizers_of(work.model).values():
                if not quantizer.is_weight:
                    quantizer.set_parameters(torch.tensor(0.1), torch.tensor(0.0))

    found = failed(failure_checks(Careless, base_setting(Careless)))
    assert "images of NaN end in Diverged or a SuiteError" in found
    assert "infinite images end in Diverged or a SuiteError" in found


def test_a_crash_without_examples_fails() -> None:
    class Assuming(Sound):
        id = "assuming"

        def quantize(self, work: Workbench) -> None:
            try:
                next(iter(work.data.batches(8)))
            except DataAccessError:
                raise IndexError("there is always an example") from None
            calibrate(work)

    found = {result.name: result for result in failure_checks(Assuming, base_setting(Assuming))}
    assert "IndexError" in found["no examples end in a SuiteError, or are enough"].detail


def test_trials_cover_every_value_of_every_axis_or_say_why_not() -> None:
    for kind in (RoundToNearest, LearnedStepSize):
        tried = list(trials(kind))
        names = {(trial.axis, trial.value) for trial in tried}
        base = base_setting(kind)
        for axis in AXES.values():
            if axis.id in NOT_TRIED:
                continue
            claimed = kind.supports.get(axis.id, tuple(word for word in axis.domain.words if axis.enforceable(word)))
            for value in claimed:
                assert value == base[axis.id] or (axis.id, value) in names
        assert all(trial.reason for trial in tried if trial.setting is None)
        assert sum(trial.setting is not None for trial in tried) > 40


def test_trials_together_are_few_and_each_value_is_in_force_in_one_of_them() -> None:
    for kind in (RoundToNearest, LearnedStepSize):
        tried = [trial for trial in trials(kind) if trial.setting is not None]
        groups = together(kind, tried)
        assert len(groups) < len(tried) / 3
        assert sorted(trial.name for group in groups for trial in group.trials) == sorted(trial.name for trial in tried)
        for group in groups:
            kind.check_setting(group.setting)
            for trial in group.trials:
                assert trial.setting is not None
                changed = {
                    difference.axis: difference.right for difference in base_setting(kind).differences(trial.setting)
                }
                assert {axis: group.setting[axis] for axis in changed} == changed
            alone = [trial for trial in group.trials if (trial.axis, trial.value) in TRIED_ALONE]
            assert not alone or len(group.trials) == 1


def test_a_quick_check_finds_the_one_value_that_is_not_kept(tmp_path: Path) -> None:
    class Lying(Sound):
        """Leaves weights in float where scales are asked for per tensor."""

        id = "lying"

        def quantize(self, work: Workbench) -> None:
            calibrate(work)
            if work.setting["weight_granularity"] == "per-tensor":
                for quantizer in quantizers_of(work.model).values():
                    quantizer.enabled = not quantizer.is_weight

    axes = ("weight_granularity", "weight_symmetry", "activation_symmetry", "pooling")
    quick, slow = (
        list(axis_checks(Lying, TrialBench(Lying, tmp_path / str(quick)), axes, quick=quick)) for quick in (True, False)
    )
    assert failed(quick) == failed(slow) != []
    assert sorted(result.name for result in quick) == sorted(result.name for result in slow)


def test_a_trial_changes_what_its_value_needs_beside_it() -> None:
    trial = make_trial(RoundToNearest, base_setting(RoundToNearest), "weight_granularity", "per-group")
    assert trial.setting is not None
    assert trial.setting["weight_group_size"] == 8


def test_the_command_prints_a_table_and_exits_with_nought() -> None:
    result = CliRunner().invoke(command, ["check", "rtn", "--axis", "weight_symmetry", "--json"], standalone_mode=False)
    assert result.return_value == 0
    told = json.loads(result.stdout)
    assert told["passed"] is True
    assert {check["group"] for check in told["checks"]} == {"documentation", "options", "claims", "axis values"}


def test_an_unknown_method_or_axis_is_refused_with_a_suggestion() -> None:
    for arguments, near in ((["check", "rtm"], "rtn"), (["check", "rtn", "--axis", "weight_bit"], "weight_bits")):
        result = CliRunner().invoke(command, arguments)
        assert isinstance(result.exception, UnknownName)
        assert f"did you mean '{near}'?" in str(result.exception)
