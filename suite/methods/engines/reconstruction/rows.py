"""Methods, reconstruction engine: tensors with one row an example, in memory within a budget, else in files."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import torch
from torch import Tensor

MEBIBYTE = 1 << 20


class RowStore:
    """Gives out room for rows. What does not fit its budget lies in temporary files that the system maps into memory.

    A context manager: at its end the files are gone, whatever happened.
    """

    def __init__(self, budget_bytes: int, device: torch.device) -> None:
        self.budget_bytes = budget_bytes
        self.device = device
        self.used_bytes = 0
        self.spilled_bytes = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files = 0

    def __enter__(self) -> RowStore:
        return self

    def __exit__(self, *error: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def rows(self, count: int, like: Tensor) -> Rows:
        """Room for `count` rows, each like one row of `like`."""
        shape = (count, *_channels_last_shape(like)) if _by_pixel(like) else (count, *like.shape[1:])
        size = math.prod(shape) * like.element_size()
        if self.used_bytes + size <= self.budget_bytes:
            self.used_bytes += size
            return Rows(torch.empty(shape, dtype=like.dtype, device=self.device), self, size, by_pixel=_by_pixel(like))
        self.spilled_bytes += size
        return Rows(self._mapped(shape, like.dtype), self, 0, by_pixel=_by_pixel(like))

    def _mapped(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="suite-rows-", ignore_cleanup_errors=True)
        path = Path(self._folder.name) / f"{self._files}.rows"
        self._files += 1
        mapped = torch.from_file(str(path), shared=True, size=math.prod(shape), dtype=dtype).reshape(shape)
        path.unlink()  # the mapping keeps the room until the tensor is gone, and nothing else can
        return mapped


class Rows:
    """Values of one tensor for all examples. Images have their channels innermost, as convolutions like them."""

    def __init__(self, values: Tensor, store: RowStore, counted_bytes: int, *, by_pixel: bool) -> None:
        self._values = values
        self._store = store
        self._counted_bytes = counted_bytes
        self._by_pixel = by_pixel

    def __len__(self) -> int:
        return int(self._values.shape[0])

    def __del__(self) -> None:
        self._store.used_bytes -= self._counted_bytes

    def put(self, start: int, values: Tensor) -> None:
        """Store the rows from `start` on."""
        stored = values.permute(0, 2, 3, 1) if self._by_pixel else values
        self._values[start : start + len(values)].copy_(stored)

    @property
    def elements(self) -> int:
        """How many values there are in all rows."""
        return self._values.numel()

    def scale_by(self, factor: float) -> None:
        """Multiply all values."""
        self._values.mul_(factor)

    def slice(self, start: int, stop: int) -> Tensor:
        """The rows from `start` to before `stop`, on the store's device."""
        return self._shaped(self._values[start:stop])

    def take(self, chosen: Tensor) -> Tensor:
        """The rows at the positions `chosen`, on the store's device."""
        return self._shaped(self._values.index_select(0, chosen.to(self._values.device)))

    def _shaped(self, values: Tensor) -> Tensor:
        values = values.to(self._store.device, non_blocking=True)
        return values.permute(0, 3, 1, 2) if self._by_pixel else values


def _by_pixel(like: Tensor) -> bool:
    return like.ndim == 4 and like.is_floating_point()


def _channels_last_shape(like: Tensor) -> tuple[int, int, int]:
    return int(like.shape[2]), int(like.shape[3]), int(like.shape[1])
