"""Plan, the flat view: one graph over a placed model, in which chosen modules stay whole and all around them is open.

Reconstruction walks a network unit by unit. The flat graph is the path it walks: every node stands for one whole
module (its target is the module's path from the root) or for one function of an opened container.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import fx, nn

from suite.errors import Unsupported
from suite.plan.layers import Block
from suite.plan.trace import bind_call, defaults_of, graph_of_container, join

CONTAINER = "container"
"""Key in the `meta` of a node of a flat graph: the path of the opened container it was written out of."""


def flatten(model: nn.Module, opened: Collection[str]) -> fx.Graph:
    """The graph of `model` with the containers at the paths `opened` written out in place of their calls.

    Each opened path must lie directly inside another opened one, up to the root, whose path is the empty string.
    """
    flat = fx.Graph()
    graph = model.graph if isinstance(model, Block) else graph_of_container(model, defaults_of(model))
    result = _write(flat, model, "", graph, None, frozenset(opened))
    flat.output(result)
    flat.lint()
    return flat


def _write(
    flat: fx.Graph, model: nn.Module, path: str, graph: fx.Graph, arguments: list[Any] | None, opened: frozenset[str]
) -> Any:
    """Append the operations of the container at `path` and return what it returns, in terms of the flat graph."""
    values: dict[fx.Node, Any] = {}
    given = iter(arguments or [])

    def known(node: fx.Node) -> Any:
        return values[node]

    for node in graph.nodes:
        if node.op == "placeholder":
            values[node] = flat.placeholder(str(node.target)) if arguments is None else next(given)
        elif node.op == "output":
            return fx.node.map_arg(node.args[0], known)
        elif node.op == "call_module" and join(path, str(node.target)) in opened:
            inner = join(path, str(node.target))
            tensors, inner_graph = _opened(model.get_submodule(inner), node)
            values[node] = _write(flat, model, inner, inner_graph, list(fx.node.map_arg(tensors, known)), opened)
        else:
            operands, keywords = fx.node.map_arg((node.args, node.kwargs), known)
            target = node.target
            if node.op in ("call_module", "get_attr"):
                target = join(path, str(target))
            written = flat.create_node(node.op, target, operands, keywords)
            written.meta[CONTAINER] = path
            values[node] = written
    raise Unsupported(f"the graph of '{path or 'the network'}' returns nothing")


def _opened(child: nn.Module, call: fx.Node) -> tuple[list[Any], fx.Graph]:
    """What flows into the placeholders of a container where it is called, and its graph."""
    if isinstance(child, Block):
        return list(call.args), child.graph
    tensors, constants = bind_call(child, call)
    return tensors, graph_of_container(child, constants)
