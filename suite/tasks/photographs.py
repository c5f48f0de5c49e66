"""Tasks: photographs from files nobody vouches for: decoded, resized, cropped and normalised as torchvision does it.

Headers are read before pixels, and what a header claims decides whether pixels are decoded at all: neither the image
nor what resizing would make of it may have more pixels than Pillow holds to be safe.
"""

from __future__ import annotations

import struct
import threading
import warnings
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from suite.errors import SuiteError
from suite.tasks.catalogue import Photographs
from suite.torchvision_shim import ensure_torchvision

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG")  # one image of ILSVRC 2012 is a PNG under the name of a JPEG
MOST_PIXELS = 2**30 // 12
"""Of an image as it is stored, and as it is resized: Pillow's own limit, also where a library has lifted that one."""
_LARGE_PIXELS = 2**24  # larger images are decoded one at a time, so that many of them at once cannot fill the memory
_AT_A_TIME = 64  # images between decoding and normalising
_DAMAGES = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    struct.error,
    zlib.error,
)
"""What Pillow raises where a file is not what it claims to be."""
# Filters of warnings belong to the process, so that two threads must not change them at the same time.
_opening = threading.Lock()
_large = threading.Lock()


class Decoder:
    """Turns files of images into what a network reads, as a preprocessing says."""

    def __init__(self, how: Photographs) -> None:
        transforms = ensure_torchvision().transforms
        self.how = how
        self._cropped = transforms.Compose(
            [transforms.Resize(how.short_side), transforms.CenterCrop(how.crop), transforms.PILToTensor()]
        )
        self._normalised = transforms.Compose(
            [
                transforms.ConvertImageDtype(torch.float32),
                transforms.Normalize(how.mean, how.standard_deviation, inplace=True),
            ]
        )

    def read(self, files: Sequence[Path]) -> torch.Tensor:
        """float32 [N, 3, crop, crop]. Files are decoded by as many threads as torch computes with."""
        images = torch.empty(len(files), 3, self.how.crop, self.how.crop, dtype=torch.float32)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            for start in range(0, len(files), _AT_A_TIME):
                pixels = torch.stack(list(pool.map(self._pixels, files[start : start + _AT_A_TIME])))
                images[start : start + len(pixels)] = self._normalised(pixels)
        return images

    def _pixels(self, file: Path) -> torch.Tensor:
        """uint8 [3, crop, crop] of one file; grey images and those in other colours become red, green and blue."""
        from PIL import Image, UnidentifiedImageError

        try:
            with file.open("rb") as content:
                with _opening, warnings.catch_warnings():
                    warnings.simplefilter("error", Image.DecompressionBombWarning)
                    image = Image.open(content, formats=FORMATS)
                with image:
                    pixels = self._require_bounded(file, image)
                    with _large if pixels > _LARGE_PIXELS else nullcontext():
                        cropped: torch.Tensor = self._cropped(image.convert("RGB"))
                        return cropped
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise SuiteError(
                f"{file} claims more than {MOST_PIXELS:,} pixels", hint="it was not decoded; no image of ImageNet does"
            ) from error
        except UnidentifiedImageError as error:
            raise SuiteError(f"{file} is no JPEG or PNG image", hint="fetch it again") from error
        except _DAMAGES as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise SuiteError(f"{file} cannot be read as an image: {reason}", hint="fetch it again") from error

    def _require_bounded(self, file: Path, image: Image.Image) -> int:
        """The pixels of the larger one of two images: the one that is stored, and the one that resizing makes."""
        short, long = sorted(image.size)
        pixels = max(short * long, self.how.short_side * (self.how.short_side * long // short))
        if pixels > MOST_PIXELS:
            raise SuiteError(
                f"{file} has {image.width:,}x{image.height:,} pixels: more than {MOST_PIXELS:,}, as it is or with a "
                f"short side of {self.how.short_side}",
                hint="it was not decoded; no image of ImageNet is like that",
            )
        return pixels
