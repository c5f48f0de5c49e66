"""Reading wing, records: per-example outcomes, one bit an example.

An outcome is whether an example was answered correctly, in the order of the test split. The float model and the
quantized model answer the same examples, so every later comparison can be paired. The file is an `.npz` of packed
bits: 10,000 examples take 1.3 kilobytes a model. It is read as if a stranger wrote it: no pickles, and sizes are
checked against what the archive *declares* before a byte is unpacked.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from suite.errors import RecordError

Bits: TypeAlias = NDArray[np.bool_]

FILE_NAME = "outcomes.npz"
MAXIMUM_EXAMPLES = 2**27
_MEMBERS = {"count.npy", "float_correct.npy", "correct.npy"}
_HEADER_BYTES = 4096


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Per-example correctness of the float model and of the quantized model, in the order of the test split."""

    float_correct: Bits
    correct: Bits

    def __post_init__(self) -> None:
        if self.float_correct.shape != self.correct.shape or self.correct.ndim != 1:
            raise RecordError(
                f"outcomes of {self.float_correct.shape} and {self.correct.shape} examples cannot be paired",
                hint="both models answer the same examples, in the same order",
            )

    def __len__(self) -> int:
        return len(self.correct)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Outcomes):
            return NotImplemented
        return np.array_equal(self.float_correct, other.float_correct) and np.array_equal(self.correct, other.correct)

    __hash__ = None  # type: ignore[assignment]


def pack_outcomes(float_correct: object, correct: object) -> bytes:
    """The outcomes as the bytes of an `.npz` file; equal outcomes give equal bytes."""
    outcomes = Outcomes(np.asarray(float_correct, dtype=np.bool_), np.asarray(correct, dtype=np.bool_))
    buffer = io.BytesIO()
    np.savez(
        buffer,
        count=np.array(len(outcomes), dtype=np.int64),
        float_correct=np.packbits(outcomes.float_correct),
        correct=np.packbits(outcomes.correct),
    )
    return buffer.getvalue()


def unpack_outcomes(source: bytes | Path) -> Outcomes:
    """Read outcomes; anything that is not exactly such a file is a `RecordError`."""
    where = source.name if isinstance(source, Path) else FILE_NAME
    limit = 2 * (MAXIMUM_EXAMPLES // 8) + 16 * _HEADER_BYTES
    size = source.stat().st_size if isinstance(source, Path) else len(source)
    if size > limit:
        raise RecordError(f"{where} has {size} bytes, more than the {limit} that outcomes may have")
    content = source.read_bytes() if isinstance(source, Path) else source
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {member.filename: member.file_size for member in archive.infolist()}
            if set(members) != _MEMBERS or len(archive.infolist()) != len(_MEMBERS):
                raise RecordError(f"{where} holds {sorted(members)[:5]}, not {sorted(_MEMBERS)}")
            if sum(members.values()) > limit:
                raise RecordError(f"{where} would unpack to {sum(members.values())} bytes, more than {limit}")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            count_array, packed = arrays["count"], (arrays["float_correct"], arrays["correct"])
    except RecordError:
        raise
    except (ValueError, OSError, EOFError, KeyError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        raise RecordError(f"{where} cannot be read as outcomes: {error}") from error
    if count_array.shape != () or count_array.dtype != np.int64 or not 0 <= int(count_array) <= MAXIMUM_EXAMPLES:
        raise RecordError(f"{where} does not say how many examples it holds")
    count = int(count_array)
    for bits in packed:
        if bits.dtype != np.uint8 or bits.shape != ((count + 7) // 8,):
            raise RecordError(f"{where} says {count} examples but holds {bits.shape} of {bits.dtype}")
    float_correct, correct = (np.unpackbits(bits, count=count).astype(np.bool_) for bits in packed)
    return Outcomes(float_correct, correct)
