"""Claims: strict CSV. One row a line, twelve columns, bounded; whatever is not so is refused with its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from suite.axes.domains import is_number, read_scalar, shown
from suite.cards.text import read_text
from suite.errors import CardError, ClaimError, Place

HEADER = (
    "paper", "table", "dataset", "model", "method", "setting", "w_bits", "a_bits", "metric", "value", "value2", "notes",
)  # fmt: skip
MOST_ROWS = 2000
LONGEST_CELL = 500
MOST_BITS = 64
MIXED = "mixed"


@dataclass(frozen=True)
class Row:
    """One row of a table, as it is written."""

    file: Path
    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells[column]

    def error(self, message: str, hint: str | None = None) -> ClaimError:
        return ClaimError(message, place=Place(str(self.file), self.line), hint=hint)

    def bits(self, column: str) -> float | str | None:
        """A bit-width, or the word mixed; None where the cell is empty."""
        text = self.cells[column]
        if text in ("", MIXED):
            return text or None
        number = read_scalar(text)
        if not is_number(number) or not 0 < number <= MOST_BITS:  # type: ignore[operator]
            raise self.error(
                f"{column}: expected a number above 0, at most {MOST_BITS}, or {MIXED}, found {shown(text)}"
            )
        return float(number)  # type: ignore[arg-type]


def read_rows(path: Path) -> tuple[Row, ...]:
    """The rows of one file, in their order."""
    try:
        text = read_text(path, "table")
    except CardError as error:
        raise ClaimError(error.message, place=error.place, hint="a table is a CSV text file in UTF-8") from None
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Row] = []
    try:
        for cells in lines:
            # A quoted cell may not span lines: then the number of a row is the number of its line, less the header.
            if lines.line_num != len(rows) + 1:
                raise ClaimError("a cell runs over the end of its line", place=Place(str(path), len(rows) + 1))
            rows.append(_row(path, lines.line_num, cells))
            if len(rows) > MOST_ROWS + 1:
                raise ClaimError(f"more than {MOST_ROWS:,} rows", place=Place(str(path), lines.line_num))
    except csv.Error as error:
        raise ClaimError(f"is not CSV: {error}", place=Place(str(path), max(1, lines.line_num))) from None
    if not rows or tuple(rows[0].cells.values()) != HEADER:
        raise ClaimError(
            "the first line is not the header of a table of claims",
            place=Place(str(path), 1),
            hint=",".join(HEADER),
        )
    if len(rows) == 1:
        raise ClaimError("holds no row", place=Place(str(path), 1))
    return tuple(rows[1:])


def _row(path: Path, line: int, cells: list[str]) -> Row:
    place = Place(str(path), line)
    if len(cells) != len(HEADER):
        raise ClaimError(
            f"expected {len(HEADER)} cells, found {len(cells)}", place=place, hint="a cell with a comma needs quotes"
        )
    row = Row(path, line, dict(zip(HEADER, cells, strict=True)))
    for column, text in row.cells.items():
        if len(text) > LONGEST_CELL:
            raise row.error(f"{column}: {len(text):,} characters; at most {LONGEST_CELL} fit")
        if text != text.strip() or not text.isprintable():
            raise row.error(f"{column}: {shown(text)} has blanks at an end, or characters that do not print")
    return row
