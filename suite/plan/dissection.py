"""Plan, dissection: runs one example through the traced copy of a model and finds every site in its data flow."""

from __future__ import annotations

import copy
from types import MappingProxyType

import torch
from torch import nn

from suite.errors import Unsupported
from suite.plan.anatomy import NETWORK, Anatomy, Kind, Operation, Role, Site, Tensor
from suite.plan.attention import written_out
from suite.plan.flow import Flow, flow_of
from suite.plan.front_ends import hierarchy_of
from suite.plan.residuals import Lineage
from suite.plan.trace import Hierarchy


@torch.no_grad()
def dissect(model: nn.Module, example_input: torch.Tensor) -> Anatomy:
    """The anatomy of a model: operations, tensors with shapes per example, sites. The model is not changed.

    The traced copy has to reproduce the model's output on the example bit for bit in evaluation (up to rounding where
    a fused attention kernel was taken apart); a model whose forward depends on more than its graph is refused here.
    """
    original = copy.deepcopy(model).eval()
    expected = original(example_input)
    if isinstance(expected, torch.Tensor) and not expected.isfinite().all():
        raise Unsupported(
            f"the outputs of {type(model).__name__} are not finite", hint="check its weights, and what it reads"
        )
    hierarchy = hierarchy_of(model, example_input)
    flow = flow_of(hierarchy, example_input)
    fused = written_out(hierarchy.model) or any(
        container.fused_graph is not None for container in hierarchy.containers.values()
    )
    if not isinstance(expected, torch.Tensor) or not (
        torch.allclose(expected, flow.output, rtol=1e-3, atol=1e-4) if fused else torch.equal(expected, flow.output)
    ):
        raise Unsupported(
            f"the trace of {type(model).__name__} does not reproduce its output",
            hint="its forward depends on more than its input, or reads a tensor that it has changed in place",
        )
    if hierarchy.export is not None:
        _check_other_sizes(original, hierarchy, example_input)
    return _anatomy(type(model).__name__, flow, hierarchy)


def _check_other_sizes(original: nn.Module, hierarchy: Hierarchy, example_input: torch.Tensor) -> None:
    """An export follows the path that one example takes: another number of examples and length must give it too."""
    assert hierarchy.export is not None
    other = torch.cat([example_input, example_input[:1]])
    if hierarchy.export.open_axes[1:2] == (True,):
        other = other[:, : max(2, example_input.shape[1] - 1)]
    try:
        reproduced = torch.equal(original(other), flow_of(hierarchy, other).output)
    except RuntimeError:  # a size was written down as a number
        reproduced = False
    if not reproduced:
        raise Unsupported(
            f"the export of {type(original).__name__} does not reproduce its output on {list(other.shape)}",
            hint="its forward may not branch on the number of examples or on their length",
        )


def _anatomy(model: str, flow: Flow, hierarchy: Hierarchy) -> Anatomy:
    ops = list(flow.ops.values())
    layers = [op for op in ops if op.kind is Kind.WEIGHTED]
    if not layers:
        raise Unsupported(f"{model} has no site: no convolution and no linear layer lies on the way to its output")
    lineage = Lineage(ops)
    tensors = {
        name: Tensor(name, flow.shapes[name], name in flow.non_negative, flow.axes[name], flow.channels[name])
        for name in flow.ops
        if name in flow.shapes
    }
    sites: list[Site] = []
    seen: set[str] = set()
    for op in ops:
        for role, operand, tensor in _sites_of(op, lineage):
            if role is Role.WEIGHT:
                assert op.weight_shape is not None
                if tensor in seen:  # the same layer called again: its weight is quantized once
                    continue
                seen.add(tensor)
                shape = op.weight_shape
            else:
                shape = tensors[tensor].shape
            owner = NETWORK if op.kind is Kind.OUTPUT else op.name
            sites.append(Site(f"{owner}:{role.suffix}", role, op.name, operand, tensor, shape))
    return Anatomy(
        model=model,
        ops=tuple(ops),
        tensors=MappingProxyType(tensors),
        sites=tuple(sites),
        first_layer=layers[0].name,
        last_layer=layers[-1].name,
        first_output=lineage.end_of_layer(layers[0]),
        shortcut_layers=tuple(lineage.shortcut_layers()),
        batch_norms=lineage.batch_norms(),
        exported=None if hierarchy.export is None else hierarchy.export.form,
    )


_OUTPUT_ROLES = {
    Kind.SOFTMAX: Role.SOFTMAX_OUTPUT,
    Kind.NORMALIZATION: Role.NORMALIZATION_OUTPUT,
    Kind.ACTIVATION: Role.ACTIVATION_OUTPUT,
    Kind.INPUT: Role.NETWORK_INPUT,
}


def _sites_of(op: Operation, lineage: Lineage) -> list[tuple[Role, int | None, str]]:
    """(role, operand index, tensor) of every site of one operation; a weight is the parameter of its layer."""
    reads = [(operand.index, operand.tensor) for operand in op.operands]
    if op.kind is Kind.WEIGHTED:
        assert op.module is not None
        return [(Role.WEIGHT, None, f"{op.module}.weight"), (Role.INPUT, *reads[0])]
    if op.kind is Kind.ADD:
        skip, residual = lineage.skip_and_residual(op)
        return [(Role.SKIP, *reads[skip]), (Role.RESIDUAL, *reads[residual]), (Role.SUM, None, lineage.sum_of(op))]
    if op.kind is Kind.AVERAGE_POOL:
        return [(Role.POOL_INPUT, *reads[0]), (Role.POOL_OUTPUT, None, op.name)]
    if op.kind is Kind.MATMUL:
        return [(Role.MATMUL_LEFT, *reads[0]), (Role.MATMUL_RIGHT, *reads[1])]
    if op.kind is Kind.PRODUCT:
        return [(Role.PRODUCT_LEFT, *reads[0]), (Role.PRODUCT_RIGHT, *reads[1])]
    if op.kind is Kind.OUTPUT:
        return [(Role.NETWORK_OUTPUT, *reads[0])]
    if op.kind in _OUTPUT_ROLES:
        return [(_OUTPUT_ROLES[op.kind], None, op.name)]
    return []
