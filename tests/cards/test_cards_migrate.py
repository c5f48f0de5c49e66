"""Migration: a checked-in card of version 0 stays readable for ever, with its comments."""

from __future__ import annotations

from pathlib import Path

import pytest

from suite.axes import AXES
from suite.cards import new_card, parse_card
from suite.cards.layout import VERSION
from suite.cards.migrate import MIGRATIONS, migrate_text
from suite.errors import CardError

OLD = (Path(__file__).parent / "card-version-0.yaml").read_text("utf-8")


def test_the_old_card_says_the_same_in_the_new_layout():
    card = parse_card(migrate_text(OLD))
    assert (card.title, card.method.id, card.seed) == ("Nearest rounding at 8 bits", "rtn", 3)
    setting = card.setting
    assert setting["weight_symmetry"] == "asymmetric"
    assert setting["weight_granularity"] == "per-channel"
    assert setting["examples"] == 256
    assert setting["time_limit"] == 10.0
    left_out = set(AXES) - {
        "weight_granularity",
        "weight_symmetry",
        "weight_bits",
        "activation_bits",
        "examples",
        "time_limit",
        "skip_connection",
    }
    assert all(setting[axis] == AXES[axis].default for axis in left_out)
    assert card.remarks[0] == "kept: as an example of version 0"
    assert all(axis in card.remarks[1] for axis in left_out)


def test_comments_and_order_are_kept():
    text = migrate_text(OLD)
    assert text.startswith(
        "# The first card we ever wrote: the layout before there were sections.\ncard: 1\nkind: run\n"
    )
    assert "  # how the weights are scaled\n  weight_granularity: per-channel\n" in text
    assert "weight_symmetry: asymmetric  # zero points on weights, too\n" in text
    assert text.index("title:") < text.index("method:") < text.index("task:") < text.index("quantization_method:")


def test_a_current_card_comes_back_untouched():
    text = new_card() + "# the end"
    assert migrate_text(text) is text
    assert migrate_text(migrate_text(OLD)) == migrate_text(OLD)


def test_there_is_a_way_from_every_version_to_this_one():
    assert sorted(MIGRATIONS) == list(range(VERSION))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            OLD.replace("card: 0", "card: 7"),
            "x.yaml:2:7: card: version 7 cannot be migrated (this suite knows the versions 0, 1)",
        ),
        (OLD.replace("card: 0", "card: zero"), "version 'zero' cannot be migrated"),
        (
            OLD.replace("weight_bits", "weigth_bits"),
            "x.yaml:13:3: unknown axis 'weigth_bits' (did you mean 'weight_bits'?)",
        ),
        (OLD.replace("weight_bits: 8", "weight_bits: 0"), "weight_bits: expected a number in [1, 32], found 0"),
        ("card: 0\nname: x\n", "a card of version 0 has its axes under 'setting'"),
        ("card: 0\nsetting: 3\n", "a card of version 0 has its axes under 'setting'"),
        ("name: x\n", "missing key 'card'"),
        ("- a\n", "a card is a mapping"),
        ("card: 0\nsetting: &a {x: *a}\n", "x.yaml:2:10: the anchor"),
        ("card: 0\nsetting: {}\n", "missing key 'title'"),
    ],
)
def test_what_cannot_be_migrated_is_told_in_one_line(text, message):
    with pytest.raises(CardError) as raised:
        migrate_text(text, "x.yaml")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_version_0_card_without_a_version():
    assert parse_card(migrate_text(OLD.replace("card: 0\n", ""))).seed == 3
