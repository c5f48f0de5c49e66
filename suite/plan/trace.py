"""Plan, tracing: every module that computes something of its own becomes a graph whose children stay its children.

One flat trace would destroy the block hierarchy that reconstruction methods work on. So each *container* (a module
that is not one of torch.nn's own operations) is traced by itself with all its child modules as leaves, from the root
down, because only the call in the parent's graph tells which arguments are tensors and which are constants. The
author's model is never touched: everything here works on a private copy.
"""

from __future__ import annotations

import copy
import inspect
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from suite.errors import Unsupported
from suite.plan.anatomy import InputForm
from suite.plan.attention import SelfAttention, self_attention_call, write_out
from suite.plan.operations import DROP_PATHS, is_opaque_layer, is_primitive
from suite.quantizers.quantizer import Quantizer

RESERVED = "quantizers"  # the child that placing adds to a container


@dataclass
class Container:
    """A module with the graph of its own forward. `calls` maps call nodes to the paths of child containers."""

    path: str
    module: nn.Module
    graph: fx.Graph
    calls: dict[fx.Node, str] = field(default_factory=dict)
    fused_graph: fx.Graph | None = None  # the same with fused attention, where the module has that switch

    def op_names(self) -> dict[fx.Node, str]:
        return op_names(self.path, self.graph)


def join(path: str, name: str) -> str:
    """The path of something called `name` inside the module at `path`."""
    return f"{path}.{name}" if path else name


def op_names(path: str, graph: fx.Graph) -> dict[fx.Node, str]:
    """Names of the operations of one container's graph; quantizers that were placed in it have none.

    A module is named by its path, and where it is called again by the local node name, as functions are.
    """
    names: dict[fx.Node, str] = {}
    taken: set[str] = set()
    for node in graph.nodes:
        if node.op == "call_module":
            target = str(node.target)
            if target.split(".")[0] == RESERVED:
                continue
            name = join(path, target)
            if name in taken:
                name = join(path, node.name)
        elif node.op in ("call_function", "call_method"):
            name = join(path, node.name)
        else:
            continue
        if name in taken:
            name = join(path, f"{node.name}_again")
        taken.add(name)
        names[node] = name
    return names


def operation_of(path: str, node: fx.Node) -> str | None:
    """The operation that a node of the block at `path` is; None for inputs, attributes, the output and quantizers."""
    return op_names(path, node.graph).get(node)


@dataclass(frozen=True)
class Export:
    """How torch.export wrote the graphs of a hierarchy: for which form of input, and which of its axes stayed open."""

    form: InputForm
    open_axes: tuple[bool, ...]


@dataclass
class Hierarchy:
    """A private copy of a model with the graphs of its containers; the root's path is the empty string."""

    model: nn.Module
    containers: dict[str, Container]
    export: Export | None = None  # None: torch.fx traced them

    @property
    def root(self) -> Container:
        return self.containers[""]

    def parents(self, path: str) -> list[str]:
        """Paths of the containers around `path`, from the root down to and including itself."""
        chain = [name for name in self.containers if name == "" or path == name or path.startswith(name + ".")]
        return sorted(chain, key=len)


class Untraceable(Unsupported):
    """A forward that torch.fx cannot follow; torch.export may."""


class _LocalTracer(fx.Tracer):
    """Traces one module; all its children are leaves, and parameters listed in `constants` keep their values."""

    def __init__(self, constants: Mapping[str, Any], *, follows_math: bool) -> None:
        wrapped: Any = (math,) if follows_math else ()  # annotated as exactly one module
        super().__init__(autowrap_modules=wrapped)
        self.constants = constants

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        parameters = list(inspect.signature(root_fn).parameters.values())[1:]
        arguments: list[Any] = [self.root]
        keywords: dict[str, Any] = {}
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            if parameter.name in self.constants:
                value = self.constants[parameter.name]
            else:
                value = self.create_proxy("placeholder", parameter.name, (), {})
            if parameter.kind is parameter.KEYWORD_ONLY:
                keywords[parameter.name] = value
            else:
                arguments.append(value)
        return (lambda *given: root_fn(*given, **keywords)), arguments


def copy_of(model: nn.Module) -> nn.Module:
    """A private copy, in which in-place layers return a new tensor: quantizers may need what they would overwrite.

    Attention layers of torch are written out in it.
    """
    copied = write_out(copy.deepcopy(model))
    for module in copied.modules():
        if getattr(module, "inplace", None) is True:
            module.inplace = False  # type: ignore[assignment]
    return copied


