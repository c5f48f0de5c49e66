"""Reading wing, records: a record without its bulk, for pages that show thousands.

Nine tenths of a record are its plan, its account of bits, its figures, its surroundings, the hashes of its sources and
what its audit found in order, and a table of runs shows none of them. They are put aside before the record is checked;
all that is kept is checked as strictly as ever. Reading ten thousand records takes seconds instead of a minute. What
was put aside is checked by whoever reads the record as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from suite.errors import RecordError
from suite.records.plain import MAXIMUM_JSON_BYTES, decode_json
from suite.records.record import Record
from suite.records.store import read_bounded

BULK: Mapping[str, Callable[[], object]] = {
    "plan": list,
    "bits": lambda: None,
    "figures": dict,
    "environment": dict,
}
"""Field -> what stands there instead."""


def read_brief(path: Path) -> Record:
    """The record in a file without its bulk; a `RecordError` where it cannot be read or does not follow the schema."""
    return brief(read_bounded(path, MAXIMUM_JSON_BYTES), f"{path.parent.name}/{path.name}")


def brief(content: bytes, where: str) -> Record:
    """A record without its bulk, from its JSON."""
    document = decode_json(content, where)
    if not isinstance(document, dict):
        raise RecordError(f"{where} is a {type(document).__name__}, not a record")
    put_aside: dict[str, object] = {name: nothing() for name, nothing in BULK.items() if name in document}
    identity, audit = document.get("identity"), document.get("audit")
    if isinstance(identity, dict):
        put_aside["identity"] = {part: held for part, held in identity.items() if not isinstance(held, dict | list)}
    if isinstance(audit, dict) and isinstance(axes := audit.get("axes"), dict):
        put_aside["audit"] = {**audit, "axes": {axis: held for axis, held in axes.items() if not _unremarkable(held)}}
    return Record.from_dict({**document, **put_aside}, where)


def _unremarkable(result: object) -> bool:
    """An axis on which the audit found nothing to tell. Anything odd is kept, for the record to refuse."""
    return isinstance(result, dict) and result.get("verdict") in ("verified", "not observable")
