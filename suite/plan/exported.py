"""Plan, the second front end: torch.export, for models whose forward cannot be traced symbolically.

Networks of `transformers` read shapes, build masks from them and branch; a symbolic trace cannot follow. torch.export
runs such a forward on tensors without values and writes down what it computes, and torch.export.unflatten gives every
module its own part of that. What is built here from the parts is what `trace` builds: containers that are the author's
own modules, with graphs of their own forward, whose leaves are the author's own layers. Paths and state-dict names
survive.

Three differences matter. The graphs are those of evaluation, in operations of aten: functional dropout keeps the
probability that evaluation passes, which for attention is none. Sizes that a container reads come from the tensors
that have them. And every container becomes a block, because its author's forward takes other arguments.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch._ops import OpOverload
from torch.export import Dim, export
from torch.export.unflatten import unflatten

from suite.errors import Unsupported
from suite.plan.anatomy import InputForm
from suite.plan.operations import function_name, is_primitive, overrides_forward
from suite.plan.trace import Container, Export, Hierarchy, join, nodes_in

# Assertions about what is already known while exporting: they would tie the graph to one device.
_CHECKS = frozenset({"assert_tensor_metadata", "assert_scalar", "sym_constrain_range", "sym_constrain_range_for_size"})
# Copies of constants that nothing changes any more once there are no operations in place.
_COPIES = frozenset({"lift_fresh_copy", "detach", "alias"})
_AGAIN = re.compile(r"@\d+")  # how unflatten calls the second call of one module
_CHECK_MODULE = "_guards_fn"
EXAMPLES = 3
"""Examples to export with: 0 and 1 are cases of their own, and 2 is the size of too much else."""


def exported(model: nn.Module, form: InputForm) -> Hierarchy:
    """The containers of a private copy, from an export in evaluation with an input of this form.

    The number of examples stays open, and so does the length where the input is a sequence of tokens.
    """
    mode = model.training
    state = next(iter([*model.parameters(), *model.buffers()]), torch.empty(0))
    example = torch.zeros(_sizes(form), dtype=getattr(torch, form.dtype), device=state.device)
    dynamic = dict.fromkeys(range(min(2, example.dim()) if form.tokens else 1), Dim.AUTO)
    try:
        with torch.no_grad(), _quietly():
            program = export(model.eval(), (example,), dynamic_shapes=(dynamic,))
            parts = unflatten(program)
    except Exception as error:  # whatever the author's forward or the exporter raises
        reason = " ".join(str(error).split())[:120]
        raise Unsupported(f"nor can torch.export follow {type(model).__name__}: {reason}") from error
    finally:
        model.train(mode)
    given = next(node for node in parts.graph.nodes if node.op == "placeholder")
    open_axes = tuple(_is_open(size) for size in given.meta["val"].shape)
    if not open_axes[0]:
        raise Unsupported(
            f"torch.export follows {type(model).__name__} for one number of examples only",
            hint="its forward may not branch on the number of examples",
        )
    # A size of at least 2 is what every export assumes; more means that shorter inputs take another path.
    least = max((int(sizes.lower) for sizes in program.range_constraints.values()), default=2)
    if least > 2:
        raise Unsupported(
            f"torch.export follows {type(model).__name__} for sizes from {least} on only",
            hint="its forward may not branch on the number of examples or on their length",
        )
    hierarchy = Hierarchy(model, {}, Export(form, open_axes))
    _write(hierarchy, "", model, parts)
    return hierarchy


def _sizes(form: InputForm) -> tuple[int, ...]:
    """The sizes to export with: no two alike, and a length inside the context, whose end may be a case of its own.

    A mask of the whole context, cut to a length that is all of it, would make that length the only one.
    """
    _, *others = form.shape
    if form.tokens and others and others[0] > EXAMPLES + 1:
        others[0] -= 1
    return (EXAMPLES, *others)


def _is_open(size: int | torch.SymInt) -> bool:
    return isinstance(size, torch.SymInt) and bool(size.node.expr.free_symbols)


@contextmanager
def _quietly() -> Iterator[None]:
    """What an export that fails has to say is said by its exception."""
    before = logging.root.manager.disable
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)


def _write(hierarchy: Hierarchy, path: str, module: nn.Module, part: nn.Module) -> list[int]:
    """Add the container at `path` with all that is inside it; returns which operands of its call are still read."""
    if path in hierarchy.containers:
        raise Unsupported(
            f"{path} ({type(module).__name__}) is called more than once, so its sites have no names of their own",
            hint="give each call a module of its own",
        )
    container = Container(path, module, fx.Graph())
    hierarchy.containers[path] = container
    return _Writer(hierarchy, container, part).write()


@dataclass
class _Writer:
    """Writes one container's graph anew: local names, nothing in place, no checks, sizes read from tensors."""

    hierarchy: Hierarchy
    container: Container
    part: nn.Module
    known: dict[fx.Node, Any] = field(default_factory=dict)  # by node of the part: what it is in the new graph
    device: fx.Node | None = None

    @property
    def graph(self) -> fx.Graph:
        return self.container.graph

    def write(self) -> list[int]:
        source: fx.Graph = self.part.graph  # type: ignore[assignment]
        read = self._inputs([node for node in source.nodes if node.op == "placeholder"])
        for node in source.nodes:
            if node.op == "get_attr":
                self.known[node] = self.graph.get_attr(self._attribute(str(node.target)))
            elif node.op == "call_module":
                self._module(node)
            elif node.op == "call_function":
                self._function(node)
            elif node.op == "output":
                self._output(node)
        for node in reversed(list(self.graph.nodes)):
            if not node.users and node.op not in ("placeholder", "output", "call_module"):
                self.graph.erase_node(node)
        return read

    def _inputs(self, given: list[fx.Node]) -> list[int]:
        """Placeholders for tensors. A size becomes one only where no tensor has it."""
        tensors = [node for node in given if isinstance(node.meta.get("val"), torch.Tensor)]
        sources = {node: _source_of_size(node, tensors) for node in given if node not in tensors}
        read = [node for node in given if sources.get(node) is None]
        for index, node in enumerate(read):
            self.known[node] = self.graph.placeholder(f"given_{index}")
        for node, source in sources.items():
            if source is not None:
                tensor, axis = source
                self.known[node] = self.graph.call_method("size", (self.known[tensor], axis))
        if tensors:
            self.device = self.graph.call_function(getattr, (self.known[tensors[0]], "device"))
        return [given.index(node) for node in read]

    def _attribute(self, target: str) -> str:
        """The author's own parameter or buffer; constants that the export met become buffers beside them."""
        module = self.container.module
        if _has(module, target):
            return target
        name = target.replace(".", "_")
        module.register_buffer(name, _get(self.part, target).detach().clone(), persistent=False)
        return name

    def _module(self, node: fx.Node) -> None:
        target = _AGAIN.sub("", str(node.target))
        if target == _CHECK_MODULE:
            return
        child = self.container.module.get_submodule(target)
        operands = self._mapped(node.args)
        if _is_leaf(child):
            tensors = [
                self.known[operand]
                for operand in nodes_in((node.args, node.kwargs))
                if isinstance(operand.meta.get("val"), torch.Tensor)
            ]
            if len(tensors) != 1:
                raise Unsupported(
                    f"{join(self.container.path, target)} ({type(child).__name__}) reads {len(tensors)} tensors",
                    hint="layers of torch.nn that read one tensor can be planned",
                )
            self.known[node] = self.graph.create_node("call_module", target, tuple(tensors), name=_node_name(target))
            return
        if node.kwargs:
            raise Unsupported(f"{join(self.container.path, target)} is called with keywords by the export")
        call = self.graph.create_node("call_module", target, name=_node_name(target))
        path = join(self.container.path, target)
        read = _write(self.hierarchy, path, child, self.part.get_submodule(str(node.target)))
        call.args = tuple(operands[index] for index in read)
        self.container.calls[call] = path
        self.known[node] = call

    def _function(self, node: fx.Node) -> None:
        target: Any = node.target
        name = function_name(target)
        if name in _CHECKS:
            return
        operands, keywords = self._mapped(node.args), dict(self._mapped(node.kwargs))
        if (name in _COPIES and _is_constant(operands[0])) or (name == "to" and _same_type(node)):
            self.known[node] = operands[0]
        elif name == "dropout" and isinstance(target, OpOverload):
            self.known[node] = self._dropout(operands[0], float(operands[1]))
        else:
            if isinstance(keywords.get("device"), torch.device) and self.device is not None:
                keywords["device"] = self.device
            target = _out_of_place(target, node, self.container)
            self.known[node] = self.graph.create_node("call_function", target, tuple(operands), keywords, name=name)

    def _dropout(self, operand: Any, probability: float) -> Any:
        """Functional dropout freezes the mode it was exported in; the layer follows the model's mode."""
        if probability == 0.0:
            return operand
        module = self.container.module
        name = next(name for number in range(10**6) if not hasattr(module, name := f"functional_dropout_{number}"))
        module.add_module(name, nn.Dropout(probability).train(module.training))
        return self.graph.call_module(name, (operand,))

    def _output(self, node: fx.Node) -> None:
        value = self._mapped(node.args[0])
        if self.container.path == "" and isinstance(value, tuple | list) and len(value) == 1:
            value = value[0]  # the root of an export returns a tuple
        self.graph.output(value)

    def _mapped(self, structure: Any) -> Any:
        return fx.node.map_arg(structure, lambda node: self.known[node])


