"""Claims: all published numbers that come with the suite, read once, checked against each other, searchable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from suite.axes import AXES
from suite.axes.domains import shown
from suite.claims.claim import PROSE, Claim, Doubt, Kind, Paper, Statement, Table
from suite.claims.papers import read_paper
from suite.claims.quantity import quantities
from suite.claims.rows import Row, read_rows
from suite.errors import ClaimError, Place, UnknownName
from suite.registry import suggestion
from suite.shipped import shipped_files

PROSE_FILE = "claims.csv"
PROSE_MARK = "claim: "
MOST_FILES = 500


@dataclass(frozen=True)
class Published:
    """Papers and their claims, in the order of the tables."""

    papers: Mapping[str, Paper]
    claims: tuple[Claim, ...]

    def claim(self, id: str) -> Claim:
        found = next((claim for claim in self.claims if claim.id == id), None)
        if found is not None:
            return found
        paper, _, rest = id.partition("/")
        table = rest.partition("/")[0]
        last = max((claim.row for claim in self.claims if (claim.paper, claim.table) == (paper, table)), default=0)
        hint = "`suite list claims --search …` finds claims by words"
        if last:
            hint = f"{table} of this paper has the rows 1 to {last}"
        elif paper not in self.papers:
            hint = suggestion(paper, list(self.papers))
        raise UnknownName(f"no claim is called '{id}'", hint=hint)

    def of(self, scope: str) -> tuple[Claim, ...]:
        """The claims of `PAPER` or `PAPER/TABLE`."""
        paper, table = self.scope(scope)
        return tuple(claim for claim in self.claims if claim.paper == paper and table in ("", claim.table))

    def scope(self, text: str) -> tuple[str, str]:
        """Paper and table of `PAPER[/TABLE]`; the table is empty where the whole paper is meant."""
        paper, _, table = text.partition("/")
        if paper not in self.papers:
            raise UnknownName(f"no paper is called '{paper}'", hint=suggestion(paper, list(self.papers)))
        known = [*(held.id for held in self.papers[paper].tables), PROSE]
        if table and table not in known:
            raise UnknownName(f"{paper} has no table '{table}'", hint=suggestion(table, known))
        return paper, table

    def table_of(self, claim: Claim) -> Table | None:
        """The table that a claim stands in; None for prose."""
        return self.papers[claim.paper].table(claim.table)

    def statement_of(self, claim: Claim) -> Statement | None:
        """What is said of the setting behind a result; None for what has none: prose, settings, float models."""
        table = self.table_of(claim)
        if table is None or table.kind is not Kind.RESULTS or claim.is_float:
            return None
        bits = {"weight_bits": claim.weight_bits, "activation_bits": claim.activation_bits}
        printed = {axis: held for axis, held in bits.items() if held is not None and AXES[axis].domain.accepts(held)}
        stated = {axis: AXES[axis].domain.normalise(held) for axis, held in printed.items()}
        return Statement({**table.statement.stated, **stated}, table.statement.unstated)

    def doubts_of(self, claim: Claim) -> tuple[Doubt, ...]:
        return tuple(doubt for doubt in self.papers[claim.paper].doubts if doubt.concerns(claim))

    def search(self, words: str, claims: Iterable[Claim] | None = None) -> tuple[Claim, ...]:
        """The claims in which every word stands somewhere, in capital letters or small ones."""
        wanted = words.lower().split()
        among = self.claims if claims is None else claims
        return tuple(claim for claim in among if all(word in self._words(claim) for word in wanted))

    def _words(self, claim: Claim) -> str:
        held = (
            claim.id, self.papers[claim.paper].title, claim.place, *claim.columns().values(),
            claim.value, claim.note, *(quantity.name for quantity in claim.quantities),
            *(doubt.kind for doubt in self.doubts_of(claim)),
        )  # fmt: skip
        return " ".join(held).lower()


@cache
def load_published() -> Published:
    """The published numbers that come with the suite."""
    return read_published(shipped_files("baselines/published/*.yaml"), shipped_files("baselines/published/*.csv"))


def read_published(descriptions: Sequence[Path], tables: Sequence[Path]) -> Published:
    """Papers and tables from their files; every file is accounted for."""
    if len(descriptions) + len(tables) > MOST_FILES:
        raise ClaimError(f"more than {MOST_FILES} files of published numbers", hint="is this the right folder?")
    papers = {paper.id: paper for paper in map(read_paper, descriptions)}
    by_name = {path.name: path for path in tables}
    prose = _prose_rows(by_name.pop(PROSE_FILE, None), papers)
    claims: list[Claim] = []
    for paper in papers.values():
        for table in paper.tables:
            path = by_name.pop(f"{paper.id}_{table.id}.csv", None)
            if path is None:
                raise ClaimError(f"{table.id} has no file {paper.id}_{table.id}.csv", place=Place(str(paper.file)))
            claims += _table_claims(paper, table, read_rows(path))
        own = (row for row in prose if row["paper"] == paper.id)
        claims += [
            _claim(paper, PROSE, at, row["table"].removeprefix(PROSE_MARK), row) for at, row in enumerate(own, 1)
        ]
        _check_doubts(paper, claims)
    for path in by_name.values():
        raise ClaimError("this table is spoken of in no paper's file", place=Place(str(path)))
    return Published(papers, tuple(claims))


def _table_claims(paper: Paper, table: Table, rows: Sequence[Row]) -> list[Claim]:
    claims: list[Claim] = []
    seen: dict[tuple[str, ...], int] = {}
    number = table.id.removeprefix("table")
    for row in rows:
        for column, wanted in (("paper", paper.id), ("table", table.id)):
            if row[column] != wanted:
                raise row.error(f"{column}: expected {wanted}, as the file is called, found {shown(row[column])}")
        if table.kind is Kind.RESULTS and row["metric"] not in paper.measures:
            known = suggestion(row["metric"], list(paper.measures))
            raise row.error(f"the metric {shown(row['metric'])} is no measure of {paper.file.name}", known)
        claim = _claim(paper, table.id, len(claims) + 1, f"Table {number}", row)
        place = tuple(claim.columns().values())
        if place in seen:
            raise row.error(f"says the same cell again as line {seen[place]}")
        seen[place] = row.line
        claims.append(claim)
    return claims


def _prose_rows(path: Path | None, papers: Mapping[str, Paper]) -> tuple[Row, ...]:
    rows = read_rows(path) if path is not None else ()
    for row in rows:
        if row["paper"] not in papers:
            raise row.error(f"the paper {shown(row['paper'])} has no file here", suggestion(row["paper"], list(papers)))
        if not row["table"].startswith(PROSE_MARK):
            raise row.error(f"table: {shown(row['table'])} is no place in prose", f"write {PROSE_MARK}section")
    return rows


def _claim(paper: Paper, table: str, number: int, place: str, row: Row) -> Claim:
    if not row["value"] or not row["metric"]:
        raise row.error("a claim has a metric and a value")
    texts = tuple(text for text in (row["value"], row["value2"]) if text)
    measure = paper.measures.get(row["metric"])
    if measure is not None and len(texts) > len(measure.values):
        raise row.error(f"two values, where {shown(row['metric'])} has one", f"see measures in {paper.file.name}")
    found = quantities(measure, row["metric"], texts)
    if measure is not None and any(quantity.number is None for quantity in found):
        raise row.error(f"{shown(row['metric'])} is measured in numbers, found {shown(row['value'])}")
    return Claim(
        paper=paper.id,
        table=table,
        row=number,
        place=place,
        dataset=row["dataset"],
        model=row["model"],
        method=row["method"],
        setting=row["setting"],
        weight_bits=row.bits("w_bits"),
        activation_bits=row.bits("a_bits"),
        metric=row["metric"],
        quantities=found,
        note=row["notes"],
        file=row.file,
        line=row.line,
    )


def _check_doubts(paper: Paper, claims: Sequence[Claim]) -> None:
    known = {claim.id for claim in claims} | {f"{claim.paper}/{claim.table}" for claim in claims}
    for doubt in paper.doubts:
        for id in doubt.claims:
            if id not in known:
                raise ClaimError(f"a doubt speaks of '{id}', which no table holds", place=Place(str(paper.file)))
