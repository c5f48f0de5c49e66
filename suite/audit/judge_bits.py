"""Laboratory, the audit: verdicts on the section "mixed precision", from the number of positions each grid needs."""

from __future__ import annotations

from math import ceil

from suite.audit.evidence import Evidence
from suite.audit.figures import nominal_average
from suite.audit.fits import State
from suite.audit.sites import SiteEvidence
from suite.audit.verdicts import Finding, contradicted, observes, of_problems, some, unseen, verified
from suite.bits import FLOAT_BITS, Convention, average

AVERAGE_TOLERANCE = 0.005
"""Relative difference up to which a claimed and a counted figure are the same."""
EXACT = 1e-9
"""A bound on an average leaves room for the rounding of its own division, and for nothing else."""


def _general(evidence: Evidence, axis: str) -> list[SiteEvidence]:
    """Sites that a general bits axis rules: its own, and the ends of the network that are declared the same."""
    sites = evidence.weights if axis.startswith("weight") else evidence.activations
    return [one for one in sites if one.bits_axis == axis or evidence.setting[one.bits_axis] == "same"]


def _grid_average(evidence: Evidence, what: str) -> float:
    """Bits per weight, or per value of all feature maps, over what is on a grid; every tensor counts once.

    What an axis keeps in float is left out: that axis answers for it.
    """
    sites = {one.name: one for one in evidence.sites}
    found: list[tuple[int, int]] = []
    for tensor in evidence.plan.counted:
        if tensor.is_weight is not (what == "weight") or not evidence.plan.quantizers_on(tensor):
            continue
        readers = [sites[name] for name in tensor.sites if sites[name].row.spec is not None]
        widest = max(readers, key=lambda one: one.nominal_bits)
        # What several sites read counts once, and a weight, which one site reads, may have bits for each of its values.
        precisions = widest.nominal_precisions if tensor.is_weight else {widest.nominal_bits: tensor.elements}
        found.extend((count, bits) for bits, count in precisions.items())
    return average(found)


def _largest_map(evidence: Evidence, target: float) -> Finding:
    """The largest feature map in bytes against the bound: the one with the most values, at the declared bits."""
    figures = evidence.figures
    sizes = f"largest {figures.feature_map_largest_bytes:,} bytes, together {figures.feature_map_total_bytes:,}"
    most = max((tensor.elements for tensor in evidence.plan.counted if not tensor.is_weight), default=0)
    limit = ceil(most * target / 8)
    if figures.feature_map_largest_bytes > limit:
        return contradicted(figures.feature_map_largest_bytes, f"{sizes}; the bound is {limit:,} bytes")
    return verified(figures.feature_map_largest_bytes, f"{sizes}; the bound is {limit:,} bytes")


@observes("weight_bits", "activation_bits")
def bits(evidence: Evidence, axis: str) -> Finding:
    """Contradicted by a grid with more positions than 2^bits, by no grid, or by a claim below what was counted."""
    found = of_problems(evidence.problems(axis))
    if found is not None:
        return found
    if evidence.observations.unfaithful is not None:
        return contradicted("not what the model does", evidence.observations.unfaithful)
    what = axis.removesuffix("_bits")
    claimed = _claim(evidence, what)
    if claimed is not None:
        return claimed
    sites = _general(evidence, axis)
    if evidence.setting[axis] == FLOAT_BITS:
        free = [one for one in sites if one.row.spec is None and any(view.grid is None for view in one.views)]
        return verified(32, f"{some(one.name for one in free)} on no grid") if free else unseen("no such site was seen")
    seen = [one for one in sites if one.fit is not None and one.fit.state is State.ON_GRID]
    if not seen:
        return unseen("no such site was seen on a grid")
    if evidence.setting[f"{what}_precision"] == "mixed":
        target = float(str(evidence.setting[axis]))
        if what == "activation" and evidence.setting["activation_constraint"] == "maximum-feature-map":
            return _largest_map(evidence, target)  # the target is that of the largest map: smaller ones have more bits
        average = _grid_average(evidence, what)
        if average > target * (1 + EXACT):
            return contradicted(round(average, 3), f"{average:.3f} bits on average, {target:g} declared")
        return verified(round(average, 3), f"{average:.3f} bits on average, at most {target:g} declared")
    widest = max(seen, key=lambda one: one.fit.positions if one.fit is not None else 0)
    text = f"{len(seen)} sites have at most 2^bits positions, the widest is {widest.name}"
    return verified(evidence.setting[axis], f"{text} ({widest.fit.text})" if widest.fit is not None else text)


