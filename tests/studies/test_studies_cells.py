"""From a study to its cells: which there are, and what each of them declares."""

from __future__ import annotations

from pathlib import Path

import pytest
from study_samples import STUDY, sample

from suite.axes import AXES
from suite.cards import new_card
from suite.errors import StudyError
from suite.studies import Study, expand, load_study
from suite.studies.matching import matched, selected


def ids(study: Study, size: str = "smoke") -> list[str]:
    return [cell.id for cell in expand(study, size)]


def test_cells_are_every_combination_with_its_seeds():
    assert ids(sample()) == [
        "main.good.4.s0",
        "main.good.2.s0",
        "main.good.2.s1",
        "main.bad.4.s0",
        "main.bad.2.s0",
        "main.bad.2.s1",
    ]


def test_a_cell_is_a_complete_card():
    cell = next(cell for cell in expand(sample(), "smoke") if cell.id == "main.good.2.s1")
    card = cell.card
    assert (card.method.id, card.task, card.model, card.seed) == ("rtn", "digits", "digits-resnet", 1)
    assert set(card.values) == set(AXES)
    assert (card.values["weight_bits"], card.values["weight_range"], card.values["activation_bits"]) == (2, "mse", 32)
    assert card.values["examples"] == AXES["examples"].default


def test_excluded_and_left_out_cells_are_not_there():
    excluded = STUDY.replace("    adjust:", "    exclude: [{method: bad, bits: 2}]\n    adjust:")
    assert [id for id in ids(sample(excluded)) if "bad" in id] == ["main.bad.4.s0"]
    kept = STUDY.replace("smoke: {says: Everything.}", "smoke: {says: x, keep: [{bits: 4}]}")
    assert ids(sample(kept)) == ["main.good.4.s0", "main.bad.4.s0"]


def test_later_choices_win_and_options_stay_with_their_method():
    text = STUDY.replace("  model: digits-resnet\n", "  model: digits-resnet\n  method: lsq\n  options: {epochs: 3}\n")
    text = text.replace(
        "smoke: {says: Everything.}",
        "smoke: {says: x, adjust: [{where: {method: bad}, options: {batch_size: 8}, axes: {examples: 32}}]}",
    )
    cells = {cell.id: cell.card for cell in expand(sample(text), "smoke")}
    assert dict(cells["main.good.4.s0"].method.options) == {}  # epochs were those of lsq
    assert dict(cells["main.bad.4.s0"].method.options) == {"batch_size": 8}
    assert cells["main.bad.4.s0"].values["examples"] == 32
    assert cells["main.good.4.s0"].values["examples"] != 32


def test_options_said_before_a_method_is_chosen_are_those_of_every_method():
    text = STUDY.replace("  model: digits-resnet\n", "  model: digits-resnet\n  options: {steps: 3, batch_size: 8}\n")
    text = text.replace("- {id: bad, method: rtn}", "- {id: bad, method: lsq, options: {batch_size: 4}}")
    cells = {cell.id: cell.card for cell in expand(sample(text), "smoke")}
    assert dict(cells["main.good.4.s0"].method.options) == {"steps": 3, "batch_size": 8}
    assert dict(cells["main.bad.4.s0"].method.options) == {"steps": 3, "batch_size": 4}


def test_an_option_can_be_taken_back():
    text = STUDY.replace("  model: digits-resnet\n", "  model: digits-resnet\n  options: {steps: 3, batch_size: 8}\n")
    text = text.replace("- {id: bad, method: rtn}", "- {id: bad, method: lsq, options: {steps: null, epochs: 2}}")
    cells = {cell.id: cell.card for cell in expand(sample(text), "smoke")}
    assert dict(cells["main.good.4.s0"].method.options) == {"steps": 3, "batch_size": 8}
    assert dict(cells["main.bad.4.s0"].method.options) == {"batch_size": 8, "epochs": 2}


def test_axes_of_a_zip_vary_together():
    zipped = "{factor: bits, zip: {ids: [W4A8, W2A4], axes: {weight_bits: [4, 2], activation_bits: [8, 4]}}}"
    text = STUDY.replace("{factor: bits, axis: weight_bits, values: [4, 2]}", zipped).replace(
        "{bits: 2}", "{bits: W2A4}"
    )
    pairs = {
        (cell.levels["bits"], cell.card.values["weight_bits"], cell.card.values["activation_bits"])
        for cell in expand(sample(text), "smoke")
    }
    assert pairs == {("W4A8", 4, 8), ("W2A4", 2, 4)}


def test_a_base_card_beside_the_study_is_where_cells_start(tmp_path: Path):
    (tmp_path / "base.yaml").write_text(new_card("rtn", values={"examples": 99}), encoding="utf-8")
    file = tmp_path / "study.yaml"
    file.write_text(STUDY.replace("fixed:\n", "fixed:\n  card: base.yaml\n"), encoding="utf-8")
    assert {cell.card.values["examples"] for cell in expand(load_study(file), "smoke")} == {99}


def test_weights_that_the_study_needs_are_named_on_its_cards():
    need = f"weights: [{{model: digits-resnet, name: mine.pt, sha256: {'a' * 64}}}]"
    text = STUDY.replace("smoke: {says: Everything.}", f"smoke: {{says: x, {need}}}")
    assert {cell.card.values["baseline_weights"] for cell in expand(sample(text), "smoke")} == {"mine.pt"}


def test_two_cells_that_declare_the_same_have_one_digest():
    same = STUDY.replace("axes: {weight_range: mse}}", "axes: {weight_range: min-max}}")
    first, second = ({cell.id: cell.digest for cell in expand(sample(text), "smoke")} for text in (STUDY, same))
    assert first["main.good.4.s0"] != first["main.bad.4.s0"]
    assert second["main.good.4.s0"] == second["main.bad.4.s0"]
    assert first["main.bad.2.s0"] != first["main.bad.2.s1"]


def test_a_study_that_is_too_large_is_refused():
    many = STUDY.replace("seeds: [0, 1]", f"seeds: {list(range(100))}").replace("bits: 2}", "bits: [4, 2]}")
    parts = many.partition("parts:\n")
    levels = ", ".join(f"{{id: l{number}}}" for number in range(30))
    factor = f"      - {{factor: extra, levels: [{levels}]}}\n    adjust:"
    text = (
        parts[0]
        + parts[1]
        + parts[2].replace("    adjust:", factor, 1).replace("columns: bits", "columns: [bits, extra]")
    )
    text = text.replace("lines: method}", "lines: [method, extra]}")
    with pytest.raises(AssertionError, match="more than 5,000 cells"):
        sample(text)


def test_pairs_agree_in_all_other_factors():
    cells = expand(sample(), "smoke")
    pairs = matched(cells, {}, {"method": ("bad",)}, {"method": ("good",)})
    assert [(pair.first.id, pair.second.id) for pair in pairs] == [
        ("main.bad.4", "main.good.4"),
        ("main.bad.2", "main.good.2"),
    ]
    assert [pair.named() for pair in pairs] == ["good − bad at main, 4", "good − bad at main, 2"]
    assert [
        pair.first.id for pair in matched(cells, {"bits": ("2",)}, {"method": ("bad",)}, {"method": ("good",)})
    ] == ["main.bad.2"]
    assert [len(group.cells) for group in selected(cells, {"method": ("good",)})] == [1, 2]


def test_a_study_error_names_the_missing_choice():
    study = sample()
    broken = Study(**{**vars(study), "fixed": type(study.fixed)(task="digits")})
    with pytest.raises(StudyError, match=r"main\.good\.4 has no model"):
        expand(broken, "smoke")
