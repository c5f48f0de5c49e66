"""Plan, sharing: reads of one tensor under one specification share one quantizer, also across transparent operations.

The input of a block is read by its first convolution and, sliced and padded, by its skip path. Both want the same
grid, so the quantizer stands before the fork and the slice reads the quantized tensor. Where a path does not fork,
its quantizer stays at its end: behind a max pool there are fewer values to quantize, and the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from suite.plan.anatomy import Anatomy, Kind, Operation, Site
from suite.quantizers.spec import Granularity, QuantizerSpec


@dataclass(frozen=True)
class Demand:
    """A site that wants to read its tensor on a grid."""

    site: Site
    spec: QuantizerSpec


@dataclass(frozen=True)
class Group:
    """Edges that read `tensor` through one quantizer, and the sites behind them."""

    tensor: str
    spec: QuantizerSpec
    edges: tuple[tuple[str, int], ...]
    sites: tuple[Site, ...]


def group_demands(anatomy: Anatomy, demands: Iterable[Demand]) -> list[Group]:
    """One group a quantizer, in data-flow order of the tensors.

    Walks the data flow backwards. A transparent operation whose result is read under one specification only, by all
    its readers, passes the demand on to what it reads; two demands that meet there under one specification merge.
    """
    direct = {(demand.site.op, demand.site.operand): demand for demand in demands}
    passed: dict[str, Group] = {}  # by transparent operation: a group that may still merge with others upstream
    closed: list[Group] = []
    order = {op.name: index for index, op in enumerate(anatomy.ops)}
    for op in reversed(anatomy.ops):
        meeting: dict[QuantizerSpec, list[Group]] = {}
        raw = False
        for reader, index in anatomy.edges(op.name):
            edge = (reader.name, index)
            if edge in direct:
                demand = direct[edge]
                meeting.setdefault(demand.spec, []).append(Group(op.name, demand.spec, (edge,), (demand.site,)))
            elif reader.name in passed:
                group = passed.pop(reader.name)
                meeting.setdefault(group.spec, []).append(group)
            elif anatomy.edges(reader.name) or reader.kind is not Kind.TRANSPARENT:
                raw = True
        merged = [_merge(anatomy, op.name, groups) for groups in meeting.values()]
        if len(merged) == 1 and not raw and _passes_on(anatomy, op, merged[0].spec):
            passed[op.name] = merged[0]
        else:
            closed.extend(merged)
    return sorted(closed, key=lambda group: (order[group.tensor], order[group.sites[0].op]))


def _passes_on(anatomy: Anatomy, op: Operation, spec: QuantizerSpec) -> bool:
    """Whether demands on a result may become demands on the operand.

    Parts of a split keep grids of their own, and scales along an axis do not survive that the axes change places.
    """
    if op.kind is not Kind.TRANSPARENT or op.several or anatomy.op(op.operands[0].tensor).several:
        return False
    before, after = anatomy.tensors[op.operands[0].tensor], anatomy.tensors[op.name]
    return spec.granularity is Granularity.PER_TENSOR or (
        before.channel_axis == after.channel_axis and before.axes == after.axes
    )


def _merge(anatomy: Anatomy, tensor: str, groups: Sequence[Group]) -> Group:
    """Groups that meet at one tensor: a lone one stays where it is, several become one on this tensor."""
    if len(groups) == 1:
        return groups[0]
    edges: list[tuple[str, int]] = []
    for group in groups:
        if group.tensor == tensor:
            edges.extend(group.edges)
        else:
            edges.append((_towards(anatomy, tensor, group.tensor), 0))
    sites = tuple(site for group in groups for site in group.sites)
    position = {site.name: index for index, site in enumerate(anatomy.sites)}
    return Group(
        tensor, groups[0].spec, tuple(dict.fromkeys(edges)), tuple(sorted(sites, key=lambda site: position[site.name]))
    )


def _towards(anatomy: Anatomy, tensor: str, end: str) -> str:
    """The transparent operation that reads `tensor` on the way to `end`."""
    op = anatomy.op(end)
    while op.operands[0].tensor != tensor:
        op = anatomy.op(op.operands[0].tensor)
    return op.name
