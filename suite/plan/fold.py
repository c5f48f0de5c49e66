"""Plan, batch-norm folding: a batch norm in evaluation is an affine map per channel, so its layer can take it over."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from suite.axes import Setting
from suite.errors import Unsupported
from suite.plan.flow import flow_of
from suite.plan.residuals import Lineage
from suite.plan.trace import copy_of, trace


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """A copy of the model whose batch norms behind convolutions and linear layers are folded into them.

    The data flow decides which norm belongs to which layer, not the order of attributes. Folded norms become
    `nn.Identity`, so that all paths stay. Equal to the original in evaluation, up to rounding.
    """
    hierarchy = trace(copy_of(model))
    pairs = Lineage(tuple(flow_of(hierarchy, None).ops.values())).batch_norms()
    return fold(copy_of(model), pairs)


def prepare(model: nn.Module, setting: Setting) -> nn.Module:
    """The model that a setting speaks of: a copy, with batch norms folded where `batch_norm` says so."""
    return fold_batch_norm(model) if setting["batch_norm"] == "folded" else copy_of(model)


@torch.no_grad()
def fold(model: nn.Module, pairs: Iterable[tuple[str, str]]) -> nn.Module:
    """Fold (layer, batch norm) pairs of a model in place. Pairs that were folded before are passed over.

    y = gamma (W x + b - mean) / sqrt(var + eps) + beta, so with f = gamma / sqrt(var + eps):
    W <- f W and b <- f (b - mean) + beta.
    """
    for layer_path, norm_path in pairs:
        layer, norm = model.get_submodule(layer_path), model.get_submodule(norm_path)
        if isinstance(norm, nn.Identity):
            continue
        if not isinstance(norm, _BatchNorm) or norm.running_mean is None or norm.running_var is None:
            raise Unsupported(f"{norm_path} keeps no running statistics, so there is nothing to fold")
        weight, bias = layer.weight, layer.bias
        assert isinstance(weight, nn.Parameter)
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
