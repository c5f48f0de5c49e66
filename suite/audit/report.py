"""Laboratory, the audit: its answer. One verdict an axis, one over all, and the figures it counted itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from suite.audit.plain import Plain, plain
from suite.bits import BitAccount


class Verdict(StrEnum):
    """The three answers. Only positive evidence leads to one of the first two."""

    VERIFIED = "verified"
    CONTRADICTED = "contradicted"
    NOT_OBSERVABLE = "not observable"


@dataclass(frozen=True)
class AxisVerdict:
    """One axis: what the card declares, what was seen, and the tensors and numbers that decide."""

    declared: Plain
    observed: Plain
    verdict: Verdict
    evidence: str

    def to_dict(self) -> dict[str, Plain]:
        return {
            "declared": self.declared,
            "observed": self.observed,
            "verdict": self.verdict.value,
            "evidence": self.evidence,
        }


@dataclass(frozen=True)
class Figures:
    """Sizes and averages counted by the audit, from observed levels and never from what a quantizer says.

    Feature maps are the tensors that operations read, for one example. Bits of a tensor are those its observed grid
    needs within what was declared; a tensor on no grid counts 32. The map of precisions, where they vary inside a
    layer, is part of both sizes of the model.
    """

    average_weight_bits: float
    average_activation_bits: float
    model_bytes: int
    model_bytes_without_scales: int
    scale_bytes: int
    precision_map_bytes: int
    feature_map_largest_bytes: int
    feature_map_total_bytes: int

    def to_dict(self) -> dict[str, Plain]:
        return {name: plain(value) for name, value in vars(self).items()}


@dataclass(frozen=True)
class AuditReport:
    """The whole audit: contradicted as soon as one axis is."""

    axes: Mapping[str, AxisVerdict]
    figures: Figures
    bits: BitAccount

    @property
    def verdict(self) -> Verdict:
        return Verdict.CONTRADICTED if self.contradicted else Verdict.VERIFIED

    @property
    def contradicted(self) -> tuple[str, ...]:
        return tuple(axis for axis, found in self.axes.items() if found.verdict is Verdict.CONTRADICTED)

    def messages(self) -> list[str]:
        """One line for every contradicted axis; each begins with the name of the axis."""
        return [
            f"{axis}: declared {_shown(found.declared)}, observed {_shown(found.observed)}; {found.evidence}"
            for axis, found in self.axes.items()
            if found.verdict is Verdict.CONTRADICTED
        ]

    def to_dict(self) -> dict[str, Plain]:
        """The part that a record and a card keep: JSON-safe, verdict and axes."""
        return {
            "verdict": self.verdict.value,
            "axes": {axis: found.to_dict() for axis, found in self.axes.items()},
        }


def _shown(value: Plain) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
