"""Studies, explained gaps: what can be switched by itself. Differences that cannot be are one player together.

A *player* is one or more differences that are switched together from the first side's values to the second's. Whatever
is part of a method is one player from the start. Then mixed settings are tried: one that cannot be (a rule between
axes, a method that does not support it, a plan that refuses it) joins the players it concerns, until every mixture may
be.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from suite.errors import StudyError
from suite.statistics.shapley import Order, drawn_orders, mixtures_of
from suite.studies.explaining.legality import Legality, Refusal
from suite.studies.explaining.sides import METHOD, TIME_LIMIT, Change, Declared, changes

MOST_EXACT = 6
"""So many players have all their mixtures measured (64 cells a seed); among more of them orders are drawn."""
MOST_TRIED = 12
"""So many players have all mixtures tried for legality; among more of them singles, pairs and drawn orders."""
PAIRS_OF_ORDERS = 16


@dataclass(frozen=True)
class Player:
    """Differences that are switched together, and why they are not switched one by one."""

    changes: tuple[Change, ...]
    because: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`method`, the id of an axis, or several of them joined by +."""
        axes = [change.name for change in self.changes if not change.of_method]
        return " + ".join([METHOD] * any(change.of_method for change in self.changes) + axes)

    @property
    def joins(self) -> frozenset[str]:
        """What a refusal may name: ids of axes, and `method`."""
        return frozenset(METHOD if change.of_method else change.name for change in self.changes) | {
            change.name for change in self.changes
        }


def players_of(first: Declared, second: Declared, legality: Legality) -> tuple[Player, ...]:
    """The finest players whose mixtures may all be, as far as it can be told which differences belong together."""
    found = changes(first, second)
    of_method = tuple(change for change in found if change.of_method)
    players = [Player(of_method)] * bool(of_method)
    players += [Player((change,)) for change in found if not change.of_method]
    legality.ask([first, second])
    for declared, which in ((first, "first"), (second, "second")):
        why = legality.refused(declared)
        if why is not None:
            raise StudyError(f"the {which} of the two cannot be run: {why.sentence}")
    return joined_where_refused(first, second, players, legality)


def joined_where_refused(
    first: Declared, second: Declared, players: Sequence[Player], legality: Legality
) -> tuple[Player, ...]:
    """The same differences, with players joined until every mixture that is to be run may be."""
    while True:
        count = len(players)
        refused = _first_refused(first, second, players, legality, mixtures_to_try(count))
        if refused is None:
            to_run = mixtures_to_run(count)
            legality.ask([mixed(first, second, players, mixture) for mixture in to_run])
            refused = _first_refused(first, second, players, legality, to_run)
        if refused is None:
            return tuple(players)
        mixture, why = refused
        together = _concerned(first, second, players, legality, mixture, why)
        players = _joined(players, together, why.sentence)


def mixed(first: Declared, second: Declared, players: Sequence[Player], mixture: int) -> Declared:
    """The first side with some players' values of the second; bit i of the mixture stands for player i.

    What lies between the two gets the more patient of their limits on time.
    """
    if mixture == 2 ** len(players) - 1:
        return second
    source, values = first, dict(first.values)
    if mixture:
        values[TIME_LIMIT] = max(first.values[TIME_LIMIT], second.values[TIME_LIMIT], key=float)  # type: ignore[arg-type]
    for position, player in enumerate(players):
        if not mixture >> position & 1:
            continue
        for change in player.changes:
            if change.name in values:
                values[change.name] = change.second
            else:  # a method comes with all of its options
                source = second
    return Declared(source.method, source.options, values)


def mixtures_to_run(count: int) -> tuple[int, ...]:
    """The mixtures that are measured: all of few players, in the order in which drawn orders pass them first."""
    if count < 2:
        return tuple(range(2**count))
    orders = itertools.chain.from_iterable(orders_to_run(count))
    passed = dict.fromkeys(mixture for order in orders for mixture in mixtures_of(order))
    ends = dict.fromkeys((0, 2**count - 1))
    every = dict.fromkeys(range(2**count)) if count <= MOST_EXACT else {}
    return tuple(ends | passed | every)


def orders_to_run(count: int) -> tuple[tuple[Order, Order], ...]:
    """Pairs of orders in which players are switched; a pair is an order and its reverse."""
    return tuple(itertools.islice(drawn_orders(count), PAIRS_OF_ORDERS)) if count > 1 else ()


def mixtures_to_try(count: int) -> tuple[int, ...]:
    """The mixtures that rules are asked about, small ones first, so that a refusal concerns few players."""
    if count <= MOST_TRIED:
        return tuple(sorted(range(2**count), key=lambda mixture: (mixture.bit_count(), mixture)))
    whole = 2**count - 1
    few = [1 << player for player in range(count)]
    few += [one | other for one, other in itertools.combinations(few, 2)]
    return tuple(dict.fromkeys((*few, *(whole ^ mixture for mixture in few), *mixtures_to_run(count))))


def _first_refused(
    first: Declared, second: Declared, players: Sequence[Player], legality: Legality, mixtures: Iterable[int]
) -> tuple[int, Refusal] | None:
    for mixture in mixtures:
        why = legality.refused(mixed(first, second, players, mixture))
        if why is not None:
            return mixture, why
    return None


def _concerned(
    first: Declared,
    second: Declared,
    players: Sequence[Player],
    legality: Legality,
    mixture: int,
    why: Refusal,
) -> frozenset[int]:
    """The players that a refused mixture joins: those it names; else those of which switching one alone would mend it.

    Some of them have to be switched in the mixture and some not, or joining them would not do away with it.
    """
    count = len(players)
    named = frozenset(position for position, player in enumerate(players) if player.joins & why.joins)
    if _split(named, mixture):
        return named
    mending = frozenset(
        position
        for position in range(count)
        if legality.refused(mixed(first, second, players, mixture ^ 1 << position)) is None
    )
    return named | mending if _split(named | mending, mixture) else frozenset(range(count))


def _split(together: frozenset[int], mixture: int) -> bool:
    return len({mixture >> position & 1 for position in together}) == 2


def _joined(players: Sequence[Player], together: frozenset[int], sentence: str) -> list[Player]:
    """One player in the place of several."""
    members = [players[position] for position in sorted(together)]
    because = dict.fromkeys((*(reason for member in members for reason in member.because), sentence))
    one = Player(tuple(change for member in members for change in member.changes), tuple(because))
    place = min(together)
    return [
        one if position == place else player
        for position, player in enumerate(players)
        if position == place or position not in together
    ]
