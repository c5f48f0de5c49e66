"""Methods, reconstruction engine: one iteration's loss and gradients, compiled once for all units of the same shape.

Forward and backward pass are traced into a single graph of plain operations on tensors, and that is compiled: nothing
is saved for a second graph, no engine walks back, and operations of both passes are fused. The tensors of a unit are
arguments, so that every further unit of the same structure runs what the first one compiled.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_flatten, tree_unflatten

from suite.errors import SuiteError

log = logging.getLogger("suite.reconstruction")

Compilation = Literal["auto", "never", "always"]
COMPILE_FROM_ITERATIONS = 1000
"""Below, an iteration saves too little to earn back what compiling costs (measured on ResNet-20, one thread)."""

Differentiate = Callable[..., Tensor]
"""Computes a loss of some arguments, adds its gradients to what is learned, and returns it without a history."""


class Compiler:
    """Turns objectives, which are modules that return a loss, into functions that leave gradients too."""

    def __init__(self, compilation: Compilation) -> None:
        self.compilation = compilation
        self._compiled: dict[object, _Compiled] = {}
        self._failed = False

    def __call__(self, objective: nn.Module, iterations: int) -> Differentiate:
        """Compiled where asked for, or where it is called often enough; eagerly where that fails."""

        def eager(*given: Any) -> Tensor:
            loss = objective(*given)
            loss.backward()
            return loss.detach()  # type: ignore[no-any-return]

        wanted = self.compilation == "always" or (self.compilation == "auto" and iterations >= COMPILE_FROM_ITERATIONS)
        if not wanted:
            return eager
        signature = signature_of(objective)
        tensors = {**dict(objective.named_parameters()), **dict(objective.named_buffers())}

        def run(*given: Any) -> Tensor:
            if self._failed:
                return eager(*given)
            try:
                return self._known(signature, objective, tensors, given)(tensors, given)
            except Exception as error:  # a missing C++ compiler surfaces as any of a dozen exception types
                if self.compilation == "always":
                    reason = (str(error).splitlines() or [""])[0]
                    raise SuiteError(
                        f"compiling an iteration failed: {type(error).__name__}: {reason}",
                        hint="install a C++ compiler, or leave compile at auto, which goes on without",
                    ) from error
                log.warning("compiling an iteration failed (%s); reconstruction goes on without", type(error).__name__)
                self._failed = True
                return eager(*given)

        return run

    def _known(
        self, signature: str, objective: nn.Module, tensors: dict[str, Tensor], given: tuple[Any, ...]
    ) -> _Compiled:
        key = signature, _form(given)
        if key not in self._compiled:
            self._compiled[key] = _compile(objective, tensors, given)
        return self._compiled[key]


@dataclass(frozen=True)
class _Compiled:
    """A function of all tensors of a unit and of what it is given: the loss, and the gradients of `learned`."""

    function: Callable[..., Sequence[Tensor]]
    learned: tuple[str, ...]

    def __call__(self, tensors: dict[str, Tensor], given: tuple[Any, ...]) -> Tensor:
        with torch.no_grad():
            loss, *gradients = self.function(*tensors.values(), *_tensors(given))
        for name, gradient in zip(self.learned, gradients, strict=True):
            held = tensors[name]
            held.grad = gradient if held.grad is None else held.grad + gradient
        return loss


def _compile(objective: nn.Module, tensors: dict[str, Tensor], given: tuple[Any, ...]) -> _Compiled:
    names = list(tensors)
    leaves, structure = tree_flatten(given)
    reached: list[str] = []

    def loss_and_gradients(*values: Tensor) -> tuple[Tensor, ...]:
        own, entering = values[: len(names)], iter(values[len(names) :])
        arguments = tree_unflatten([next(entering) if isinstance(leaf, Tensor) else leaf for leaf in leaves], structure)
        with torch.enable_grad():
            held = dict(zip(names, own, strict=True))
            loss = functional_call(objective, held, arguments)
            wanted = [name for name in names if tensors[name].requires_grad]
            found = torch.autograd.grad(loss, [held[name] for name in wanted], allow_unused=True)
        reached[:] = [name for name, gradient in zip(wanted, found, strict=True) if gradient is not None]
        return loss.detach(), *(gradient for gradient in found if gradient is not None)

    values = [*tensors.values(), *_tensors(given)]
    # Tracing computes once, and what it draws at random must not move what the iterations will draw.
    with torch.random.fork_rng():
        graph = make_fx(loss_and_gradients)(*values)
    from torch._inductor import compile as compile_graph  # takes longer to import than all of torch that a run needs

    # The graph is compiled as it is. torch.compile would ask with every call whether it still holds; here signature and
    # form of the arguments say that, and an iteration of milliseconds is a twelfth faster.
    with torch.no_grad():
        return _Compiled(compile_graph(graph, [*values]), tuple(reached))


def _tensors(given: tuple[Any, ...]) -> list[Tensor]:
    return [leaf for leaf in tree_flatten(given)[0] if isinstance(leaf, Tensor)]


def signature_of(module: nn.Module) -> str:
    """Everything that decides what is compiled for a module: its structure, its switches, the shapes of its tensors."""
    parts = []
    for name, inner in module.named_modules():
        held = [*inner._parameters.items(), *inner._buffers.items()]
        tensors = [(key, None if value is None else _kind(value)) for key, value in held]
        code = inner.code if isinstance(inner, fx.GraphModule) else ""
        parts.append(repr((name, type(inner).__name__, tensors, code, _switches(inner))))
    return "\n".join(parts)


def _kind(tensor: Tensor) -> tuple[object, ...]:
    return tuple(tensor.shape), tensor.stride(), str(tensor.dtype), tensor.device.type, tensor.requires_grad


def _form(given: Any) -> str:
    """What tracing writes into a graph as constants: sizes and layouts of tensors, and everything else as it is."""
    leaves, structure = tree_flatten(given)
    return repr((structure, [_kind(leaf) if isinstance(leaf, Tensor) else leaf for leaf in leaves]))


def _switches(module: nn.Module) -> list[tuple[str, str]]:
    """The plain attributes of a module. Names of places differ from unit to unit and decide nothing."""
    return sorted(
        (name, repr(value))
        for name, value in vars(module).items()
        if name not in ("weight_site", "sites") and not name.startswith("_") and _plain(value)
    )


def _plain(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(_plain(one) for one in value)
    return (
        value is None
        or isinstance(value, bool | int | float | str | Enum | torch.Size | torch.dtype)
        or (dataclasses.is_dataclass(value) and not isinstance(value, type))
    )
