"""What the games of a tournament tell: the table, and all that it rests on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from move37.errors import UserError
from move37.tournament.gamelog import GameRecord
from search.cycles import alpha_rank, crosstable, cycles, duels
from search.davidson import chances
from search.ratings import Games, Ratings, bootstrap, connected, fit, residuals, sample_intervals

SAMPLES = 200
"""Of the bootstrap."""
SURPRISING = 0.01
"""How unlikely, of all meetings together, what a meeting came to is by the ratings, to be told."""
LISTED = 20
"""Residuals that are kept."""


def as_games(records: Sequence[GameRecord], names: Sequence[str]) -> Games:
    """Records as columns, by the numbers of names."""
    number = {name: k for k, name in enumerate(names)}
    return Games(
        np.array([number[r.first] for r in records], np.int64),
        np.array([number[r.second] for r in records], np.int64),
        np.array([r.points for r in records], np.float64),
        np.array([r.game // 2 if r.game >= 0 else -1 for r in records], np.int64),
    )


def check_connected(games: Games, names: Sequence[str]) -> None:
    """`UserError` that says the groups, where no games connect all players."""
    groups = connected(games, len(names))
    if len(groups) > 1:
        told = "; ".join(", ".join(names[k] for k in group) for group in groups)
        said = f"no games connect these {len(groups)} groups, so they cannot be rated together"
        raise UserError(f"{said}: {told}")


def standings(
    records: Sequence[GameRecord],
    names: Sequence[str],
    anchor: str | None = None,
    anchor_elo: float = 0.0,
    samples: int = SAMPLES,
) -> dict[str, Any]:
    """All that the games tell, as plain data; the best player first.

    Ratings are those of `search.ratings.fit`, with errors by pairs of games; `low` and `high` are 95 %
    intervals, `bootstrap` those of a bootstrap over pairs, `distinct` those where a game that was played
    before, move for move, does not count again. Raises `UserError` where games do not connect the players.
    """
    if not records:
        raise UserError("there are no games to rate")
    games = as_games(records, names)
    check_connected(games, names)
    options: Any = {"anchor": None if anchor is None else names.index(anchor), "anchor_elo": anchor_elo}
    ratings, once = fit(games, len(names), **options), distinct(records)
    apart = fit(only(games, once), len(names), **options)
    drawn = sample_intervals(bootstrap(games, len(names), samples, seed=0, **options)) if samples else None
    order = np.argsort(-ratings.elo, kind="stable").tolist()
    return {
        "games": len(records),
        "distinct": int(once.sum()),
        "anchor": anchor,
        "anchor_elo": anchor_elo if anchor else None,
        "players": [row_of(k, records, names, ratings, drawn, apart.intervals) for k in order],
        **worth_of_moving_first(ratings, records),
        **of_each_two(ratings, games, order),
        "forfeits": dict(Counter(f"{loser(r)}: {r.why}" for r in records if r.why).most_common(20)),
        "surprises": surprises(ratings, games, names),
        "residuals": residual_rows(ratings, games, names),
        **circles(ratings, games, names, order),
    }


def only(games: Games, which: np.ndarray) -> Games:
    """The games of a mask, bool `[n]`."""
    return Games(games.first[which], games.second[which], games.points[which], games.pair[which])


def row_of(
    k: int,
    records: Sequence[GameRecord],
    names: Sequence[str],
    ratings: Ratings,
    drawn: np.ndarray | None,
    apart: np.ndarray,
) -> dict[str, Any]:
    """What there is to say of player `k`; `drawn` and `apart` are intervals `[k, 2]` of all."""
    own = [
        r.points if r.first == names[k] else 1 - r.points for r in records if names[k] in (r.first, r.second)
    ]
    return {
        "name": names[k],
        "elo": number(ratings.elo[k]),
        "low": number(ratings.intervals[k, 0]),
        "high": number(ratings.intervals[k, 1]),
        "bootstrap": [number(v) for v in drawn[k]] if drawn is not None else None,
        "distinct": [number(v) for v in apart[k]],
        "games": len(own),
        "score": number(float(np.mean(own)), 4),
        "field": number(ratings.field()[k], 4),
        **thought(records, names[k]),
    }


def worth_of_moving_first(ratings: Ratings, records: Sequence[GameRecord]) -> dict[str, Any]:
    """What the first move is worth, and how often equals draw."""
    return {
        "first_move": {"elo": number(ratings.first_move), "error": number(ratings.first_move_error)},
        "draws": {
            "games": sum(record.points == 0.5 for record in records),
            "share": number(ratings.draw_share, 4),
            "nu": number(ratings.draw, 4),
        },
    }


def of_each_two(ratings: Ratings, games: Games, order: Sequence[int]) -> dict[str, Any]:
    """Row against column, both in an order: what the ratings say, and what was played."""
    ranked = np.ix_(order, order)
    difference, error = ratings.differences()
    points, count = crosstable(games, len(order))
    return {
        "difference": matrix(difference[ranked], 1),
        "difference_error": matrix(error[ranked], 1),
        "superiority": matrix(ratings.superiority()[ranked], 4),
        "points": matrix(points[ranked], 1),
        "played": matrix(count[ranked], 0),
    }


def circles(ratings: Ratings, games: Games, names: Sequence[str], order: Sequence[int]) -> dict[str, Any]:
    """Who beat each other in turn, and the players' ranking where none need be the best."""
    ranked, sorted_names = np.ix_(order, order), [names[k] for k in order]
    found = cycles(duels(games, len(names))[ranked])[:10]
    points, count = crosstable(games, len(names))
    payoffs = np.where(count > 0, points / np.maximum(count, 1), ratings.scores())
    shares = alpha_rank(payoffs[ranked])
    return {
        "cycles": [
            {"players": [sorted_names[k] for k in cycle[:3]], "strength": number(cycle.strength, 4)}
            for cycle in found
        ],
        "alpha_rank": {name: number(share, 4) for name, share in zip(sorted_names, shares)},
    }


