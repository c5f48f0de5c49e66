"""Methods, training engine: what makes a step faster and leaves what it computes alone: memory layout, compilation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from suite.errors import SuiteError
from suite.methods.engines.recipe import Compilation

log = logging.getLogger("suite.training")

# Compiling takes 20 to 45 seconds of one core and saves a third to a half of a step of ResNet-20: a short run is faster
# without.
COMPILE_FROM_STEPS = 300
COMPILE_FROM_PARAMETERS = 100_000


def worth_compiling(compilation: Compilation, model: nn.Module, steps: int) -> bool:
    """Whether the recipe asks for compilation, or leaves it to the length of the run and the size of the model."""
    if compilation is not Compilation.AUTO:
        return compilation is Compilation.ALWAYS
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return steps >= COMPILE_FROM_STEPS and parameters >= COMPILE_FROM_PARAMETERS


@contextmanager
def compiled(
    model: nn.Module, batch_size: int, *, wanted: bool = True, required: bool = False, training: bool = True
) -> Iterator[None]:
    """While the block lasts, `model.forward` is compiled for training on full batches.

    `training`: the mode of the model in which it is; where only quantizers learn, it stays in evaluation mode.

    Where that fails, a `SuiteError` ends the run if it is `required`; otherwise training goes on eagerly, with a note.

    Only `forward` is replaced: hooks on the model still run, and validation and the last, smaller batch stay eager,
    because each new shape or mode would be compiled again for a single use.
    """
    if not wanted:
        yield
        return
    eager = model.forward
    fast: Callable[[Tensor], Tensor] | None = None
    failed = False

    def forward(inputs: Tensor) -> Tensor:
        nonlocal fast, failed
        if failed or model.training is not training or inputs.shape[0] != batch_size:
            return eager(inputs)  # type: ignore[no-any-return]
        if fast is not None:
            return fast(inputs)
        try:
            attempt: Callable[[Tensor], Tensor] = torch.compile(eager, dynamic=False, options=compiler_options())
            result = attempt(inputs)
        except Exception as error:  # a missing C++ compiler, for one, surfaces as any of a dozen exception types
            if required:
                reason = (str(error).splitlines() or [""])[0]
                raise SuiteError(
                    f"compiling the training step failed: {type(error).__name__}: {reason}",
                    hint="install a C++ compiler, or leave compile at auto, which goes on without",
                ) from error
            log.warning("compiling the training step failed (%s); training goes on without", type(error).__name__)
            failed = True
            return eager(inputs)  # type: ignore[no-any-return]
        fast = attempt
        return result

    model.__dict__["forward"] = forward
    try:
        yield
    finally:
        del model.__dict__["forward"]
        if fast is not None:
            # What is compiled for one forward counts against a limit, beyond which the next training would go on
            # eagerly, and a run that continues in another process would not.
            torch.compiler.reset()


def compiler_options() -> dict[str, Any]:
    """Options for the compiler; none where its inner parts are not where they were."""
    try:
        from suite.methods.engines.recomputing import MasksAnew
    except ImportError:
        return {}
    return {"joint_custom_post_pass": MasksAnew()}


@contextmanager
def channels_last(model: nn.Module) -> Iterator[torch.memory_format]:
    """Convolutions run faster with the channels innermost (measured: a tenth to a quarter of a training step)."""
    convolutional = any(isinstance(module, nn.Conv2d) for module in model.modules())
    if not convolutional:
        yield torch.contiguous_format
        return
    _arrange(model, torch.channels_last)
    try:
        yield torch.channels_last
    finally:
        _arrange(model, torch.contiguous_format)


def _arrange(model: nn.Module, layout: torch.memory_format) -> None:
    """Lay out all tensors of four axes; `Module.to` would also try those of five, which have no such layout."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.contiguous(memory_format=layout)
