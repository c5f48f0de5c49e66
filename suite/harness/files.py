"""Laboratory, harness: the files of a run beside its record: the completed card, its pages, outcomes, weights."""

from __future__ import annotations

import json
from typing import Any, cast

from torch import Tensor, nn

from suite.audit.saved import BITS
from suite.cards import complete_card, parse_card, revise_card
from suite.harness.request import Request
from suite.plan import Plan
from suite.records import Record, pack_outcomes
from suite.reports import render_card_html, render_card_markdown

CARD, PAGE, TWIN, WEIGHTS = "card.yaml", "card.html", "card.md", "model.safetensors"


def run_files(
    request: Request,
    record: Record,
    float_correct: Tensor,
    correct: Tensor | None,
    model: nn.Module | None,
    plan: Plan | None,
) -> dict[str, bytes]:
    """Name -> content of everything the record's folder holds besides the record itself.

    `plan` is that of the kept `model`: where bits were its method's choice, they go into the file of its tensors.
    """
    text = completed_card(request, record)
    card = parse_card(text, CARD)
    files = {
        CARD: text.encode(),
        TWIN: render_card_markdown(card, record).encode(),
        PAGE: render_card_html(card, record).encode(),
    }
    if record.outcomes is not None and correct is not None:
        files[record.outcomes] = pack_outcomes(float_correct.numpy(), correct.numpy())
    if model is not None:
        from safetensors.torch import save

        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
        chosen = plan.chosen_bits if plan is not None else {}
        files[WEIGHTS] = save(tensors, metadata={BITS: json.dumps(chosen)} if chosen else None)
    return files


def completed_card(request: Request, record: Record) -> str:
    """The card as it was run, with results and audit; the order and the comments of the card it came from are kept."""
    shown = record.to_dict()
    audit = cast("dict[str, Any] | None", shown["audit"])
    return complete_card(revise_card(request.card), {**shown, **record.costs}, audit)
