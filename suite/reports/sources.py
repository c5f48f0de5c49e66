"""Reports: from what people type to an entry: a card file, a record file, the folder of a run, or a run's id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from suite.cards import load_card
from suite.errors import CardError, Place, RecordError
from suite.records import Outcomes, Record, Store, unpack_outcomes
from suite.records.plain import MAXIMUM_JSON_BYTES
from suite.records.store import RECORD
from suite.reports.entry import Entry, entry_of

if TYPE_CHECKING:
    from suite.cards import Card

CARD = "card.yaml"


def find_entry(text: str, store: Store) -> Entry:
    """What `text` means: a path if there is such a file or folder, else a run of the store."""
    path = Path(text)
    if path.is_dir():
        return _of_folder(path)
    if path.is_file():
        return _of_record_file(path) if path.suffix == ".json" else _of_card_file(path)
    if path.suffix in (".json", ".yaml", ".yml") or len(path.parts) > 1:
        raise RecordError("there is no such file or folder", place=Place(text))
    return _of_folder(store.folder(store.resolve(text)))


def _of_folder(folder: Path) -> Entry:
    if not (folder / RECORD).is_file():
        raise RecordError(
            f"this folder holds no {RECORD}",
            place=Place(str(folder)),
            hint="name the folder of a run, as `suite evaluate` prints it",
        )
    return _of_record_file(folder / RECORD)


def _of_record_file(path: Path) -> Entry:
    record = _read_record(path)
    card = _card_beside(path)
    return entry_of(card if card is not None and _belongs(card, record) else None, record, _outcomes(path, record))


def _of_card_file(path: Path) -> Entry:
    """A completed card that still lies beside its record brings the record and the outcomes with it."""
    card = load_card(path)
    record_path = path.parent / RECORD
    if card.results and record_path.is_file():
        record = _read_record(record_path)
        if _belongs(card, record):
            return entry_of(card, record, _outcomes(record_path, record))
    return entry_of(card)


def _card_beside(record_path: Path) -> Card | None:
    """The completed card in the folder of a run. One that is of a time with fewer axes is not needed: the record is."""
    path = record_path.parent / CARD
    if record_path.name != RECORD or not path.is_file():
        return None
    try:
        return load_card(path)
    except CardError:
        return None


def _belongs(card: Card, record: Record) -> bool:
    return bool(card.results) and (card.results or {}).get("run_id") == record.run_id


def _outcomes(record_path: Path, record: Record) -> Outcomes | None:
    if record.outcomes is None:
        return None
    path = record_path.parent / record.outcomes
    return unpack_outcomes(path) if path.is_file() and not path.is_symlink() else None


def _read_record(path: Path) -> Record:
    size = path.stat().st_size
    if size > MAXIMUM_JSON_BYTES:
        raise RecordError(
            f"{size} bytes are more than the {MAXIMUM_JSON_BYTES} a record may have", place=Place(str(path))
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(f"cannot be read: {error.strerror or error}", place=Place(str(path))) from None
    return Record.from_json(content, str(path))
