"""Reports: a table of any length, small enough to stand in a page as JSON, with its files beside it.

A page holds a table by columns. A column is written in whichever of three forms is the shortest: its values as they
are; its few distinct values once, and for every row the number of one; or texts that share their beginnings with the
row above, as the count of shared characters and the rest. A script in the page unfolds them and draws the rows in view.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from suite.records.export import harmless

Cell: TypeAlias = "str | int | float | None"
Kind = Literal["text", "percent", "points", "bytes", "number", "seconds"]

DIGITS = 6
"""Significant digits of a number on a page; the files beside it have all of them."""
LONGEST_TEXT = 300
MOST_CHOICES = 60
"""A column with more distinct values than this cannot be filtered by choosing one."""


@dataclass(frozen=True)
class Column:
    """One column: what it is called, how its cells are shown, and whether rows are filtered by its values."""

    id: str
    title: str
    kind: Kind = "text"
    filter: Literal["", "first", "more"] = ""
    """`first` stands beside the search, `more` behind a fold, empty nowhere."""
    shown: bool = True
    """False for what is in the page for filters and details, but is no column on the screen."""
    link: str = ""
    """The id of the column that holds the address which a cell leads to."""


@dataclass(frozen=True)
class Table:
    """Columns of equal length. `name` is what its files are called, `things` what its rows are."""

    name: str
    title: str
    things: str
    columns: tuple[Column, ...]
    cells: tuple[Sequence[Cell], ...]

    def __post_init__(self) -> None:
        if len(self.columns) != len(self.cells) or len({len(held) for held in self.cells}) > 1:
            raise ValueError("a table has one list of cells for every column, all of the same length")

    @classmethod
    def of_rows(
        cls, name: str, title: str, things: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]
    ) -> Table:
        """The same, from rows as they are read."""
        cells = tuple([row[place] for row in rows] for place in range(len(columns)))
        return cls(name, title, things, tuple(columns), cells)

    def __len__(self) -> int:
        return len(self.cells[0]) if self.cells else 0

    def row(self, position: int) -> tuple[Cell, ...]:
        return tuple(held[position] for held in self.cells)

    def without(self, *ids: str) -> Table:
        """The same table with fewer columns."""
        kept = [place for place, column in enumerate(self.columns) if column.id not in ids]
        columns, cells = tuple(self.columns[place] for place in kept), tuple(self.cells[place] for place in kept)
        return Table(self.name, self.title, self.things, columns, cells)

    def head(self, count: int) -> Table:
        """The first rows."""
        return Table(self.name, self.title, self.things, self.columns, tuple(held[:count] for held in self.cells))


def columns_of_files(*ids: str) -> tuple[Column, ...]:
    """Columns of a table that stands in files alone, where only their ids are seen."""
    return tuple(Column(id, id) for id in ids)


def page_data(table: Table) -> dict[str, Any]:
    """The table as the script in the page reads it."""
    return {
        "rows": len(table),
        "things": table.things,
        "columns": [
            {
                "id": column.id,
                "title": column.title,
                "kind": column.kind,
                "filter": column.filter,
                "shown": column.shown,
                "link": column.link,
                **_packed(column, held),
            }
            for column, held in zip(table.columns, table.cells, strict=True)
        ],
    }


def table_files(table: Table) -> dict[str, str | bytes]:
    """File name -> content: CSV, JSON as pandas reads it with `orient="split"`, and parquet where pyarrow is there."""
    rows = list(zip(*table.cells, strict=True))
    names = [column.id for column in table.columns]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    files: dict[str, str | bytes] = {
        f"{table.name}.csv": text.getvalue(),
        f"{table.name}.json": json.dumps({"columns": names, "data": rows}, allow_nan=False, separators=(",", ":"))
        + "\n",
    }
    if importlib.util.find_spec("pyarrow") is not None:
        import pandas

        buffer = io.BytesIO()
        pandas.DataFrame(dict(zip(names, table.cells, strict=True))).to_parquet(buffer, index=False)
        files[f"{table.name}.parquet"] = buffer.getvalue()
    return files


def files_of(tables: Iterable[Table]) -> dict[str, str | bytes]:
    """The files of several tables; one without rows has none."""
    files: dict[str, str | bytes] = {}
    for table in tables:
        files |= table_files(table) if len(table) else {}
    return files


def _packed(column: Column, cells: Sequence[Cell]) -> dict[str, Any]:
    """The shortest of the forms in which a column can be written."""
    held = [_short(cell) for cell in cells]
    distinct = list(dict.fromkeys(held))
    forms: list[dict[str, Any]] = [{"values": held}]
    if len(distinct) < len(held) or column.filter:
        code = {value: place for place, value in enumerate(distinct)}
        forms.insert(0, {"distinct": distinct, "codes": [code[value] for value in held]})
    if column.filter:  # what rows are filtered by needs its distinct values
        return forms[0]
    # A browser counts characters beyond the basic plane twice.
    if all(isinstance(value, str) and value.isascii() for value in held):
        forms.append({"shared": _front_coded([str(value) for value in held])})
    return min(forms, key=lambda form: len(json.dumps(form, separators=(",", ":"))))


def _short(cell: Cell) -> Cell:
    if isinstance(cell, float):
        rounded = float(f"{cell:.{DIGITS}g}")
        return int(rounded) if rounded.is_integer() else rounded
    if isinstance(cell, str) and len(cell) > LONGEST_TEXT:
        return f"{cell[: LONGEST_TEXT - 2]} …"
    return cell


def _front_coded(texts: Sequence[str]) -> list[Any]:
    """Alternately how many characters a text shares with the one before, and what follows them."""
    coded: list[Any] = []
    before = ""
    for text in texts:
        pairs = zip(before, text, strict=False)
        shared = next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(before), len(text)))
        coded += (shared, text[shared:])
        before = text
    return coded