def _claim(evidence: Evidence, what: str) -> Finding | None:
    """The average that a method claims against the one that was counted."""
    claims, figures = evidence.claims, evidence.figures
    if claims is None:
        return None
    claimed = claims.average_weight_bits if what == "weight" else claims.average_activation_bits
    counted = figures.average_weight_bits if what == "weight" else figures.average_activation_bits
    if (
        claimed is None
        or claimed >= nominal_average(evidence, what) * (1 - AVERAGE_TOLERANCE)
        or _without_sign(evidence, claimed, what)
    ):
        return None
    return contradicted(
        round(counted, 3), f"the method claims {claimed:.3f} bits on average, {counted:.3f} were counted"
    )


def _without_sign(evidence: Evidence, claimed: float, what: str) -> bool:
    """Whether a claimed average is the counted one without the signs of the weights."""
    if what != "weight":
        return False
    less = nominal_average(evidence, what, Convention.IMPLICIT_SIGN)
    return less < nominal_average(evidence, what) and abs(claimed - less) <= AVERAGE_TOLERANCE * less


@observes("weight_precision", "activation_precision")
def precision(evidence: Evidence, axis: str) -> Finding:
    """Fixed: the declared bits suffice everywhere. Mixed: grids of several widths were seen."""
    what = axis.removesuffix("_precision")
    if evidence.setting[f"{what}_bits"] == FLOAT_BITS:
        return unseen("nothing is declared to be quantized")
    general = _general(evidence, f"{what}_bits")
    wide = [one for one in general if one.fit is not None and one.fit.positions > one.allowed_positions]
    if evidence.setting[axis] == "fixed" and wide:
        found = sorted({one.fit.bits for one in general if one.fit is not None and one.fit.positions > 1})
        quoted = "; ".join(f"{one.name}: {one.fit.text}" for one in wide[:3] if one.fit is not None)
        return contradicted(found, f"{len(wide)} of {len(general)} sites need other bits than the rest; {quoted}")
    seen = [one for one in general if one.fit is not None and one.fit.state is State.ON_GRID]
    if evidence.setting[axis] == "fixed":
        if len(seen) < 2:
            return unseen("fewer than two sites were seen on a grid")
        return verified("fixed", f"the declared bits suffice for each of {len(seen)} sites")
    widths = sorted({bits for one in seen for bits in one.nominal_precisions})
    if len(widths) > 1:
        return verified("mixed", f"grids of {', '.join(map(str, widths))} bits were seen")
    return unseen("all grids need the same bits, as mixed precision may choose as well")


@observes("allowed_bit_widths")
def allowed_bit_widths(evidence: Evidence, axis: str) -> Finding:
    """Contradicted by a grid that needs more than the widest allowed bits."""
    allowed = evidence.setting[axis]
    if not isinstance(allowed, tuple):
        return unseen("every width is allowed")
    mixed = [what for what in ("weight", "activation") if evidence.setting[f"{what}_precision"] == "mixed"]
    if not mixed:
        return unseen("nothing is declared to have mixed precision")
    sites = [one for what in mixed for one in _general(evidence, f"{what}_bits") if one.fit is not None]
    if evidence.chosen:
        widths = sorted({one.row.spec.bits for one in sites if one.row.spec is not None} - set(allowed))
        if widths:
            return contradicted(widths, f"the method chose {', '.join(map(str, widths))} bits")
    wide = [one for one in sites if one.nominal_bits > max(allowed)]
    if wide:
        quoted = "; ".join(f"{one.name}: {one.fit.bits} bits" for one in wide[:3] if one.fit is not None)
        return contradicted(sorted({one.fit.bits for one in sites if one.fit is not None}), quoted)
    seen = [one for one in sites if one.fit is not None and one.fit.state is State.ON_GRID]
    if not seen:
        return unseen("no such site was seen on a grid")
    return verified(list(allowed), f"each of {len(seen)} grids fits one of the allowed widths")


