"""The shipped cards: valid, runnable where they are runs, and true to the paper where they are copies."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from suite.axes import AXES, NOT_REPORTED
from suite.cards import diff_cards, examine_text, load_card, new_card, parse_card
from suite.errors import CardError

CARDS = Path(__file__).parents[2] / "cards"
LSQ, RTN = load_card(CARDS / "lsq.yaml"), load_card(CARDS / "rtn.yaml")
TABLE3, TABLE4 = (load_card(CARDS / "published" / f"confounding-tradeoffs-table{number}.yaml") for number in (3, 4))


@pytest.mark.parametrize("card", [LSQ, RTN], ids=["lsq", "rtn"])
def test_run_cards_ask_only_for_what_a_run_can_be_held_to(card):
    assert card.kind == "run"
    assert card.setting.to_dict().keys() == AXES.keys()
    assert all(axis.enforceable(card.setting[axis.id]) for axis in AXES.values())
    assert (card.task, card.model, card.seed) == ("digits", "digits-resnet", 0)


def test_the_lsq_card_is_lsq():
    said = {"weight_bits": 4, "activation_bits": 4, "weight_granularity": "per-tensor", "weight_symmetry": "symmetric"}
    said |= {"activation_symmetry": "symmetric", "unsigned_activations": "where-non-negative", "batch_norm": "float"}
    said |= {"weight_range": "learned-step", "activation_range": "learned-step", "gradient_mask": "clip-then-round"}
    said |= {"step_gradient_scale": "features", "first_layer_weights": "8-bit", "last_layer_weights": "8-bit"}
    said |= {"last_layer_activations": "8-bit", "labels": "labeled", "examples": "full-training-set"}
    said |= {"training_transform": "test"}
    assert {axis: LSQ.setting[axis] for axis in said} == said


def test_the_rtn_card_is_rtn():
    said = {
        "weight_bits": 8,
        "activation_bits": 8,
        "weight_symmetry": "asymmetric",
        "activation_symmetry": "asymmetric",
    }
    said |= {"weight_granularity": "per-channel", "activation_granularity": "per-tensor", "weight_range": "min-max"}
    said |= {"activation_range": "min-max", "examples": 256, "labels": "unlabeled", "batch_norm": "folded"}
    assert {axis: RTN.setting[axis] for axis in said} == said


# The entries of the two tables, as the paper prints them, next to the axes that must hold them.
PRINTED = [
    (TABLE3, {"grid": "uniform", "weight_symmetry": "asymmetric", "activation_symmetry": "asymmetric"}),
    (TABLE3, {"weight_granularity": "per-channel", "activation_granularity": "per-tensor"}),
    (TABLE3, {"activation_parameters": "static", "activation_range": "percentile", "percentile": 99.99}),
    (TABLE3, {"skip_connection": "full-precision", "residual_connection": "full-precision", "pooling": "requantized"}),
    (TABLE3, {"weight_precision": "fixed", "weight_bits": 8, "activation_precision": "fixed"}),
    (TABLE3, {"first_layer_weights": "8-bit", "last_layer_weights": "8-bit"}),
    (TABLE3, {"first_layer_activations": "8-bit", "network_output": "8-bit"}),
    (TABLE3, {"examples": 320, "labels": "unlabeled", "baseline_accuracy": 0.76}),
    (TABLE4, {"grid": "uniform", "weight_symmetry": "asymmetric", "activation_symmetry": "asymmetric"}),
    (TABLE4, {"weight_granularity": "per-channel", "activation_granularity": "per-tensor"}),
    (TABLE4, {"activation_parameters": "static", "activation_range": "learned-min-max"}),
    (TABLE4, {"skip_connection": "quantized", "residual_connection": "quantized", "pooling": "requantized"}),
    (TABLE4, {"weight_precision": "mixed", "activation_precision": "mixed", "allowed_bit_widths": "any-integer"}),
    (TABLE4, {"first_layer_weights": "same", "last_layer_weights": "same"}),
    (TABLE4, {"examples": 1024, "labels": "labeled", "time_limit": 0.04, "baseline_accuracy": 0.76}),
]


@pytest.mark.parametrize(("card", "entries"), PRINTED)
def test_the_copies_say_what_the_paper_prints(card, entries):
    assert {axis: card.values[axis] for axis in entries} == entries


@pytest.mark.parametrize(("card", "pointer"), [(TABLE3, "Figure 5"), (TABLE4, "Table 2")])
def test_the_copies_have_a_source_and_are_silent_where_the_paper_is(card, pointer):
    assert card.kind == "transcribed"
    assert card.source["paper"] == "Confounding Tradeoffs for Neural Network Quantization"
    assert card.results["pointer"] == pointer
    silent = {"batch_norm", "preprocessing", "sampling", "symmetric_step", "gradient_mask", "network_input", "sign_bit"}
    assert all(card.values[axis] == NOT_REPORTED for axis in silent)
    assert len(card.remarks) >= 5
    with pytest.raises(CardError, match="axes are not reported"):
        _ = card.setting


def test_run_cards_and_copies_can_be_compared():
    assert not diff_cards(RTN, TABLE3).same


@pytest.mark.parametrize("arguments", [{"method": "a b"}, {"task": "x/y"}, {"model": ""}, {"title": "a\nb"}])
def test_a_new_card_that_could_not_be_read_is_not_made(arguments):
    with pytest.raises(CardError, match=": expected "):
        new_card(**arguments)


def test_a_new_card_asks_every_question():
    text = new_card()
    assert parse_card(text).setting["weight_bits"] == 8
    unwrapped = " ".join(line.strip().removeprefix("#").strip() for line in text.splitlines())
    assert all(axis.question in unwrapped for axis in AXES.values())


def test_a_thousand_cards_are_checked_within_three_seconds():
    texts = [path.read_text("utf-8") for path in sorted(CARDS.rglob("*.yaml"))]
    started = time.process_time()
    for number in range(1000):
        card, problems = examine_text(texts[number % len(texts)], "card.yaml")
        assert card is not None, problems
    assert time.process_time() - started < 3.0
