"""Claims: which study asks a paper's question again. A mapping joins rows of published tables to cells of a study.

One file for each study, in `mappings/`. It never says that two numbers are the same. It says where a study runs the
paper's own network on the paper's own data, at which sizes and beside which claims: under `same_number` in all of the
setting that the paper states, under `same_network` in another one, with what is not the same.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from suite.cards.walker import Walker
from suite.claims.claim import Claim
from suite.claims.layout import MAPPING
from suite.claims.library import Published, load_published
from suite.claims.papers import raise_first, read_document
from suite.errors import ClaimError
from suite.studies import Study, load_study
from suite.studies.read import condition, node_at, word
from suite.studies.study import Where

SHIPPED = Path(__file__).parent / "mappings"

Selection = MappingOf[str, tuple[str, ...]]
"""A condition on claims: column -> the texts that satisfy it. Unnamed columns may be anything."""


@dataclass(frozen=True)
class Entry:
    """One line or column of a comparison: which claims, and which cells of the study stand for them."""

    id: str
    title: str
    claims: Selection
    where: Where


@dataclass(frozen=True)
class Contrast:
    """score(`of`) − score(`minus`), both entries of a comparison; empty `minus` is the float model."""

    of: str
    minus: str


@dataclass(frozen=True)
class Same:
    """Where a study runs the paper's own network on the paper's own data: at which sizes, beside which claims."""

    sizes: tuple[str, ...]
    claims: Selection
    but: str = ""
    """What of the setting is not the paper's; empty where nothing is, so that the number itself is judged."""
    margin: float = 0.0
    """How far a reproduced score may lie from the printed one, as a share, where the number is judged."""


@dataclass(frozen=True)
class Comparison:
    """Part of a published table, beside the cells of a study that ask the same."""

    table: str
    number: int
    """Its place in the file, which several tables may share."""
    claims: Selection
    where: Where
    rows: tuple[Entry, ...]
    at: tuple[Entry, ...]
    contrasts: tuple[Contrast, ...]
    float_claims: Selection | None = None
    """Which claims are of the float model; where given, what quantization costs is compared too."""
    same: tuple[Same, ...] = ()
    """Where the network and the data are the paper's; the first that fits a claim counts."""

    @property
    def margin(self) -> float:
        return max((same.margin for same in self.same), default=0.0)


@dataclass(frozen=True)
class Statement:
    """Something a paper says in words, and the expectation of the study that asks whether it holds."""

    says: str
    place: str
    """Where in the paper: its section, and the figure or table that it speaks of."""
    claims: tuple[str, ...]
    """The numbers that it is about; none where it speaks of a figure alone."""
    expectation: str


@dataclass(frozen=True)
class PaperMapping:
    """What a study asks again of one paper."""

    study: str
    paper: str
    differs: str
    """How the study's runs differ from the paper's at every size."""
    comparisons: tuple[Comparison, ...] = ()
    statements: tuple[Statement, ...] = ()
    differs_at: MappingOf[str, str] = field(default_factory=dict)
    """Size -> how they differ there beyond that."""
    file: Path = field(default=SHIPPED, compare=False)

    def told(self, size: str) -> str:
        """How the runs of a size differ from the paper's."""
        return " ".join(text for text in (self.differs_at.get(size, ""), self.differs) if text)

    def speaks_of(self, claim: Claim) -> bool:
        if claim.paper != self.paper:
            return False
        said = any({claim.id, f"{claim.paper}/{claim.table}"} & set(held.claims) for held in self.statements)
        return said or self.compares(claim)

    def compares(self, claim: Claim) -> bool:
        """Whether a comparison has the claim in one of its rows."""
        return claim.paper == self.paper and any(
            held.table == claim.table and chosen([claim], {**held.claims, **row.claims, **at.claims})
            for held in self.comparisons
            for row in held.rows
            for at in held.at
        )


def chosen(claims: Sequence[Claim], selection: Selection) -> tuple[Claim, ...]:
    """The claims that meet a condition."""
    return tuple(
        claim
        for claim in claims
        if all(columns[name] in texts for columns in (claim.columns(),) for name, texts in selection.items())
    )


class _Checker(Walker):
    error = ClaimError


@cache
def load_mappings() -> tuple[PaperMapping, ...]:
    """Every mapping that comes with the suite, in the order of the studies' names."""
    published = load_published()
    return tuple(held for path in sorted(SHIPPED.glob("*.yaml")) for held in read_mapping(path, published))


def read_mapping(path: Path, published: Published, study: Study | None = None) -> tuple[PaperMapping, ...]:
    """The mappings of one file. Whatever it names has to exist, among the claims and in the study."""
    from suite.claims.mapping_rules import mapping_problems

    root, content = read_document(path, _Checker(str(path), MAPPING), "mapping")
    found = tuple(_paper(content["study"], held, path) for held in content["papers"])
    checker = _Checker(str(path), MAPPING)

    def complain(where: tuple[str | int, ...], message: str, hint: str | None = None) -> None:
        node = node_at(root, *where)
        checker.report(node.line, node.column, message, hint)

    if content["study"] != path.stem:
        complain(("study",), f"the mapping of '{content['study']}' stands in the file {path.name}")
    mapping_problems(found, published, study or load_study(content["study"]), complain)
    raise_first(checker.in_order)
    return found


def _paper(study: str, held: MappingOf[str, Any], path: Path) -> PaperMapping:
    return PaperMapping(
        study=study,
        paper=held["paper"],
        differs=_one_line(held.get("differs", "")),
        comparisons=tuple(
            _comparison(one, table, at) for at, one in enumerate(held.get("comparisons", ())) for table in one["tables"]
        ),
        statements=tuple(
            Statement(one["says"], one["place"], tuple(one.get("claims", ())), one["expectation"])
            for one in held.get("statements", ())
        ),
        differs_at={size: _one_line(text) for size, text in held.get("differs_at", {}).items()},
        file=path,
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _comparison(held: MappingOf[str, Any], table: str, number: int) -> Comparison:
    everywhere = ({"id": "everywhere", "title": "", "claims": {}, "where": {}},)
    contrasts = tuple(Contrast(one["of"], one["minus"]) for one in held.get("contrasts", ()))
    rows = tuple(_entry(one) for one in held["rows"])
    float_claims = _selection(held["float"]) if "float" in held else None
    if float_claims is not None:
        contrasts = (*(Contrast(row.id, "") for row in rows), *contrasts)
    return Comparison(
        table=table,
        number=number,
        claims=_selection(held.get("claims", {})),
        where=condition(held.get("where", {})),
        rows=rows,
        at=tuple(_entry(one) for one in held.get("at", everywhere)),
        contrasts=contrasts,
        float_claims=float_claims,
        same=tuple(
            Same(tuple(one["sizes"]), _selection(one.get("claims", {})), one.get("but", ""), one.get("margin", 0.0))
            for one in (*([held["same_number"]] if "same_number" in held else []), *held.get("same_network", ()))
        ),
    )


def _entry(held: MappingOf[str, Any]) -> Entry:
    return Entry(held["id"], held.get("title", held["id"]), _selection(held["claims"]), condition(held["where"]))


def _selection(held: MappingOf[str, Any]) -> Selection:
    return {column: tuple(word(value) for value in values) for column, values in held.items()}
