"""What a study needs is known by its hash and checked before anything runs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from suite.errors import StudyError
from suite.studies.needs import assumed, meet
from suite.studies.study import DataNeed, Size, WeightsNeed

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
    assert met.weights["resnet20"].path == file


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
    assert taken.weights["resnet20"].sha256 == met.weights["resnet20"].sha256
