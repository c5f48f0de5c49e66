"""Laboratory, the audit: a quantized model that was saved as plain tensors, put together again and looked at.

A state dict says what the numbers are, not what was computed with them: the model is built anew from the card's plan,
so an axis such as `skip_connection` is true of what is looked at by construction. What the file decides is whether its
numbers are a model of this card at all, and which grids they lead to.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from suite.audit.judge import audit
from suite.audit.report import AuditReport
from suite.errors import WeightsError
from suite.models.weights import read_weights
from suite.plan import Plan, dissect, make_plan, place, prepare
from suite.quantizers.spec import BIT_WIDTHS

if TYPE_CHECKING:
    from suite.axes import Setting

SAVED = "model.safetensors"
"""The file that `suite evaluate --save-model` leaves in the folder of a run."""
IMAGES = 192
_NAMED = 3
BITS = "bits"
"""Where the header of the file keeps the bits that a method of mixed precision chose: JSON, quantizer -> bits."""
LARGEST_HEADER = 1 << 20


def audit_saved(path: Path, *, reference: nn.Module, setting: Setting, images: Tensor) -> AuditReport:
    """Audit a saved state dict (a file, or the folder of a run) as the model that `setting` makes of `reference`.

    Of `reference` only the architecture counts: all its numbers are replaced by those of the file. How the model came
    about (examples, labels, time) is not observable afterwards.
    """
    file = path / SAVED if path.is_dir() else path
    state = read_weights(file)
    prepared = prepare(reference, setting)
    anatomy = dissect(prepared, images[:2])
    plan = make_plan(anatomy, setting)
    chosen = _with_saved_bits(plan, file)
    model = place(prepared, chosen).eval()
    _load(model, state, file)
    batches = torch.split(images[:IMAGES], IMAGES // 3)
    try:
        with torch.no_grad():
            model(images[:2])
    except (RuntimeError, IndexError) as error:
        reason = " ".join(str(error).split())[:160]
        raise WeightsError(f"{file} does not run as the model of this card: {reason}") from error
    return audit(model, anatomy=anatomy, plan=plan, chosen=chosen, setting=setting, batches=batches)


def _with_saved_bits(plan: Plan, file: Path) -> Plan:
    """The plan with the bits that the file says its method chose; the plan itself where there was no choice."""
    if not plan.chosen_bits:
        return plan
    bits = _saved_bits(file)
    if bits is None or set(bits) != set(plan.chosen_bits):
        raise WeightsError(
            f"{file} does not say which bits were chosen for each quantizer of this card's mixed precision",
            hint="audit the file that suite evaluate --save-model leaves, with the card it was made under",
        )
    return plan.with_bits(bits)


def _saved_bits(file: Path) -> dict[str, int] | None:
    """Name of quantizer -> bits from the header of a safetensors file; None where it holds no such thing."""
    try:
        with safe_open(file, framework="pt") as opened:
            text = (opened.metadata() or {}).get(BITS, "")
        bits = json.loads(text) if 0 < len(text) <= LARGEST_HEADER else None
    except (OSError, ValueError, RecursionError, SafetensorError):
        return None
    if not isinstance(bits, dict) or not all(type(width) is int and width in BIT_WIDTHS for width in bits.values()):
        return None
    return bits


def _load(model: nn.Module, state: dict[str, Tensor], file: Path) -> None:
    try:
        found = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"{file} does not fit the model of this card: {reason}") from error
    if found.missing_keys or found.unexpected_keys:
        parts = [f"it lacks {_some(found.missing_keys)}"] if found.missing_keys else []
        parts += [f"it has {_some(found.unexpected_keys)} too much"] if found.unexpected_keys else []
        raise WeightsError(
            f"{file} was not saved from the model of this card: {' and '.join(parts)}",
            hint="audit it with the card it was made under",
        )


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:_NAMED]) + (f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else "")
