"""The pickle reader: reads what CIFAR-10 is made of, and runs nothing."""

from __future__ import annotations

import builtins
import contextlib
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from suite.errors import SuiteError
from suite.tasks.plain_pickle import load_plain_pickle

LARGEST = 10_000_000


def read(tmp_path: Path, content: bytes):
    file = tmp_path / "batch"
    file.write_bytes(content)
    return load_plain_pickle(file, LARGEST)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["u1", "<i8", ">i4", "<f4"])
def test_dicts_of_arrays_and_lists_are_read_in_every_protocol(tmp_path, protocol, kind):
    array = np.arange(24).reshape(4, 6).astype(kind)
    content = {"data": array, "labels": [1, 2, 3, 4], "text": b"\xffraw", "turned": np.asfortranarray(array)}
    found = read(tmp_path, pickle.dumps(content, protocol=protocol))
    assert np.array_equal(found["data"], array)
    assert np.array_equal(found["turned"], array)
    assert found["labels"] == [1, 2, 3, 4]
    assert found["text"] == b"\xffraw"


def test_the_official_python_2_form_is_read(tmp_path):
    # Written by hand opcode by opcode as Python 2 did: byte strings as STRING opcodes, numpy.core paths.
    raw = bytes(range(12))
    content = (
        b"\x80\x02}("
        b"U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02K\x06\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"U\x0c" + raw + b"tbU\x06labels](K\x03K\x09eu."
    )
    found = read(tmp_path, content)
    # Byte strings stay bytes, as Python 2 meant them; the reader of batches decodes the keys.
    assert found[b"data"].tolist() == [list(range(6)), list(range(6, 12))]
    assert found[b"labels"] == [3, 9]


class Calls:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "evil",
    [
        Calls(os.system, "touch OWNED"),
        Calls(builtins.eval, "open('OWNED', 'w')"),
        Calls(builtins.exec, "open('OWNED', 'w')"),
        Calls(builtins.getattr, os, "system"),
        Calls(np.load, "OWNED", None, True),
        Calls(np.fromfile, "OWNED"),
        Calls(builtins.open, "OWNED", "w"),
        Calls(pickle.loads, b"N."),
        Path("OWNED"),
        np.array([Path("OWNED")], dtype=object),
    ],
    ids=lambda evil: getattr(getattr(evil, "function", None), "__name__", type(evil).__name__),
)
def test_a_pickle_that_runs_something_is_refused_and_runs_nothing(tmp_path, monkeypatch, evil, protocol):
    monkeypatch.chdir(tmp_path)
    if isinstance(evil, Calls) and evil.function is builtins.getattr:
        content = b"cposix\nsystem\n(S'touch OWNED'\ntR."
    else:
        content = pickle.dumps({"data": evil}, protocol=protocol)
    with pytest.raises(SuiteError, match="is not plain data"):
        read(tmp_path, content)
    assert not (tmp_path / "OWNED").exists()


def test_nested_names_persistent_ids_and_other_encodings_are_refused(tmp_path):
    for content in (
        b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        b"Psomething\n.",
        b"c_codecs\nencode\n(Vabc\nVrot13\ntR.",
        b"cnumpy\nndarray\n(I1000000000\ntR.",
        b"cnumpy\ndtype\n(S'O8'\ntR.",
    ):
        with pytest.raises(SuiteError, match="is not plain data"):
            read(tmp_path, content)


def test_a_pickle_cannot_claim_memory_it_does_not_fill(tmp_path):
    import tracemalloc

    tracemalloc.start()
    for content in (
        b"\x80\x04K\x01r\xff\xff\xff\x7f.",  # memo slot two thousand million
        b"\x80\x04B\xff\xff\xff\x7fshort.",  # a byte string of two gigabytes, five bytes long
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I100000000000\ntS'b'\ntR.",
    ):
        with contextlib.suppress(SuiteError):
            read(tmp_path, content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000_000


def test_an_array_shape_that_its_bytes_do_not_fill_is_refused(tmp_path):
    honest = pickle.dumps({"data": np.zeros((2, 6), np.uint8)}, protocol=4)
    assert honest.count(b"K\x02K\x06\x86") == 1
    with pytest.raises(SuiteError, match="damaged"):
        read(tmp_path, honest.replace(b"K\x02K\x06\x86", b"K\x07K\x06\x86"))


@pytest.mark.parametrize("content", [b"", b"\x00\x01garbage", b"\x80\x04}", b".", struct.pack("<Q", 7)])
def test_damaged_files_end_in_one_clear_line(tmp_path, content):
    with pytest.raises(SuiteError, match="damaged") as refused:
        read(tmp_path, content)
    assert "\n" not in str(refused.value)


def test_a_file_larger_than_its_limit_is_not_read(tmp_path):
    file = tmp_path / "batch"
    file.write_bytes(pickle.dumps(b"x" * 2000))
    with pytest.raises(SuiteError, match="more than the 1000"):
        load_plain_pickle(file, 1000)
