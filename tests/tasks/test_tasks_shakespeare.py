"""Tiny Shakespeare by characters: windows, labels one further, splits that do not touch, hostile files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from suite.errors import DataAccessError, DataMissing, SuiteError
from suite.tasks import FACTS, Split, get_task
from suite.tasks.sequences import NATS
from suite.tasks.shakespeare import CONTEXT, ID, windows
from suite.tasks.vault import sealed

ALPHABET = [chr(33 + number) for number in range(65)]


@pytest.fixture
def text(tmp_path: Path) -> str:
    """A text of 65 characters in an order that is no pattern, stored where the task looks."""
    order = np.random.default_rng(0).integers(65, size=9000)
    order[:65] = np.arange(65)
    content = "".join(ALPHABET[number] for number in order)
    folder = tmp_path / "text" / "tinyshakespeare"
    folder.mkdir(parents=True)
    (folder / "input.txt").write_text(content, encoding="utf-8")
    return content


def test_every_label_is_the_next_character_and_splits_are_parts_of_the_text(text: str, tmp_path: Path) -> None:
    task = get_task(ID, tmp_path)
    numbers = [ALPHABET.index(character) for character in text]
    found: dict[Split, set[int]] = {}
    for split in (Split.TRAIN, Split.TEST):
        data = task.split(split)
        assert data.inputs.dtype == data.labels.dtype == torch.int64
        assert data.inputs.shape == data.labels.shape == (len(data), CONTEXT)
        covered: set[int] = set()
        for window, labels, start in zip(data.inputs.tolist(), data.labels.tolist(), data.ids.tolist(), strict=True):
            assert window == numbers[start : start + CONTEXT]
            assert labels == numbers[start + 1 : start + CONTEXT + 1]
            covered |= set(range(start, start + CONTEXT + 1))
        found[split] = covered
    assert max(found[Split.TRAIN]) < 0.9 * len(text)
    assert min(found[Split.TEST]) >= 0.95 * len(text)
    assert len(task.split(Split.TRAIN)) == (int(0.9 * len(text)) - 1) // CONTEXT


def test_a_task_of_tokens_says_so(text: str, tmp_path: Path) -> None:
    task = get_task(ID, tmp_path)
    assert (task.input_type, task.input_shape, task.label_shape, task.classes) == ("int64", (128,), (128,), 65)
    assert task.augment is None
    assert task.metric == FACTS[ID].metric == "next-token accuracy"


def test_outcomes_and_nats_have_one_entry_a_position(text: str, tmp_path: Path) -> None:
    task = get_task(ID, tmp_path)
    labels = task.split(Split.TRAIN).labels[:2]
    logits = torch.randn(2, 65, CONTEXT, generator=torch.Generator().manual_seed(0))
    logits[0, :, 0] = -1.0
    logits[0, labels[0, 0], 0] = 2.0
    logits[1, 3, 5] = torch.nan
    outcomes = task.outcomes(logits, labels)
    assert outcomes.shape == (2 * CONTEXT,)
    assert bool(outcomes[0])
    assert not bool(outcomes[CONTEXT + 5]), "an answer with NaN is wrong"
    nats = task.figures(logits, labels)[NATS]
    # -log softmax by hand: 64 logits of -1, one of 2.
    assert float(nats[0]) == pytest.approx(np.log(64 * np.exp(-1) + np.exp(2)) - 2)


def test_another_text_is_another_task(text: str, tmp_path: Path) -> None:
    before = get_task(ID, tmp_path)
    file = tmp_path / "text" / "tinyshakespeare" / "input.txt"
    changed = text[:-200] + ALPHABET[(ALPHABET.index(text[-200]) + 1) % 65] + text[-199:]
    file.write_text(changed, encoding="utf-8")
    after = get_task(ID, tmp_path)
    assert before.data_hash != after.data_hash
    assert before.identity != after.identity


def test_test_windows_are_sealed_and_recognised(text: str, tmp_path: Path) -> None:
    task = get_task(ID, tmp_path)
    test, train = task.fingerprints(Split.TEST), task.fingerprints(Split.TRAIN)
    assert not torch.isin(test, train).any()
    with sealed(), pytest.raises(DataAccessError):
        task.split(Split.TEST)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"abc" * 4000, "3 different characters, expected 65"),
        ("".join(ALPHABET).encode(), "too short for one window"),
        (b"\xff\xfe\x00" * 100, "not text in UTF-8"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    folder = tmp_path / "tinyshakespeare"
    folder.mkdir()
    (folder / "input.txt").write_bytes(content)
    with pytest.raises(SuiteError, match=message):
        get_task(ID, tmp_path)


def test_without_the_text_the_places_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUITE_DATA", raising=False)
    with pytest.raises(DataMissing, match="needs a data folder"):
        get_task(ID)
    with pytest.raises(DataMissing, match=r"tinyshakespeare/input\.txt"):
        get_task(ID, tmp_path)


def test_what_is_left_over_is_left() -> None:
    tokens = np.arange(2 * CONTEXT + 1, dtype=np.int64)
    assert len(windows(tokens, 0)) == 2
    assert len(windows(tokens[:-1], 0)) == 1, "the last token has no next one"
    assert windows(tokens, 7).ids.tolist() == [7, 7 + CONTEXT]
