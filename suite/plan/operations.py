"""Plan, the vocabulary of operations: what kind of operation a traced node or a leaf module is."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch._ops import OpOverload
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm

from suite.plan.anatomy import Kind

WEIGHTED_MODULES: tuple[type[nn.Module], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)

_AVERAGE_POOLS: tuple[type[nn.Module], ...] = (
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AvgPool3d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d,
)
_ACTIVATIONS: tuple[type[nn.Module], ...] = (
    nn.ReLU,
    nn.ReLU6,
    nn.Hardtanh,
    nn.SiLU,
    nn.GELU,
    nn.Sigmoid,
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Tanh,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.CELU,
    nn.SELU,
    nn.Mish,
    nn.Softplus,
    nn.Softsign,
    nn.LogSigmoid,
)
_NORMALIZATIONS: tuple[type[nn.Module], ...] = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, _InstanceNorm)
_TRANSPARENT: tuple[type[nn.Module], ...] = (
    nn.Identity,
    _DropoutNd,
    nn.Flatten,
    nn.Unflatten,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
    nn.ChannelShuffle,
    nn.ZeroPad1d,
    nn.ZeroPad2d,
    nn.ReflectionPad1d,
    nn.ReflectionPad2d,
    nn.ReplicationPad1d,
    nn.ReplicationPad2d,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
    nn.AdaptiveMaxPool3d,
)

# Layers of other libraries that drop whole residual branches in training and do nothing in evaluation.
DROP_PATHS = frozenset({"DropPath", "StochasticDepth"})

_NON_NEGATIVE = frozenset({"relu", "relu6", "sigmoid", "hardsigmoid", "softplus", "softmax", "square", "exp", "abs"})

_ACTIVATION_NAMES = frozenset((
    "relu", "relu6", "hardtanh", "silu", "gelu", "sigmoid", "hardsigmoid", "hardswish", "tanh", "leaky_relu", "prelu",
    "elu", "celu", "selu", "mish", "softplus", "softsign", "logsigmoid", "clamp", "clip",
))  # fmt: skip
_TRANSPARENT_NAMES = frozenset((
    "flatten", "reshape", "view", "permute", "transpose", "contiguous", "squeeze", "unsqueeze", "expand", "expand_as",
    "getitem", "chunk", "split", "unbind", "pad", "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout",
    "max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "amax", "channel_shuffle",
    "pixel_shuffle", "pixel_unshuffle", "clone", "detach", "to", "float", "movedim", "swapaxes", "narrow", "select",
    "index_select", "roll", "flip", "t", "unflatten", "max_pool2d_with_indices", "tile", "repeat_interleave",
    "stochastic_depth", "drop_path", "slice", "alias", "unsafe_view", "split_with_sizes", "to_copy", "type_as",
))  # fmt: skip
_AVERAGE_POOL_NAMES = frozenset((
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
    "mean",
))  # fmt: skip
_NORMALIZATION_NAMES = frozenset({"layer_norm", "group_norm", "rms_norm", "instance_norm"})
_ADDS = frozenset({"add", "iadd"})
_PRODUCTS = frozenset({"mul", "imul", "multiply"})
# With masks: a score is kept or gets a constant.
_CONSTANT_ARITHMETIC = _ADDS | _PRODUCTS | {"sub", "rsub", "truediv", "div", "neg", "where", "masked_fill"}
_MATMULS = frozenset({"matmul", "bmm", "einsum", "baddbmm", "mm"})

# Modules of these places are activation functions of one tensor, however they are composed inside.
_ACTIVATION_LIBRARIES = frozenset({"transformers.activations"})

# Functions that hide weights or products from the plan.
HIDDEN_PRODUCTS = frozenset({"scaled_dot_product_attention", "multi_head_attention_forward"})
_WEIGHTED_FUNCTIONS = frozenset({"linear", "addmm", "conv1d", "conv2d", "conv3d", "conv_transpose2d", "bilinear"})


def function_name(target: object) -> str:
    """The plain name of a traced function or method: `add` for torch.add, operator.add and Tensor.add."""
    if isinstance(target, str):
        return target
    if isinstance(target, OpOverload):  # torch.ops.aten.add.Tensor
        return target._schema.name.partition("::")[2].strip("_")
    known = _NAMES.get(target)
    return known if known is not None else str(getattr(target, "__name__", target)).strip("_")


# Builtins whose own names say something else.
_NAMES: dict[object, str] = {operator.getitem: "getitem", operator.matmul: "matmul", F.relu: "relu", torch.cat: "cat"}


def is_primitive(module: nn.Module) -> bool:
    """Whether a module is one of torch.nn's own operations, or an activation function: no trace looks into it."""
    if type(module).__module__ in _ACTIVATION_LIBRARIES:
        return True
    return type(module).__module__.startswith("torch.nn.") and not isinstance(
        module, nn.Sequential | nn.ModuleList | nn.ModuleDict
    )


