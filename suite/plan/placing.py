"""Plan, placing: a copy of the model in which every tensor passes the quantizers that the plan gives it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set

from torch import fx, nn

from suite.errors import Unsupported
from suite.plan.anatomy import NETWORK, Kind
from suite.plan.fold import fold
from suite.plan.front_ends import hierarchy_in
from suite.plan.layers import Block, Quantizers, SameGrid, quantize_weight_of
from suite.plan.operations import function_name, kind_of_function, kind_of_module
from suite.plan.table import Place, Plan, PlannedQuantizer
from suite.plan.trace import RESERVED, Container, Hierarchy, copy_of, nodes_in, operand_nodes
from suite.quantizers.quantizer import Quantizer

# Edges of one quantizer inside one container: (node, operand index).
_Edges = list[tuple[fx.Node, int]]


def place(model: nn.Module, plan: Plan) -> nn.Module:
    """A copy of the model with the plan's quantizers. The original is not changed.

    Containers that compute something themselves become graphs with the same children; modules without sites stay as
    they are, and so do all paths and state-dict names. The quantizers of a tensor stand in the innermost container
    that holds the operation producing it (`Place.PRODUCED`) or all operations reading it there (`Place.READ`), as
    children of that container's child `quantizers`; a weight's quantizer is the child `weight_quantizer` of its layer.
    """
    copied = fold(copy_of(model), plan.folds)
    if any(isinstance(module, Quantizers | Quantizer) for module in copied.modules()):
        raise Unsupported(f"{type(model).__name__} has quantizers already", hint="place them in the float model")
    return _Placer(hierarchy_in(copied, plan.exported), plan).place()


class _Placer:
    def __init__(self, hierarchy: Hierarchy, plan: Plan) -> None:
        self.hierarchy = hierarchy
        self.plan = plan
        self.containers = hierarchy.containers
        modules = list(hierarchy.model.modules())
        owners = Counter(id(held) for module in modules for held in module.parameters(recurse=False))
        self.shared = {parameter for parameter, count in owners.items() if count > 1}
        self.where: dict[str, tuple[Container, fx.Node]] = {}
        for container in self.containers.values():
            self.where.update({name: (container, node) for node, name in container.op_names().items()})
        root = hierarchy.root
        self.where[NETWORK] = (root, _placeholders(root.graph)[0])
        self.where[f"{NETWORK}.output"] = (root, next(node for node in root.graph.nodes if node.op == "output"))
        self.calls = {
            path: (container, node) for container in self.containers.values() for node, path in container.calls.items()
        }
        self.edited = {
            path
            for path, container in self.containers.items()
            # The forward of an author's container takes other arguments than the graph of an export.
            if hierarchy.export is not None or _has_operations(container)
        }

    def place(self) -> nn.Module:
        for planned in self.plan.quantizers:
            self._place_one(planned)
        model = self.hierarchy.model
        # From the inside out: a block takes over the children that its container has by then.
        for path in sorted(self.edited, key=lambda path: path.count(".") + bool(path), reverse=True):
            container = self.containers[path]
            container.graph.lint()
            block = Block.of(container.module, container.graph, container.fused_graph)
            block.train(container.module.training)
            if path:
                parent, _, name = path.rpartition(".")
                setattr(model.get_submodule(parent), name, block)
            else:
                model = block
        return model

    def _find(self, operation: str) -> tuple[Container, fx.Node]:
        if operation not in self.where:
            raise Unsupported(
                f"the plan of {self.plan.model} speaks of '{operation}', which this model does not have",
                hint="make the plan from this model",
            )
        return self.where[operation]

    def _place_one(self, planned: PlannedQuantizer) -> None:
        quantizer = Quantizer(planned.spec, is_weight=planned.place is Place.WEIGHT)
        container, node = self._find(planned.operation)
        if planned.place is Place.WEIGHT:
            layer = container.module.get_submodule(str(node.target))
            _untie(layer, self.shared)
            quantize_weight_of(layer, planned.name, quantizer)
        elif planned.place is Place.PRODUCED:
            after = self._insert(container, planned.name, quantizer, node, node.next)
            _reroute(node, after)
        else:
            self._place_read(planned, quantizer)
        for pool in planned.repeated_after:
            owner, mean = self._find(pool)
            again = self._insert(owner, f"{pool}:pool-output", SameGrid(quantizer), mean, mean.next)
            _reroute(mean, again)

    def _insert(
        self, container: Container, site: str, quantizer: nn.Module, source: fx.Node, before: fx.Node
    ) -> fx.Node:
        """Let `source` pass through a quantizer, as a new node in front of `before`."""
        holder = container.module._modules.get(RESERVED)
        if holder is None:
            holder = Quantizers()
            container.module.add_module(RESERVED, holder)
        assert isinstance(holder, Quantizers)
        key = holder.hold(site, container.path, quantizer)
        self.edited.add(container.path)
        with container.graph.inserting_before(_behind_inputs(before)):
            # fx looks for the target in the module the graph belongs to, which does not have it yet.
            return container.graph.create_node("call_module", f"{RESERVED}.{key}", (source,))

    def _place_read(self, planned: PlannedQuantizer, quantizer: Quantizer) -> None:
        """Stand in the innermost container around all reading operations, and lead the result to each of them."""
        edges: dict[str, _Edges] = {}
        for operation, index in planned.edges:
            container, node = self._find(operation)
            edges.setdefault(container.path, []).append((node, index))
        owner = self.containers[self._common(edges)]
        readers = self._readers(owner, edges)
        if not readers:
            raise Unsupported(f"{planned.operation} reaches its readers inside a list, where no quantizer can stand")
        order = {node: position for position, node in enumerate(owner.graph.nodes)}
        first, index = min(readers, key=lambda edge: (order[edge[0]], edge[1]))
        quantized = self._insert(owner, planned.name, quantizer, operand_nodes(first)[index], first)
        self._lead(owner, edges, quantized)

    def _common(self, paths: Iterable[str]) -> str:
        chains = [self.hierarchy.parents(path) for path in paths]
        shared: list[str] = [level[0] for level in zip(*chains, strict=False) if len(set(level)) == 1]
        return shared[-1]

    def _readers(self, container: Container, edges: Mapping[str, _Edges]) -> _Edges:
        """Local edges through which the tensor reaches its readers: direct ones and calls of inner containers."""
        found = list(edges.get(container.path, []))
        for call, path in container.calls.items():
            child = self.containers[path]
            inputs = _inputs(child, call)
            for reader, index in self._readers(child, edges) if _concerns(path, edges) else []:
                source = operand_nodes(reader)[index]
                if source in inputs:
                    found.append((call, inputs[source]))
        return list(dict.fromkeys(found))

    def _lead(self, container: Container, edges: Mapping[str, _Edges], quantized: fx.Node) -> None:
        """Make the readers in and below a container read `quantized`.

        An inner container whose every use of the tensor is quantized simply receives the quantized tensor; one that
        also needs the raw tensor receives both.
        """
        calls = [(call, path) for call, path in container.calls.items() if _concerns(path, edges)]
        for node, index in edges.get(container.path, []):
            _replace_operand(node, index, quantized)
        for call, path in calls:
            child = self.containers[path]
            inputs = _inputs(child, call)
            sources = {operand_nodes(reader)[index]: None for reader, index in self._readers(child, edges)}
            if all(source in inputs and self._wholly(child, source, edges) for source in sources):
                for source in sources:
                    _replace_operand(call, inputs[source], quantized)
                continue
            extra = _add_input(child, f"{quantized.name.removeprefix(f'{RESERVED}_')}_quantized")
            call.args = (*call.args, quantized)
            self.edited.add(path)
            self._lead(child, edges, extra)

    def _wholly(self, container: Container, source: fx.Node, edges: Mapping[str, _Edges]) -> bool:
        """Whether every use of a placeholder, also inside inner containers, wants the quantized tensor."""
        wanted = set(self._readers(container, edges))
        for user in source.users:
            for index, operand in enumerate(operand_nodes(user)):
                if operand is not source:
                    continue
                if (user, index) not in wanted:
                    return False
                if user in container.calls:
                    child = self.containers[container.calls[user]]
                    inner = [node for node, position in _inputs(child, user).items() if position == index]
                    if not inner or not self._wholly(child, inner[0], edges):
                        return False
        return True


def _untie(layer: nn.Module, shared: Set[int]) -> None:
    """A weight on a grid cannot also be the float table of an embedding, or lie on the grid of another layer.

    The layer gets its own, under its own name.
    """
    weight = layer.weight
    if isinstance(weight, nn.Parameter) and id(weight) in shared:
        layer.weight = nn.Parameter(weight.detach().clone(), requires_grad=weight.requires_grad)


def _inputs(container: Container, call: fx.Node) -> dict[fx.Node, int]:
    """Placeholders of a container, with the operand of the call that feeds each; lists of tensors are left out."""
    found: dict[fx.Node, int] = {}
    position = 0
    for placeholder, argument in zip(_placeholders(container.graph), call.args, strict=True):
        if isinstance(argument, fx.Node):
            found[placeholder] = position
        position += len(nodes_in(argument))
    return found


def _placeholders(graph: fx.Graph) -> list[fx.Node]:
    return [node for node in graph.nodes if node.op == "placeholder"]


def _add_input(container: Container, name: str) -> fx.Node:
    """A further placeholder, also of the graph that uses the fused kernel, which ignores it."""
    if container.fused_graph is not None:
        with container.fused_graph.inserting_after(_placeholders(container.fused_graph)[-1]):
            container.fused_graph.placeholder(name)
    with container.graph.inserting_after(_placeholders(container.graph)[-1]):
        return container.graph.placeholder(name)


def _concerns(path: str, edges: Mapping[str, _Edges]) -> bool:
    return any(name == path or name.startswith(f"{path}.") for name in edges)


def _reroute(node: fx.Node, quantized: fx.Node) -> None:
    """Make everybody read `quantized` instead of a node, except `quantized` itself."""
    node.replace_all_uses_with(quantized, delete_user_cb=lambda user: user is not quantized)


def _replace_operand(node: fx.Node, index: int, replacement: fx.Node) -> None:
    """Replace one occurrence of a node among the arguments of another."""
    position = -1

    def pick(operand: fx.Node) -> fx.Node:
        nonlocal position
        position += 1
        return replacement if position == index else operand

    node.args, node.kwargs = fx.node.map_arg((node.args, node.kwargs), pick)


def _behind_inputs(node: fx.Node) -> fx.Node:
    """The first node from here on that is no placeholder: placeholders come first in a graph."""
    while node.op == "placeholder":
        node = node.next
    return node


def _has_operations(container: Container) -> bool:
    """Whether a container computes at a site itself, rather than only passing tensors between its children."""
    for node in container.graph.nodes:
        if node in container.calls or node.op not in ("call_module", "call_function", "call_method"):
            continue
        if node.op == "call_module":
            kind = kind_of_module(container.module.get_submodule(str(node.target)))
        else:
            kind = kind_of_function(function_name(node.target), len(operand_nodes(node)))
        if kind not in (Kind.OTHER, Kind.TRANSPARENT, Kind.AFFINE):
            return True
    return False
