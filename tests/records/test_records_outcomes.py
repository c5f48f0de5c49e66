"""Records: outcomes are bits, and a hostile file of outcomes cannot do harm."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.errors import RecordError
from suite.records import Outcomes, pack_outcomes, unpack_outcomes


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=70))
def test_outcomes_survive_packing(pairs: list[tuple[bool, bool]]) -> None:
    table = np.array(pairs, dtype=bool).reshape(-1, 2)
    outcomes = unpack_outcomes(pack_outcomes(table[:, 0], table[:, 1]))
    assert outcomes.float_correct.tolist() == table[:, 0].tolist()
    assert outcomes.correct.tolist() == table[:, 1].tolist()
    assert len(outcomes) == len(pairs)


def test_equal_outcomes_give_equal_bytes_and_a_bit_an_example() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(10_000) < 0.9, rng.random(10_000) < 0.9
    packed = pack_outcomes(first, second)
    assert packed == pack_outcomes(first.copy(), second.copy())
    assert len(packed) < 2 * 10_000 / 8 + 1500


def test_outcomes_of_different_examples_cannot_be_paired() -> None:
    with pytest.raises(RecordError, match="cannot be paired"):
        pack_outcomes([True, False], [True])
    with pytest.raises(RecordError, match="cannot be paired"):
        pack_outcomes([[True]], [[True]])


def test_outcomes_compare_by_value() -> None:
    first = Outcomes(np.array([True]), np.array([False]))
    assert first == Outcomes(np.array([True]), np.array([False]))
    assert first != Outcomes(np.array([True]), np.array([True]))


def archive(**members: np.ndarray | bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            if isinstance(content, bytes):
                file.writestr(f"{name}.npy", content)
            else:
                inner = io.BytesIO()
                np.save(inner, content, allow_pickle=True)
                file.writestr(f"{name}.npy", inner.getvalue())
    return buffer.getvalue()


BITS = np.packbits(np.ones(10, dtype=bool))
COUNT = np.array(10, dtype=np.int64)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a zip",
        archive(count=COUNT, float_correct=BITS),
        archive(count=COUNT, float_correct=BITS, correct=BITS, more=BITS),
        archive(count=COUNT, float_correct=BITS, correct=np.array([{"a": 1}], dtype=object)),
        archive(count=COUNT, float_correct=BITS, correct=BITS[:1]),
        archive(count=COUNT, float_correct=BITS, correct=BITS.astype(np.int64)),
        archive(count=np.array(2**40), float_correct=BITS, correct=BITS),
        archive(count=np.array(-1), float_correct=BITS, correct=BITS),
        archive(count=np.array([10]), float_correct=BITS, correct=BITS),
        archive(count=np.array(10.0), float_correct=BITS, correct=BITS),
        archive(count=b"\x93NUMPY", float_correct=b"", correct=b"x"),
    ],
)
def test_foreign_outcomes_are_refused(content: bytes) -> None:
    with pytest.raises(RecordError):
        unpack_outcomes(content)


def test_a_bomb_is_refused_before_it_unpacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = archive(count=COUNT, float_correct=b"\0" * 80_000_000, correct=BITS)
    assert len(bomb) < 100_000
    path = tmp_path / "outcomes.npz"
    path.write_bytes(bomb)
    monkeypatch.setattr(np, "load", lambda *arguments, **options: pytest.fail("unpacked"))
    with pytest.raises(RecordError, match="would unpack to 80"):
        unpack_outcomes(path)
