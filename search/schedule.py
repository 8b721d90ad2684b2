"""Who plays whom in a tournament: a pure function of the plan, and of the results so far.

The unit is a *pair*: one opening, played twice with colours swapped. So colours are always balanced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import combinations

ROUND_ROBIN, GAUNTLET, SWISS, LADDER = "round_robin", "gauntlet", "swiss", "ladder"
BYE = 1.0
"""Of the points that a meeting is worth, what is given to who has nobody left to play."""

Two = tuple[int, int]
Met = frozenset[int]
Places = Mapping[int, tuple[float, int]]
"""By player: points, and the place in the table."""


@dataclass(frozen=True)
class Plan:
    """Which format, of how many players, how long."""

    format: str
    players: int
    pairs: int
    """Openings of a meeting."""
    rounds: int = 0
    """Swiss: rounds."""
    newcomers: tuple[int, ...] = ()
    """Gauntlet: who is measured against all the others."""


@dataclass(frozen=True)
class Pair:
    """One opening between two players; in its first game `a` moves first."""

    a: int
    b: int
    meeting: int
    """The number of their meeting, in the whole tournament."""
    opening: int
    """Its number among the openings of the meeting."""


@dataclass(frozen=True)
class Standing:
    """What the rounds so far came to: by the meeting (a, b), the points of `a` in it, in [0, 1] of all."""

    meetings: Mapping[tuple[int, int], float] = field(default_factory=dict)


def meetings(plan: Plan) -> list[tuple[int, int]]:
    """All meetings of a format whose rounds do not depend on results."""
    players = range(plan.players)
    if plan.format == ROUND_ROBIN:
        return list(combinations(players, 2))
    if plan.format == GAUNTLET:
        pool = [p for p in players if p not in plan.newcomers]
        return [(new, old) for old in pool for new in plan.newcomers]
    if plan.format == LADDER:
        return [(i, j) for i, j in combinations(players, 2) if (j - i).bit_count() == 1]
    raise ValueError(f"'{plan.format}' is no format whose meetings are known before")


def rounds(plan: Plan) -> int:
    """How many rounds there are."""
    return plan.rounds if plan.format == SWISS else 1


def swiss_lengths(players: int) -> range:
    """How many rounds a Swiss tournament may have, so that all can be rated and nobody is left over.

    From two rounds on its games connect all players. Up to half of the field everybody has somebody to meet,
    whatever the results: all can be paired where each may meet half of the others (Dirac, 1952).
    """
    return range(min(2, players - 1), (players + 1) // 2 + 1)


def next_round(plan: Plan, played: Sequence[Standing]) -> list[Pair]:
    """The pairs of the round after those `played`, in the order of play: an opening of each meeting, again
    and again, so that a tournament that is stopped has played all meetings alike.
    """
    met = swiss_round(plan.players, played) if plan.format == SWISS else meetings(plan)
    begun = len(played) * len(met)
    return [Pair(a, b, begun + q, k) for k in range(plan.pairs) for q, (a, b) in enumerate(met)]


# -- Swiss -------------------------------------------------------------------------------------------------


def points(players: int, played: Sequence[Standing]) -> list[float]:
    """What each player has in a Swiss tournament: its share of every meeting's points, and its byes."""
    total = [0.0] * players
    for standing in played:
        for (a, b), won in standing.meetings.items():
            total[a] += won
            total[b] += 1.0 - won
        for player in byes(players, standing):
            total[player] += BYE
    return total


def byes(players: int, standing: Standing) -> list[int]:
    """Who did not play in a round."""
    busy = {player for meeting in standing.meetings for player in meeting}
    return [player for player in range(players) if player not in busy]


def swiss_round(players: int, played: Sequence[Standing]) -> list[tuple[int, int]]:
    """Who meets in the next round: neighbours in the table who have not met; nobody has two byes.

    With an odd number the lowest of those who had none gets a bye, if the others can be paired then. The
    second round connects all players. Raises `ValueError` where somebody has nobody left to meet, which no
    round of `swiss_lengths` comes to.
    """
    had = points(players, played)
    table = sorted(range(players), key=lambda player: (-had[player], player))
    met = {frozenset(meeting) for standing in played for meeting in standing.meetings}
    at = {player: (had[player], place) for place, player in enumerate(table)}
    if players % 2:  # one more, below all, who is paired first: who gets that one rests
        met |= {frozenset((player, players)) for standing in played for player in byes(players, standing)}
        at[players] = 0.0, players
        table = [players, *table]
    found = [_by_place(pair, at) for pair in _matched(table, met, at)]
    if played:
        found = _connected(sorted(found, key=lambda pair: at[pair[0]][1]), met, players)
    real = [_by_place(pair, at) for pair in found if players not in pair]
    return sorted(real, key=lambda pair: at[pair[0]][1])


def _by_place(pair: Two, at: Places) -> Two:
    a, b = pair
    return (a, b) if at[a][1] < at[b][1] else (b, a)


def _matched(order: Sequence[int], met: Set[Met], at: Places) -> list[Two]:
    """All players in pairs who have not `met`: in their order, each with the nearest of who is left."""
    left, over, found = list(order), list[int](), list[Two]()
    while left:
        one = left.pop(0)
        free = [(one, other) for other in left if frozenset((one, other)) not in met]
        if free:
            found.append(min(free, key=lambda pair: _apart(at, pair)))
            left.remove(found[-1][1])
        else:
            over.append(one)
    for one, other in zip(over[::2], over[1::2]):
        found = _with_both(one, other, found, met, at)
    return found


def _with_both(one: int, other: int, pairs: Sequence[Two], met: Set[Met], at: Places) -> list[Two]:
    """Pairs with two more, who have met: they part a pair and take one of it each, as in Dirac's proof."""
    ways = [((one, x), (other, y)) for pair in pairs for x, y in (pair, pair[::-1])]
    ways = [two for two in ways if met.isdisjoint(map(frozenset, two))]
    if not ways:
        raise ValueError(f"players {one} and {other} have nobody left to meet")
    new = min(ways, key=lambda two: _apart(at, *two))
    return [pair for pair in pairs if set(pair) != {new[0][1], new[1][1]}] + list(new)


def _apart(at: Places, *pairs: Two) -> tuple[float, int]:
    """How far pairs are apart: by the squares of points between them, and then of places in the table."""
    gaps = [(at[a][0] - at[b][0], at[a][1] - at[b][1]) for a, b in pairs]
    return round(sum(points**2 for points, _ in gaps), 9), sum(places**2 for _, places in gaps)


def _connected(pairs: Sequence[Two], met: Set[Met], players: int) -> list[Two]:
    """The same pairs, but that neighbours swap partners where no games connect them.

    The meetings of two rounds form rings (one of them is open where somebody rests), which a swap joins.
    """
    found, group = list(pairs), list(range(players))
    for a, b in (sorted(pair) for pair in [*met, *pairs]):
        if b != players:
            group = _joined(group, a, b)
    for k in range(len(found) - 1):
        (a, b), (c, d) = found[k : k + 2]
        above, below = min(a, b), min(c, d)  # who rests is paired with a greater number
        if group[above] != group[below]:
            found[k : k + 2] = [(a, c), (b, d)]
            group = _joined(group, above, below)
    return found


def _joined(group: Sequence[int], a: int, b: int) -> list[int]:
    """The group of each player, where `a` and `b` are of one."""
    return [group[a] if its == group[b] else its for its in group]
