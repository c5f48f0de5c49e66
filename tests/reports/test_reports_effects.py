"""The page of effects: the runs of several studies, what pairs in them, and what the page says of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from collection_samples import write_records
from report_pages import Page
from test_reports_collection import a_crossing, make_run
from test_reports_injection import PAYLOADS

from suite.axes import AXES, Setting
from suite.cli.main import run as run_command
from suite.records import Store
from suite.reports.collection.effects_page import effects_page
from suite.reports.collection.matching import METHOD, contrasts
from suite.reports.collection.pages import EFFECTS_PAGE, EFFECTS_TWIN, effects_files
from suite.reports.collection.runs import Collection, Run, collect
from suite.studies import expand, load_study, shipped_studies
from suite.studies.journal import FILE, Journal, Line

COMMAND = "suite report effects --to FOLDER"
OBSERVATIONS = [id for id in shipped_studies() if id.startswith("observation-")]
JOINT = "unsigned_activations + activation_symmetry"


def of_studies(score: Callable[[int], float] = lambda place: 0.9) -> list[Run]:
    """A run for every cell of the eight observations at their small size, as each card declares it."""
    cards = [cell.card for id in OBSERVATIONS for cell in expand(load_study(id), "small")]
    runs = []
    for place, card in enumerate(cards):
        source = str(card.values["baseline_weights"])
        runs.append(
            make_run(
                card.method.id,
                number=place,
                seed=card.seed,
                changes=dict(card.values),
                options=dict(card.method.options),
                model=card.model,
                identity={"weights": source, "data": "d" * 64},
                score=score(place),
            )
        )
    return runs


def test_the_eight_observations_pair_in_the_axes_that_they_ask_about() -> None:
    assert len(OBSERVATIONS) == 8
    runs = of_studies()
    found = contrasts(runs)
    assert {
        JOINT, "weight_symmetry", "weight_granularity", "skip_connection", "residual_connection", "allowed_bit_widths",
        "labels", "baseline_weights", "weight_bits", "activation_bits", METHOD,
    } <= {one.factor for one in found}  # fmt: skip
    for one in found:
        for pair in one.pairs:
            first, second = runs[pair.first], runs[pair.second]
            assert first.seed == second.seed
            differing = {axis for axis, a, b in zip(AXES, first.values, second.values, strict=True) if a != b}
            if one.factor == METHOD:
                assert first.method != second.method
                assert all(AXES[axis].of_method for axis in differing)
            else:
                assert differing == set(one.factor.split(" + "))
                assert (first.method, first.options) == (second.method, second.options)


def test_two_axes_pair_together_only_where_one_cannot_be_switched_alone() -> None:
    signed = {"activation_symmetry": "symmetric", "unsigned_activations": "never"}
    unsigned = {"activation_symmetry": "asymmetric", "unsigned_activations": "where-non-negative"}
    free = {"activation_symmetry": "symmetric", "weight_bits": 8}
    runs = [
        make_run(number=place, changes={"weight_bits": 4, **changes})
        for place, changes in enumerate((unsigned, signed, free))
    ]
    (one,) = contrasts(runs)
    assert one.factor == JOINT
    assert [{pair.first, pair.second} for pair in one.pairs] == [{0, 1}]


def test_weights_follow_from_the_axis_that_names_them_and_from_no_other() -> None:
    files = [("weak.pt", "a"), ("strong.pt", "b")]
    runs = [
        make_run(number=place, changes={"baseline_weights": name}, identity={"weights": weights, "data": "d"})
        for place, (name, weights) in enumerate(files)
    ]
    (one,) = contrasts(runs)
    assert (one.factor, {one.first, one.second}) == ("baseline_weights", {"weak.pt", "strong.pt"})
    others = [
        make_run(number=place, changes={"weight_bits": bits}, identity={"weights": weights, "data": "d"})
        for place, (bits, weights) in enumerate([(4, "a"), (8, "b")])
    ]
    assert contrasts(others) == []


def test_a_method_is_told_with_the_options_that_tell_its_runs_apart() -> None:
    many = {f"option_{place}": "x" * 40 for place in range(20)}  # longer than any value that a page shows
    given = [("lsq", {**many, "epochs": 3}), ("lsq", {**many, "epochs": 4}), ("rtn", many)]
    runs = [make_run(method, number=place, options=options) for place, (method, options) in enumerate(given)]
    assert {(one.first, one.second) for one in contrasts(runs)} == {
        ("lsq (epochs: 3)", "rtn"),
        ("lsq (epochs: 4)", "rtn"),
    }


def test_the_page_says_the_largest_effect_of_an_axis_beside_that_of_the_method() -> None:
    collection = Collection(tuple(a_crossing()))
    page = effects_page(collection, COMMAND)
    assert [(row.factor, row.estimate) for row in page.largest] == [
        ("first_layer_weights", "−3.00\N{NO-BREAK SPACE}points"),
        ("weight_bits", "−2.00\N{NO-BREAK SPACE}points"),
        (METHOD, "−1.00\N{NO-BREAK SPACE}points"),
    ]
    assert page.banner.headline == "first_layer_weights is worth up to 3.00\N{NO-BREAK SPACE}points"
    assert "2 of 2 axes with a resolved effect have a larger one" in page.banner.sentence
    assert page.unpaired == 0
    files = effects_files(collection, COMMAND)
    rows = {row["factor"]: row for row in csv.DictReader(io.StringIO(str(files["effects.csv"])))}
    assert float(rows["first_layer_weights"]["effect"]) == pytest.approx(-0.03)
    for name in (EFFECTS_PAGE, EFFECTS_TWIN):
        said = str(files[name]).replace("\N{NO-BREAK SPACE}", " ").replace("\\", "")
        assert "−3.00 points" in said
        assert COMMAND in said


def test_runs_in_no_pair_are_counted() -> None:
    far = make_run("rtn", number=99, score=0.5, changes={"weight_bits": 2, "batch_norm": "float"})
    page = effects_page(Collection((*a_crossing(), far)), COMMAND)
    assert (page.runs, page.unpaired) == (17, 1)
    alone = effects_page(Collection((far,)), COMMAND)
    assert alone.banner.tone == "quiet"
    assert EFFECTS_PAGE in effects_files(Collection((far,)), COMMAND)


def test_folders_of_studies_name_the_last_run_of_each_of_their_cells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_records(tmp_path, 6)
    ids = [run.run_id for run in collect((), Store(tmp_path)).runs]
    for study, cells in (("one-small", [("a", ids[0]), ("a", ids[1]), ("b", ids[2])]), ("two-small", [("a", ids[3])])):
        folder = tmp_path / "studies" / study
        folder.mkdir(parents=True)
        for cell, run_id in cells:
            Journal(folder).append(Line("started", cell, "k"))
            Journal(folder).append(Line("ended", cell, "k", "completed", run_id))
    folders = [str(folder) for folder in sorted((tmp_path / "studies").iterdir())]
    assert [run.run_id for run in collect(folders, Store(tmp_path / "elsewhere")).runs] == sorted(ids[1:4])
    assert run_command(["report", "effects", *folders, "--to", str(tmp_path / "out"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["runs"] == 3
    assert {Path(file).name for file in answer["files"]} >= {EFFECTS_PAGE, EFFECTS_TWIN}
    (Path(folders[0]) / FILE).write_text("")
    assert run_command(["report", "effects", folders[0], "--to", str(tmp_path / "out")]) == 2
    assert "no cell of this study has a run yet" in capsys.readouterr().err


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_texts_stay_texts(payload: str) -> None:
    def page(text: str) -> Page:
        fields = {"task": text, "model": text, "options": {"epochs": text}}
        runs = [make_run(number=number, changes={"weight_bits": bits}, **fields) for number, bits in enumerate((4, 8))]
        return Page(str(effects_files(Collection(tuple(runs)), text)[EFFECTS_PAGE]))

    assert page(payload).skeleton == page("ordinary words").skeleton


def test_a_value_that_no_axis_allows_makes_no_joint_pair() -> None:
    usual = Setting.default().to_dict()
    runs = [
        make_run(number=place, setting={**usual, "weight_granularity": granularity, "weight_group_size": size})
        for place, (granularity, size) in enumerate([("per-dream", 3), ("per-channel", "none")])
    ]
    assert contrasts(runs) == []
