"""Studies: which cells a condition selects, and which pairs of them an expectation compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from suite.studies.cells import Cell
from suite.studies.study import Where, satisfies


@dataclass(frozen=True)
class Group:
    """Cells that differ in the seed alone."""

    id: str
    levels: Mapping[str, str]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Pair:
    """Two groups that agree in every factor but the compared ones."""

    first: Group
    second: Group
    shared: Mapping[str, str]
    """The levels in which both agree."""

    def named(self) -> str:
        """The pair as its difference second − first: what differs, and where."""
        told = {name for name in self.first.levels if name not in self.shared}
        first, second = (
            " ".join(level for name, level in group.levels.items() if name in told)
            for group in (self.first, self.second)
        )
        at = ", ".join(self.shared.values())
        return f"{second} \N{MINUS SIGN} {first} at {at}" if at else f"{second} \N{MINUS SIGN} {first}"


def groups(cells: Sequence[Cell]) -> tuple[Group, ...]:
    """The groups of cells, in the order of their first cells."""
    gathered: dict[str, list[Cell]] = {}
    for cell in cells:
        gathered.setdefault(cell.group, []).append(cell)
    return tuple(Group(id, held[0].levels, tuple(held)) for id, held in gathered.items())


def selected(cells: Sequence[Cell], where: Where) -> tuple[Group, ...]:
    """The groups that meet a condition."""
    return tuple(group for group in groups(cells) if satisfies(where, group.levels))


def matched(cells: Sequence[Cell], where: Where, first: Where, second: Where) -> tuple[Pair, ...]:
    """Every pair of a group that meets `first` and one that meets `second`, equal in all other factors.

    The other factors are those that neither `first` nor `second` names; both groups meet `where` as far as it does not
    speak of the compared factors.
    """
    compared = {*first, *second}
    common = {name: levels for name, levels in where.items() if name not in compared}
    held = [group for group in groups(cells) if satisfies(common, group.levels)]
    left = [group for group in held if satisfies({**_rest(where, first), **first}, group.levels)]
    right = [group for group in held if satisfies({**_rest(where, second), **second}, group.levels)]
    pairs = []
    for one in left:
        for other in right:
            shared = {name: level for name, level in one.levels.items() if name not in compared}
            if one.id != other.id and shared == {
                name: level for name, level in other.levels.items() if name not in compared
            }:
                pairs.append(Pair(one, other, shared))
    return tuple(pairs)


def _rest(where: Where, side: Where) -> Where:
    """What `where` demands of a compared factor that this side does not speak of."""
    return {name: levels for name, levels in where.items() if name not in side}
