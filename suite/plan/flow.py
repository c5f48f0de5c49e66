"""Plan, the flat data flow: walks the graphs of a hierarchy in execution order, with or without running them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn

from suite.errors import Unsupported
from suite.plan.anatomy import NETWORK, InputForm, Kind, Operand, Operation
from suite.plan.channels import channels_after, channels_of_input
from suite.plan.operations import (
    HIDDEN_PRODUCTS,
    function_name,
    gives_non_negative,
    hides_weights,
    is_embedding,
    is_opaque_layer,
    kind_of_function,
    kind_of_module,
    overrides_forward,
)
from suite.plan.trace import Container, Hierarchy, join, operand_nodes

# Where a value is a tensor of the network: the operation that made it; a tuple where it is several; None elsewhere.
Reference = Any

TOKENS = object()
"""The reference of integers made of the network's tokens (positions, masks): no activations; embeddings read them."""

_KEEPS_SIGN = (Kind.TRANSPARENT, Kind.AVERAGE_POOL, Kind.CONCAT, Kind.ADD, Kind.PRODUCT, Kind.MATMUL)


@dataclass
class Flow:
    """The flat data flow of one model: operations in order, shapes per example (empty when nothing was run)."""

    ops: dict[str, Operation] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    axes: dict[str, int] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)  # which of the axes holds the channels
    non_negative: set[str] = field(default_factory=set)
    looked_up: set[str] = field(default_factory=set)  # from embeddings alone: no layer and no product came before
    output: Any = None


def flow_of(hierarchy: Hierarchy, example: torch.Tensor | None) -> Flow:
    """Walk a hierarchy. With an example the graphs are run and shapes recorded; without one only names are known."""
    walker = _Walker(hierarchy, run=example is not None)
    flow = walker.flow
    tokens = example is not None and form_of(example).tokens
    flow.ops[NETWORK] = Operation(NETWORK, Kind.TOKENS if tokens else Kind.INPUT, "", "", "input", ())
    if example is not None:
        flow.shapes[NETWORK], flow.axes[NETWORK] = tuple(example.shape[1:]), example.dim()
        flow.channels[NETWORK] = channels_of_input(example)
        walker.examples = len(example)
    value, reference = walker.walk(hierarchy.root, [example], [TOKENS if tokens else NETWORK])
    if not isinstance(reference, str):
        raise Unsupported(
            f"{type(hierarchy.model).__name__} does not return one tensor", hint="wrap it so that it returns its logits"
        )
    output = next(node for node in hierarchy.root.graph.nodes if node.op == "output")
    name = f"{NETWORK}.output"
    flow.ops[name] = Operation(name, Kind.OUTPUT, "", output.name, "output", (Operand(0, reference),))
    flow.output = value
    return flow


def form_of(example: torch.Tensor) -> InputForm:
    """The form of an input like this one."""
    return InputForm(str(example.dtype).removeprefix("torch."), tuple(example.shape))


