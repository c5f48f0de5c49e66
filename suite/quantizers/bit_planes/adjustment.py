"""Quantizers, planes of bits: what happens to them now and then, when carries are resolved and empty planes go."""

from __future__ import annotations

import torch

from suite.quantizers.bit_planes.planes import BitPlanes


@torch.no_grad()
def requantized(planes: BitPlanes, most_planes: int = 8) -> BitPlanes:
    """Binary planes of the codes that trained planes stand for; the step stays.

    A code of 2^n or more needs another plane. Where there are `most_planes` already, codes saturate at 2^n - 1.
    """
    codes = planes.codes()
    count = planes.count
    needed = int(codes.abs().amax()).bit_length()
    grown = max(count, min(needed, most_planes))
    largest = 2**grown - 1
    return BitPlanes.of_codes(codes.clamp(-largest, largest), planes.step() * largest, grown)


@torch.no_grad()
def adjusted(planes: BitPlanes) -> BitPlanes:
    """The same weight in as few planes as it needs: empty ones at the top are dropped, then those at the bottom.

    The step doubles with each plane that goes at the bottom; S' = step (2^n' - 1). At least one plane stays.
    """
    occupied = (planes.positive != 0) | (planes.negative != 0)
    used = occupied.flatten(0, -2).any(0).nonzero().flatten().tolist()
    first, last = (used[0], used[-1]) if used else (planes.count - 1, planes.count - 1)
    kept = slice(first, last + 1)
    step = planes.step() * 2 ** (planes.count - 1 - last)
    return BitPlanes(
        planes.positive[..., kept].clone(), planes.negative[..., kept].clone(), step * (2 ** (last - first + 1) - 1)
    )
