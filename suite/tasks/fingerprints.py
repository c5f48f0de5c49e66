"""Tasks: fingerprints, by which an input is recognised inside a model, whether it is an image or a sequence."""

from __future__ import annotations

from functools import lru_cache

import torch

_VALUES_AT_A_TIME = 256 * 3 * 32 * 32  # small enough to stay in the processor's cache, however large one input is


@lru_cache(maxsize=8)
def _multipliers(shape: tuple[int, ...]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0x5EED)
    return torch.randint(-(2**63), 2**63 - 1, shape, generator=generator, dtype=torch.int64) | 1


def fingerprint(inputs: torch.Tensor) -> torch.Tensor:
    """One int64 per input [N, ...]: sum over its values of bits(value) * multiplier, modulo 2^64.

    Integer sums are exact, so the result does not depend on batch size, memory layout, threads or device, and two
    different inputs share it with probability about 2^-63. It recognises an input bit for bit, not a changed copy.
    Tokens below 2^24 are exact as float32, in whose bits every value is counted.
    """
    multipliers = _multipliers(tuple(inputs.shape[1:])).to(inputs.device)
    sums = []
    at_a_time = max(1, _VALUES_AT_A_TIME // max(1, multipliers.numel()))
    for start in range(0, len(inputs), at_a_time):
        part = inputs.detach()[start : start + at_a_time]
        # Adding zero turns -0.0 into 0.0, which compare equal but differ in their bits.
        bits = (part.to(torch.float32) + 0.0).contiguous().view(torch.int32).to(torch.int64)
        sums.append((bits * multipliers).flatten(1).sum(dim=1))
    return torch.cat(sums) if sums else torch.zeros(0, dtype=torch.int64)
