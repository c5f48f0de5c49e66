"""Writing: what the suite writes it can read, what a person wrote stays as it was, no file is ever half written."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.cards import card_to_yaml, complete_card, load_card, new_card, parse_card, write_card
from suite.cards.emit import block, scalar
from suite.cards.text import parse
from suite.errors import CardError

CARDS = sorted((Path(__file__).parents[2] / "cards").rglob("*.yaml"))
RESULTS = {
    "status": "completed",
    "run_id": "lsq-digits-digits-resnet-s0-0123456789",
    "metric": "top-1 accuracy",
    "float_score": 0.98,
    "score": 0.975,
    "difference": -0.005,
    "difference_interval": (-0.012, 1e-05),
    "average_weight_bits": 4.1,
    "model_bytes": 12_345,
    "seconds": None,
    "labels": True,
    "peak_bytes": 99,  # a record knows more than a card shows
}
AUDIT = {
    "verdict": "contradicted",
    "axes": {
        "weight_bits": {
            "declared": 4,
            "observed": 8,
            "verdict": "contradicted",
            "evidence": "conv1: 200 levels; # of 16",
        },
        "allowed_bit_widths": {"declared": (2, 4), "observed": None, "verdict": "not observable", "evidence": ""},
    },
}


@pytest.mark.parametrize("path", CARDS, ids=[path.stem for path in CARDS])
def test_a_card_survives_being_written(path, tmp_path):
    card = load_card(path)
    write_card(tmp_path / "again.yaml", card)
    again = load_card(tmp_path / "again.yaml")
    assert again == card
    assert card_to_yaml(again) == (tmp_path / "again.yaml").read_text("utf-8")


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=30), st.sampled_from(["no", "1e-3", "true", "~", "a: b", "a #b", "- a", "…", "8", "[", "..."])
    )
)
def test_any_text_is_written_so_that_it_is_read_as_the_same_text(text):
    clean = "".join(character if character.isprintable() or character == "\n" else "?" for character in text)
    for written in (
        [f"key: {scalar(text)}"],
        [f"key: [{scalar(text)}, 1]"],
        [f"key: {{a: {scalar(text)}}}"],
        block("key", [text]),
    ):
        tree = parse("\n".join(written), "x.yaml")
        assert tree.plain()["key"] in (clean, [clean, 1], {"a": clean}, [clean])
    # An independent reader agrees wherever YAML 1.1 and 1.2 do: on everything in quotes.
    if scalar(text).startswith('"'):
        assert yaml.safe_load(f"key: {scalar(text)}") == {"key": clean}


@pytest.mark.parametrize(
    ("value", "text"), [(1e-05, "1e-05"), (np.float64(0.5), "0.5"), (True, "true"), (8, "8"), ((1, 2), "[1, 2]")]
)
def test_numbers_are_written_as_numbers(value, text):
    assert scalar(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_card_never_holds_nan(value):
    with pytest.raises(ValueError, match="a card never holds"):
        scalar(value)


def test_results_and_audit_go_to_the_end_and_come_back():
    original = new_card()
    text = complete_card(original, RESULTS, AUDIT)
    assert text.startswith(original)
    card = parse_card(text)
    assert card.results is not None
    assert card.audit is not None
    assert card.results["difference_interval"] == [-0.012, 1e-05]
    assert set(card.results) == set(RESULTS) - {"seconds", "peak_bytes"}
    assert card.audit["axes"]["weight_bits"]["evidence"] == "conv1: 200 levels; # of 16"
    assert card.audit["axes"]["allowed_bit_widths"] == {"declared": [2, 4], "verdict": "not observable"}


def test_completing_again_replaces_and_completing_with_nothing_restores():
    original = new_card()
    once = complete_card(original, RESULTS, AUDIT)
    assert complete_card(once, RESULTS, AUDIT) == once
    other = complete_card(once, {**RESULTS, "score": 0.5}, None)
    assert parse_card(other).audit is None
    assert parse_card(other).results["score"] == 0.5
    assert complete_card(once, None, None).rstrip() == original.rstrip()


MIDDLE = new_card().replace(
    "\nquantization_method:",
    "\n# before\nresults:  # written by the suite\n  score: 0.1  # old\n\n# about the method\nquantization_method:",
)


@pytest.mark.parametrize(
    "text", [MIDDLE, MIDDLE.replace("\n", "\r\n"), "---\n" + MIDDLE, MIDDLE.rstrip("\n"), MIDDLE + "\n...\n"]
)
def test_what_a_person_wrote_stays_byte_for_byte(text):
    done = complete_card(text, RESULTS)
    newline = "\r\n" if "\r\n" in text else "\n"
    before, _, rest = text.partition(f"results:  # written by the suite{newline}")
    assert done.startswith(before + "results:" + newline)
    assert done.endswith(rest.split("# old" + newline)[1])
    assert parse_card(done).results["score"] == 0.975
    assert newline == "\n" or "\n" not in done.replace("\r\n", "")


def test_an_indented_card_is_completed_at_its_own_margin():
    original = "".join(f"  {line}\n" if line else "\n" for line in new_card().splitlines())
    assert parse_card(complete_card(original, RESULTS, AUDIT)).results["score"] == 0.975


def test_block_scalars_inside_old_results_are_replaced_whole():
    original = new_card() + "results:\n  pointer: >\n    Figure\n    5\n\n# the end\n"
    done = complete_card(original, {"score": 1.0})
    assert "Figure" not in done
    assert done.endswith("results:\n  score: 1.0\n\n# the end\n")


def test_a_card_in_braces_cannot_be_completed():
    with pytest.raises(CardError, match="written in braces"):
        complete_card('{"card": 1}', RESULTS)


def test_long_evidence_is_shortened_and_strange_characters_are_replaced():
    audit = {
        "verdict": "verified",
        "axes": {"grid": {"declared": "uniform", "verdict": "verified", "evidence": "\x1b" + "x" * 5000}},
    }
    evidence = parse_card(complete_card(new_card(), None, audit)).audit["axes"]["grid"]["evidence"]
    assert evidence.startswith("?x")
    assert len(evidence) == 1000


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "card.yaml"
    write_card(path, parse_card(new_card()))
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CardError, match="cannot be written: No space left"):
        write_card(path, parse_card(new_card(title="another")))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["card.yaml"]


def test_writing_where_nothing_can_be_written(tmp_path):
    with pytest.raises(CardError, match=r"missing/card.yaml: cannot be written: No such file or directory"):
        write_card(tmp_path / "missing" / "card.yaml", parse_card(new_card()))
