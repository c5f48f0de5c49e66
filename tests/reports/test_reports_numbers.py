"""How numbers and values read: units, signs, rounding, and nothing that a terminal would obey."""

from __future__ import annotations

import pytest

from suite.reports import numbers

SPACE = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (numbers.percent(0.9153), "91.53 %"),
        (numbers.percent(1.0), "100.00 %"),
        (numbers.percent(None), "–"),
        (numbers.points(-0.0083), "−0.83 points"),
        (numbers.points(0.0083), "+0.83 points"),
        (numbers.points(-0.000001), "0.00 points"),
        (numbers.points(0.0, unit=False), "0.00"),
        (numbers.interval_points((-0.02, 0.001)), "[−2.00, +0.10]"),
        (numbers.interval_points(None), "–"),
        (numbers.byte_size(0), "0 bytes"),
        (numbers.byte_size(999), "999 bytes"),
        (numbers.byte_size(999.7), "1.00 kB"),
        (numbers.byte_size(33_124), "33.1 kB"),
        (numbers.byte_size(11_700_000), "11.7 MB"),
        (numbers.byte_size(5 * 10**12), "5000 GB"),
        (numbers.duration(0.421), "0.421 s"),
        (numbers.duration(12.34), "12.3 s"),
        (numbers.duration(59.97), "1 min 0 s"),
        (numbers.duration(200), "3 min 20 s"),
        (numbers.duration(7500), "2 h 5 min"),
        (numbers.number(4), "4"),
        (numbers.number(4.0), "4"),
        (numbers.number(4.3128), "4.31"),
        (numbers.number(50_000), "50 000"),
        (numbers.number(-3), "−3"),
        (numbers.value_text((2, 4, 8)), "2, 4, 8"),
        (numbers.value_text(99.99), "99.99"),
        (numbers.value_text(True), "yes"),
        (numbers.value_text(None), "–"),
        (numbers.value_text({"low": 1, "high": [2, 3]}), "low: 1; high: 2, 3"),
        (numbers.value_text(" two\n lines "), "two lines"),
    ],
)
def test_numbers_read(found, text):
    assert found.replace(SPACE, " ") == text


@pytest.mark.parametrize("hostile", ["\x1b[31mred", "a\x00b", "back\x08space", "\u202etxet", "zero\u200bwidth"])
def test_characters_that_print_nothing_are_replaced(hostile):
    cleaned = numbers.clean(hostile)
    assert "\N{REPLACEMENT CHARACTER}" in cleaned
    assert all(character.isprintable() for character in cleaned)


def test_spaces_and_letters_of_all_scripts_stay():
    assert numbers.clean("4\N{NO-BREAK SPACE}bits, Größe, 量子化") == "4 bits, Größe, 量子化"


def test_a_value_without_end_is_shortened():
    assert len(numbers.value_text(list(range(10_000)))) <= numbers.LONGEST_VALUE
