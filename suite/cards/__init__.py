"""Cards: load with file:line:column, write back, compare, migrate. Never imports torch."""

from __future__ import annotations

from suite.cards.card import Card, MethodChoice
from suite.cards.diff import Besides, CardDiff, diff_cards
from suite.cards.load import examine_file, examine_text, load_card, parse_card
from suite.cards.new import new_card
from suite.cards.revise import declares_the_same, revise_card
from suite.cards.walker import Problem
from suite.cards.write import card_to_yaml, complete_card, write_card, write_whole

__all__ = [
    "Besides",
    "Card",
    "CardDiff",
    "MethodChoice",
    "Problem",
    "card_to_yaml",
    "complete_card",
    "declares_the_same",
    "diff_cards",
    "examine_file",
    "examine_text",
    "load_card",
    "new_card",
    "parse_card",
    "revise_card",
    "write_card",
    "write_whole",
]
