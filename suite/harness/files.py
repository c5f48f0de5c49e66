"""Laboratory, harness: the files of a run beside its record: the completed card, its pages, outcomes, weights."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

from torch import Tensor, nn

from suite.cards import card_to_yaml, complete_card, parse_card
from suite.harness.request import Request
from suite.records import Record, Status, pack_outcomes
from suite.reports import render_card_html, render_card_markdown

CARD, PAGE, TWIN, WEIGHTS = "card.yaml", "card.html", "card.md", "model.safetensors"


def run_files(
    request: Request, record: Record, float_correct: Tensor, correct: Tensor | None, model: nn.Module | None
) -> dict[str, bytes]:
    """Name -> content of everything the record's folder holds besides the record itself."""
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

        files[WEIGHTS] = save({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()})
    return files


def completed_card(request: Request, record: Record) -> str:
    """The card as it was run, with results and audit. A card run as written keeps its text, comments and order."""
    card = request.card
    as_written = card.text and declares_the_same(parse_card(card.text), card)
    text = card.text if as_written else card_to_yaml(dataclasses.replace(card, results=None, audit=None))
    return complete_card(text, _results(record), cast("dict[str, Any] | None", record.to_dict()["audit"]))


def declares_the_same(left: Any, right: Any) -> bool:
    """Whether two cards ask for the same run."""
    names = ("kind", "method", "task", "model", "seed", "values")
    return all(getattr(left, name) == getattr(right, name) for name in names)


def _results(record: Record) -> dict[str, Any]:
    shown = record.to_dict()
    names = (
        "run_id",
        "metric",
        "float_score",
        "score",
        "difference",
        "difference_interval",
        "average_weight_bits",
        "average_activation_bits",
        "model_bytes",
        "feature_map_largest_bytes",
        "feature_map_total_bytes",
    )
    costs = {name: record.costs[name] for name in ("seconds", "epoch_fraction", "examples", "labels")}
    return {"status": str(Status(record.status)), **{name: shown[name] for name in names}, **costs}
