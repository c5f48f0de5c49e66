"""Tasks: `shakespeare-characters`, the next character of tiny Shakespeare."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.errors import DataMissing, SuiteError
from suite.tasks.catalogue import FACTS
from suite.tasks.sequences import RawSequences, SequenceTask

ID = "shakespeare-characters"
CONTEXT = 128
FOLDER, FILE = "tinyshakespeare", "input.txt"
_LARGEST_BYTES = 2**24


def load(data: Path | None = None) -> SequenceTask:
    """Train on the first 90 % of the characters, test on the last 5 %; the 5 % between stay unread."""
    text = _read(data)
    vocabulary = sorted(set(text))
    classes = FACTS[ID].classes
    if len(vocabulary) != classes:
        raise SuiteError(
            f"the text of '{ID}' has {len(vocabulary)} different characters, expected {classes}",
            hint="this is not tiny Shakespeare as it is published",
        )
    number = {character: index for index, character in enumerate(vocabulary)}
    tokens = np.array([number[character] for character in text], dtype=np.int64)
    train, test = tokens[: len(tokens) * 9 // 10], tokens[len(tokens) * 19 // 20 :]
    return SequenceTask(
        FACTS[ID],
        windows(train, 0),
        windows(test, len(tokens) - len(test)),
        notes=("outcomes of one text are not independent, so intervals are narrower than they should be",),
    )


def windows(tokens: NDArray[np.int64], start: int) -> RawSequences:
    """Windows of CONTEXT tokens without overlap, each labelled with the tokens one further; what is left over is left.

    The id of a window is where in the whole text it begins.
    """
    count = (len(tokens) - 1) // CONTEXT
    if count < 1:
        raise SuiteError(f"the text of '{ID}' is too short for one window of {CONTEXT} characters")
    inputs = tokens[: count * CONTEXT].reshape(count, CONTEXT)
    labels = tokens[1 : count * CONTEXT + 1].reshape(count, CONTEXT)
    return RawSequences(inputs, labels, start + CONTEXT * np.arange(count, dtype=np.int64))


def _read(data: Path | None) -> str:
    if data is None:
        raise DataMissing(f"'{ID}' needs a data folder, and none is given", hint="--data DIR or SUITE_DATA")
    places = [data / "text" / FOLDER / FILE, data / FOLDER / FILE]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise DataMissing(
            f"'{ID}' was looked for as {FOLDER}/{FILE} and text/{FOLDER}/{FILE} in {data}",
            hint="put tiny Shakespeare there, one file of plain text",
        )
    if file.stat().st_size > _LARGEST_BYTES:
        raise SuiteError(f"{file} is larger than {_LARGEST_BYTES} bytes", hint="tiny Shakespeare has 1.1 million")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SuiteError(f"{file} is not text in UTF-8: {error}") from error
