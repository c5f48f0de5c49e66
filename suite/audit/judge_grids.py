"""Laboratory, the audit: verdicts on the section "quantization method", from levels and steps."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from suite.audit.evidence import Evidence
from suite.audit.fits import State
from suite.audit.problems import needs_zero_point
from suite.audit.sites import SiteEvidence
from suite.audit.verdicts import Finding, contradicted, observes, of_problems, some, unseen, verified
from suite.axes import AXES
from suite.quantizers.spec import Granularity


def _gridded(sites: Iterable[SiteEvidence]) -> list[SiteEvidence]:
    """Sites that were really seen on a grid."""
    return [one for one in sites if one.fit is not None and one.fit.state is State.ON_GRID]


def _signed(evidence: Evidence) -> list[SiteEvidence]:
    """Sites on symmetric signed grids of all integers; the codes of grids without zero are odd."""
    specs = [(one, one.row.spec) for one in _gridded(evidence.sites)]
    return [one for one, spec in specs if spec is not None and spec.symmetric and spec.signed and not spec.odd]


@observes("grid")
def grid(evidence: Evidence, axis: str) -> Finding:
    """Contradicted where few levels are no multiples of one step."""
    found = of_problems(evidence.problems(axis))
    if found is not None:
        return found
    seen = _gridded(evidence.sites)
    if not seen:
        return unseen("nothing was seen on a grid")
    return verified(
        "uniform", f"at {len(seen)} sites all levels are multiples of one step, for example {_quote(seen[0])}"
    )


@observes("weight_symmetry", "activation_symmetry")
def symmetry(evidence: Evidence, axis: str) -> Finding:
    """Symmetric: codes around zero stay inside symmetric limits. Asymmetric: some do not."""
    found = of_problems(evidence.problems(axis))
    if found is not None:
        return found
    seen = _gridded(evidence.weights if axis.startswith("weight") else evidence.activations)
    if not seen:
        return unseen("nothing was seen on a grid")
    if evidence.setting[axis] == "symmetric-without-zero":
        return verified(
            "symmetric-without-zero", f"no weight of {len(seen)} sites is zero, and their levels lie around zero"
        )
    if evidence.setting[axis] == "symmetric":
        return verified("symmetric", f"the codes of {len(seen)} sites lie inside symmetric limits, zero included")
    beside = [one for one in seen if one.row.spec and one.fit and needs_zero_point(one.fit, one.row.spec.bits)]
    if beside:
        return verified("asymmetric", f"codes at {some(one.name for one in beside)} need a zero point")
    return unseen("all codes that occurred would fit a symmetric grid as well")


@observes("weight_granularity")
def weight_granularity(evidence: Evidence, axis: str) -> Finding:
    """Contradicted where weights lie on more, or on fewer, grids than declared."""
    found = of_problems(evidence.problems(axis))
    if found is not None:
        return found
    return _granularity(evidence, axis, evidence.weights)


@observes("activation_granularity")
def activation_granularity(evidence: Evidence, axis: str) -> Finding:
    """Contradicted where activations lie on more, or on fewer, grids than declared."""
    found = of_problems(evidence.problems(axis))
    if found is not None:
        return found
    return _granularity(evidence, axis, evidence.activations)


def _granularity(evidence: Evidence, axis: str, sites: tuple[SiteEvidence, ...]) -> Finding:
    declared = str(evidence.setting[axis])
    if declared == Granularity.PER_WEIGHT:
        return unseen("with a scale for every weight, every value lies on some grid")
    seen = _gridded(sites)
    if not seen:
        return unseen("nothing was seen on a grid")
    if declared == Granularity.PER_TENSOR:
        return verified(
            declared, f"one step holds all of each tensor at {len(seen)} sites, for example {_quote(seen[0])}"
        )
    told = [one for one in seen if one.fit is not None and one.fit.shared is not None]
    apart = [one for one in told if one.fit is not None and not one.fit.shared]
    if apart:
        return verified(
            declared, f"no coarser sharing holds the values of {len(apart)} sites, for example {_quote(apart[0])}"
        )
    coarser = Granularity.PER_CHANNEL if declared == Granularity.PER_GROUP else Granularity.PER_TENSOR
    if len(told) >= 2:
        text = f"one grid is shared more widely at all {len(told)} sites, for example {_quote(told[0])}"
        return contradicted(coarser.value, text)
    return unseen("too few sets of values to tell whether they share one scale")


@observes("weight_group_size")
def weight_group_size(evidence: Evidence, axis: str) -> Finding:
    """Contradicted where a group of the declared size lies on no grid."""
    size = evidence.setting[axis]
    if size == "none":
        return unseen("there are no groups: it has a value only with per-group weights")
    broken = [one for one in evidence.weights if one.fit is not None and one.fit.state is State.FLOAT]
    if broken:
        return contradicted("other groups", "; ".join(_quote(one) for one in broken[:3]))
    apart = [one for one in _gridded(evidence.weights) if one.fit is not None and one.fit.shared is False]
    if apart:
        return verified(size, f"groups of {size} lie on grids of their own, for example {_quote(apart[0])}")
    return unseen("no layer has channels with several groups that could be told apart")


@observes("activation_parameters")
def activation_parameters(evidence: Evidence, axis: str) -> Finding:
    """Static: one grid holds batches of different contrast. Dynamic: steps follow the batch."""
    found = of_problems(evidence.problems(axis))
    if found is not None:
        return found
    told = [one for one in _gridded(evidence.activations) if one.fit is not None and one.fit.moved is not None]
    moving = [one for one in told if one.fit is not None and one.fit.moved]
    if evidence.setting[axis] == "static":
        if not told:
            return unseen("no activation was seen on a grid in two batches")
        return verified("static", f"at {len(told)} sites one grid holds batches of different contrast")
    if moving:
        return verified("dynamic", f"steps follow the batch at {len(moving)} sites, for example {moving[0].name}")
    if len({one.row.quantizer for one in told}) >= 2:
        return contradicted(
            "static",
            f"at all {len(told)} sites one grid holds batches of different contrast, for example {told[0].name}",
        )
    return unseen("no activation was seen on comparable grids in two batches")


@observes("signed_range")
def signed_range(evidence: Evidence, axis: str) -> Finding:
    """Whether the lowest code, -2^(bits-1), occurs."""
    found = of_problems(evidence.problems(axis))
    if found is not None:
        return found
    seen = _signed(evidence)
    if not seen:
        return unseen("there is no symmetric signed grid")
    lowest = [one for one in seen if one.row.spec and one.fit and _uses_lowest(one)]
    if evidence.setting[axis] == "full":
        if lowest:
            return verified("full", f"the lowest code occurs at {some(one.name for one in lowest)}")
        return unseen("the lowest code did not occur")
    return verified("narrow", f"the lowest code occurs at none of {len(seen)} signed sites")


def _uses_lowest(one: SiteEvidence) -> bool:
    assert one.row.spec is not None
    assert one.fit is not None
    return bool(np.any(one.fit.lowest == -(2 ** (one.row.spec.bits - 1))))


@observes("extra_level")
def extra_level(evidence: Evidence, axis: str) -> Finding:
    """Whether 2^bits + 1 positions occur on symmetric signed grids."""
    found = of_problems(evidence.problems(axis))
    if found is not None:
        return found
    seen = _signed(evidence)
    if not seen:
        return unseen("there is no symmetric signed grid")
    if evidence.setting[axis] == "absent":
        return verified("absent", f"no more than 2^bits positions at {len(seen)} signed sites")
    full = [one for one in seen if one.row.spec and one.fit and one.fit.positions == 2**one.row.spec.bits + 1]
    if full:
        return verified("present", f"2^bits + 1 positions at {some(one.name for one in full)}")
    return unseen("the extra level did not occur")


@observes("unsigned_activations")
def unsigned_activations(evidence: Evidence, axis: str) -> Finding:
    """Whether codes at sites without negative values use the place of the sign."""
    found = of_problems(evidence.problems(axis))
    if found is not None:
        return found
    if evidence.setting["activation_symmetry"] != "symmetric":
        return unseen("asymmetric grids have no sign bit to drop")
    tensors = evidence.anatomy.tensors
    seen = [one for one in _gridded(evidence.activations) if tensors[one.site.tensor].non_negative]
    upper = [
        one for one in seen if one.row.spec and one.fit and int(one.fit.highest.max()) >= 2 ** (one.row.spec.bits - 1)
    ]
    if evidence.setting[axis] == "where-non-negative":
        if upper:
            return verified(
                "where-non-negative", f"codes use the place of the sign at {some(one.name for one in upper)}"
            )
        return unseen("no code beyond a signed grid occurred")
    if seen:
        return verified("never", f"at {len(seen)} sites without negative values no code uses the place of the sign")
    return unseen("no site without negative values was seen on a grid")


@observes("batch_norm_statistics")
def batch_norm_statistics(evidence: Evidence, axis: str) -> Finding:
    """Whether batch normalizations normalize with the mean and variance that the float model has."""
    seen, of_float = evidence.observations.batch_norms, evidence.statistics
    if not seen:
        return unseen("the model has no batch normalization left to see")
    if of_float is None:
        return unseen("the statistics of the float model are not at hand")
    moved = sorted(name for name, found in seen.items() if name not in of_float or not found.equals(of_float[name]))
    if evidence.setting[axis] == "frozen":
        if moved:
            return contradicted("moved", f"{some(moved)} normalize otherwise than in the float model")
        return verified("frozen", f"{len(seen)} batch normalizations have the statistics of the float model")
    if moved:
        return unseen(f"{some(moved)} normalize otherwise than in the float model; numbers do not tell how they came")
    if evidence.setting[axis] == "re-estimated":
        return contradicted("frozen", f"{len(seen)} batch normalizations have the statistics of the float model")
    return unseen("statistics are those of the float model, as they are where no training batch has passed")


@observes(
    "weight_range", "activation_range", "percentile", "symmetric_step", "gradient_mask", "step_gradient_scale",
    "initialization_examples",
)  # fmt: skip
def untraceable(evidence: Evidence, axis: str) -> Finding:
    """Axes that shape how numbers were found, and not which."""
    del evidence
    return unseen(AXES[axis].observation.why_not or "it leaves no trace in the quantized model")


def _quote(one: SiteEvidence) -> str:
    return f"{one.name} ({one.fit.text})" if one.fit is not None else one.name
