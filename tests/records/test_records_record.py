"""Records: the schema is strict in both directions, and two executions compare equal but for their circumstances."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from suite.bits import BitAccount, Convention, LayerBits, read_account
from suite.errors import RecordError
from suite.records import Record, Status
from suite.records import record as schema
from suite.records.ids import check_file_name, check_run_id, make_run_id
from suite.records.plain import canonical_json, digest_of, parse_json, plain


def test_a_record_survives_the_way_through_json(record: Record) -> None:
    back = Record.from_json(record.to_json().encode())
    assert back == record
    assert back.setting["allowed_bit_widths"] == (2, 4)
    assert back.difference_interval == (-0.3, 0.1)
    assert back.status is Status.COMPLETED


def test_json_is_what_the_contract_names(record: Record) -> None:
    document = json.loads(record.to_json())
    assert document["setting"]["allowed_bit_widths"] == [2, 4]
    assert document["difference_interval"] == [-0.3, 0.1]
    assert document["status"] == "completed"
    assert document["schema"] == schema.SCHEMA_VERSION


def test_content_leaves_out_the_circumstances_and_nothing_else(build: Callable[..., Record]) -> None:
    first = build()
    again = build(
        started="2027-05-05T05:05:05Z",
        environment={"torch": "2.13.0", "threads": 1, "memory_bytes": 1},
        command="suite evaluate --card elsewhere.yaml",
        costs={"seconds": 99.0, "epoch_fraction": 0.9, "peak_bytes": 5, "examples": 1024, "labels": False},
        audit={
            "verdict": "verified",
            "axes": {
                **first.to_dict()["audit"]["axes"],  # type: ignore[index, call-overload, dict-item]
                "time_limit": {"declared": 1.0, "observed": 0.9, "verdict": "verified", "evidence": "0.90 epochs"},
            },
        },
    )
    assert again != first
    assert again.content() == first.content()


@pytest.mark.parametrize(
    "changed",
    [
        {"score": 0.71},
        {"seed": 1},
        {"plan": [{"site": "conv:weight", "bits": 8}]},
        {"costs": {"examples": 1023}},
        {"identity": {"method": "lsq"}},
        {"status": "diverged", "message": "loss is nan"},
        {
            "audit": {
                "verdict": "contradicted",
                "axes": {
                    "time_limit": {"declared": 1.0, "observed": 2.0, "verdict": "contradicted", "evidence": ""},
                },
            }
        },
    ],
    ids=str,
)
def test_content_sees_every_result(build: Callable[..., Record], changed: dict[str, Any]) -> None:
    assert build(**changed).content() != build().content()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"run_id": "../../etc"}, "not a run id"),
        ({"status": "finished"}, "expected one of completed, diverged, failed"),
        ({"seed": -1}, "seed"),
        ({"seed": True}, "seed"),
        ({"seed": 1.0}, "seed"),
        ({"method": ""}, "method is empty"),
        ({"score": math.nan}, "score is nan"),
        ({"score": math.inf}, "score is inf"),
        ({"score": "0.7"}, "expected a number"),
        ({"score": None}, "a completed record needs score"),
        ({"status": "failed"}, "says why"),
        ({"difference_interval": (0.1, -0.3)}, "upside down"),
        ({"difference_interval": (0.1,)}, "expected [low, high]"),
        ({"model_bytes": 1.5}, "model_bytes"),
        ({"costs": {"dollars": 1}}, "costs has no 'dollars'"),
        ({"costs": {"seconds": -1.0}}, "at least 0"),
        ({"audit": {"verdict": "fine", "axes": {}}}, "expected one of verified"),
        ({"audit": {"verdict": "verified"}}, "expected verdict and axes"),
        ({"audit": {"verdict": "verified", "axes": {"grid": {"verdict": "verified"}}}}, "audit.axes.grid"),
        ({"outcomes": "../outcomes.npz"}, "cannot be the name of a file"),
        ({"plan": ["conv"]}, "expected a list of rows"),
        ({"environment": {"when": {1: 2}}}, "only text can be a key"),
        ({"environment": {"x": object()}}, "JSON cannot hold"),
    ],
)
def test_a_record_refuses(build: Callable[..., Record], changed: dict[str, Any], says: str) -> None:
    with pytest.raises(RecordError) as caught:
        build(**changed)
    assert says in str(caught.value)


def test_divergence_is_a_record_too(build: Callable[..., Record]) -> None:
    record = build(status="diverged", message="loss is nan after step 3", score=None, difference=None, audit=None)
    assert record.status is Status.DIVERGED
    assert Record.from_json(record.to_json().encode()) == record


def test_unknown_and_missing_fields_are_both_named(record: Record) -> None:
    document = record.to_dict()
    document["colour"] = "red"
    del document["seed"]
    with pytest.raises(RecordError, match=r"unknown colour; missing seed"):
        Record.from_dict(document)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"schema": NaN}', "holds NaN"),
        (b'{"schema": 1e999}', "is inf"),
        (b'{"schema": 1, "schema": 1}', "says 'schema' twice"),
        (b'{"schema": 1', "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "nested deeper"),
        (b"[1]", "not a record"),
        (b'{"schema": ' + b"9" * 5000 + b"}", "cannot be read"),
        (b'{"schema": 99}', "update the suite"),
        (b'{"schema": 0}', "never existed"),
        (b'{"schema": true}', "does not say its schema version"),
        (b"{}", "does not say its schema version"),
    ],
    ids=lambda value: value[:20].decode("latin-1") if isinstance(value, bytes) else None,
)
def test_foreign_json_is_refused_in_one_line(content: bytes, says: str) -> None:
    with pytest.raises(RecordError) as caught:
        Record.from_json(content, "x/record.json")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_old_version_migrates_step_by_step(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    # A world in which version -1 called the score "accuracy" and version 0 had no plan.
    monkeypatch.setitem(schema.MIGRATIONS, -1, lambda old: {"score": old.pop("accuracy"), **old})
    monkeypatch.setitem(schema.MIGRATIONS, 0, lambda old: {**old, "plan": []})
    old = {**record.to_dict(), "schema": -1, "accuracy": 0.7}
    del old["score"], old["plan"], old["figures"]
    migrated = Record.from_dict(old)
    assert (migrated.score, migrated.plan, migrated.schema) == (0.7, [], schema.SCHEMA_VERSION)


def test_a_record_from_before_figures_is_read(record: Record) -> None:
    old = {**record.to_dict(), "schema": 1}
    del old["figures"]
    read = Record.from_dict(old)
    assert (read.figures, read.schema) == ({}, schema.SCHEMA_VERSION)
    assert read.score == record.score


def test_a_record_from_before_the_account_of_bits_is_read(record: Record) -> None:
    old = {**record.to_dict(), "schema": 2}
    del old["bits"]
    read = Record.from_dict(old)
    assert (read.bits, read.schema) == (None, schema.SCHEMA_VERSION)
    assert read.content() == record.content()


def test_the_account_of_bits_is_content_and_is_checked(build: Callable[..., Record]) -> None:
    layer = LayerBits("conv:weight", (4, 2), Convention.SIGNED, {4: 8}, levels=9, scales=4)
    bits = BitAccount((layer,), other_numbers=4).to_dict()
    record = build(bits=bits)
    assert read_account(Record.from_json(record.to_json().encode()).bits).layers == (layer,)
    assert record.content() != build().content()
    bits["layers"][0]["bytes"] += 1
    with pytest.raises(RecordError, match=r"bits\.layers\[0\]\.bytes is 21, but the rest comes to 20"):
        build(bits=bits)


def test_figures_of_a_method_are_content(build: Callable[..., Record]) -> None:
    figures = {"conv:weight": {"steps": [0.5, 0.25], "start": "largest value"}}
    record = build(figures=figures)
    assert Record.from_json(record.to_json().encode()).figures == figures
    assert record.content() != build(figures={}).content()


@pytest.mark.parametrize(
    ("figures", "says"),
    [
        ({"loss": float("nan")}, "figures.loss is nan"),
        ({"loss": object()}, "figures.loss is a object, which JSON cannot hold"),
        ({1: 2}, "key of type int"),
        ([1, 2], "expected a mapping"),
        ({"values": [0.125] * 50_000}, "more than the 262,144 a record keeps"),
    ],
)
def test_figures_that_a_record_cannot_keep(build: Callable[..., Record], figures: object, says: str) -> None:
    with pytest.raises(RecordError) as caught:
        build(figures=figures)
    assert says in str(caught.value)


def test_plain_turns_numpy_and_enums_into_json() -> None:
    value = {"a": np.float32(0.5), "b": (np.int64(3), Status.FAILED), "c": np.bool_(True)}
    assert plain(value) == {"a": 0.5, "b": [3, "failed"], "c": True}


def test_equal_data_has_equal_canonical_text() -> None:
    assert canonical_json({"b": 1, "a": [True, None, "é"]}) == '{"a":[true,null,"\\u00e9"],"b":1}'
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 1.5})


def test_parse_json_bounds_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suite.records.plain.MAXIMUM_JSON_BYTES", 10)
    with pytest.raises(RecordError, match="has 11 bytes"):
        parse_json(b"[1,2,3,4,5]", "x")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("resnet20", "lsq-digits-resnet20-s3-abcdef0123"),
        ("torchvision:resnet18", "lsq-digits-torchvision-resnet18-s3-abcdef0123"),
        ("../../etc/passwd", "lsq-digits-etc-passwd-s3-abcdef0123"),
        ("é/…", "lsq-digits-unnamed-s3-abcdef0123"),
        ("x" * 300, f"lsq-digits-{'x' * 40}-s3-abcdef0123"),
    ],
)
def test_run_ids_are_safe_to_be_paths(model: str, expected: str) -> None:
    assert make_run_id("lsq", "digits", model, 3, "abcdef0123456789") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "a-s0-0123456789/..",
        "/a-b-c-s0-0123456789",
        "a-b-c-s0-0123456789\n",
        "a..b-c-s0-0123456789",
        "A-b-c-s0-0123456789",
        ".a-b-c-s0-0123456789",
        "a-b-c-s0-012345678",
        "a-b-c-s0-012345678g",
        "a" * 400 + "-s0-0123456789",
    ],
)
def test_what_is_not_a_run_id(text: str) -> None:
    with pytest.raises(RecordError, match="not a run id"):
        check_run_id(text)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", ".hidden", "a\0b", "a..b", "x" * 200])
def test_what_is_not_a_file_name(name: str) -> None:
    with pytest.raises(RecordError):
        check_file_name(name)
