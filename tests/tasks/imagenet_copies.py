"""Small copies of ImageNet: the real class folders, and tiny images made on the fly."""

from __future__ import annotations

import importlib.metadata
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def classes() -> list[str]:
    """The 1,000 WordNet ids in the order of the public weights, as timm tells them."""
    listed = importlib.metadata.distribution("timm").locate_file("timm/data/_info/imagenet_synsets.txt")
    return Path(str(listed)).read_text(encoding="ascii").split()


def image(name: str, width: int = 20, height: int = 14, mode: str = "RGB") -> Image.Image:
    """Noise that its name decides, smooth enough to survive a JPEG."""
    noise = np.random.default_rng(zlib.crc32(name.encode())).integers(256, size=(3, 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def copy_below(folder: Path, train: Mapping[str, str | list[str]], val: Mapping[str, str | list[str]]) -> Path:
    """A copy with all class folders, those of `val` only where it has images; class -> names of its images."""
    for name in classes():
        (folder / "train" / name).mkdir(parents=True)
    for part, images in (("train", train), ("val", val)):
        for kind, names in images.items():
            (folder / part / kind).mkdir(parents=True, exist_ok=True)
            for name in [names] if isinstance(names, str) else names:
                image(f"{part}/{kind}/{name}").save(folder / part / kind / name, format="JPEG")
    return folder
