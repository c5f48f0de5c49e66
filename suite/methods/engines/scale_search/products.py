"""Methods, scale search engine: the products of a placed model, and what they read and give in the float model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from suite.plan import Kind, all_off, quantizers_of
from suite.plan.flat import flatten
from suite.plan.operations import function_name, kind_of_function, kind_of_module
from suite.plan.trace import operand_nodes
from suite.quantizers import Quantizer

# How far behind a matrix product its softmax may lie: scaling, masking and moving take a step each.
STEPS_TO_SOFTMAX = 8
# What cannot stand there: scores are scaled, masked and moved, by functions of many names.
NOT_ON_THE_WAY = (Kind.WEIGHTED, Kind.MATMUL, Kind.NORMALIZATION, Kind.ACTIVATION, Kind.AVERAGE_POOL, Kind.CONCAT)
# Functions that give sizes, not activations.
SIZES = frozenset({"size", "sym_size", "dim", "numel", "getattr", "len"})


@dataclass(frozen=True, eq=False)
class Product:
    """A convolution, a linear layer or a product of two activations, and the quantizers of what it multiplies.

    `layer` is None where both operands are activations. `run` computes the product of two given operands, the bias of
    a layer included. `ranks`: a softmax turns the product into attention.
    """

    name: str
    node: fx.Node
    operands: tuple[fx.Node, ...]
    left: Quantizer | None
    right: Quantizer | None
    layer: nn.Module | None
    run: Callable[[Tensor, Tensor], Tensor]
    ranks: bool

    def features_last(self, outputs: Tensor) -> Tensor:
        """Outputs with the features of one position in the last axis; convolutions have them in axis -dimensions-1."""
        if isinstance(self.layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return outputs.movedim(-len(self.layer.kernel_size) - 1, -1)
        return outputs

    def run_weights(self, x: Tensor, weights: Tensor) -> Tensor:
        """The outputs of a layer with each of the weights [K, *]: [K, n, ...], by one product with all of them."""
        layer: Any = self.layer
        count, outputs = weights.shape[:2]
        stacked: Tensor
        if isinstance(self.layer, nn.Linear):
            stacked = torch.unflatten(F.linear(x, weights.flatten(0, 1)), -1, (count, outputs)).movedim(-2, 0)
            return stacked if layer.bias is None else stacked.add_(layer.bias)
        # The channels of a group stand together, those of all candidates one after the other.
        grouped = torch.unflatten(weights, 1, (layer.groups, -1)).transpose(0, 1).flatten(0, 2)
        axis = x.dim() - len(layer.kernel_size) - 1
        result: Tensor = layer._conv_forward(x, grouped, None)
        apart = torch.unflatten(result, axis, (layer.groups, count, -1)).movedim(axis + 1, 0)
        stacked = apart.flatten(axis + 1, axis + 2)
        return stacked if layer.bias is None else stacked.add_(layer.bias.reshape(-1, *[1] * len(layer.kernel_size)))


@dataclass(frozen=True)
class Captured:
    """What a product reads and gives in the float model. `right` is the weight of a layer."""

    left: Tensor
    right: Tensor
    output: Tensor


class Products:
    """All products of a placed model that read a quantizer, in the order of the data flow."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.graph = flatten(model, _containers(model))
        self._varying = _varying(self.graph)
        self.names = {quantizer: name for name, quantizer in quantizers_of(model).items()}
        found = (self._product(node) for node in self.graph.nodes)
        self.all = tuple(one for one in found if one is not None and (one.left or one.right))

    def _product(self, node: fx.Node) -> Product | None:
        if node.op == "call_module":
            if self._kind(node) is not Kind.WEIGHTED:
                return None
            layer = self._module(node)
            source = operand_nodes(node)[0]
            weight = getattr(layer, "weight_quantizer", None)
            return Product(
                str(node.target),
                node,
                (source,),
                self._quantizer_of(source),
                weight if isinstance(weight, Quantizer) else None,
                layer,
                _layer_product(layer),
                ranks=False,
            )
        if self._kind(node) is not Kind.MATMUL or len(operand_nodes(node)) != 2:
            return None
        operands = operand_nodes(node)
        left, right = (self._quantizer_of(operand) for operand in operands)
        return Product(node.name, node, tuple(operands), left, right, None, _function(node), self._ranks(node))

    def _quantizer_of(self, node: fx.Node) -> Quantizer | None:
        """The quantizer whose grid a tensor is on, through operations that only move or select values."""
        while node.op in ("call_module", "call_function", "call_method"):
            if node.op == "call_module" and isinstance(module := self._module(node), Quantizer):
                return module
            if self._kind(node) is not Kind.TRANSPARENT:
                break
            node = self._activations(node)[0]
        return None

    def _ranks(self, node: fx.Node) -> bool:
        """Whether a softmax follows, with no other product or function of a neuron before it."""
        level = {node}
        for _ in range(STEPS_TO_SOFTMAX):
            level = {user for one in level for user in one.users}
            kinds = {user: self._kind(user) for user in level}
            if Kind.SOFTMAX in kinds.values():
                return True
            level = {user for user, kind in kinds.items() if kind not in NOT_ON_THE_WAY}
        return False

    def _kind(self, node: fx.Node) -> Kind:
        if node.op == "call_module":
            module = self._module(node)
            if isinstance(module, Quantizer):
                return Kind.TRANSPARENT
            return Kind.WEIGHTED if hasattr(module, "weight_quantizer") else kind_of_module(module)
        if node.op in ("call_function", "call_method"):
            return kind_of_function(function_name(node.target), len(self._activations(node)))
        return Kind.OTHER

    def _module(self, node: fx.Node) -> nn.Module:
        return self.model.get_submodule(str(node.target))

    def _activations(self, node: fx.Node) -> list[fx.Node]:
        """The operands that are no constants."""
        return [operand for operand in operand_nodes(node) if operand in self._varying]

    def components(self) -> list[tuple[Product, ...]]:
        """Products that share a quantizer, directly or through others, in the order of the flow."""
        groups: list[tuple[set[Quantizer], list[Product]]] = []
        for product in self.all:
            mine = {one for one in (product.left, product.right) if one is not None}
            joined = [group for group in groups if group[0] & mine]
            merged = (mine.union(*(group[0] for group in joined)), [*(p for g in joined for p in g[1]), product])
            groups = [group for group in groups if group not in joined] + [merged]
        order = {product: position for position, product in enumerate(self.all)}
        sorted_groups = [tuple(sorted(group, key=order.__getitem__)) for _, group in groups]
        return sorted(sorted_groups, key=lambda group: order[group[0]])

    def passes(self, inputs: Tensor, memory_bytes: int) -> Iterator[tuple[list[tuple[Product, ...]], int]]:
        """Components whose captures fit into the memory together, to be captured in one pass, and for how many inputs.

        A component that does not fit by itself stands alone, with as many inputs as fit, but at least two.
        """
        sizes = self.bytes_per_example(inputs)
        together: list[tuple[Product, ...]] = []
        used = 0.0
        for component in self.components():
            one = sum(sizes[product] for product in component)
            if together and used + one * len(inputs) > memory_bytes:
                yield together, len(inputs)
                together, used = [], 0.0
            if one * len(inputs) > memory_bytes:
                yield [component], min(len(inputs), max(2, int(memory_bytes // one)))
                continue
            together.append(component)
            used += one * len(inputs)
        if together:
            yield together, len(inputs)

    def bytes_per_example(self, inputs: Tensor) -> dict[Product, float]:
        """The memory that a captured product takes, measured on two examples."""
        few = inputs[:2]
        captured = self.capture(few, self.all, len(few))
        return {
            product: sum(tensor.numel() * tensor.element_size() for tensor in (one.left, one.right, one.output))
            / len(few)
            for product, one in captured.items()
        }

    def capture(self, inputs: Tensor, products: Iterable[Product], batch_size: int) -> dict[Product, Captured]:
        """One pass of the float model, in which operands and results of these products are kept."""
        products = list(products)
        wanted = {node for product in products for node in (*product.operands, product.node)}
        kept: dict[fx.Node, list[Tensor]] = {node: [] for node in wanted}
        runner = _Keeping(fx.GraphModule(self.model, self.graph), kept)
        with torch.no_grad(), all_off(self.model):
            for batch in torch.split(inputs, batch_size):
                runner.run(batch)
        whole = {
            node: torch.cat(parts) if node in self._varying else parts[0] for node, parts in kept.items()
        }  # fmt: skip
        found = {}
        for product in products:
            left = whole[product.operands[0]]
            right = whole[product.operands[1]] if product.layer is None else _weight_of(product.layer)
            found[product] = Captured(left, right, product.features_last(whole[product.node]).contiguous())
        return found


class _Keeping(fx.Interpreter):
    """Runs a graph and keeps what some of its nodes give."""

    def __init__(self, module: fx.GraphModule, kept: dict[fx.Node, list[Tensor]]) -> None:
        super().__init__(module)
        # A GraphModule copies its graph: nodes are found again by their names.
        self._kept = {node.name: values for node, values in kept.items()}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.name in self._kept:
            self._kept[n.name].append(result.detach())
        return result


def _containers(model: nn.Module) -> set[str]:
    """Paths of all modules around quantizers and quantized layers."""
    inside = [
        path
        for path, module in model.named_modules()
        if (isinstance(module, Quantizer) and not module.is_weight) or hasattr(module, "weight_quantizer")
    ]
    return {path.rsplit(".", depth)[0] if depth <= path.count(".") else "" for path in inside
            for depth in range(1, path.count(".") + 2)}  # fmt: skip


def _varying(graph: fx.Graph) -> set[fx.Node]:
    """Nodes that depend on the values of the input, not only on its sizes."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        depends = any(operand in found for operand in operand_nodes(node))
        if node.op == "placeholder" or (depends and function_name(node.target) not in SIZES):
            found.add(node)
    return found


def _weight_of(layer: nn.Module) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight.detach()


def _layer_product(layer: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    known: Any = layer
    if isinstance(layer, nn.Linear):
        return lambda x, weight: F.linear(x, weight, known.bias)
    return lambda x, weight: known._conv_forward(x, weight, known.bias)


def _function(node: fx.Node) -> Callable[[Tensor, Tensor], Tensor]:
    """The matrix product of a node, as a function of its two operands."""

    def run(left: Tensor, right: Tensor) -> Tensor:
        given = iter((left, right))
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda _: next(given))
        if node.op == "call_method":
            result: Tensor = getattr(args[0], str(node.target))(*args[1:], **kwargs)
        else:
            assert callable(node.target)
            result = node.target(*args, **kwargs)
        return result

    return run


def quantizers_in(products: Sequence[Product], *, weights: bool) -> Iterator[Quantizer]:
    """Quantizers of weights, or of activations, each once, in the order in which products read them."""
    seen: set[Quantizer] = set()
    for product in products:
        for quantizer in (product.left, product.right):
            if quantizer is not None and quantizer.is_weight == weights and quantizer not in seen:
                seen.add(quantizer)
                yield quantizer
