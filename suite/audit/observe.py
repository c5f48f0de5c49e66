"""Laboratory, the audit: everything seen of a placed model over a few batches, as summaries of what really flowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from suite.audit.capture import Capture, Statistics
from suite.audit.views import Sharing, View, view
from suite.plan.anatomy import NETWORK, Anatomy, Kind, Operation, Role, Site
from suite.plan.table import Plan
from suite.quantizers.spec import Granularity, QuantizerSpec

CONTRAST = 0.2764
"""The second batch is the third with less contrast: a static scale stays, a dynamic one follows. No ratio of small
integers, which could be the ratio of two coarse views of one grid."""
FLOAT_POSITIONS = 2**8
"""Grids looked for where none is planned."""
FUSED_TOLERANCE = 2e-2
"""Where attention was taken apart, rounding differs, and a rounding that tips over moves a whole step."""

CROWD_TOLERANCE = 0.02
"""Relative change of most outputs that is no rounding any more."""

Edge = tuple[str, int]
"""(operation, operand index): one place where a tensor is read."""


@dataclass(frozen=True)
class Observations:
    """What was seen.

    inputs: the network's own input. operands: for each edge one view a batch. weights: for each layer the weight
    that was multiplied; unsteady are those that changed between batches. missing: operations that could not be found,
    with the reason. batch_norms: the statistics with which operations normalized. unfaithful: why what was observed is
    not what the model does otherwise.
    """

    inputs: tuple[View, ...]

    operands: Mapping[Edge, tuple[View, ...]]
    weights: Mapping[str, View]
    unsteady_weights: frozenset[str]
    missing: Mapping[str, str]
    batch_norms: Mapping[str, Statistics]
    unfaithful: str | None
    batches: int


@dataclass
class _Notes:
    operands: dict[Edge, list[View]] = field(default_factory=dict)
    weights: dict[str, View] = field(default_factory=dict)
    prints: dict[str, Tensor] = field(default_factory=dict)
    unsteady: set[str] = field(default_factory=set)


def contrasting(first: Tensor, others: Tensor) -> list[Tensor]:
    """Three batches for an audit: some inputs; others with less contrast; the same others unchanged.

    Tokens have no contrast: a sequence that repeats its first token says less in the same way.
    """
    if len(others) == 0:
        others = first.flip(0)
    duller = others * CONTRAST if others.is_floating_point() else others[:, :1].expand_as(others).contiguous()
    return [first, duller, others]


@torch.no_grad()
def observe(
    model: nn.Module, anatomy: Anatomy, plan: Plan, batches: Sequence[Tensor], crowd: Tensor | None = None
) -> Observations:
    """Run `model` on the batches in evaluation mode, and look at every tensor that a site of the plan concerns.

    The plan only says how fine a grid to look for and where; what is found does not depend on it. Every batch also
    runs unobserved, before and after: a model that knows when it is watched gives itself away. So does one that
    treats the few images of an audit unlike the `crowd` of an evaluation, where its scales are static.
    """
    looks = _looks(anatomy, plan)
    notes = _Notes()

    def on_operand(op: Operation, index: int, tensor: Tensor) -> None:
        spec = looks.operands.get((op.name, index), _UNWANTED)
        if spec is _UNWANTED:
            return
        notes.operands.setdefault((op.name, index), []).append(_look(tensor, spec, is_weight=False))

    def on_weight(op: Operation, weight: Tensor) -> None:
        layer = f"{op.module}.weight"
        mark = torch.stack([weight.double().sum(), weight.double().square().sum()])
        if layer not in notes.weights:
            notes.weights[layer] = _look(weight, looks.weights.get(layer), is_weight=True)
            notes.prints[layer] = mark
        elif not torch.equal(mark, notes.prints[layer]):
            notes.unsteady.add(layer)

    modes = {module: module.training for module in model.modules()}
    model.eval()
    capture = Capture(model, anatomy, on_operand, on_weight)
    fused = any(getattr(module, "fused_graph", None) is not None for module in model.modules())
    unfaithful: str | None = None
    for batch in batches:
        before = model(batch)
        with capture.watching():
            watched = model(batch)
        after = model(batch)
        unfaithful = unfaithful or _difference(before, watched, after, FUSED_TOLERANCE if fused else 0.0)
    if crowd is not None and not any(row.spec is not None and row.spec.dynamic for row in plan.rows):
        unfaithful = unfaithful or _changes_in_crowd(model, crowd, len(batches[0]))
    for module, training in modes.items():
        module.training = training
    findings = capture.close()
    return Observations(
        inputs=tuple(_look(batch, None, is_weight=False) for batch in batches),
        operands={edge: tuple(views) for edge, views in notes.operands.items()},
        weights=notes.weights,
        unsteady_weights=frozenset(notes.unsteady),
        missing=findings.missing,
        batch_norms=findings.batch_norms,
        unfaithful=unfaithful,
        batches=len(batches),
    )


def _difference(before: Tensor, watched: Tensor, after: Tensor, tolerance: float) -> str | None:
    for other, when in ((after, "run a second time"), (watched, "observed")):
        if before.shape != other.shape:
            return f"the model's output has another shape when it is {when}"
        if torch.equal(before, other):
            continue
        largest = float((before - other).abs().max())
        if largest > tolerance * float(before.abs().max()):
            return f"the model's output changes by up to {largest:.3g} when it is {when}"
    return None


def _changes_in_crowd(model: nn.Module, crowd: Tensor, few: int) -> str | None:
    """Whether most images get other answers among many. Single ones may: a rounding tips over now and then."""
    alone, among = model(crowd[:few]), model(crowd)[:few]
    change = (alone - among).square().flatten(1).sum(1).sqrt() / alone.square().flatten(1).sum(1).sqrt().clamp(
        min=1e-12
    )
    middle = float(change.median())
    if middle <= CROWD_TOLERANCE:
        return None
    return f"outputs change by {middle:.1%} when an image is one of {len(crowd)} instead of {few}"


def readers(anatomy: Anatomy, tensor: str) -> Iterator[Edge]:
    """Where a tensor is read in the end, behind operations that only move values."""
    for op, index in anatomy.edges(tensor):
        if op.kind is Kind.TRANSPARENT:
            yield from readers(anatomy, op.name)
        else:
            yield op.name, index


def edges_of(anatomy: Anatomy, site: Site) -> tuple[Edge, ...]:
    """The places to look at for a site that is not a weight: the operand itself, or all readers of a result."""
    if site.operand is not None:
        return ((site.op, site.operand),)
    tensor = NETWORK if site.role is Role.NETWORK_INPUT else site.tensor
    return tuple(dict.fromkeys(readers(anatomy, tensor)))


@dataclass(frozen=True)
class _Looks:
    operands: dict[Edge, QuantizerSpec | None]
    weights: dict[str, QuantizerSpec | None]


_UNWANTED = QuantizerSpec(bits=1, signed=False, symmetric=False)
"""Stands for an edge that no site concerns."""


def _looks(anatomy: Anatomy, plan: Plan) -> _Looks:
    operands: dict[Edge, QuantizerSpec | None] = {}
    weights: dict[str, QuantizerSpec | None] = {}
    for row in plan.rows:
        site = anatomy.site(row.site)
        if site.role is Role.WEIGHT:
            weights[site.tensor] = row.spec
            continue
        for edge in edges_of(anatomy, site):
            known = operands.get(edge)
            if known is None or (row.spec is not None and row.spec.bits > known.bits):
                operands[edge] = row.spec
    return _Looks(operands, weights)


def positions_of(spec: QuantizerSpec | None) -> int:
    """The most positions that the grid of a spec has; between levels of grids without zero lies one more."""
    if spec is None:
        return FLOAT_POSITIONS
    return spec.positions


def _look(tensor: Tensor, spec: QuantizerSpec | None, *, is_weight: bool) -> View:
    axis = 0 if is_weight else (spec.channel_axis if spec else 1)
    sharings: tuple[Sharing, ...] = (Sharing.CHANNEL,) if is_weight else ()
    group = 0
    if spec is not None:
        match spec.granularity:
            case Granularity.PER_CHANNEL:
                sharings = (Sharing.CHANNEL,)
            case Granularity.PER_TOKEN:
                sharings = (Sharing.TOKEN,)
            case Granularity.PER_GROUP if spec.group_size is not None:
                sharings, group = (Sharing.CHANNEL, Sharing.GROUP), spec.group_size
    positions = max(positions_of(spec), FLOAT_POSITIONS) + 1
    found = view(tensor, positions, sharings, axis=axis, group=group, counted=is_weight)
    if found.grid is None and spec is not None and spec.granularity is Granularity.PER_TENSOR and not is_weight:
        # Off one grid, but perhaps on one of its own in every channel: that decides which axis is contradicted.
        # Channels are the axis behind the batch in images and the last one in tokens.
        for channel_axis in dict.fromkeys((min(1, tensor.dim() - 1), tensor.dim() - 1)):
            by_channel = view(tensor, positions, (Sharing.CHANNEL,), axis=channel_axis)
            if by_channel.rows[Sharing.CHANNEL].fits.all():
                break
        return by_channel
    return found
