"""Methods, reconstruction engine: the units of a placed network, and the order in which they are reconstructed.

A unit is a block, the part of a network that its author repeats around residual connections, or a single layer. Both
are found in the plan and the hierarchy of modules, not by the names that authors give to their classes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from torch import fx, nn

from suite.errors import Unsupported
from suite.plan import Kind, Plan, Role, weights_of
from suite.plan.flat import CONTAINER, flatten
from suite.plan.operations import function_name, kind_of_function, kind_of_module
from suite.plan.trace import nodes_in
from suite.quantizers import Quantizer

_STACKS = (nn.Sequential, nn.ModuleList)
_JOINS = (Role.SKIP, Role.RESIDUAL)


@dataclass(frozen=True)
class Unit:
    """A part of the flat graph that is reconstructed at once; of its nodes only the last is read outside.

    `module` computes the unit as a function of `inputs`, and shares its children with the network.
    """

    name: str
    nodes: tuple[fx.Node, ...]
    inputs: tuple[fx.Node, ...]
    module: nn.Module

    @property
    def output(self) -> fx.Node:
        return self.nodes[-1]


@dataclass(frozen=True)
class Walk:
    """The flat graph of a placed network and its units in the order of the data flow."""

    model: nn.Module
    graph: fx.Graph
    units: tuple[Unit, ...]


def walk_of(model: nn.Module, plan: Plan, *, blocks: bool, final_activation: bool) -> Walk:
    """Divide a placed network into units.

    `blocks`: the repeated parts around residual connections are units as a whole, and only layers outside of them are
    single; otherwise every layer is a unit. `final_activation`: the activation function at the end of a unit, and the
    quantizer behind it, belong to the unit; otherwise it ends in front of them. Where every layer is a unit, the
    quantizer of what only this layer reads belongs to it, so that its step is learned somewhere.
    """
    weighted = [site.removesuffix(f":{Role.WEIGHT.value}") for site in weights_of(model)]
    if not weighted:
        raise Unsupported(
            "no quantized weight to reconstruct: this setting puts no grid on any layer of the model",
            hint="lower weight_bits",
        )
    found = block_paths(model, plan) if blocks else []
    single = [path for path in weighted if not any(_within(path, block) for block in found)]
    # A block that ends in front of its last activation function has to be written out to be cut there.
    opened = _parents([*found, *single]) | (set() if final_activation else set(found))
    graph = flatten(model, opened)
    parts: dict[str, list[fx.Node]] = {}
    for path in [*found, *single]:
        nodes = [node for node in graph.nodes if _belongs(node, path)]
        if not nodes:
            raise Unsupported(f"{path} is nowhere called in the network, so it cannot be reconstructed")
        nodes = _with_followers(model, nodes) if final_activation else _without_end(model, nodes)
        parts[path] = nodes
    if not blocks:
        behind = {node for nodes in parts.values() for node in nodes}
        parts = {path: _with_grid_in_front(model, nodes, behind) for path, nodes in parts.items()}
    units = [_unit(model, path, nodes) for path, nodes in parts.items()]
    order = {node: position for position, node in enumerate(graph.nodes)}
    return Walk(model, graph, tuple(sorted(units, key=lambda unit: order[unit.output])))


def block_paths(model: nn.Module, plan: Plan) -> list[str]:
    """The outermost repeated modules that hold a residual connection, and their siblings of the same class.

    A stack (`Sequential`, `ModuleList`) or a module with stacks of such modules inside is no block, but made of some.
    """
    joins = {row.site.rpartition(":")[0].rpartition(".")[0] for row in plan.of_role(*_JOINS)}
    joins.discard("")
    found = list(_blocks_in("", model, joins))
    classes = {type(model.get_submodule(path)).__name__ for path in found}
    siblings = [
        path
        for path, module in model.named_modules()
        if type(module).__name__ in classes and weights_of(module) and not any(_within(path, one) for one in found)
    ]
    return [*found, *siblings]


def _blocks_in(path: str, module: nn.Module, joins: Collection[str]) -> Iterator[str]:
    if not any(_within(join, path) for join in joins):
        return
    stacked = any(
        isinstance(inner, _STACKS) and any(_within(join, _join(path, name)) for join in joins)
        for name, inner in module.named_modules()
        if name
    )
    repeated = path.rpartition(".")[2].isdecimal() or path in joins
    if path and not isinstance(module, _STACKS) and not stacked and repeated:
        yield path
        return
    for name, child in module.named_children():
        yield from _blocks_in(_join(path, name), child, joins)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _within(path: str, container: str) -> bool:
    return container == "" or path == container or path.startswith(f"{container}.")


def _parents(paths: Iterable[str]) -> set[str]:
    """All containers around some paths, the root among them."""
    found = {""}
    for path in paths:
        parts = path.split(".")
        found.update(".".join(parts[:length]) for length in range(1, len(parts)))
    return found


def _belongs(node: fx.Node, path: str) -> bool:
    if CONTAINER in node.meta and node.meta[CONTAINER] and _within(str(node.meta[CONTAINER]), path):
        return True
    return node.op == "call_module" and _within(str(node.target), path)


def _with_followers(model: nn.Module, nodes: list[fx.Node]) -> list[fx.Node]:
    """The nodes, and behind them normalization, activation function and quantizer, as long as nobody else reads."""
    taken, useful = list(nodes), len(nodes)
    activated = False
    while len(taken[-1].users) == 1:
        follower = next(iter(taken[-1].users))
        kind = _kind(model, follower)
        if kind is Kind.ACTIVATION and activated:
            break
        if kind not in (Kind.ACTIVATION, Kind.BATCH_NORM, "quantizer", "nothing"):
            break
        taken.append(follower)
        activated = activated or kind is Kind.ACTIVATION
        useful = len(taken) if kind != "nothing" else useful
        if kind == "quantizer":
            break
    return taken[:useful]


def _with_grid_in_front(model: nn.Module, nodes: list[fx.Node], behind: Collection[fx.Node]) -> list[fx.Node]:
    """The nodes, and in front of them the quantizer of what the first one alone reads, if it is not `behind` a unit."""
    sources = nodes[0].all_input_nodes
    if len(sources) != 1 or sources[0] in behind or set(sources[0].users) != {nodes[0]}:
        return nodes
    return [sources[0], *nodes] if _kind(model, sources[0]) == "quantizer" else nodes


def _without_end(model: nn.Module, nodes: list[fx.Node]) -> list[fx.Node]:
    """The nodes up to what the last activation function of a block receives."""
    kept = list(nodes)
    while len(kept) > 1 and _kind(model, kept[-1]) in (Kind.ACTIVATION, "quantizer", "nothing"):
        kept.pop()
    return kept if _kind(model, nodes[-1]) != "nothing" and _ends_in_activation(model, nodes[len(kept) :]) else nodes


def _ends_in_activation(model: nn.Module, tail: list[fx.Node]) -> bool:
    return any(_kind(model, node) is Kind.ACTIVATION for node in tail)


def _kind(model: nn.Module, node: fx.Node) -> Kind | str:
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        if isinstance(module, Quantizer):
            return "quantizer"
        if isinstance(module, nn.Identity | nn.Dropout):
            return "nothing"
        return kind_of_module(module)
    if node.op in ("call_function", "call_method"):
        return kind_of_function(function_name(node.target), len(nodes_in((node.args, node.kwargs))))
    return node.op


def _unit(model: nn.Module, path: str, nodes: list[fx.Node]) -> Unit:
    """A module that computes `nodes` alone."""
    inside = set(nodes)
    if len(nodes) == 1 and nodes[0].op == "call_module" and not nodes[0].kwargs:
        arguments = nodes[0].args
        if all(isinstance(argument, fx.Node) for argument in arguments) and len(set(arguments)) == len(arguments):
            return Unit(path, tuple(nodes), tuple(nodes[0].all_input_nodes), model.get_submodule(str(nodes[0].target)))
    for node in nodes[:-1]:
        if any(user not in inside for user in node.users):
            raise Unsupported(f"{path} gives more than one result, so it cannot be reconstructed as one unit")
    inputs = list(dict.fromkeys(one for node in nodes for one in node.all_input_nodes if one not in inside))
    graph = fx.Graph()
    copied = {node: graph.placeholder(f"input_{index}") for index, node in enumerate(inputs)}
    for node in nodes:
        copied[node] = graph.node_copy(node, copied.__getitem__)
    graph.output(copied[nodes[-1]])
    return Unit(path, tuple(nodes), tuple(inputs), fx.GraphModule(model, graph))
