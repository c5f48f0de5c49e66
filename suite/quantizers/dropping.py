"""Quantizers, random dropping: elements that keep their quantized value with a probability, and their raw one else.

Random bytes decide, eight to a 64-bit word of the global generator: measured on a processor, `where(rand < p, q, x)`
takes twenty times as long, and compiled, where uniform numbers are drawn one by one, longer still. A custom operation
keeps the draw whole under compilation, with the same numbers in the same order as without.
"""

from __future__ import annotations

import torch
from torch import Tensor

BYTE = 256
BYTES_PER_WORD = 8
LOWEST_WORD = -(2**63)


@torch.library.custom_op("suite::random_bytes", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,))
def random_bytes(x: Tensor) -> Tensor:
    """Independent bytes in the shape and layout of `x`, from the global generator."""
    count = x.numel()
    words = torch.empty(-(-count // BYTES_PER_WORD), dtype=torch.int64, device=x.device)
    # In the layout of x: what follows is slow on operands whose elements lie in different orders.
    return words.random_(LOWEST_WORD, None).view(torch.uint8)[:count].as_strided(x.shape, _strides(x))


@random_bytes.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_strided(x.shape, _strides(x), dtype=torch.uint8, device=x.device)


@torch.library.custom_op("suite::random_fractions", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,))
def random_fractions(x: Tensor) -> Tensor:
    """Independent numbers from 0 to 1 in the shape and layout of `x`, from the global generator."""
    return torch.rand(x.numel(), device=x.device).as_strided(x.shape, _strides(x))


@random_fractions.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_strided(x.shape, _strides(x), dtype=torch.get_default_dtype(), device=x.device)


def random_keep(x: Tensor, probability: float) -> Tensor:
    """Independent numbers 1 (with `probability`) and 0, in the shape, layout and dtype of `x`.

    Probabilities that are multiples of 1/256 take one random byte per element, others one uniform number. Comparing is
    no part of the draw: compiled, it is fused with what reads the result.
    """
    threshold = probability * BYTE
    if threshold == int(threshold):
        drawn: Tensor = random_bytes(x).to(x.dtype)
        return (drawn < threshold).to(x.dtype)
    drawn = random_fractions(x)
    return (drawn < probability).to(x.dtype)


def _strides(x: Tensor) -> tuple[int, ...]:
    """The strides of `x` where they are those of a plain or channels-last tensor, else of a plain one."""
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return x.stride()
    return torch.empty(x.shape, device="meta").stride()


def mix(quantized: Tensor, raw: Tensor, keep_quantized: Tensor) -> Tensor:
    """`quantized` where `keep_quantized` is one, `raw` where it is zero: exactly, and so are the gradients.

    Linear interpolation computes raw + 0 (q - raw) at one end and q - 0 (q - raw) at the other, and is vectorised,
    which a choice by truth values is not.
    """
    return torch.lerp(raw, quantized, keep_quantized.to(raw.dtype))


def drop(quantized: Tensor, raw: Tensor, keep_probability: float) -> Tensor:
    """Every element keeps its quantized value with this probability, independently of the others."""
    if keep_probability >= 1.0:
        return quantized
    # Only the shape of the first operand matters. It is the quantized tensor because compilation merges operations with
    # equal operands: two quantizers that read one tensor have one raw tensor, but two quantized ones.
    return mix(quantized, raw, random_keep(quantized.detach(), keep_probability))
