"""Who plays whom in a tournament: a pure function of the plan, and of the results so far.

The unit is a *pair*: one opening, played twice with colours swapped. So colours are always balanced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

ROUND_ROBIN, GAUNTLET, SWISS, LADDER = "round_robin", "gauntlet", "swiss", "ladder"
BYE = 1.0
"""Of the points that a meeting is worth, what is given to who has nobody left to play."""


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
    opening: int
    """Its number among the openings, if there are as many."""


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


def next_round(plan: Plan, played: Sequence[Standing]) -> list[Pair]:
    """The pairs of the round after those `played`, in the order of play: an opening of each meeting, again
    and again, so that a tournament that is stopped has played all meetings alike.
    """
    number = len(played)
    met = swiss_round(plan.players, played) if plan.format == SWISS else meetings(plan)
    begun = number * plan.pairs * (plan.players // 2) if plan.format == SWISS else 0
    return [Pair(a, b, begun + k * len(met) + q) for k in range(plan.pairs) for q, (a, b) in enumerate(met)]


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

    With an odd number the lowest of those who had none gets a bye. Raises `ValueError` where no such round
    is left.
    """
    had = points(players, played)
    table = sorted(range(players), key=lambda player: (-had[player], player))
    met = {meeting for standing in played for meeting in standing.meetings}
    met |= {(b, a) for a, b in met}
    idle: list[int | None] = [None]
    if players % 2:
        rested = {player for standing in played for player in byes(players, standing)}
        idle = [player for player in reversed(table) if player not in rested]
    for bye in idle:
        found = matched([player for player in table if player != bye], met)
        if found is not None:
            return found
    raise ValueError(f"after {len(played)} rounds of {players} players nobody is left to meet")


def matched(table: Sequence[int], met: set[tuple[int, int]]) -> list[tuple[int, int]] | None:
    """Neighbours in a table, who have not `met`; None where it cannot be."""
    if not table:
        return []
    top, *rest = table
    for other in rest:
        if (top, other) not in met:
            below = matched([player for player in rest if player != other], met)
            if below is not None:
                return [(top, other), *below]
    return None
