"""Plan, attention written out: `torch.nn.MultiheadAttention` hides its products, so an equal module stands in for it.

The stand-in computes softmax(Q K^T / sqrt(d)) V with the very parameters of the original, as matrix products and a
softmax that are sites like any other. torch's own layer takes one of several fused kernels, which add in other orders:
the outputs agree up to rounding, not bit for bit. Names in the state dict stay those of the original.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from suite.errors import Unsupported

PACKED = "in_proj"
"""The child that holds what torch calls `in_proj_weight` and `in_proj_bias`, which make queries, keys and values."""


class SelfAttention(nn.Module):
    """Attention of tokens [N, T, C] to themselves, called the way `torch.nn.MultiheadAttention` is called."""

    def __init__(self, original: nn.MultiheadAttention) -> None:
        super().__init__()
        assert original.in_proj_weight is not None
        self.heads = original.num_heads
        self.scale = original.head_dim**-0.5
        self.in_proj = _linear(original.in_proj_weight, original.in_proj_bias)
        self.in_proj.register_state_dict_post_hook(_as_torch_names)  # type: ignore[no-untyped-call]
        self.softmax = nn.Softmax(dim=-1)
        self.dropout = nn.Dropout(original.dropout)
        self.out_proj = _linear(original.out_proj.weight, original.out_proj.bias)
        self.train(original.training)
        keep_names(self)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, None]:
        batch, tokens, width = query.shape
        apart = self.in_proj(query).reshape(batch, tokens, 3, self.heads, width // self.heads)
        queries, keys, values = apart.permute(2, 0, 3, 1, 4).unbind(0)
        probabilities = self.dropout(self.softmax((queries * self.scale) @ keys.transpose(-2, -1)))
        joined = (probabilities @ values).transpose(1, 2).reshape(batch, tokens, width)
        return self.out_proj(joined), None


def write_out(model: nn.Module) -> nn.Module:
    """Put a stand-in at the place of every attention layer of torch that can have one.

    The others stay, and are refused: other widths for keys and values, appended keys, the batch in the second axis,
    subclasses.
    """
    stand_ins: dict[nn.Module, SelfAttention] = {}
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if type(child) is not nn.MultiheadAttention or not _plain(child):
                continue
            if child not in stand_ins:
                stand_ins[child] = SelfAttention(child)
            setattr(parent, name, stand_ins[child])
    return model


def written_out(model: nn.Module) -> bool:
    """Whether a stand-in is part of a model, so that its outputs are those of the original up to rounding only."""
    return any(isinstance(module, SelfAttention) for module in model.modules())


def self_attention_call(called: str, call: fx.Node, tensors: list[Any], constants: dict[str, Any]) -> list[Any]:
    """The one tensor that a call of a stand-in reads, with the rest made constant; refuses what it does not compute."""
    if len(tensors) != 3 or any(tensor is not tensors[0] for tensor in tensors):
        raise Unsupported(
            f"{called} attends to other tokens than its own, or through a mask",
            hint="write it with linear layers, matrix products and a softmax",
        )
    picked = [user for user in call.users if user.op == "call_function" and user.args[1:] == (1,) and user.users]
    if picked:
        raise Unsupported(
            f"{called} is asked for its attention weights, which no plan follows", hint="use need_weights=False"
        )
    constants.update(key=None, value=None)
    return tensors[:1]


def keep_names(module: nn.Module) -> None:
    """Let a stand-in, or the block that it became, read the names that torch gives; its child writes them."""
    # The public form remembers the module, and a graph module that is remembered by its own hook cannot be copied.
    module._register_load_state_dict_pre_hook(_as_children_names)  # type: ignore[no-untyped-call]


def _as_children_names(state: dict[str, Any], prefix: str, *others: Any) -> None:
    for part in ("weight", "bias"):
        if f"{prefix}{PACKED}_{part}" in state:
            state[f"{prefix}{PACKED}.{part}"] = state.pop(f"{prefix}{PACKED}_{part}")


def _as_torch_names(packed: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    for part in ("weight", "bias"):
        if f"{prefix}{part}" in state:
            state[f"{prefix.removesuffix('.')}_{part}"] = state.pop(f"{prefix}{part}")


def _plain(attention: nn.MultiheadAttention) -> bool:
    return (
        attention.in_proj_weight is not None
        and attention.batch_first
        and attention.bias_k is None
        and not attention.add_zero_attn
    )


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A linear layer that holds these very parameters."""
    assert isinstance(weight, nn.Parameter)
    outputs, inputs = weight.shape
    layer = nn.Linear(inputs, outputs, bias=bias is not None, device=torch.device("meta"))
    layer.weight = weight
    if isinstance(bias, nn.Parameter):
        layer.bias = bias
    return layer
