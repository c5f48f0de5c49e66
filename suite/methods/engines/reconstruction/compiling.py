"""Methods, reconstruction engine: compiled objectives, one for all units of the same shape.

Compiling takes seconds, and a network repeats its blocks. The first unit of a shape is compiled through a copy of it,
a shell; every further one lends its tensors to the shell, which then computes and learns with them.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections.abc import Callable
from enum import Enum
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

from suite.errors import SuiteError

log = logging.getLogger("suite.reconstruction")

Compilation = Literal["auto", "never", "always"]
COMPILE_FROM_ITERATIONS = 1000
"""Below, an iteration saves too little to earn back what compiling costs (measured on ResNet-20, one thread)."""
SHELLS = 512
"""How many different shapes may be compiled in one process."""


class Compiler:
    """Compiles objectives, and remembers their shells as long as it is entered as a context."""

    def __init__(self, compilation: Compilation) -> None:
        self.compilation = compilation
        self._shells: dict[str, tuple[nn.Module, Callable[..., Tensor]]] = {}
        self._failed = False
        # torch gives up, without a word, on code that it compiled for more than a few different modules.
        self._limits = torch._dynamo.config.patch(recompile_limit=SHELLS, accumulated_recompile_limit=4 * SHELLS)

    def __enter__(self) -> Compiler:
        self._limits.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._shells.clear()
        self._limits.__exit__(*error)

    def __call__(self, objective: nn.Module, iterations: int) -> Callable[..., Tensor]:
        """The objective, compiled where asked for or where it is called often enough; eagerly where that fails."""
        wanted = self.compilation == "always" or (self.compilation == "auto" and iterations >= COMPILE_FROM_ITERATIONS)
        if self._failed or not wanted:
            return objective
        signature = signature_of(objective)
        if signature not in self._shells:
            shell = copy.deepcopy(objective)
            self._shells[signature] = shell, torch.compile(shell, dynamic=False)
        shell, fast = self._shells[signature]
        lend(objective, shell)
        return self._guarded(fast, objective)

    def _guarded(self, fast: Callable[..., Tensor], objective: nn.Module) -> Callable[..., Tensor]:
        def run(*given: Any) -> Tensor:
            if self._failed:
                return objective(*given)  # type: ignore[no-any-return]
            try:
                return fast(*given)
            except Exception as error:  # a missing C++ compiler surfaces as any of a dozen exception types
                if self.compilation == "always":
                    reason = (str(error).splitlines() or [""])[0]
                    raise SuiteError(
                        f"compiling an iteration failed: {type(error).__name__}: {reason}",
                        hint="install a C++ compiler, or leave compile at auto, which goes on without",
                    ) from error
                log.warning("compiling an iteration failed (%s); reconstruction goes on without", type(error).__name__)
                self._failed = True
                return objective(*given)  # type: ignore[no-any-return]

        return run


def lend(source: nn.Module, shell: nn.Module) -> None:
    """Put the very parameters and buffers of a module into another one of the same structure."""
    for (_, given), (_, taking) in zip(source.named_modules(), shell.named_modules(), strict=True):
        for name in taking._parameters:
            taking._parameters[name] = given._parameters[name]
        for name in taking._buffers:
            taking._buffers[name] = given._buffers[name]


def signature_of(module: nn.Module) -> str:
    """Everything that decides what is compiled for a module: its structure, its switches, the shapes of its tensors."""
    parts = []
    for name, inner in module.named_modules():
        tensors = [
            (
                key,
                None if value is None else (tuple(value.shape), value.stride(), str(value.dtype), value.requires_grad),
            )
            for key, value in [*inner._parameters.items(), *inner._buffers.items()]
        ]
        code = inner.code if isinstance(inner, fx.GraphModule) else ""
        parts.append(repr((name, type(inner).__name__, tensors, code, _switches(inner))))
    return "\n".join(parts)


def _kind(tensor: Tensor) -> tuple[object, ...]:
    return tuple(tensor.shape), tensor.stride(), str(tensor.dtype), tensor.device.type, tensor.requires_grad


def _switches(module: nn.Module) -> list[tuple[str, str]]:
    """The plain attributes of a module. Names of places differ from unit to unit and decide nothing."""
    return sorted(
        (name, repr(value))
        for name, value in vars(module).items()
        if name not in ("weight_site", "sites", "_code") and not name.startswith("_") and _plain(value)
    )


def _plain(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(_plain(one) for one in value)
    return (
        value is None
        or isinstance(value, bool | int | float | str | Enum | torch.Size | torch.dtype)
        or (dataclasses.is_dataclass(value) and not isinstance(value, type))
    )
