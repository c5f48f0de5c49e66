"""What a study needs is known by its hash and checked before anything runs."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from study_samples import STUDY, sample

from suite.errors import StudyError
from suite.studies import examine_text, expand
from suite.studies.journal import Journal, Line
from suite.studies.needs import Given, Met, as_start, asked_for, assumed, meet, told_data
from suite.studies.study import DataNeed, Size, WeightsNeed

CARD = expand(sample(), "smoke")[0].card
CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def size(**needs: object) -> Size:
    return Size("small", "x", **needs)  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "any-name.pt"
    path.write_bytes(CONTENT)
    return path


NEED = WeightsNeed("resnet20", "theirs.pt", DIGEST, "trained by somebody")


def test_a_file_is_recognised_by_its_hash_not_by_its_name(file: Path, tmp_path: Path):
    met = meet(size(weights=(NEED,)), [file], lambda task: "")
    assert met.weights[0].path == file


def test_a_file_that_is_missing_is_named_with_its_remedy():
    with pytest.raises(
        StudyError, match=rf"needs the weights theirs\.pt \(trained by somebody\).*--weights.*{DIGEST[:12]}"
    ):
        meet(size(weights=(NEED,)), [], lambda task: "")


def test_another_file_is_refused(file: Path):
    file.write_bytes(b"other weights")
    with pytest.raises(StudyError, match=r"any-name\.pt has another hash"):
        meet(size(weights=(NEED,)), [file], lambda task: "")


def test_a_file_that_nothing_asks_for_is_refused(file: Path):
    with pytest.raises(StudyError, match="is not a weights file that this study asks for"):
        meet(size(), [file], lambda task: "")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path):
    with pytest.raises(StudyError, match=r"nowhere\.pt cannot be read"):
        meet(size(weights=(NEED,)), [tmp_path / "nowhere.pt"], lambda task: "")


def test_data_are_known_by_their_identity():
    need = DataNeed("cifar10-clean40k", "a" * 64, "images 0-19,999")
    assert meet(size(data=(need,)), [], lambda task: "a" * 64).data == {"cifar10-clean40k": "a" * 64}
    with pytest.raises(StudyError, match=r"are not those the study was written for: images 0-19,999.*bbbbbbbbbbbb…"):
        meet(size(data=(need,)), [], lambda task: "b" * 64)


def test_what_is_on_record_is_looked_up_under_the_hashes_of_the_study(file: Path):
    met = meet(size(weights=(NEED,), data=(DataNeed("t", "a" * 64),)), [file], lambda task: "a" * 64)
    taken = assumed(size(weights=(NEED,), data=(DataNeed("t", "a" * 64),)))
    assert taken.data == met.data
    assert [held.sha256 for held in taken.weights] == [held.sha256 for held in met.weights] == [DIGEST]


def test_where_nobody_knows_the_hash_the_name_of_the_file_counts(file: Path, tmp_path: Path):
    unknown = WeightsNeed("resnet20", "theirs.pt", says="converted by somebody")
    with pytest.raises(StudyError, match=r"theirs\.pt \(converted by somebody\).*known by its name"):
        meet(size(weights=(unknown,)), [], lambda task: "")
    named = file.rename(tmp_path / "theirs.pt")
    (given,) = meet(size(weights=(unknown,)), [named], lambda task: "").weights
    assert (given.path, given.sha256) == (named, DIGEST)
    assert assumed(size(weights=(unknown,)), [named]).weights == (given,)
    assert asked_for(size(weights=(unknown,)), [named]) == (named,)


def test_what_is_not_at_hand_is_what_the_study_was_last_started_with(file: Path, tmp_path: Path):
    wanted = size(weights=(WeightsNeed("resnet20", "any-name.pt"),), data=(DataNeed("t"), DataNeed("u", "c" * 64)))
    met = meet(wanted, [file], {"t": "a" * 64, "u": "c" * 64}.__getitem__)
    journal = Journal(tmp_path)
    assert assumed(wanted, before=journal.last_start()).data == {"u": "c" * 64}
    journal.begin(as_start(Met(data={"t": "b" * 64})))
    journal.begin(as_start(met))
    journal.append(Line("started", "a", "1"))
    taken = assumed(wanted, before=journal.last_start())
    assert taken.data == met.data
    assert [held.sha256 for held in taken.weights] == [DIGEST]
    # What is at hand is looked at, and what the study knows by hash is that.
    assert assumed(wanted, (), lambda task: "e" * 64, journal.last_start()).data == {"t": "e" * 64, "u": "c" * 64}
    file.write_bytes(b"others")
    (held,) = assumed(wanted, [file], before=journal.last_start()).weights
    assert held.sha256 == hashlib.sha256(b"others").hexdigest()


def test_data_that_nobody_here_has_are_taken_as_they_are():
    need = DataNeed("imagenet", says="the validation images")
    assert meet(size(data=(need,)), [], lambda task: "a" * 64).data == {"imagenet": "a" * 64}
    assert told_data(need) == "data of the task imagenet (the validation images)"


def test_of_several_files_for_a_model_a_card_names_its_own():
    given = (Given("resnet20", "weak.pt", Path("w"), "a" * 64), Given("resnet20", "strong.pt", Path("s"), "b" * 64))
    for held in given:
        card = replace(CARD, model="resnet20", values={**CARD.values, "baseline_weights": held.name})
        assert Met(given).weights_of(card) == held
    assert Met(given).weights_of(replace(CARD, model="resnet8")) is None
    assert Met(given[:1]).weights_of(replace(CARD, model="resnet20")) == given[0]


def test_a_cell_that_leaves_open_from_which_weights_it_starts_cannot_be():
    needs = "".join(f"\n      - {{model: digits-resnet, name: {name}}}" for name in ("weak.pt", "strong.pt"))
    text = STUDY.replace("smoke: {says: Everything.}", f"smoke:\n    says: x\n    weights:{needs}")
    _, problems = examine_text(text, "study.yaml")
    assert any("does not say from which weights it starts" in str(problem) for problem in problems)
    chosen = text.replace("{activation_bits: 32,", "{baseline_weights: strong.pt, activation_bits: 32,")
    assert {cell.card.values["baseline_weights"] for cell in expand(sample(chosen), "smoke")} == {"strong.pt"}