def distinct(records: Sequence[GameRecord]) -> np.ndarray:
    """Whether a game differs from all before it, in players, opening or moves: bool `[n]`."""
    seen, found = set[tuple[str, ...]](), []
    for record in records:
        told = record.first, record.second, record.opening, record.moves
        found.append(not record.moves or told not in seen)
        seen.add(told)
    return np.array(found, bool)


def loser(record: GameRecord) -> str:
    """Who lost a decided game."""
    return record.second if record.points else record.first


def thought(records: Sequence[GameRecord], name: str) -> dict[str, float | None]:
    """Seconds and visits that a player takes a move, on average; None where nothing is known."""
    moves, seconds, nodes = 0, 0.0, 0
    for record in records:
        for seat, who in enumerate((record.first, record.second)):
            if who == name:
                opened, made = len(record.opening.split()), len(record.moves.split())
                moves += (made + 1 - (seat != opened % 2)) // 2
                seconds, nodes = seconds + record.seconds[seat], nodes + record.nodes[seat]
    if not moves:
        return {"seconds_a_move": None, "visits_a_move": None}
    return {
        "seconds_a_move": round(seconds / moves, 6) or None,
        "visits_a_move": round(nodes / moves, 1) or None,
    }


def surprises(ratings: Ratings, games: Games, names: Sequence[str]) -> list[dict[str, Any]]:
    """The meetings that came otherwise than the ratings say: what betrays that strength is not one number.

    `chance` is how likely the model itself gives as many points more (or fewer), of all meetings together.
    """
    win, draw, loss = chances(ratings.parameters())
    count = len(names)
    low, high = np.minimum(games.first, games.second), np.maximum(games.first, games.second)
    meetings = np.unique(low * count + high)
    found = list[dict[str, Any]]()
    for key in meetings.tolist():
        a, b = divmod(key, count)
        law, mine = np.ones(1), (low == a) & (high == b)
        for first, second in zip(games.first[mine], games.second[mine]):
            one = np.array([loss[first, second], draw[first, second], win[first, second]])
            law = np.convolve(law, one if first == a else one[::-1])
        points = float(np.where(games.first[mine] == a, games.points[mine], 1 - games.points[mine]).sum())
        more = points - float(law @ np.arange(len(law))) / 2
        tail = law[round(2 * points) :] if more > 0 else law[: round(2 * points) + 1]
        chance = min(1.0, 2 * float(tail.sum()) * len(meetings))
        if chance < SURPRISING and abs(more) >= 1:
            winner, loser = (a, b) if more > 0 else (b, a)
            told = {"winner": names[winner], "loser": names[loser], "points": number(abs(more), 1)}
            found.append(told | {"chance": float(f"{chance:.2g}")})
    return sorted(found, key=lambda row: row["chance"])[:10]


def residual_rows(ratings: Ratings, games: Games, names: Sequence[str]) -> list[dict[str, Any]]:
    """The meetings farthest from what the ratings say, in standard errors, the farthest first."""
    found = residuals(games, ratings)
    return [
        {
            "players": [names[found.a[row]], names[found.b[row]]],
            "games": int(found.games[row]),
            "points": number(found.points[row], 1),
            "residual": number(found.residual[row]),
            "standard": number(found.standard[row]),
        }
        for row in np.argsort(-np.abs(found.standard), kind="stable")[:LISTED]
    ]


def number(value: float, digits: int = 2) -> float:
    """A number as a file keeps it."""
    return round(float(value), digits)


def matrix(values: np.ndarray, digits: int) -> list[list[float]]:
    return [[number(value, digits) for value in row] for row in values]
