"""Who beats whom, apart from any rating: ratings are in one line, and results may go round in a circle.

`crosstable` and `duels` take each pairing by itself; `cycles` names three who beat each other in turn;
`alpha_rank` ranks players of whom none need be the best.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from search.ratings import Games, units
from search.sprt import normal_cdf

STEEP = 700
"""Of e, the power up to which chances are told apart: float64 knows no smaller ones."""


class Cycle(NamedTuple):
    """`a` beats `b`, `b` beats `c`, and `c` beats `a`."""

    a: int
    b: int
    c: int
    strength: float
    """The least of the three likelihoods of superiority."""


def crosstable(games: Games, players: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of row against column, and games between them, both `[players, players]`, colours together."""
    points, count = np.zeros((2, players, players))
    np.add.at(points, (games.first, games.second), games.points)
    np.add.at(points, (games.second, games.first), 1 - games.points)
    np.add.at(count, (games.first, games.second), 1)
    return points, count + count.T


def duels(games: Games, players: int) -> np.ndarray:
    """The likelihood that row is stronger than column by their own games, `[players, players]`.

    It is Φ(points beyond half / their spread over pairs), with one more pair won and one more lost, else a
    single result would pass for certain; NaN where they did not meet. Colours are taken to be balanced, as
    pairs make them.
    """
    low, high = np.minimum(games.first, games.second), np.maximum(games.first, games.second)
    mine = np.where(games.first == low, games.points, 1 - games.points) - 0.5
    key = np.stack([low, high, units(games.pair)], axis=1)
    found, group = np.unique(key, axis=0, return_inverse=True)
    beyond, at = np.bincount(group, mine), found[:, 0] * players + found[:, 1]
    pairs, total, square = (np.bincount(at, w, players**2) for w in (np.ones(len(at)), beyond, beyond**2))
    with np.errstate(invalid="ignore"):
        half = np.bincount(low * players + high, minlength=players**2) / pairs / 2  # a pair won, beyond half
        spread = square + 2 * half**2 - total**2 / (pairs + 2)
        likely = normal_cdf(total / np.sqrt(spread)).reshape(players, players)
    return np.where(np.tri(players, dtype=bool), 1 - likely.T, likely)


def cycles(superiority: np.ndarray, least: float = 0.95) -> list[Cycle]:
    """All threes who beat each other in turn, each with a likelihood of `least` at least; the surest first.

    `superiority` is what `duels` gives: that of ratings has no cycles.
    """
    beats = np.nan_to_num(superiority, nan=0.0)
    found = []
    for a in range(len(beats)):
        weakest = np.minimum(np.minimum(beats[a][:, None], beats), beats[:, a])
        b, c = np.nonzero((weakest >= least) & (weakest > 0.5))
        kept = (a < b) & (a < c)  # each once, from its lowest number on
        found += [Cycle(a, i, j, float(weakest[i, j])) for i, j in zip(b[kept].tolist(), c[kept].tolist())]
    return sorted(found, key=lambda cycle: (-cycle.strength, cycle[:3]))


def alpha_rank(payoffs: np.ndarray, *, alpha: float = 100.0, population: int = 50) -> np.ndarray:
    """The share of time, `[k]`, that a population plays like each: α-rank (Omidshafiei et al., 2019).

    `payoffs` `[k, k]` is the expected score of row against column. All `population` members play alike, until
    one tries to play like another, any as likely; who scores more is imitated more, by a logistic law of
    slope `alpha`, until all play alike again. Who beats all has a share of 1; equals in a circle share alike.
    """
    players = len(payoffs)
    gain = alpha * (payoffs.T - payoffs)  # of column, amid row
    return _stationary(_taken_over(gain, population) / (players - 1))


def _taken_over(gain: np.ndarray, population: int) -> np.ndarray:
    """The chance that one who gains u becomes the way of all m: (1 − e^{−u}) / (1 − e^{−mu})."""
    u = np.clip(gain, -STEEP / population, STEEP / population)
    level = np.abs(u) < 1e-12
    safe = np.where(level, 1.0, u)
    return np.where(level, 1 / population, np.expm1(-safe) / np.expm1(-population * safe))


def _stationary(steps: np.ndarray) -> np.ndarray:
    """The stationary distribution of a chain with these chances `[k, k]` to step from row to column.

    By elimination without a subtraction, so that the smallest chances count in full (Grassmann, Taksar and
    Heyman, 1985); the diagonal does not matter.
    """
    left = steps.copy()
    for k in range(len(left) - 1, 0, -1):
        left[:k, k] /= left[k, :k].sum()
        left[:k, :k] += left[:k, k, None] * left[k, :k]
    share = np.ones(1)
    for k in range(1, len(left)):
        share = np.append(share, share @ left[:k, k])
    return share / share.sum()
