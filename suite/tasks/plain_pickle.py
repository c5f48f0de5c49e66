"""Tasks: reading the pickles of CIFAR-10 without trusting them.

The official archive is a set of pickles, and a pickle is a program. This reader runs it on a machine that knows
containers, text, numbers and one kind of array, rebuilt here in Python from its shape, type and bytes. No function of
another module can be reached, and no numpy code reads the pickled state.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import SuiteError

# The number types an array may hold; never "object".
_TYPES = frozenset("?bBhHiIlLqQefd") | {f"{kind}{size}" for kind in "iuf" for size in (1, 2, 4, 8)}


class UnsafePickle(pickle.UnpicklingError):
    """The pickle asks for something other than plain data."""


def load_plain_pickle(file: Path, largest_bytes: int) -> Any:
    """The content of a pickle that holds containers, text, numbers and arrays; anything else is refused."""
    size = file.stat().st_size
    if size > largest_bytes:
        raise SuiteError(f"{file} is {size} bytes, more than the {largest_bytes} such a file can have")
    try:
        content = _PlainUnpickler(io.BytesIO(file.read_bytes())).load()
        return _finished(content)
    except UnsafePickle as error:
        raise SuiteError(
            f"{file} is not plain data: {error}", hint="it was not opened; take it from the official source"
        ) from error
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        OverflowError,
        MemoryError,
    ) as error:
        raise SuiteError(
            f"{file} is damaged: {str(error) or type(error).__name__}", hint="download it again"
        ) from error


class _PickledType:
    """Stands in for numpy.dtype: a type code, later its byte order."""

    def __init__(self, code: Any, *_flags: Any) -> None:
        code = _text(code)
        if code not in _TYPES:
            raise UnsafePickle(f"an array of type {code!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order = _text(state[1])
        if order not in ("|", "<", ">", "="):
            raise UnsafePickle(f"byte order {order!r}")
        self.dtype = self.dtype.newbyteorder(order)


class _PickledArray:
    """Stands in for numpy.ndarray while the pickle is read; `array` is the finished thing."""

    def __init__(self) -> None:
        self.array: NDArray[Any] = np.zeros(0, dtype=np.uint8)

    def __setstate__(self, state: Any) -> None:
        _version, shape, kind, fortran_order, raw = state
        self.array = _rebuild(raw, kind, shape, "F" if fortran_order else "C")


def _rebuild(raw: Any, kind: Any, shape: Any, order: str) -> NDArray[Any]:
    if not isinstance(kind, _PickledType) or not isinstance(shape, tuple) or not isinstance(raw, bytes | bytearray):
        raise UnsafePickle("an array that is not made of a type, a shape and bytes")
    # The shape must account for the bytes exactly, so nothing larger than the file is ever allocated.
    return np.frombuffer(bytes(raw), dtype=kind.dtype).reshape(shape, order="F" if order == "F" else "C")


def _text(word: Any) -> Any:
    return word.decode("latin-1") if isinstance(word, bytes) else word


def _empty_array(_class: Any, _shape: Any, _code: Any) -> _PickledArray:
    """What numpy calls `_reconstruct`: an empty array, whose content follows as its state."""
    return _PickledArray()


def _array_of_buffer(raw: Any, kind: Any, shape: Any, order: Any) -> _PickledArray:
    """What numpy calls `_frombuffer`, used by newer pickles."""
    result = _PickledArray()
    result.array = _rebuild(raw, kind, shape, order)
    return result


def _array_class(*_arguments: Any) -> _PickledArray:
    raise UnsafePickle("a direct call of numpy.ndarray")


def _latin1_bytes(text: Any, encoding: Any) -> bytes:
    """`codecs.encode`, as protocol 2 writes bytes."""
    if not isinstance(text, str) or _text(encoding) not in ("latin1", "latin-1"):
        raise UnsafePickle("an encoding other than latin1")
    return text.encode("latin-1")


_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("_codecs", "encode"): _latin1_bytes,
    ("numpy", "dtype"): _PickledType,
    ("numpy", "ndarray"): _array_class,
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("numpy.core.numeric", "_frombuffer"): _array_of_buffer,
    ("numpy._core.numeric", "_frombuffer"): _array_of_buffer,
}


# The unpickler written in Python keeps its memo in a dict. The one written in C allocates as many slots as the pickle
# says, so that a few bytes could claim gigabytes.
class _PlainUnpickler(pickle._Unpickler):
    def __init__(self, file: io.BytesIO) -> None:
        # Strings of Python 2 are bytes: the pixels of the official archive come as one.
        super().__init__(file, encoding="bytes")

    def find_class(self, module: str, name: str) -> Any:
        admitted = _ADMITTED.get((module, name))
        if admitted is None:
            raise UnsafePickle(f"it asks for {module}.{name}")
        return admitted

    def persistent_load(self, pid: Any) -> Any:
        raise UnsafePickle("a persistent id")


def _finished(content: Any) -> Any:
    """Arrays instead of their stand-ins, in the top-level dict, where CIFAR-10 keeps them."""
    if isinstance(content, _PickledArray):
        return content.array
    if isinstance(content, dict):
        return {key: value.array if isinstance(value, _PickledArray) else value for key, value in content.items()}
    return content
