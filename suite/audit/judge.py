"""Laboratory, the audit: observes a placed model and gives every axis its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from suite.audit import judge_bits, judge_grids, judge_operations, judge_resources
from suite.audit.capture import float_statistics
from suite.audit.evidence import Claimed, Evidence, Metered, Watched, widened
from suite.audit.figures import count_bits, figures_of
from suite.audit.observe import contrasting, observe
from suite.audit.plain import plain
from suite.audit.report import AuditReport, AxisVerdict, Verdict
from suite.audit.verdicts import OBSERVERS, judged
from suite.axes import AXES, Section
from suite.plan.anatomy import Anatomy
from suite.plan.table import Plan

if TYPE_CHECKING:
    from suite.axes import Setting

# Importing these modules is what registers the observers.
_SECTIONS = (judge_bits, judge_grids, judge_operations, judge_resources)
_SEEN_IN_TENSORS = (Section.QUANTIZATION_METHOD, Section.QUANTIZED_OPERATIONS, Section.MIXED_PRECISION)

EXAMPLES = 16
"""Examples in each of the audit's batches."""
CROWD_NUMBERS = 4_000_000
"""Numbers in the one large batch with which the small ones are compared."""


def audit(
    model: nn.Module,
    *,
    anatomy: Anatomy,
    plan: Plan,
    setting: Setting,
    batches: Sequence[Tensor],
    meter: Metered | None = None,
    watch: Watched | None = None,
    claims: Claimed | None = None,
    float_score: float | None = None,
    epoch_fraction: float | None = None,
    chosen: Plan | None = None,
    reference: nn.Module | None = None,
) -> AuditReport:
    """Compare a quantized model, and what is known of how it came about, with what its card declares.

    `anatomy` and `plan` are those made from the float model before the method began. `chosen` is the same plan with
    the bits that a method of mixed precision says it chose: what is observed is held to them. `batches` are images of
    the test split, or any others as the model would meet them. `reference` is the float model that was dissected.
    """
    plan = widened(plan, anatomy, setting) if chosen is None else chosen
    seen = observe(model, anatomy, plan, _batches(batches), _crowd(batches))
    statistics = None if reference is None else float_statistics(reference, anatomy)
    evidence = Evidence(
        setting, anatomy, plan, seen, meter, watch, claims, float_score, epoch_fraction, statistics, chosen is not None
    )
    evidence.bits = count_bits(evidence, model)
    evidence.figures = figures_of(evidence.bits, scales_counted=setting["scales_in_size"] == "counted")
    return judge(evidence)


def _batches(batches: Sequence[Tensor]) -> list[Tensor]:
    """Few images, and some of them with less contrast, which is what sets static and dynamic scales apart."""
    first = batches[0][:EXAMPLES]
    others = batches[1][:EXAMPLES] if len(batches) > 1 else batches[0][EXAMPLES : 2 * EXAMPLES]
    return contrasting(first, others)


def _crowd(batches: Sequence[Tensor]) -> Tensor:
    """All images at once, or as many as memory is worth."""
    most = max(2 * EXAMPLES, CROWD_NUMBERS // max(1, batches[0][0].numel()))
    return torch.cat(list(batches))[:most]


def judge(evidence: Evidence) -> AuditReport:
    """A verdict on every axis there is."""
    axes: dict[str, AxisVerdict] = {}
    unfaithful = evidence.observations.unfaithful
    for id, axis in AXES.items():
        verdict = judged(id, plain(evidence.setting[id]), OBSERVERS[id](evidence, id))
        if unfaithful is not None and axis.section in _SEEN_IN_TENSORS and verdict.verdict is Verdict.VERIFIED:
            verdict = AxisVerdict(verdict.declared, None, Verdict.NOT_OBSERVABLE, unfaithful)
        axes[id] = verdict
    return AuditReport(axes, evidence.figures, evidence.bits)
