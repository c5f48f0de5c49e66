"""The vault: test images are out of reach while a method runs, by every way a method could ask."""

from __future__ import annotations

import threading

import pytest

from suite.errors import DataAccessError
from suite.tasks import Split, get_task
from suite.tasks.vault import is_sealed, sealed


def test_the_test_split_is_refused_under_a_seal_and_given_after_it():
    task = get_task("digits")
    with sealed() as seal:
        assert is_sealed()
        with pytest.raises(DataAccessError, match="checkpoint: the test split of 'digits' is sealed") as refused:
            task.split(Split.TEST)
        assert refused.value.axis == "checkpoint"
        assert len(task.split(Split.TRAIN)) == 1024
        assert len(task.split(Split.CALIBRATION)) == 1024
    assert not is_sealed()
    assert seal.attempts == ["digits"]
    assert len(task.split(Split.TEST)) == 773


def test_fingerprints_of_test_images_are_sealed_too():
    task = get_task("digits")
    with sealed(), pytest.raises(DataAccessError):
        task.fingerprints(Split.TEST)


def test_loading_the_task_anew_or_from_another_thread_does_not_help():
    refused = []

    def ask() -> None:
        try:
            get_task("digits").split(Split.TEST)
        except DataAccessError as error:
            refused.append(error.axis)

    with sealed() as seal:
        ask()
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    assert refused == ["checkpoint", "checkpoint"]
    assert seal.attempts == ["digits", "digits"]


def test_seals_nest_and_open_again_after_an_error():
    task = get_task("digits")
    with sealed() as outer:
        with pytest.raises(ZeroDivisionError), sealed():
            raise ZeroDivisionError
        with pytest.raises(DataAccessError):
            task.split(Split.TEST)
    assert outer.attempts == ["digits"]
    assert len(task.split(Split.TEST)) == 773


def test_tensors_read_before_the_seal_do_not_open_it():
    task = get_task("digits")
    task.split(Split.TEST)
    with sealed(), pytest.raises(DataAccessError):
        task.split(Split.TEST)
