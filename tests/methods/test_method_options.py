"""Options of methods: what is accepted, what is refused, and in which words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from suite.errors import SuiteError
from suite.methods.api import Options, option


@dataclass(frozen=True)
class Sample(Options):
    epochs: int = option(3, doc="passes over the data", minimum=1, maximum=10)
    learning_rate: float = option(0.1, doc="rate", minimum=0.0)
    start: Literal["lsq", "mse"] = option("lsq", doc="where steps start")
    verbose: bool = option(False, doc="say more")
    steps: int | None = option(None, doc="steps instead of epochs", minimum=1)


def test_defaults_and_round_trip() -> None:
    assert Sample().to_dict() == {"epochs": 3, "learning_rate": 0.1, "start": "lsq", "verbose": False, "steps": None}
    changed = Sample(epochs=7, steps=2, start="mse")
    assert Sample.from_mapping(changed.to_dict()) == changed


def test_an_integer_is_taken_where_a_number_is_meant() -> None:
    rate = Sample.from_mapping({"learning_rate": 1}).learning_rate
    assert rate == 1.0
    assert type(rate) is float


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epoch": 3}, "no option 'epoch' (did you mean 'epochs'?)"),
        ({"epochs": "3"}, "option 'epochs' is '3', expected an integer from 1 to 10"),
        ({"epochs": 3.0}, "option 'epochs' is 3.0"),
        ({"epochs": True}, "option 'epochs' is True"),
        ({"epochs": 0}, "expected an integer from 1 to 10"),
        ({"epochs": 11}, "expected an integer from 1 to 10"),
        ({"epochs": None}, "option 'epochs' is None"),
        ({"epochs": [3]}, "option 'epochs' is [3]"),
        ({"learning_rate": float("nan")}, "option 'learning_rate' is nan, expected a number of at least 0"),
        ({"learning_rate": float("inf")}, "option 'learning_rate' is inf"),
        ({"learning_rate": -0.1}, "expected a number of at least 0"),
        ({"start": "mes"}, "expected one of lsq, mse (did you mean 'mse'?)"),
        ({"verbose": 1}, "expected true or false"),
        ({"steps": 0}, "expected an integer of at least 1 or none"),
    ],
)
def test_bad_values_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(SuiteError) as caught:
        Sample.from_mapping(values, owner="sample")
    assert words in str(caught.value)


def test_values_are_checked_however_the_object_is_made() -> None:
    with pytest.raises(SuiteError, match="expected an integer from 1 to 10"):
        Sample(epochs=0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epochs=4", ("epochs", 4)),
        ("learning_rate=1e-3", ("learning_rate", 0.001)),
        ("start=mse", ("start", "mse")),
        ("verbose=true", ("verbose", True)),
        ("steps=none", ("steps", None)),
        ("steps= 12 ", ("steps", 12)),
    ],
)
def test_assignments_of_a_command_line_are_typed(text: str, expected: tuple[str, object]) -> None:
    assert Sample.read(text) == expected


@pytest.mark.parametrize(
    "text", ["epochs", "epochs=", "epochs=four", "epochs=1e3", "verbose=yes", "learning_rate=nan", "=3"]
)
def test_bad_assignments_are_refused(text: str) -> None:
    with pytest.raises(SuiteError):
        Sample.read(text)


def test_a_very_long_value_is_shortened_in_the_message() -> None:
    with pytest.raises(SuiteError) as caught:
        Sample.from_mapping({"epochs": "9" * 10_000})
    assert len(str(caught.value)) < 200


def test_an_undocumented_or_unreadable_option_is_a_mistake_of_the_author() -> None:
    @dataclass(frozen=True)
    class Undocumented(Options):
        epochs: int = 3

    @dataclass(frozen=True)
    class Strange(Options):
        sizes: bytes = option(None, doc="not a scalar of YAML")

    @dataclass(frozen=True)
    class FileByNumber(Options):
        table: int = option(0, doc="a number names no file", file="table.csv")

    for broken in (Undocumented, Strange, FileByNumber):
        with pytest.raises(TypeError, match="option '"):
            broken()
