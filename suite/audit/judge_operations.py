"""Laboratory, the audit: verdicts on the section "quantized operations": which tensors are on a grid at all."""

from __future__ import annotations

from collections.abc import Sequence

from suite.audit.evidence import Evidence
from suite.audit.fits import State
from suite.audit.sites import SiteEvidence
from suite.audit.verdicts import Finding, contradicted, observes, of_problems, some, unseen, verified
from suite.audit.views import SURPRISING, Sharing, View
from suite.plan.anatomy import NETWORK, Kind, Role


@observes(
    "skip_connection", "residual_connection", "elementwise_product", "softmax", "normalization", "activation_function",
    "network_input", "network_output", "first_layer_weights", "last_layer_weights", "first_layer_activations",
    "last_layer_activations", "shortcut_weights",
)  # fmt: skip
def on_grid(evidence: Evidence, axis: str) -> Finding:
    """Axes that ask whether the values at certain sites are on a grid, and of how many bits."""
    found = of_problems(evidence.problems(axis))
    if found is not None:
        return found
    sites = evidence.of_switch(axis) or evidence.of_bits(axis)
    if not sites:
        return unseen("the model has no such site")
    if evidence.setting[axis] == "full-precision":
        return _float(evidence, [one for one in sites if one.row.spec is None])
    seen = [one for one in sites if one.fit is not None and one.fit.state is State.ON_GRID]
    if seen:
        bits = sorted({one.row.spec.bits for one in seen if one.row.spec is not None})
        quoted = "; ".join(f"{one.name}: {one.fit.text}" for one in seen[:2] if one.fit is not None)
        return verified(
            f"{', '.join(map(str, bits))} bits", f"{len(seen)} of {len(sites)} sites on their grids; {quoted}"
        )
    floats = [one for one in sites if one.row.spec is None]
    if floats and len(floats) == len(sites):
        return _float(evidence, floats)
    return unseen(f"{some(one.name for one in sites)}: {_why_silent(sites)}")


def _why_silent(sites: Sequence[SiteEvidence]) -> str:
    texts = [one.fit.text for one in sites if one.fit is not None and one.fit.text]
    return texts[0] if texts else "nothing was seen there"


def _float(evidence: Evidence, sites: Sequence[SiteEvidence]) -> Finding:
    """Sites declared full precision. On a grid they contradict the card only if every one of them is."""
    missing = [one for one in sites if one.missing is not None]
    if missing:
        return contradicted("not found", "; ".join(f"{one.name}: {one.missing}" for one in missing[:3]))
    free = [one for one in sites if one.views and any(_on_no_grid(evidence, one, view) for view in one.views)]
    if free:
        view = free[0].views[0]
        return verified(
            "full-precision",
            f"{len(free)} of {len(sites)} sites on no grid; {free[0].name}: at least {view.distinct} values",
        )
    limit = _positions(evidence)
    bound = [one for one in sites if one.views and all(_clearly_on_grid(view, limit) for view in one.views)]
    bound = [one for one in bound if not _inherits_grid(evidence, one)]
    if bound and len(bound) == len(sites):
        grid = bound[0].views[0].grid
        text = f"{grid.distinct} levels on {grid.positions} positions" if grid else "each channel on its own grid"
        return contradicted("quantized", f"{some(one.name for one in bound)} on grids; {bound[0].name}: {text}")
    return unseen(f"{some(one.name for one in sites)}: all readers have grids of their own, or too few values flowed")


def _on_no_grid(evidence: Evidence, one: SiteEvidence, view: View) -> bool:
    if one.is_weight:
        rows = view.rows[Sharing.CHANNEL]
        return view.distinct > 8 and view.grid is None and not bool(rows.fits.all())
    if evidence.anatomy.root(one.site.tensor) == NETWORK:
        # An image has 256 grey levels by nature. It is unquantized if it is still the image.
        return any((view.lowest, view.highest, view.distinct) == _mark(raw) for raw in evidence.observations.inputs)
    return view.nonzero > 16 and view.grid is None


def _mark(view: View) -> tuple[float, float, int]:
    return view.lowest, view.highest, view.distinct


def _positions(evidence: Evidence) -> int:
    """Positions of the widest grid that the card asks for in general."""
    widest = max(int(float(str(evidence.setting[axis]))) for axis in ("weight_bits", "activation_bits"))
    return int(2 ** min(widest, 8)) + 1


def _inherits_grid(evidence: Evidence, one: SiteEvidence) -> bool:
    """Whether values are on a grid by nobody's doing: the mean of n codes is a multiple of 1 / n of their step."""
    return not one.is_weight and evidence.anatomy.op(evidence.anatomy.root(one.site.tensor)).kind is Kind.AVERAGE_POOL


def _clearly_on_grid(view: View, positions: int) -> bool:
    if view.grid is not None:
        return view.grid.offset == 0.0 and view.surprising and view.grid.positions <= positions
    rows = view.rows.get(Sharing.CHANNEL)
    if rows is None or not rows.fits.all() or int(rows.positions.max()) > positions:
        return False
    return bool((rows.chance < SURPRISING).any())


@observes("pooling")
def pooling(evidence: Evidence, axis: str) -> Finding:
    """As any operation; integer pooling in addition keeps its result on the grid of its input."""
    if evidence.setting[axis] != "low-precision-integer":
        return on_grid(evidence, axis)
    found = of_problems(evidence.problems(axis))
    if found is not None:
        return found
    sites = evidence.of_switch(axis)
    compared: list[str] = []
    for result in (one for one in sites if one.site.role is Role.POOL_OUTPUT):
        source = next(
            (one for one in sites if one.site.op == result.site.op and one.site.role is Role.POOL_INPUT), None
        )
        if source is None or source.fit is None or result.fit is None:
            continue
        if not source.fit.spacing.size or not result.fit.spacing.size:
            continue
        if source.fit.sets == result.fit.sets == 1:
            ratio = float(result.fit.spacing[0] / source.fit.spacing[0])
            if abs(ratio - round(ratio)) > 1e-3 * ratio or round(ratio) < 1:
                text = (
                    f"step {result.fit.spacing[0]:.5g} at {result.name}, {source.fit.spacing[0]:.5g} at {source.name}"
                )
                return contradicted("another grid than the input's", text)
        compared.append(result.name)
    if compared:
        return verified("low-precision-integer", f"the mean lies on the grid of its input at {some(compared)}")
    return unseen(
        "the model has no average pooling that could be seen on a grid" if sites else "the model has no such site"
    )


@observes("batch_norm")
def batch_norm(evidence: Evidence, axis: str) -> Finding:
    """Whether batch normalizations are still called."""
    normed = sorted(evidence.observations.batch_norms)
    if evidence.setting[axis] == "float":
        if normed:
            return verified("float", f"{len(normed)} batch normalizations were called, for example {normed[0]}")
        return unseen("the model has no batch normalization left to see")
    expected = {op.name for op in evidence.anatomy.of_kind(Kind.BATCH_NORM)}
    extra = [name for name in normed if name not in expected]
    if extra:
        return contradicted("float", f"{some(extra)} still normalize")
    folded = len(evidence.plan.folds)
    if normed:
        return unseen(f"{some(normed)} follow no layer into which they could be folded")
    if folded or not expected:
        return verified("folded", "no batch normalization was called")
    return unseen("the model has no batch normalization")
