"""Laboratory, the audit: where one site breaks what is declared for it; each problem names the contradicted axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from suite.audit.fits import SiteFit, State
from suite.audit.sites import SiteEvidence
from suite.quantizers.spec import QuantizerSpec


@dataclass(frozen=True)
class Problem:
    """A site that contradicts an axis. `observed` is one or two words, `text` the tensor and the numbers."""

    axis: str
    observed: str
    text: str


def problems_of(one: SiteEvidence) -> Iterator[Problem]:
    """Everything that contradicts the plan at one site that is declared to be on a grid."""
    spec = one.row.spec
    if spec is None:
        return
    if one.missing is not None:
        yield Problem(one.decider, "not found", f"{one.name}: {one.missing}")
        return
    fit = one.fit
    if fit is None:
        return
    if one.unasked:
        if fit.lowest.size and fit.state is not State.SILENT:
            yield Problem(one.decider, "quantized", f"{one.name} is declared full precision; {fit.text}")
        return
    said = f"{one.name} is declared with {spec.bits} bits"
    what = "weight" if one.is_weight else "activation"
    match fit.state:
        case State.FLOAT:
            yield Problem(one.decider, "full-precision", f"{said}; {fit.text}")
        case State.UNEVEN:
            yield Problem("grid", "non-uniform", f"{said}; {fit.text}")
        case State.MISSES_ZERO:
            yield Problem(one.decider, "no zero on the grid", f"{said}; {fit.text}")
            if spec.symmetric:
                yield Problem(f"{what}_symmetry", "asymmetric", f"{said}; {fit.text}")
        case State.FINER_SHARING:
            yield Problem(
                f"{what}_granularity", "finer", f"{one.name} is declared {spec.granularity.value}; {fit.text}"
            )
            yield from _code_problems(one, fit, spec)
        case State.MOVING:
            yield Problem("activation_parameters", "dynamic", f"{one.name} is declared static; {fit.text}")
            yield from _code_problems(one, fit, spec)
        case _:
            yield from _code_problems(one, fit, spec)


def _code_problems(one: SiteEvidence, fit: SiteFit, spec: QuantizerSpec) -> Iterator[Problem]:
    """What the codes of a grid contradict. A coarser grid could only have fewer codes, so each is a proof."""
    if not fit.lowest.size:
        return
    what = "weight" if one.is_weight else "activation"
    low, high = int(fit.lowest.min()), int(fit.highest.max())
    if spec.binary or spec.odd:
        if fit.positions > spec.positions or fit.distinct > spec.levels:
            bits = f"{spec.bits} bit" + "s" * (spec.bits > 1)
            yield Problem(one.bits_axis, f"{fit.bits} bits", f"{one.name} is declared with {bits}; {fit.text}")
        if spec.without_zero and any(view.nonzero < view.elements for view in one.views):
            yield Problem(f"{what}_symmetry", "zero on the grid", f"{one.name} has weights that are zero; {fit.text}")
        return
    if fit.positions > one.allowed_positions:
        text = (
            f"{one.name} is declared with {spec.bits} bits, so {one.allowed_positions} levels; "
            f"its codes span {fit.positions}; {fit.text}"
        )
        yield Problem(one.bits_axis, f"{fit.bits} bits", text)
        if spec.symmetric and spec.signed and fit.positions == 2**spec.bits + 1 and low == -high:
            yield Problem("extra_level", "present", text)
        return
    if not spec.symmetric:
        return
    limit = 2 ** (spec.bits - 1)
    codes = f"{one.name}: codes from {low} to {high} around zero, declared with {spec.bits} bits"
    if not spec.signed:
        if low < 0 or high > 2**spec.bits - 1:
            yield Problem(f"{what}_symmetry", "asymmetric", f"{codes}, unsigned without a zero point")
        return
    highest = limit if spec.has_extra_level else limit - 1
    if high > highest or low < -limit:
        if not one.is_weight and low >= 0:
            yield Problem("unsigned_activations", "where-non-negative", f"{codes}, and a sign bit")
        else:
            yield Problem(f"{what}_symmetry", "asymmetric", f"{codes}, which needs a zero point")
    elif spec.narrow and low == -limit:
        yield Problem("signed_range", "full", f"{codes}, and code {-limit} left out")


def needs_zero_point(fit: SiteFit, bits: int) -> bool:
    """Whether any of a site's grids has codes that no symmetric grid of these bits holds."""
    limit = 2 ** (bits - 1)
    return bool(np.any((fit.highest > limit - 1) | (fit.lowest < -limit)))
