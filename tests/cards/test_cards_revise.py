"""Revising a card changes the lines that changed, and nothing a person wrote beside them."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path

import pytest

from suite.cards import Card, MethodChoice, declares_the_same, load_card, parse_card, revise_card

LSQ = Path(__file__).parents[2] / "cards" / "lsq.yaml"


def changed_lines(before: str, after: str) -> list[str]:
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] == "+"]


@pytest.fixture
def card() -> Card:
    return load_card(LSQ)


def test_nothing_changed_gives_the_text_back(card: Card) -> None:
    assert revise_card(card) == card.text


@pytest.mark.parametrize(
    ("axis", "value", "line"),
    [
        ("weight_bits", 2, "weight_bits: 2"),
        ("time_limit", 12.5, "time_limit: 12.5"),
        ("examples", 512, "examples: 512"),
        ("residual_connection", "full-precision", "residual_connection: full-precision"),
    ],
)
def test_one_axis_changes_one_line(card: Card, axis: str, value: object, line: str) -> None:
    revised = revise_card(dataclasses.replace(card, values={**card.values, axis: value}))
    (changed,) = changed_lines(card.text, revised)
    assert changed[1:].strip().startswith(line)
    assert parse_card(revised).values[axis] == value


def test_comments_behind_a_changed_value_stay(card: Card) -> None:
    text = card.text.replace("weight_bits: 4", "weight_bits: 4   # as in the paper")
    commented = parse_card(text)
    revised = revise_card(dataclasses.replace(commented, values={**commented.values, "weight_bits": 3}))
    assert "weight_bits: 3   # as in the paper" in revised


def test_method_task_model_and_seed_are_revised(card: Card) -> None:
    asked = dataclasses.replace(
        card, method=MethodChoice("lsq", {"epochs": 3}), task="cifar10", model="resnet20", seed=7
    )
    revised = revise_card(asked)
    assert declares_the_same(parse_card(revised), asked)
    assert len(changed_lines(card.text, revised)) == 4


@pytest.mark.parametrize("quirk", ["title: {title}\n# weight_bits: 9 is not a value\n", "title: 'a # b'\n"])
def test_look_alikes_are_left_alone(card: Card, quirk: str) -> None:
    first = next(line for line in card.text.splitlines() if line.startswith("title:"))
    text = card.text.replace(first + "\n", quirk.replace("title: {title}", first))
    odd = parse_card(text)
    asked = dataclasses.replace(odd, values={**odd.values, "weight_bits": 5})
    assert declares_the_same(parse_card(revise_card(asked)), asked)


def test_a_value_over_several_lines_gives_the_canonical_text(card: Card) -> None:
    text = card.text.replace("weight_bits: 4", "weight_bits:\n    4")
    odd = parse_card(text)
    asked = dataclasses.replace(odd, values={**odd.values, "weight_bits": 5})
    assert declares_the_same(parse_card(revise_card(asked)), asked)
