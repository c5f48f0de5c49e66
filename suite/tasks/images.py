"""Tasks: image arithmetic shared by the image tasks: normalisation and augmentation."""

from __future__ import annotations

import torch

from suite.tasks.catalogue import Pixels


def normalise(pixels: torch.Tensor, how: Pixels) -> torch.Tensor:
    """(pixel / full_scale - mean) / standard_deviation, for uint8 pixels [N, C, H, W] -> float32."""
    mean = torch.tensor(how.mean).view(-1, 1, 1)
    deviation = torch.tensor(how.standard_deviation).view(-1, 1, 1)
    return pixels.to(torch.float32).div_(how.full_scale).sub_(mean).div_(deviation)


def augment(images: torch.Tensor, how: Pixels, generator: torch.Generator) -> torch.Tensor:
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
