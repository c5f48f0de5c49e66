"""Command line, the plan of a model under a card: what `suite show plan` prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suite.bits import average
from suite.errors import Unsupported

if TYPE_CHECKING:
    from torch import Tensor, nn

    from suite.plan import Plan

WIDTH = 100  # columns
_LIBRARY_CLASSES = 1000
_LIBRARY_INPUT = (3, 224, 224)
_LIBRARY_TOKENS = 128


def plan_for(card_path: Path, model_id: str | None = None, assignments: Sequence[str] = ()) -> Plan:
    """The plan of a model under a card's setting, with some axes replaced (`axis=value`).

    Shapes are those of the data the model was made for: its task's, or for a library's model that library's own.
    """
    from suite.axes import parse_assignment
    from suite.cards import load_card

    card = load_card(card_path)
    if card.kind != "run":
        raise Unsupported(
            f"{card_path} is transcribed from a paper, which need not state every axis", hint="give a card of kind run"
        )
    setting = card.setting.replace(**dict(parse_assignment(text) for text in assignments))
    chosen = model_id if model_id is not None else card.model
    if chosen is None:
        raise Unsupported(f"{card_path} names no model", hint="give one with --model")

    from suite.plan import dissect, make_plan

    return make_plan(dissect(*model_and_input(chosen, card.task)), setting)


def model_and_input(id: str, card_task: str | None) -> tuple[nn.Module, Tensor]:
    """A model with random weights, which have no part in a plan, and an input such as it reads."""
    import torch

    from suite.models import MADE_FOR, build_model, shipped_baselines
    from suite.models.scaling import find_architecture
    from suite.tasks import FACTS

    baseline = shipped_baselines().get(id)
    architecture = baseline.model if baseline is not None else id
    if ":" in architecture:
        model = build_model(architecture, _LIBRARY_CLASSES)
        if architecture.startswith("transformers:"):
            return model, torch.ones(1, _LIBRARY_TOKENS, dtype=torch.int64)
        # timm says of each of its models what it was made for.
        configuration = getattr(model, "default_cfg", None)
        stated = configuration.get("input_size") if isinstance(configuration, dict) else None
        return model, torch.zeros(1, *(stated or _LIBRARY_INPUT))
    base = find_architecture(architecture)[0].id
    made_for = [task for task, facts in FACTS.items() if facts.default_model in (id, architecture, base)]
    tasks = [baseline.task if baseline is not None else None, *made_for, MADE_FOR.get(base), card_task]
    for task in tasks:
        if task in FACTS:
            facts = FACTS[task]
            example = torch.zeros(1, *facts.input_shape, dtype=getattr(torch, facts.input_type))
            return build_model(architecture, facts.classes), example
    raise Unsupported(f"nothing says which inputs '{id}' takes", hint="name a task in the card")


def plan_text(plan: Plan) -> str:
    """The plan for people: one line a site, and what it comes to."""
    quantized = sum(row.spec is not None for row in plan.rows)
    folded = f"{len(plan.folds)} batch norms folded into their layers" if plan.folds else "no batch norm folded"
    return "\n".join(
        [
            f"{plan.model}: {len(plan.rows)} sites, {quantized} on a grid, {len(plan.quantizers)} quantizers, {folded}",
            f"average bits of a weight: {average((row.elements, row.bits) for row in plan.weight_rows):.2f}",
            "grid: bits; u unsigned or s signed; symmetric or asymmetric; what shares a scale",
            "",
            plan.table(WIDTH),
        ]
    )
