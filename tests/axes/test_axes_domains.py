"""Domains: what plain words mean, and that a domain and its JSON Schema accept the same values."""

from __future__ import annotations

import math

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.axes import AXES
from suite.axes.domains import Boolean, Text, read_scalar, shown


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("-2.5e+1", -25.0),
        (".5", 0.5),
        ("3.", 3.0),
        ("8", 8),
        ("-0", 0),
        ("+4", 4),
        ("true", True),
        ("False", False),
        ("", None),
        ("~", None),
        ("null", None),
        # What YAML 1.1 would turn into something else.
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("off", "off"),
        ("y", "y"),
        ("10:30", "10:30"),
        ("1_000", "1_000"),
        ("010", "010"),
        ("0x1f", "0x1f"),
        ("2024-01-01", "2024-01-01"),
        # Near misses that must not crash a number parser.
        ("-e5", "-e5"),
        (".e5", ".e5"),
        (".", "."),
        ("+", "+"),
        ("e5", "e5"),
        ("1e", "1e"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_plain_words_mean_what_yaml_1_2_says(text, value):
    read = read_scalar(text)
    assert read == value
    assert type(read) is type(value)


def test_infinity_and_nan_are_read_as_numbers_so_that_domains_can_refuse_them():
    assert read_scalar(".inf") == math.inf
    assert read_scalar("-.Inf") == -math.inf
    assert math.isnan(read_scalar(".nan"))
    assert not AXES["time_limit"].domain.accepts(math.inf)
    assert not AXES["time_limit"].domain.accepts(math.nan)


@given(st.text(max_size=20))
def test_any_word_can_be_read(text):
    read_scalar(text)


WORDS = sorted({word for axis in AXES.values() for word in axis.domain.words})
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70_000),
    st.sampled_from([0, 1, 8, 16, 32, 33, 50, 100, 2**53, 2**53 + 2]),
    st.floats(-10, 120, allow_nan=False),
    st.sampled_from([0.0, 1.0, 8.0, 50.0, 100.0, 99.99, 1e6, 1e7]),
    st.sampled_from([*WORDS, "not reported", "", "a\nb", "a\x1b[31mb", "x" * 3000]),
    st.text(max_size=5),
    st.lists(st.sampled_from([1, 2, 4, 8, 8.0, 9, 16, "2", True]), max_size=4),
    st.just({}),
)


@pytest.mark.parametrize(
    "domain", [*{str(axis.domain): axis.domain for axis in AXES.values()}.values(), Boolean(), Text(lines=True)]
)
@settings(max_examples=150, deadline=None)
@given(value=VALUES)
def test_a_domain_and_its_schema_agree(domain, value):
    if isinstance(value, list) and any(isinstance(item, bool) for item in value):
        return  # Python's 1 == True makes jsonschema's enum say yes to true; JSON itself tells them apart
    schema_accepts = jsonschema.Draft202012Validator(domain.schema()).is_valid(value)
    assert domain.accepts(value) == schema_accepts


@pytest.mark.parametrize("axis", AXES.values(), ids=list(AXES))
def test_normalising_is_idempotent_and_stays_inside(axis):
    for value in (*axis.domain.words, axis.default):
        stored = axis.domain.normalise(value)
        assert axis.domain.accepts(stored)
        assert axis.domain.normalise(stored) == stored


def test_equal_numbers_have_one_stored_form():
    assert repr(AXES["weight_bits"].check(8.0)) == "8"
    assert repr(AXES["weight_bits"].check(2.5)) == "2.5"
    assert repr(AXES["time_limit"].check(60)) == "60.0"
    assert AXES["allowed_bit_widths"].check([8, 2, 4]) == (2, 4, 8)


def test_values_are_shown_on_one_short_line_without_control_characters():
    for value in ("a\nb\x1b[31m", "x" * 500, ["y"] * 100, "\u202egnp.exe", {"\n": "\x07"}):
        text = shown(value)
        assert text.isprintable()
        assert len(text) <= 70
