"""What the audit says of choices in training: batch-norm statistics, bit for bit, and activations on given ranges."""

from __future__ import annotations

import pytest
import torch
from honest import dissected
from honest import run as run_honestly

from suite.audit import AuditReport, Verdict
from suite.audit.capture import Statistics, float_statistics
from suite.axes import Setting
from suite.methods.lsq import LearnedStepSize, LsqOptions
from suite.methods.rtn import RoundToNearest

FLOAT = Setting.default().replace(batch_norm="float", examples=96)
TRAINED = FLOAT.replace(**{**LearnedStepSize.recommended, "examples": 96, "initialization_examples": "all"})


def trained(statistics: str) -> AuditReport:
    method = LearnedStepSize(LsqOptions(steps=3, batch_size=32, compile="never"))
    return run_honestly(method, TRAINED.replace(batch_norm_statistics=statistics))


def test_frozen_statistics_are_verified() -> None:
    found = trained("frozen").axes["batch_norm_statistics"]
    assert found.verdict is Verdict.VERIFIED
    count = len(float_statistics(*dissected("float")))
    assert count > 5
    assert found.evidence == f"{count} batch normalizations have the statistics of the float model"


@pytest.mark.parametrize("statistics", ["running", "re-estimated"])
def test_numbers_that_moved_do_not_tell_how(statistics: str) -> None:
    found = trained(statistics).axes["batch_norm_statistics"]
    assert found.verdict is Verdict.NOT_OBSERVABLE
    assert "numbers do not tell how they came" in found.evidence


def test_where_no_training_batch_passed_nothing_is_held_against_running_statistics() -> None:
    found = run_honestly(RoundToNearest(), FLOAT).axes["batch_norm_statistics"]
    assert found.verdict is Verdict.NOT_OBSERVABLE
    assert "where no training batch has passed" in found.evidence


def test_folded_normalizations_have_none() -> None:
    found = run_honestly(RoundToNearest(), FLOAT.replace(batch_norm="folded")).axes["batch_norm_statistics"]
    assert found.evidence == "the model has no batch normalization left to see"


def test_statistics_are_equal_to_the_last_bit_or_not_at_all() -> None:
    mean, variance = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    one = Statistics.copied(mean, variance)
    assert one.equals(Statistics.copied(mean, variance))
    variance[1] = torch.nextafter(variance[1], torch.tensor(5.0))
    assert not one.equals(Statistics.copied(mean, variance))
    assert not one.equals(Statistics(None, None))
    assert Statistics(None, None).equals(Statistics(None, None))


@pytest.mark.parametrize("bits", [4, 8])
def test_activations_on_half_a_range_are_held_to_nothing_they_do_not_keep(bits: int) -> None:
    setting = TRAINED.replace(activation_range="three", activation_bits=bits)
    report = run_honestly(LearnedStepSize(LsqOptions(steps=3, batch_size=32, compile="never")), setting)
    assert report.messages() == []
    assert report.axes["activation_bits"].verdict is Verdict.VERIFIED