def trace(model: nn.Module) -> Hierarchy:
    """Trace a private copy (see `copy_of`) container by container."""
    hierarchy = Hierarchy(model, {})
    if is_primitive(model):
        raise Unsupported(f"a single {type(model).__name__} is no model: it has no layers inside", hint="wrap it")
    signature = inspect.signature(type(model).forward)
    required = [parameter.name for parameter in list(signature.parameters.values())[1:2]]
    if not required:
        raise Unsupported(f"{type(model).__name__}.forward takes no input")
    if not _visit(hierarchy, "", model, defaults_of(model)):
        raise Unsupported(f"{type(model).__name__} computes nothing that a plan could look into")
    return hierarchy


def defaults_of(model: nn.Module) -> dict[str, Any]:
    """What the further parameters of a network's forward are when it is called with one input."""
    parameters = list(inspect.signature(type(model).forward).parameters.values())[2:]
    return {parameter.name: parameter.default for parameter in parameters if parameter.default is not parameter.empty}


def graph_of_container(module: nn.Module, constants: Mapping[str, Any]) -> fx.Graph:
    """The graph of one container's own forward in evaluation, its children as leaves; `constants` are its settings."""
    graph = _trace_both_modes(module, constants)
    if graph is None:
        raise Unsupported(f"{type(module).__name__} computes something else in training than in evaluation")
    return graph


def _visit(hierarchy: Hierarchy, path: str, module: nn.Module, constants: Mapping[str, Any]) -> bool:
    """Trace one container and then those inside it. False: the module is better left as a leaf."""
    fused_graph = None
    try:
        if getattr(module, "fused_attn", None) is True:
            fused_graph = _trace_one(module, constants)
            module.fused_attn = False  # type: ignore[assignment]
        graph = _trace_both_modes(module, constants)
    except Unsupported:
        raise
    except Exception as error:  # whatever the author's forward raises when it meets a proxy
        if path and not is_opaque_layer(module):
            return False
        reason = " ".join(str(error).split())[:200]
        raise Untraceable(
            f"{_called(path, module)} cannot be traced: {type(error).__name__}: {reason}",
            hint="its forward may not branch on the values of tensors",
        ) from error
    if graph is None:
        if path and not is_opaque_layer(module):
            return False
        raise Unsupported(f"{_called(path, module)} computes something else in training than in evaluation")
    container = Container(path, module, graph, fused_graph=fused_graph)
    hierarchy.containers[path] = container
    for node in list(graph.nodes):
        if node.op == "call_module":
            _visit_call(hierarchy, container, node)
    return True


def _visit_call(hierarchy: Hierarchy, container: Container, node: fx.Node) -> None:
    target = str(node.target)
    child = container.module.get_submodule(target)
    if not is_container(child):
        return
    path = join(container.path, target)
    if path in hierarchy.containers:
        raise Unsupported(
            f"{_called(path, child)} is called more than once, so its sites have no names of their own",
            hint="give each call a module of its own",
        )
    tensors, constants = bind_call(child, node)
    if isinstance(child, SelfAttention):
        tensors = self_attention_call(_called(path, child), node, tensors, constants)
    if _visit(hierarchy, path, child, constants):
        container.calls[node] = path
        # The child's graph only has placeholders for what really flows into it.
        node.args, node.kwargs = tuple(tensors), {}


def bind_call(child: nn.Module, node: fx.Node) -> tuple[list[Any], dict[str, Any]]:
    """Split the arguments of a call into those that hold nodes (in the order of the signature) and constants."""
    signature = inspect.signature(type(child).forward)
    bound = signature.bind(child, *node.args, **node.kwargs)
    bound.apply_defaults()
    tensors: list[Any] = []
    constants: dict[str, Any] = {}
    for parameter in list(signature.parameters.values())[1:]:
        value = bound.arguments[parameter.name]
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            if value:
                raise Untraceable(f"{type(child).__name__}.forward takes a variable number of arguments")
        elif nodes_in(value):
            tensors.append(value)
        else:
            constants[parameter.name] = value
    return tensors, constants


def nodes_in(value: Any) -> list[fx.Node]:
    """All nodes in a structure of arguments, one entry an occurrence."""
    found: list[fx.Node] = []
    fx.node.map_arg(value, found.append)
    return found


def operand_nodes(node: fx.Node) -> list[fx.Node]:
    """The nodes among the arguments of a node; an operand index counts along this list."""
    return nodes_in((node.args, node.kwargs))


