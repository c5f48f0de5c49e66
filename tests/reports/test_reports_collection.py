"""Many runs on one page: what is paired, how sure an effect is, what is on a front, and what survives bad records."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from collection_samples import unpacked, write_records
from report_pages import Page
from report_samples import make_record
from test_reports_injection import PAYLOADS

from suite.axes import AXES
from suite.cli.main import run as run_command
from suite.errors import RecordError
from suite.records import Record, Store, pack_outcomes
from suite.records.brief import brief
from suite.reports.collection.effect_rows import pairs_table
from suite.reports.collection.effects import effects
from suite.reports.collection.fronts import pareto
from suite.reports.collection.matching import METHOD, contrasts
from suite.reports.collection.pages import PAGE, TWIN, records_files
from suite.reports.collection.runs import Collection, Run, collect, run_of
from suite.reports.rendering import script_hash
from suite.reports.table import Column, Table, page_data, table_files
from suite.statistics import PairedTable, newcombe, over_seeds, paired_difference

NOTHING: dict[str, Any] = {}


def make_run(method: str = "lsq", *, number: int = 0, seed: int = 0, **fields: Any) -> Run:
    record = make_record(method, seed=seed, run_id=f"{method}-digits-digits-resnet-s{seed}-{number:010x}", **fields)
    return run_of(record)


def a_crossing() -> list[Run]:
    """Two methods, two axes and two seeds, fully crossed; each factor adds its own part to the score."""
    runs = []
    for number, (method, bits, first, seed) in enumerate(
        itertools.product(("lsq", "rtn"), (4, 8), ("8-bit", "same"), (0, 1))
    ):
        score = 0.9 + 0.01 * (method == "lsq") + 0.02 * (bits == 8) - 0.03 * (first == "same") + 0.001 * seed
        runs.append(
            make_run(
                method,
                number=number,
                seed=seed,
                score=score,
                changes={"weight_bits": bits, "first_layer_weights": first},
            )
        )
    return runs


def test_pairs_are_exactly_the_runs_that_differ_in_one_thing() -> None:
    runs = a_crossing()
    found = {(pair.first, pair.second, one.factor) for one in contrasts(runs) for pair in one.pairs}
    expected = set()
    for first, second in itertools.permutations(range(len(runs)), 2):
        one, other = runs[first], runs[second]
        differing = [axis for axis, a, b in zip(AXES, one.values, other.values, strict=True) if a != b]
        differing += [METHOD] * (one.method != other.method)
        if one.seed == other.seed and len(differing) == 1:
            expected.add((frozenset((first, second)), differing[0]))
    assert {(frozenset(pair[:2]), pair[2]) for pair in found} == expected
    assert len(found) == len(expected) == 24


def test_effects_are_what_was_put_in() -> None:
    runs = a_crossing()
    held = {
        (one.contrast.factor, one.contrast.first, one.contrast.second): one for one in effects(contrasts(runs), runs)
    }
    told = {key: round(one.estimate, 12) for key, one in held.items()}
    assert told == {
        (METHOD, "lsq", "rtn"): -0.01,
        ("weight_bits", "8", "4"): -0.02,
        ("first_layer_weights", "8-bit", "same"): -0.03,
    }
    assert all(one.contrast.contexts == 4 and len(one.contrast.pairs) == 8 for one in held.values())
    assert all(one.resolved for one in held.values())  # without noise every context says the same


def test_without_outcomes_an_effect_has_the_interval_of_student_over_contexts() -> None:
    scores = {8: (0.95, 0.93, 0.97), 4: (0.90, 0.91, 0.93)}
    runs = [
        make_run(number=10 * bits + place, score=score, changes={"weight_bits": bits}, model=f"network{place}")
        for bits, held in scores.items()
        for place, score in enumerate(held)
    ]
    (effect,) = effects(contrasts(runs), runs)
    expected = over_seeds([second - first for first, second in zip(scores[8], scores[4], strict=True)]).interval
    assert expected is not None
    assert effect.interval is not None
    assert (effect.interval.low, effect.interval.high) == pytest.approx((expected.low, expected.high))
    assert "for these examples" in effect.interval.method


def test_one_pair_is_as_sure_as_its_outcomes(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    right = {8: generator.random(400) < 0.9, 4: generator.random(400) < 0.7}
    for number, (bits, correct) in enumerate(right.items()):
        record = make_record(
            run_id=f"lsq-digits-digits-resnet-s0-{number:010x}",
            score=float(correct.mean()),
            changes={"weight_bits": bits},
            outcomes="outcomes.npz",
        )
        Store(tmp_path).write(record, {"outcomes.npz": pack_outcomes(correct, correct)})
    runs = collect((), Store(tmp_path)).runs
    (effect,) = effects(contrasts(runs), runs)
    assert effect.interval == paired_difference(right[8], right[4])
    assert effect.resolved
    pairs = pairs_table([effect], runs)
    shown = dict(zip((column.id for column in pairs.columns), pairs.row(0), strict=True))
    expected = newcombe(PairedTable.of(right[8], right[4]))
    assert (shown["low"], shown["high"]) == (expected.low, expected.high)
    alone = [make_run(number=bits, score=0.9, changes={"weight_bits": bits}) for bits in (4, 8)]
    (unsure,) = effects(contrasts(alone), alone)
    assert unsure.interval is None
    assert unsure.of_pairs == (None,)
    assert not unsure.resolved


def test_methods_pair_under_the_same_axes_of_their_own_where_they_can() -> None:
    ranges = [("lsq", "min-max"), ("lsq", "mse"), ("rtn", "mse")]
    runs = [
        make_run(method, number=place, changes={"activation_range": rule})
        for place, (method, rule) in enumerate(ranges)
    ]
    between = [one for one in contrasts(runs) if one.factor == METHOD]
    assert [(one.first, one.second) for one in between] == [("lsq", "rtn")]
    assert [(pair.first, pair.second) for pair in between[0].pairs] == [(1, 2)]
    apart = [one for one in contrasts([runs[0], runs[2]]) if one.factor == METHOD]
    assert [(one.first, one.second) for one in apart] == [
        ("lsq (activation_range min-max)", "rtn (activation_range mse)")
    ]


def test_of_runs_that_declare_the_same_the_later_counts() -> None:
    runs = [
        make_run(number=0, score=0.5, started="2026-01-01T00:00:00Z"),
        make_run(number=1, score=0.9, started="2026-02-01T00:00:00Z"),
        make_run(number=2, score=0.8, changes={"weight_bits": 4}),
    ]
    (only,) = contrasts(runs)
    assert [(pair.first, pair.second) for pair in only.pairs] == [(1, 2)]


def test_the_front_is_what_nothing_beats() -> None:
    generator = np.random.default_rng(3)
    costs, scores = generator.integers(0, 20, 200).astype(float), generator.integers(0, 20, 200).astype(float)
    front = pareto(list(costs), list(scores))
    for place in range(200):
        beaten = (
            (costs <= costs[place]) & (scores >= scores[place]) & ((costs < costs[place]) | (scores > scores[place]))
        ).any()
        on_front = any(costs[place] == costs[one] and scores[place] == scores[one] for one in front)
        assert on_front == (not beaten)


def test_a_table_survives_its_way_into_the_page_and_into_files() -> None:
    held: dict[str, list[Any]] = {
        "names": [f"lsq-digits-s{number}" for number in range(50)],
        "few": ["a", "b"] * 25,
        "numbers": [None, 0.25, *(number / 8 for number in range(48))],
        "wide": ["𝔸" * number for number in range(50)],
        "formula": ["=1+1"] * 50,
    }
    kinds = {"numbers": "number"}
    columns = tuple(Column(id, id, kinds.get(id, "text"), filter="first" if id == "few" else "") for id in held)  # type: ignore[arg-type]
    table = Table("things", "Things", "things", columns, tuple(held.values()))
    data = json.loads(json.dumps(page_data(table)))
    assert {column["id"]: unpacked(column) for column in data["columns"]} == held
    assert {"shared", "codes", "values"} <= {form for column in data["columns"] for form in column}
    files = table_files(table)
    split = json.loads(files["things.json"])
    assert split["columns"] == list(held)
    assert split["data"] == [list(row) for row in zip(*held.values(), strict=True)]
    rows = list(csv.reader(io.StringIO(str(files["things.csv"]))))
    assert rows[1] == ["lsq-digits-s0", "a", "", "", "'=1+1"]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_texts_stay_texts(payload: str) -> None:
    def page(text: str) -> Page:
        fields = {"task": text, "model": text, "metric": text, "command": text, "options": {"epochs": text}}
        runs = [make_run(number=number, changes={"weight_bits": bits}, **fields) for number, bits in enumerate((4, 8))]
        return Page(str(records_files(Collection(tuple(runs)), lambda run_id: NOTHING)[PAGE]))

    expected, found = page("ordinary words"), page(payload)
    assert found.skeleton == expected.skeleton
    assert found.comments == []
    assert found.raw["script"].count("<") == expected.raw["script"].count("<")  # those of the suite's own script


def test_the_policy_of_a_page_lets_its_own_script_run_and_nothing_else() -> None:
    html = str(records_files(Collection((make_run(),)), lambda run_id: NOTHING)[PAGE])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert f"script-src {script_hash('table.js')};" in policy[1].replace("&#39;", "'")
    assert "default-src 'none'" in policy[1]
    assert not re.search(r'(?:src|href)="(?:https?:)?//', html)


def test_bad_records_are_named_and_good_ones_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_records(tmp_path / "runs", 6)
    folders = sorted((tmp_path / "runs").iterdir())
    torn, newer, older, odd = (folder / "record.json" for folder in folders[:4])
    torn.write_bytes(torn.read_bytes()[:500])
    newer.write_text(json.dumps(json.loads(newer.read_text()) | {"schema": 99}))
    old = json.loads(older.read_text())
    older.write_text(
        json.dumps({name: held for name, held in old.items() if name not in ("figures", "bits")} | {"schema": 1})
    )
    broken = json.loads(odd.read_text())
    broken["audit"]["axes"]["weight_bits"]["verdict"] = "fine"
    odd.write_text(json.dumps(broken))
    code = run_command(["report", "runs", "--runs", str(tmp_path / "runs"), "--to", str(tmp_path / "out"), "--json"])
    told = capsys.readouterr()
    answer = json.loads(told.out)
    assert code == 0
    assert answer["runs"] == 3
    named = {problem["where"].split("/")[0]: problem["why"] for problem in answer["problems"]}
    assert set(named) == {folder.name for folder in (folders[0], folders[1], folders[3])}
    assert "is not JSON" in named[folders[0].name]
    assert "schema version 99" in named[folders[1].name]
    assert all(problem in told.err for problem in named)
    page = Page((tmp_path / "out" / PAGE).read_text(encoding="utf-8"))
    assert "3 could not be read" in page.text
    assert folders[0].name in page.text
    assert (tmp_path / "out" / TWIN).read_text(encoding="utf-8").count(folders[4].name) >= 1


def test_what_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["no/such/folder"], ["nobody"], []):
        code = run_command(["report", "runs", *words, "--runs", str(tmp_path), "--to", str(tmp_path / "out")])
        message = capsys.readouterr().err
        assert code == 2
        assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_brief_record_says_what_the_whole_one_says(tmp_path: Path) -> None:
    write_records(tmp_path, 2)
    for run in collect((), Store(tmp_path)).runs:
        assert run.file is not None
        assert run == run_of(Record.from_json(run.file.read_bytes()), run.file)
    with pytest.raises(RecordError, match="not a record"):
        brief(b"[]", "record.json")
