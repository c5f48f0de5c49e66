"""Methods, engines: what a loop puts down in a checkpoint, and takes up again as if nothing had happened.

Everything here is exact: a parameter, a moment of the optimizer, a position of a random stream comes back bit for bit
and in the memory layout of the thing it belongs to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def prefixed(prefix: str, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Values under names that begin with "prefix.", so that several groups fit into one checkpoint."""
    return {f"{prefix}.{name}": value for name, value in values.items()}


def part(prefix: str, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The group that `prefixed` put there."""
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in values.items() if name.startswith(start)}


def fingerprint(model: nn.Module) -> str:
    """SHA-256 of a model's state: two loops that start from different states must not share a checkpoint."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        if value.numel():
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The moments and counters of an optimizer, by the position of their parameter among all its groups."""
    return {
        f"{position}.{name}": value
        for position, parameter in enumerate(_parameters(optimizer))
        for name, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Give an optimizer, made as the first one was, the moments and counters of `optimizer_state`."""
    for position, parameter in enumerate(_parameters(optimizer)):
        found = part(str(position), state)
        if found:
            optimizer.state[parameter] = {name: _like(parameter, value) for name, value in found.items()}


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _like(parameter: Tensor, value: Tensor) -> Tensor:
    """`value` on the parameter's device; a moment also in its layout, as fused updates walk over both at once."""
    if value.shape != parameter.shape:
        return value.to(parameter.device)
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Where the global generators stand: that of the processor and, on an accelerator, that of the device."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Put the global generators where `random_state` found them."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