@observes("bit_width_granularity")
def bit_width_granularity(evidence: Evidence, axis: str) -> Finding:
    """A channel's bits cannot be told from how many codes it happens to use; a weight's can, on nested grids."""
    if evidence.setting["weight_precision"] == "fixed":
        return unseen("all weights have the same bits")
    if evidence.setting[axis] == "per-layer":
        return unseen("a channel that needs fewer bits may simply use few of its codes")
    single = [one for one in evidence.weights if one.seen_precisions is not None]
    several = max(single, key=lambda one: len(one.precisions), default=None)
    if several is not None and len(several.precisions) > 1:
        shown = ", ".join(f"{count:,} weights of {bits}" for bits, count in several.precisions.items())
        return verified("per-weight", f"precisions read off the values of {several.name}, in bits: {shown}")
    return unseen("bits of single channels or weights may be fewer than those of their layer for other reasons")


@observes("activation_constraint")
def activation_constraint(evidence: Evidence, axis: str) -> Finding:
    """The sizes of the feature maps against the bound that the declared average sets."""
    value = evidence.setting[axis]
    figures = evidence.figures
    sizes = f"largest {figures.feature_map_largest_bytes:,} bytes, together {figures.feature_map_total_bytes:,}"
    if value == "none":
        return unseen(f"no bound is declared; feature maps: {sizes}")
    target = float(str(evidence.setting["activation_bits"]))
    if value == "average-feature-map":
        average = figures.average_activation_bits
        if average > target * (1 + EXACT):
            return contradicted(round(average, 3), f"{average:.3f} bits on average, {target:g} declared; {sizes}")
        return verified(round(average, 3), f"{average:.3f} bits on average, at most {target:g}; {sizes}")
    return _largest_map(evidence, target)


@observes("sign_bit")
def sign_bit(evidence: Evidence, axis: str) -> Finding:
    """Counted: 2^bits positions hold negative and positive levels together, and no claim says less.

    The plan refuses any other value, so none is judged here.
    """
    figures, claims = evidence.figures, evidence.claims
    claimed = claims.average_weight_bits if claims is not None else None
    counted = f"{figures.average_weight_bits:.3f} bits a weight with signs"
    if claimed is not None and _without_sign(evidence, claimed, "weight"):
        return contradicted(
            "not-counted", f"the method claims {claimed:.3f} bits on average, the levels need {counted}"
        )
    signed = [one for one in evidence.weights if one.fit is not None and one.row.spec and one.row.spec.signed]
    fine = [one for one in signed if one.fit is not None and one.fit.state is State.ON_GRID and not _negative_free(one)]
    if not fine:
        return unseen("no signed grid was seen")
    if any(one.fit is not None and one.fit.positions > one.allowed_positions for one in signed):
        return unseen("the grids need more than the declared bits, see weight_bits")
    return verified("counted", f"negative and positive levels together need no more than the declared bits; {counted}")


def _negative_free(one: SiteEvidence) -> bool:
    return one.fit is None or not bool((one.fit.lowest < 0).any())


@observes("scales_in_size")
def scales_in_size(evidence: Evidence, axis: str) -> Finding:
    """A claimed size against the audit's own count with and without scales and zero points."""
    figures, claims = evidence.figures, evidence.claims
    bare, scales = figures.model_bytes_without_scales, figures.scale_bytes
    counts = f"{bare:,} bytes without scales and zero points, {scales:,} for them"
    claimed = claims.model_bytes if claims is not None else None
    if evidence.setting[axis] == "not-counted":
        return unseen(f"left out as declared: {counts}") if claimed is None else verified("not-counted", counts)
    if claimed is not None and scales and claimed < bare + scales / 2:
        return contradicted("not-counted", f"the method claims {claimed:,} bytes; counted: {counts}")
    if not scales:
        return unseen("there is no scale to count")
    return verified("counted", f"the size is the audit's own count: {counts}")
