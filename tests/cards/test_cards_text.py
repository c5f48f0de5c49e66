"""Strict YAML: what is refused, where, and that nothing is expanded or executed on the way."""

from __future__ import annotations

import os
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.cards import text as strict
from suite.errors import CardError

REFUSED = [
    ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: the key 'a' is given twice, first on line 1"),
    ("a:\n  b: 1\n  b: 2\n", "f.yaml:3:3: the key 'b' is given twice, first on line 2"),
    ("\ta: 1\n", "f.yaml:1:1: a tab cannot indent YAML"),
    ("a:\n  b: 1\n\tc: 2\n", "f.yaml:3:1: a tab cannot indent YAML"),
    ("a: &x 1\n", "f.yaml:1:4: the anchor '&x' is not allowed"),
    ("a: [1]\nb: *a\n", "f.yaml:2:4: the alias '*a' is not allowed"),
    ("a: !!python/object/apply:os.system [ls]\n", "f.yaml:1:4: the tag 'tag:yaml.org,2002:python/object/apply:os.sy"),
    ("a: !secret b\n", "f.yaml:1:4: the tag '!secret' is not allowed"),
    ("a: !!str 1\n", "f.yaml:1:4: the tag"),
    ("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second YAML document starts here"),
    ("%YAML 1.1\n---\na: 1\n", "f.yaml:1:1: YAML directives are not allowed"),
    ("%TAG ! tag:x,1:\n---\na: 1\n", "f.yaml:1:1: YAML directives are not allowed"),
    ("[" * 30 + "]" * 30, "nested more than 20 levels deep"),
    ("[" * 100_000, "nested more than 20 levels deep"),
    ("{[a]: 1}", "f.yaml:1:2: a key must be a word"),
    ("? {a: 1}\n: b\n", "a key must be a word"),
    ("", "f.yaml:1:1: is empty"),
    ("# only a comment\n", "f.yaml:1:1: is empty"),
    ("a: 'open", "is not YAML"),
    ("a: b: c\n", "f.yaml:1:5: is not YAML"),
    ("a: [1, 2\n", "is not YAML"),
    ("a: @x\n", "f.yaml:1:4: is not YAML"),
    ("[" + "1," * 30_000 + "]", "more than 20,000 values"),
]


@pytest.fixture(params=["C parser", "Python parser"], autouse=True)
def parser(request, monkeypatch):
    """Both parsers must refuse the same things: not every PyYAML comes with libyaml."""
    if request.param == "Python parser":
        monkeypatch.setattr(strict, "LOADER", yaml.SafeLoader)
    elif not hasattr(yaml, "CSafeLoader"):
        pytest.skip("PyYAML without libyaml")


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[text[:24] for text, _ in REFUSED])
def test_refused_with_its_place(text, message):
    with pytest.raises(CardError) as raised:
        strict.parse(text, "f.yaml")
    told = str(raised.value)
    assert message in told
    assert told.startswith("f.yaml:")
    assert "\n" not in told


def test_an_alias_bomb_stops_at_its_first_anchor():
    bomb = 'a: &a ["x","x","x","x","x","x","x","x","x"]\n'
    for left, right in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{right}: &{right} [{','.join([f'*{left}'] * 9)}]\n"
    started = time.process_time()
    with pytest.raises(CardError, match=r"f.yaml:1:4: the anchor '&a'"):
        strict.parse(bomb, "f.yaml")
    assert time.process_time() - started < 0.5


def test_words_are_read_as_yaml_1_2():
    tree = strict.parse("{a: no, b: on, c: 10:30, d: 1e-3, e: 'true', f: true, g: , h: 010, i: \"1\"}", "f.yaml")
    assert tree.plain() == {
        "a": "no",
        "b": "on",
        "c": "10:30",
        "d": 0.001,
        "e": "true",
        "f": True,
        "g": None,
        "h": "010",
        "i": "1",
    }


def test_places_and_last_lines():
    tree = strict.parse("a: 1\nb:\n  c: [1,\n    2]\n  d: |\n    x\n    y\n\n# comment\ne: 'two\n  lines'\n", "f.yaml")
    assert (tree.value["a"].line, tree.value["a"].column) == (1, 4)
    assert tree.keys["b"] == (2, 1)
    assert tree.value["b"].keys["c"] == (3, 3)
    assert tree.value["b"].value["c"].last_line == 4
    assert tree.value["e"].last_line == 11
    assert tree.value["e"].plain() == "two lines"


def test_columns_count_characters_not_bytes():
    assert strict.parse("é: {ü: 1}", "f.yaml").value["é"].keys["ü"] == (1, 5)


def complaint(attempt) -> str:
    """The message of a card error; "f.yaml" alone if there was none. Anything else is a bug and passes through."""
    try:
        attempt()
    except CardError as error:
        return str(error)
    return "f.yaml"


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("ab: \n-[]{},#&*!|>'\"%@`\t?~0.")), max_size=40))
def test_any_text_is_a_tree_or_a_card_error(text):
    assert complaint(lambda: strict.parse(text, "f.yaml")).startswith("f.yaml")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_text_or_a_card_error(data):
    told = complaint(lambda: strict.parse(strict.decode(data, "f.yaml"), "f.yaml"))
    assert told.startswith("f.yaml")
    assert told.isprintable()


def test_files_that_are_not_cards(tmp_path):
    large, grown, binary, latin, folder = (tmp_path / name for name in ("large", "grown", "binary", "latin", "folder"))
    with large.open("wb") as stream:
        stream.truncate(50_000_000)  # sparse: it takes no room on the disk
    binary.write_bytes(b"PK\x03\x04\x00\x00")
    latin.write_bytes("a: 1\nname: caf\xe9\n".encode("latin-1"))
    folder.mkdir()
    grown.write_text("a: 1\n", encoding="utf-8-sig")
    expected = {
        large: "is 50,000,000 bytes long; a card has at most 1,000,000",
        binary: ":1:3: control character 0x03",
        latin: ":2:10: byte 0xe9 is not UTF-8",
        folder: "is not a file",
        tmp_path / "missing": "no such file",
        tmp_path / ("n" * 300): "cannot be read",
        tmp_path / "nul\0": "cannot be read",
    }
    for path, message in expected.items():
        with pytest.raises(CardError) as raised:
            strict.read_text(path)
        assert message in str(raised.value)
    assert strict.read_text(grown) == "a: 1\n", "a byte order mark is no part of the text"


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CardError, match="is not a file"):
        strict.read_text(tmp_path / "pipe")
