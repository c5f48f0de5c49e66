"""Laboratory, the audit: runs a placed model and shows every operand as it really flows. No quantizer is asked.

Containers of a placed model are traced graphs whose nodes keep the names that the anatomy gave them. While a `Capture`
is entered, each container is interpreted node by node, and around each layer the call of the matrix product itself is
intercepted, so that what counts is the weight that is multiplied, wherever it is stored and whoever changed it last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from suite.plan.anatomy import NETWORK, Anatomy, Kind, Operation
from suite.plan.trace import operand_nodes

PRODUCTS = {torch.conv1d, torch.conv2d, torch.conv3d, torch.nn.functional.linear}
NORMALIZATIONS = {
    torch.nn.functional.batch_norm: ("input", "running_mean", "running_var", "weight", "bias", "training"),
    torch.batch_norm: ("input", "weight", "bias", "running_mean", "running_var", "training"),
}
"""Functions that normalize over the batch, each with the order of its first arguments."""

OnOperand = Callable[[Operation, int, Tensor], None]
OnWeight = Callable[[Operation, Tensor], None]


@dataclass(frozen=True)
class Statistics:
    """Mean and variance with which one batch normalization works; None where it takes those of the batch."""

    mean: Tensor | None
    variance: Tensor | None

    @classmethod
    def copied(cls, mean: Tensor | None, variance: Tensor | None) -> Statistics:
        return cls(*(None if one is None else one.detach().cpu().clone() for one in (mean, variance)))

    def equals(self, other: Statistics) -> bool:
        """Bit for bit."""
        pairs = ((self.mean, other.mean), (self.variance, other.variance))
        return all(one is two is None or _equal(one, two) for one, two in pairs)


@dataclass
class Findings:
    """What does not look like the model that was dissected. Texts are sentences about an operation."""

    missing: dict[str, str] = field(default_factory=dict)
    batch_norms: dict[str, Statistics] = field(default_factory=dict)


class _Calls(TorchFunctionMode):
    """Records convolutions, linear products and batch normalizations that one operation calls."""

    def __init__(self) -> None:
        super().__init__()
        self.products: list[tuple[Tensor, Tensor, Tensor]] = []
        self.normalizations: list[Statistics] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func in PRODUCTS:
            left = args[0] if args else kwargs["input"]
            right = args[1] if len(args) > 1 else kwargs["weight"]
            self.products.append((left, right, result))
        if func in NORMALIZATIONS:
            self.normalizations.append(_statistics(dict(zip(NORMALIZATIONS[func], args, strict=False)) | kwargs))
        return result


def _statistics(arguments: Mapping[str, Any]) -> Statistics:
    """Those of one call, copied, because a model may change its own in place."""
    if arguments.get("training"):
        return Statistics(None, None)
    return Statistics.copied(arguments.get("running_mean"), arguments.get("running_var"))


def float_statistics(model: nn.Module, anatomy: Anatomy) -> dict[str, Statistics]:
    """What the batch normalizations of the float `model` would normalize with, by operation."""
    found = {}
    for op in anatomy.of_kind(Kind.BATCH_NORM):
        module = None if op.module is None else model.get_submodule(op.module)
        if isinstance(module, _BatchNorm):
            found[op.name] = Statistics.copied(module.running_mean, module.running_var)
    return found


class _Interpreter(fx.Interpreter):
    """One container, node by node."""

    def __init__(self, container: fx.GraphModule, capture: Capture, ops: Mapping[str, Operation]) -> None:
        super().__init__(container)
        self._capture = capture
        self._ops = ops

    def run_node(self, n: fx.Node) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        operation = self._ops.get(n.name)
        if operation is None:
            return getattr(self, n.op)(n.target, args, kwargs)
        operands = [self.env[node] for node in operand_nodes(n)]
        calls = _Calls()
        with calls:
            result = getattr(self, n.op)(n.target, args, kwargs)
        self._capture.seen(operation, operands, calls, result)
        return result


class Capture:
    """Shows the operands of every operation of `anatomy` to two callbacks, for each run of `model`."""

    def __init__(self, model: nn.Module, anatomy: Anatomy, on_operand: OnOperand, on_weight: OnWeight) -> None:
        self.model = model
        self.anatomy = anatomy
        self.findings = Findings()
        self._on_operand = on_operand
        self._on_weight = on_weight
        self._seen: set[str] = set()
        self._ops: dict[str, dict[str, Operation]] = {}
        for op in anatomy.ops:
            if op.name == NETWORK:
                continue
            self._ops.setdefault(op.container, {})[op.node] = op
        self._containers = self._find_containers()

    def _find_containers(self) -> dict[str, fx.GraphModule]:
        modules = dict(self.model.named_modules())
        found: dict[str, fx.GraphModule] = {}
        for path in self._ops:
            module = modules.get(path)
            if isinstance(module, fx.GraphModule):
                found[path] = module
                continue
            what = "is gone" if module is None else f"is a {type(module).__name__}, not the block that was placed"
            for op in self._ops[path].values():
                self.findings.missing[op.name] = f"{path or 'the model'} {what}"
        return found

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Interpret the containers until the end of the block."""
        replaced: list[tuple[fx.GraphModule, Any]] = []
        try:
            for path, container in self._containers.items():
                replaced.append((container, container.__dict__.get("forward")))
                interpreter = _Interpreter(container, self, self._ops[path])
                container.__dict__["forward"] = interpreter.run
            yield
        finally:
            for container, forward in replaced:
                if forward is None:
                    container.__dict__.pop("forward", None)
                else:
                    container.__dict__["forward"] = forward

    def seen(self, op: Operation, operands: list[Any], calls: _Calls, result: Any) -> None:
        """One operation ran."""
        self._seen.add(op.name)
        if calls.normalizations:
            self.findings.batch_norms[op.name] = calls.normalizations[-1]
        if op.kind is Kind.WEIGHTED:
            used = [call for call in calls.products if call[2] is result or _equal(call[2], result)]
            if not used:
                count = len(calls.products) or "no"
                self.findings.missing[op.name] = f"its result is not a product with one weight; the layer calls {count}"
                return
            left, right, _ = used[-1]
            self._on_operand(op, op.operands[0].index, left)
            self._on_weight(op, right)
            return
        for index in sorted({operand.index for operand in op.operands}):
            if index < len(operands) and isinstance(operands[index], Tensor):
                self._on_operand(op, index, operands[index])

    def close(self) -> Findings:
        """Operations that never ran are missing, too."""
        for op in self.anatomy.ops:
            if op.name != NETWORK and op.name not in self._seen:
                self.findings.missing.setdefault(op.name, "the operation is no longer part of the model")
        return self.findings


def _equal(left: object, right: object) -> bool:
    return (
        isinstance(left, Tensor)
        and isinstance(right, Tensor)
        and left.shape == right.shape
        and bool(torch.equal(left, right))
    )