class _Walker:
    def __init__(self, hierarchy: Hierarchy, *, run: bool) -> None:
        self.hierarchy = hierarchy
        self.run = run
        self.examples = 1
        self.flow = Flow()

    def walk(self, container: Container, values: list[Any], references: list[Reference]) -> tuple[Any, Reference]:
        """Execute one container's graph on values and, beside them, on references."""
        names = container.op_names()
        given = iter(zip(values, references, strict=True))
        known: dict[fx.Node, Any] = {}
        refers: dict[fx.Node, Reference] = {}
        for node in container.graph.nodes:
            if node.op == "placeholder":
                known[node], refers[node] = next(given)
            elif node.op == "get_attr":
                known[node], refers[node] = _attribute(container.module, str(node.target)), None
            elif node.op == "output":
                return _looked_up(node.args[0], known), _looked_up(node.args[0], refers)
            elif node in container.calls:
                child = self.hierarchy.containers[container.calls[node]]
                inner = [_looked_up(argument, known) for argument in node.args]
                outer = [_looked_up(argument, refers) for argument in node.args]
                known[node], refers[node] = self.walk(child, inner, outer)
            else:
                known[node], refers[node] = self._operation(container, node, names.get(node), known, refers)
        raise AssertionError("a graph without an output")

    def _operation(
        self,
        container: Container,
        node: fx.Node,
        name: str | None,
        known: dict[fx.Node, Any],
        refers: dict[fx.Node, Reference],
    ) -> tuple[Any, Reference]:
        arguments = _looked_up(node.args, known)
        keywords = _looked_up(node.kwargs, known)
        operands = _operands(node, refers)
        module = container.module.get_submodule(str(node.target)) if node.op == "call_module" else None
        value = _execute(node, module, arguments, keywords) if self.run else None
        if name is None:  # a quantizer that was placed before: the tensor it reads, on a grid
            return value, operands[0].tensor if operands else None
        if any(refers[operand] is TOKENS for operand in operand_nodes(node)):
            if is_embedding(module, function_name(node.target)):
                self._record(container, node, name, module, (), value, arguments, keywords)
                self._follow_channels(node, name, value, known)
                return value, name
            if not operands:
                counts = isinstance(value, torch.Tensor) and not value.is_floating_point()
                return value, TOKENS if counts else None
        if not operands:
            return value, None
        if module is not None and is_opaque_layer(module):
            raise Unsupported(
                f"{name} is a {type(module).__name__}, which hides weights or products from the plan",
                hint="write it with convolutions, linear layers, norms and matrix products",
            )
        if self.run and not _is_activation(value):
            return value, None
        first = refers.get(node.args[0]) if node.args and isinstance(node.args[0], fx.Node) else None
        if isinstance(first, tuple) and function_name(node.target) == "getitem":
            picked = node.args[1]  # from what a container returned: no operation of its own
            return value, first[picked] if isinstance(picked, int) else None
        self._record(container, node, name, module, operands, value, arguments, keywords)
        self._follow_channels(node, name, value, known)
        return value, name

    def _record(
        self,
        container: Container,
        node: fx.Node,
        name: str,
        module: nn.Module | None,
        operands: tuple[Operand, ...],
        value: Any,
        arguments: Any,
        keywords: Any,
    ) -> None:
        distinct = len({operand.tensor for operand in operands})
        if module is not None:
            path = join(container.path, str(node.target))
            kind, function = kind_of_module(module), type(module).__name__
            if kind is Kind.WEIGHTED and overrides_forward(module) and not hasattr(module, "weight_quantizer"):
                raise Unsupported(
                    f"{path} is a {function} with a forward of its own, which a quantized weight would bypass",
                    hint=f"use a plain torch.nn layer instead of {function}",
                )
        else:
            path, function = None, function_name(node.target)
            if function in HIDDEN_PRODUCTS or hides_weights(function, _flat_values(arguments)):
                raise Unsupported(
                    f"{name} hides its matrix products from the plan",
                    hint="use layers, and attention without fusion (attn_implementation='eager' in transformers)",
                )
            kind = kind_of_function(function, len(operands) if distinct > 1 else distinct)
            if kind is Kind.ADD and self.run and not _equal_shapes(self.flow, operands):
                kind = Kind.OTHER
            if kind is Kind.ADD and all(operand.tensor in self.flow.looked_up for operand in operands):
                kind = Kind.OTHER  # a sum of embeddings: nothing was computed yet that could skip anything
            if is_embedding(None, function):
                kind = Kind.EMBEDDING
        if len(operands) > 1 and kind not in (Kind.ADD, Kind.PRODUCT, Kind.MATMUL, Kind.CONCAT):
            kind = Kind.OTHER
        weight = getattr(module, "weight", None) if kind is Kind.WEIGHTED else None
        several = isinstance(value, tuple | list)
        self.flow.ops[name] = Operation(
            name=name,
            kind=kind,
            container=container.path,
            node=node.name,
            function=function,
            operands=operands,
            module=path,
            weight_shape=tuple(weight.shape) if isinstance(weight, torch.Tensor) else None,
            several=several,
        )
        if self.run:
            tensor = _first(value)
            self.flow.shapes[name], self.flow.axes[name] = self._shape(tensor), tensor.dim()
        if kind is Kind.EMBEDDING or (
            operands
            and kind not in (Kind.WEIGHTED, Kind.MATMUL)
            and all(operand.tensor in self.flow.looked_up for operand in operands)
        ):
            self.flow.looked_up.add(name)
        settings = (None, getattr(module, "min_val", None)) if module is not None else arguments
        if gives_non_negative(function.lower(), settings, {} if module is not None else keywords) or (
            kind in _KEEPS_SIGN
            and all(operand.tensor in self.flow.non_negative for operand in operands)
            and (kind is not Kind.CONCAT or len(operands) == len(operand_nodes(node)))  # else constants are among them
        ):
            self.flow.non_negative.add(name)

    def _follow_channels(self, node: fx.Node, name: str, value: Any, known: dict[fx.Node, Any]) -> None:
        if not self.run:
            return
        op = self.flow.ops[name]
        read, axis = None, 0
        if op.operands:
            read = _first(known[operand_nodes(node)[op.operands[0].index]])
            axis = self.flow.channels[op.operands[0].tensor]
        self.flow.channels[name] = channels_after(op, read, axis, _first(value))

    def _shape(self, tensor: torch.Tensor) -> tuple[int, ...]:
        """The shape of one example, also where the tokens of all examples stand in one axis."""
        first, rest = int(tensor.shape[0]), tuple(tensor.shape[1:])
        if first > self.examples and first % self.examples == 0:
            return (first // self.examples, *rest)
        return rest


def _looked_up(structure: Any, found: dict[fx.Node, Any]) -> Any:
    """A structure of arguments with its nodes replaced; tuples and lists become tuples for references and values."""
    if isinstance(structure, fx.Node):
        return found[structure]
    if isinstance(structure, tuple | list):
        items = [_looked_up(item, found) for item in structure]
        return tuple(items) if isinstance(structure, tuple) else items
    if isinstance(structure, dict):
        return {key: _looked_up(item, found) for key, item in structure.items()}
    if isinstance(structure, slice):
        return slice(*(_looked_up(item, found) for item in (structure.start, structure.stop, structure.step)))
    return structure


def _operands(node: fx.Node, refers: dict[fx.Node, Reference]) -> tuple[Operand, ...]:
    found: list[Operand] = []
    for index, operand in enumerate(operand_nodes(node)):
        for name in _flat(refers[operand]):
            found.append(Operand(index, name))
    return tuple(found)


def _flat_values(arguments: Any) -> list[Any]:
    if isinstance(arguments, tuple | list):
        return [value for item in arguments for value in _flat_values(item)]
    return [arguments]


def _first(value: Any) -> torch.Tensor:
    """A tensor, or the first of several."""
    items = value if isinstance(value, tuple | list) else (value,)
    return next(item for item in items if isinstance(item, torch.Tensor))


def _flat(reference: Reference) -> list[str]:
    if isinstance(reference, str):
        return [reference]
    if isinstance(reference, tuple | list):
        return [name for item in reference for name in _flat(item)]
    return []


def _attribute(module: nn.Module, target: str) -> Any:
    for part in target.split("."):
        module = getattr(module, part)
    return module


def _execute(node: fx.Node, module: nn.Module | None, arguments: Any, keywords: Any) -> Any:
    if module is not None:
        return module(*arguments, **keywords)
    if node.op == "call_method":
        return getattr(arguments[0], str(node.target))(*arguments[1:], **keywords)
    return node.target(*arguments, **keywords)  # type: ignore[operator]


def _is_activation(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(_is_activation(item) for item in value)
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _equal_shapes(flow: Flow, operands: tuple[Operand, ...]) -> bool:
    return len({flow.shapes[operand.tensor] for operand in operands}) == 1
