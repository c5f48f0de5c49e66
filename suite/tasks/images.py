"""Tasks: image arithmetic shared by the image tasks: normalisation, augmentation, fingerprints, top-1 outcomes."""

from __future__ import annotations

from functools import lru_cache

import torch

from suite.tasks.catalogue import Preprocessing

_FINGERPRINT_IMAGES = 256  # at a time: small enough to stay in the processor's cache


def normalise(pixels: torch.Tensor, how: Preprocessing) -> torch.Tensor:
    """(pixel / full_scale - mean) / standard_deviation, for uint8 pixels [N, C, H, W] -> float32."""
    mean = torch.tensor(how.mean).view(-1, 1, 1)
    deviation = torch.tensor(how.standard_deviation).view(-1, 1, 1)
    return pixels.to(torch.float32).div_(how.full_scale).sub_(mean).div_(deviation)


def augment(images: torch.Tensor, how: Preprocessing, generator: torch.Generator) -> torch.Tensor:
    """Random crops of the padded images and, where declared, random mirror images; one draw per image, no loop.

    Padding is black *before* normalisation, as when the crop is taken from the photograph. Pixels are moved, never
    computed with: a crop without shift is the image itself, bit for bit.
    """
    count, _, height, width = images.shape
    pad = how.pad_pixels
    draws = torch.randint(0, 2 * pad + 1, (2, count), generator=generator, device=generator.device)
    down, right = draws.to(images.device)
    black = normalise(torch.zeros(1, len(how.mean), 1, 1, dtype=torch.uint8), how).to(images.device)
    padded = black.expand(count, -1, height + 2 * pad, width + 2 * pad).clone()
    padded[:, :, pad : pad + height, pad : pad + width] = images
    # A view of every crop; the index copies one crop per image.
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    crops = windows[torch.arange(count, device=images.device), :, down, right]
    if how.mirror:
        flip = torch.rand(count, generator=generator, device=generator.device).to(images.device) < 0.5
        crops = torch.where(flip.view(-1, 1, 1, 1), crops.flip(-1), crops)
    return crops


@lru_cache(maxsize=8)
def _multipliers(shape: tuple[int, ...]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0x5EED)
    return torch.randint(-(2**63), 2**63 - 1, shape, generator=generator, dtype=torch.int64) | 1


def fingerprint(images: torch.Tensor) -> torch.Tensor:
    """One int64 per image [N, ...]: sum over pixels of bits(pixel) * multiplier, modulo 2^64.

    Integer sums are exact, so the value does not depend on batch size, memory layout, threads or device, and two
    different images share it with probability about 2^-63. It recognises an image bit for bit, not a changed copy.
    """
    multipliers = _multipliers(tuple(images.shape[1:])).to(images.device)
    sums = []
    for start in range(0, len(images), _FINGERPRINT_IMAGES):
        part = images.detach()[start : start + _FINGERPRINT_IMAGES]
        # Adding zero turns -0.0 into 0.0, which compare equal but differ in their bits.
        bits = (part.to(torch.float32) + 0.0).contiguous().view(torch.int32).to(torch.int64)
        sums.append((bits * multipliers).flatten(1).sum(dim=1))
    return torch.cat(sums) if sums else torch.zeros(0, dtype=torch.int64)


def top1_outcomes(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Whether the largest logit is the label's: bool [N].

    A row that holds NaN is wrong: `argmax` would return the place of the NaN, and a diverged model would score 10 %.
    """
    return (logits.argmax(dim=1) == labels) & ~logits.isnan().any(dim=1)