def _is_leaf(module: nn.Module) -> bool:
    """Whether a module is kept whole: a layer of torch.nn or an activation function, with its own forward."""
    if is_primitive(module):
        return True
    in_torch = any(base.__module__.startswith("torch.nn.modules.") for base in type(module).__mro__[:-2])
    return in_torch and not overrides_forward(module) and next(module.children(), None) is None


def _node_name(target: str) -> str:
    """As fx would name the call of a child, apart from one called `self` (BERT's attention), which is taken."""
    name = target.replace(".", "_")
    return f"{name}_" if name == "self" else name


def _source_of_size(size: fx.Node, tensors: list[fx.Node]) -> tuple[fx.Node, int] | None:
    """A tensor and its axis of that size."""
    wanted = size.meta.get("val")
    if isinstance(wanted, torch.SymInt):
        for tensor in tensors:
            for axis, length in enumerate(tensor.meta["val"].shape):
                if isinstance(length, torch.SymInt) and length.node.expr == wanted.node.expr:
                    return tensor, axis
    return None


def _is_constant(value: Any) -> bool:
    return isinstance(value, fx.Node) and value.op == "get_attr"


def _same_type(node: fx.Node) -> bool:
    """Whether a conversion converts nothing."""
    before, after = node.args[0], node.meta.get("val")
    value = before.meta.get("val") if isinstance(before, fx.Node) else None
    return isinstance(value, torch.Tensor) and isinstance(after, torch.Tensor) and value.dtype == after.dtype


def _out_of_place(target: Any, node: fx.Node, container: Container) -> Any:
    """The twin of an operation in place, which has the same result bit for bit."""
    if not isinstance(target, OpOverload) or not target._schema.is_mutable:
        return target
    packet = getattr(torch.ops.aten, target._schema.name.split("::")[1].removesuffix("_"), None)
    twin = getattr(packet, target._overloadname, None)
    if twin is None or not node.users:
        raise Unsupported(
            f"{type(container.module).__name__} changes a tensor in place ({node.name})",
            hint="assign the result of the operation",
        )
    return twin


def _has(module: nn.Module, target: str) -> bool:
    try:
        return isinstance(_get(module, target), torch.Tensor)
    except AttributeError:
        return False


def _get(module: nn.Module, target: str) -> Any:
    value: Any = module
    for name in target.split("."):
        value = getattr(value, name)
    return value