def overrides_forward(module: nn.Module) -> bool:
    """Whether a subclass of a torch.nn layer computes something of its own."""
    defining = next(base for base in type(module).__mro__ if "forward" in vars(base))
    return not defining.__module__.startswith("torch.nn.")


def kind_of_module(module: nn.Module) -> Kind:
    """The kind of a leaf module. Subclasses with children of their own (a norm with its activation) are opaque."""
    if type(module).__name__ in DROP_PATHS:
        return Kind.TRANSPARENT
    if type(module).__module__ in _ACTIVATION_LIBRARIES:
        return Kind.ACTIVATION
    if not is_primitive(module) and next(module.children(), None) is not None:
        return Kind.OTHER
    for kinds, kind in _MODULE_KINDS:
        if isinstance(module, kinds):
            return kind
    return Kind.OTHER


_MODULE_KINDS: tuple[tuple[tuple[type[nn.Module], ...], Kind], ...] = (
    (WEIGHTED_MODULES, Kind.WEIGHTED),
    ((nn.Embedding,), Kind.EMBEDDING),
    ((_BatchNorm,), Kind.BATCH_NORM),
    (_AVERAGE_POOLS, Kind.AVERAGE_POOL),
    ((nn.Softmax, nn.Softmax2d), Kind.SOFTMAX),
    (_ACTIVATIONS, Kind.ACTIVATION),
    (_NORMALIZATIONS, Kind.NORMALIZATION),
    (_TRANSPARENT, Kind.TRANSPARENT),
)


def kind_of_function(name: str, activations: int) -> Kind:
    """The kind of a traced function that reads this many activations."""
    if name in _ADDS and activations == 2:
        return Kind.ADD
    if name in _PRODUCTS and activations == 2:
        return Kind.PRODUCT
    if name in _MATMULS and activations == 2:
        return Kind.MATMUL
    if name in ("cat", "concat", "stack", "hstack"):
        return Kind.CONCAT
    if activations != 1:
        return Kind.OTHER
    for names, kind in _FUNCTION_KINDS:
        if name in names:
            return kind
    return Kind.OTHER


_FUNCTION_KINDS: tuple[tuple[frozenset[str], Kind], ...] = (
    (_CONSTANT_ARITHMETIC, Kind.AFFINE),
    (_AVERAGE_POOL_NAMES, Kind.AVERAGE_POOL),
    (frozenset({"softmax"}), Kind.SOFTMAX),
    (_ACTIVATION_NAMES, Kind.ACTIVATION),
    (_NORMALIZATION_NAMES, Kind.NORMALIZATION),
    (_TRANSPARENT_NAMES, Kind.TRANSPARENT),
)


def hides_weights(name: str, operands: Iterable[object]) -> bool:
    """Whether a function multiplies with a weight that no layer owns."""
    return name in _WEIGHTED_FUNCTIONS or (
        name in _MATMULS and any(isinstance(operand, nn.Parameter) for operand in operands)
    )


def is_embedding(module: nn.Module | None, name: str) -> bool:
    """Whether an operation looks up rows of a table: a layer, or a function of this name."""
    return isinstance(module, nn.Embedding) if module is not None else name == "embedding"


def is_opaque_layer(module: nn.Module) -> bool:
    """Whether a leaf holds what the plan cannot reach.

    Weight matrices in attention, recurrent and transposed layers; a batch norm with an activation function of its own,
    which looks like neither.
    """
    if kind_of_module(module) is not Kind.OTHER:
        return False
    if isinstance(module, _BatchNorm):
        return True
    if isinstance(module, _ConvNd | _ConvTransposeNd | nn.RNNBase | nn.MultiheadAttention | nn.Bilinear):
        return True
    return any(isinstance(child, (*WEIGHTED_MODULES, nn.Embedding)) for child in module.modules())


def gives_non_negative(name: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> bool:
    """Whether the results of a function or layer (by its lower-case name) are never below zero."""
    if name in ("clamp", "clip"):
        low = keywords.get("min", arguments[1] if len(arguments) > 1 else None)
        return isinstance(low, int | float) and low >= 0
    if name == "hardtanh":
        low = keywords.get("min_val", arguments[1] if len(arguments) > 1 else None)
        return isinstance(low, int | float) and low >= 0
    return name in _NON_NEGATIVE
