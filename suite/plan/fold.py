"""Plan, batch-norm folding: a batch norm in evaluation is an affine map per channel, so its layer can take it over."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from suite.axes import Setting
from suite.errors import Unsupported
from suite.plan.flow import flow_of
from suite.plan.front_ends import hierarchy_of
from suite.plan.residuals import Lineage
from suite.plan.trace import copy_of, trace

DIFFERENCE = 0.01
"""Relative difference of outputs that rounding can explain, generously; a norm folded wrongly is far beyond it."""


def fold_batch_norm(model: nn.Module, example_input: Tensor | None = None) -> nn.Module:
    """A copy of the model whose batch norms behind convolutions and linear layers are folded into them.

    The data flow decides which norm belongs to which layer, not the order of attributes. Folded norms become
    `nn.Identity`, so that all paths stay. Equal to the original in evaluation, up to rounding. A model that only
    torch.export can follow needs an example.
    """
    if not any(isinstance(module, _BatchNorm) for module in model.modules()):
        return copy_of(model)
    hierarchy = trace(copy_of(model)) if example_input is None else hierarchy_of(model, example_input)
    pairs = Lineage(tuple(flow_of(hierarchy, None).ops.values())).batch_norms()
    return fold(copy_of(model), pairs)


def prepare(model: nn.Module, setting: Setting, example_input: Tensor | None = None) -> nn.Module:
    """The model that a setting speaks of: a copy, with batch norms folded where `batch_norm` says so.

    With an example, a folded copy that does not compute what the model computes in evaluation is refused.
    """
    if setting["batch_norm"] != "folded":
        return copy_of(model)
    folded = fold_batch_norm(model, example_input)
    if example_input is not None:
        _compare(model, folded, example_input)
    return folded


@torch.no_grad()
def _compare(model: nn.Module, folded: nn.Module, example_input: Tensor) -> None:
    """Refuse a folded copy whose outputs are elsewhere: ||folded - original|| > DIFFERENCE ||original||."""
    expected = copy_of(model).eval()(example_input)
    found = copy_of(folded).eval()(example_input)
    if not isinstance(expected, Tensor) or not expected.isfinite().all():
        return  # whoever dissects the model says so, in better words
    difference = float((found - expected).double().norm() / expected.double().norm().clamp_min(1e-30))
    if not difference <= DIFFERENCE:
        raise Unsupported(
            f"folding the batch norms of {type(model).__name__} changes its outputs by {difference:.0%}",
            hint="declare batch_norm: float; a norm of [N, T, C] works along T, which no linear layer can take over",
        )


@torch.no_grad()
def fold(model: nn.Module, pairs: Iterable[tuple[str, str]]) -> nn.Module:
    """Fold (layer, batch norm) pairs of a model in place. Pairs that were folded before are passed over.

    A weight that another layer holds too cannot take a norm over, nor can a layer whose channels are not the norm's.

    y = gamma (W x + b - mean) / sqrt(var + eps) + beta, so with f = gamma / sqrt(var + eps):
    W <- f W and b <- f (b - mean) + beta.
    """
    owners = _owners(model)
    folded: set[nn.Module] = set()
    for layer_path, norm_path in pairs:
        layer, norm = model.get_submodule(layer_path), model.get_submodule(norm_path)
        if isinstance(norm, nn.Identity):
            continue
        if not isinstance(norm, _BatchNorm) or norm.running_mean is None or norm.running_var is None:
            raise Unsupported(f"{norm_path} keeps no running statistics, so there is nothing to fold")
        weight, bias = layer.weight, layer.bias
        assert isinstance(weight, nn.Parameter)
        tied = sorted(path for path, owner in owners[weight].items() if owner is not layer)
        if tied or layer in folded:
            raise Unsupported(
                f"the weight of {layer_path} is also that of {', '.join(tied) or 'another call of it'}, "
                f"so {norm_path} cannot be folded into it",
                hint="declare batch_norm: float, or give each layer a weight of its own",
            )
        _check_channels(layer_path, layer, norm_path, norm)
        folded.add(layer)
        # In double precision, because the result is rounded once instead of three times.
        factor = (norm.running_var.double() + norm.eps).rsqrt()
        if norm.weight is not None:
            factor = factor * norm.weight.double()
        shift = -norm.running_mean.double() * factor
        if isinstance(bias, nn.Parameter):
            shift = shift + bias.double() * factor
        if norm.bias is not None:
            shift = shift + norm.bias.double()
        weight.copy_(weight.double() * factor.reshape(-1, *[1] * (weight.dim() - 1)))
        layer.register_parameter("bias", nn.Parameter(shift.to(weight.dtype), requires_grad=weight.requires_grad))
        parent, _, name = norm_path.rpartition(".")
        setattr(model.get_submodule(parent), name, nn.Identity().train(norm.training))
    return model


def _owners(model: nn.Module) -> dict[nn.Parameter, dict[str, nn.Module]]:
    """The modules that hold each parameter, by path; a module that is registered twice counts once."""
    owners: dict[nn.Parameter, dict[str, nn.Module]] = {}
    for path, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(parameter, {})[path] = module
    return owners


def _check_channels(layer_path: str, layer: nn.Module, norm_path: str, norm: _BatchNorm) -> None:
    """Batch norms work along axis 1 and linear layers along the last: one and the same only for [N, C]."""
    weight = layer.weight
    assert isinstance(weight, nn.Parameter)
    if norm.num_features != weight.shape[0]:
        problem = f"{norm_path} normalizes {norm.num_features} channels and {layer_path} gives {weight.shape[0]}"
    elif isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d):
        problem = f"{norm_path} normalizes axis 1 and {layer_path} works along the last"
    else:
        return
    raise Unsupported(f"{problem}, so it cannot be folded", hint="declare batch_norm: float")
