"""Claims: printed scores beside the cells that ask the same: one point for each entry of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from suite.claims.claim import Claim, Paper
from suite.claims.library import Published
from suite.claims.mapping import Comparison, Entry, PaperMapping, Same, Selection, chosen
from suite.errors import ClaimError
from suite.studies.cells import Cell
from suite.studies.matching import Group, selected
from suite.studies.study import Where

Network = tuple[str, str]
"""Data set and model, as the paper names them."""


@dataclass(frozen=True)
class Printed:
    """A score as the paper prints it, as a share of right answers."""

    claim: Claim
    share: float

    @property
    def network(self) -> Network:
        return self.claim.dataset, self.claim.model


@dataclass(frozen=True)
class Point:
    """What a paper prints of one entry for its networks, and the cells of the study that ask the same."""

    row: Entry
    at: Entry
    printed: Mapping[Network, Printed]
    group: Group | None
    """None where the study has no such cell at this size."""
    same: Same | None = None
    """Why the printed scores are those of the study's own network alone; None where the networks are others."""
    others: tuple[str, ...] = ()
    """The claims of the paper's other networks, which then are left out."""

    @property
    def title(self) -> str:
        return ", ".join(title for title in (self.row.title, self.at.title) if title)


def where_of(comparison: Comparison, row: Entry, at: Entry) -> Where:
    return {**comparison.where, **at.where, **row.where}


def selection_of(comparison: Comparison, row: Entry, at: Entry) -> Selection:
    return {**comparison.claims, **at.claims, **row.claims}


def points(
    mapping: PaperMapping, comparison: Comparison, published: Published, cells: Sequence[Cell], size: str
) -> dict[tuple[str, str], Point]:
    """(row, at) -> its point at a size, in the order of the mapping."""
    paper = published.papers[mapping.paper]
    claims = published.of(f"{mapping.paper}/{comparison.table}")
    found = {}
    for at in comparison.at:
        for row in comparison.rows:
            groups = selected(cells, where_of(comparison, row, at))
            if len(groups) > 1:
                raise ClaimError(
                    f"{row.id} at {at.id} stands for several cells: {', '.join(group.id for group in groups[:3])}",
                    hint="say in where which one is meant",
                )
            printed = printed_of(paper, chosen(claims, selection_of(comparison, row, at)))
            same, own = _own(comparison, printed, size)
            others = tuple(held.claim.id for network, held in printed.items() if network not in own)
            found[row.id, at.id] = Point(row, at, own, groups[0] if groups else None, same, others)
    return found


def _own(
    comparison: Comparison, printed: Mapping[Network, Printed], size: str
) -> tuple[Same | None, Mapping[Network, Printed]]:
    """Of the printed scores only those of the network that the study runs at this size, where it runs one of them."""
    for same in comparison.same:
        own = {network: held for network, held in printed.items() if chosen([held.claim], same.claims)}
        if size in same.sizes and own:
            return same, own
    return None, printed


def float_scores(mapping: PaperMapping, comparison: Comparison, published: Published) -> Mapping[Network, Printed]:
    """What the paper prints of the float models."""
    if comparison.float_claims is None:
        return {}
    claims = published.of(f"{mapping.paper}/{comparison.table}")
    return printed_of(published.papers[mapping.paper], chosen(claims, comparison.float_claims))


def printed_of(paper: Paper, claims: Sequence[Claim]) -> Mapping[Network, Printed]:
    """The printed scores of one entry, one for each network."""
    found: dict[Network, Printed] = {}
    for claim in claims:
        printed = Printed(claim, share_of(paper, claim))
        if printed.network in found:
            raise ClaimError(
                f"{claim.id} and {found[printed.network].claim.id} stand for one network",
                hint="say in claims which one is meant, for example by its metric",
            )
        found[printed.network] = printed
    return found


def share_of(paper: Paper, claim: Claim) -> float:
    """A printed accuracy or error, in percent, as a share of right answers: what studies measure."""
    measure, first = paper.measures.get(claim.metric), claim.quantities[0]
    if measure is None or measure.unit != "%" or first.number is None or not 0 <= first.number <= 100:
        raise ClaimError(f"{claim.id} is no accuracy in percent: {claim.metric}, {claim.value}")
    return first.number / 100 if measure.better == "higher" else 1 - first.number / 100