def is_container(module: nn.Module) -> bool:
    """Whether a module is looked into."""
    return not (is_primitive(module) or isinstance(module, Quantizer) or type(module).__name__ in DROP_PATHS or (
        # A subclass of one of torch.nn's layers (a layer norm with its own kernel) is that layer.
        any(base.__module__.startswith("torch.nn.") and base not in _LOOKED_INTO for base in type(module).__mro__)
    ))  # fmt: skip


_LOOKED_INTO = (nn.Module, nn.Sequential, nn.ModuleList, nn.ModuleDict)


def _trace_one(module: nn.Module, constants: Mapping[str, Any]) -> fx.Graph:
    try:
        graph = _LocalTracer(constants, follows_math=False).trace(module)
    except TypeError:
        # Functions of `math` refuse a proxy. To follow them takes torch.fx three times as long as all the rest, and
        # hardly a forward calls one on a size.
        graph = _LocalTracer(constants, follows_math=True).trace(module)
    for name, value in list(vars(module).items()):
        # Constants that the trace met become buffers, so that they move between devices with the model.
        if name.startswith("_tensor_constant") and isinstance(value, torch.Tensor):
            delattr(module, name)
            module.register_buffer(name, value, persistent=False)
    _without_in_place(graph, module)
    return graph


def _trace_both_modes(module: nn.Module, constants: Mapping[str, Any]) -> fx.Graph | None:
    """The graph in evaluation; None where training computes something else, apart from functional dropout."""
    if type(module).forward is nn.Sequential.forward:
        return _chain(module)
    mode = module.training
    try:
        module.training = True
        training = _trace_one(module, constants)
        module.training = False
        evaluation = _trace_one(module, constants)
    finally:
        module.training = mode
    if _text(training) == _text(evaluation):
        return evaluation
    for pair in zip(list(training.nodes), list(evaluation.nodes), strict=False):
        if all(node.op == "call_function" and node.target is F.dropout for node in pair):
            for node in pair:
                _dropout_as_module(module, node)
    return evaluation if _text(training) == _text(evaluation) else None


def _chain(module: nn.Module) -> fx.Graph:
    """The graph of a plain Sequential, written down: tracing costs a hundred times as much."""
    graph = fx.Graph()
    value = graph.placeholder("input")
    for name in module._modules:
        value = graph.create_node("call_module", name, (value,))
    graph.output(value)
    return graph


def _text(graph: fx.Graph) -> str:
    return str(graph.python_code("self").src)


def _dropout_as_module(module: nn.Module, node: fx.Node) -> None:
    """Functional dropout freezes the mode it was traced in; the layer follows the model's mode."""
    name = f"functional_{node.name}"
    if not hasattr(module, name):
        layer = nn.Dropout(float(node.kwargs.get("p", 0.5)))  # type: ignore[arg-type]
        module.add_module(name, layer.train(module.training))
    with node.graph.inserting_before(node):
        call = node.graph.call_module(name, (node.args[0],))
    node.replace_all_uses_with(call)
    node.graph.erase_node(node)


_IN_PLACE_OPERATORS: dict[object, Callable[..., Any]] = {
    operator.iadd: operator.add,
    operator.imul: operator.mul,
    operator.isub: operator.sub,
    operator.itruediv: operator.truediv,
}


def _without_in_place(graph: fx.Graph, module: nn.Module) -> None:
    """Give every in-place operation its out-of-place twin, which has the same result bit for bit."""
    for node in list(graph.nodes):
        if node.kwargs.get("inplace") is True:
            node.kwargs = {**node.kwargs, "inplace": False}
        twin: Any = None
        if node.op == "call_function":
            twin = _IN_PLACE_OPERATORS.get(node.target)
            name = getattr(node.target, "__name__", "")
            if twin is None and name.endswith("_") and not name.startswith("_") and not name.endswith("__"):
                twin = getattr(torch, name[:-1], None) or getattr(F, name[:-1], None)
        elif node.op == "call_method" and node.target.endswith("_") and not node.target.endswith("__"):
            twin = node.target[:-1] if hasattr(torch.Tensor, node.target[:-1]) else None
        if twin is None:
            continue
        if not node.users:
            raise Unsupported(
                f"{type(module).__name__} changes a tensor in place and drops the result ({node.name})",
                hint="assign the result of the operation",
            )
        with graph.inserting_before(node):
            replacement = graph.create_node(node.op, twin, node.args, node.kwargs)
        node.replace_all_uses_with(replacement)
        graph.erase_node(node)


def _called(path: str, module: nn.Module) -> str:
    return f"{path} ({type(module).__name__})" if path else type(module).__name__
