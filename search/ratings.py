"""Ratings of players from all of their games at once, and how sure they are.

The model is that of search/davidson.py: Bradley and Terry's, with draws and the first move. A rating is its θ
in units of ln(10) / 400, Elo. docs/ratings.md explains what each number means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from search.davidson import (
    Table,
    beyond,
    chances,
    inverse,
    maximum,
    prior_beyond,
    prior_spread,
    prior_squares,
    refuse_infinite,
    spread,
    spread_prior,
    start,
)
from search.sprt import Z, normal_cdf

ELO = 400 / np.log(10)
"""Elo in one unit of θ."""
PRIOR = 0.5
"""Games that are put to each player's own; see `fit`."""
AT_ONCE = 2_000_000
"""Numbers in an array, at most, where samples or pairs are worked at in parts."""

Errors = Literal["pairs", "games"]


@dataclass(frozen=True)
class Games:
    """Games as columns of `n`: who moved first, who second, and what the first one got."""

    first: np.ndarray
    """int64: the number of a player, from 0."""
    second: np.ndarray
    points: np.ndarray
    """float64: 1, 0.5 or 0."""
    pair: np.ndarray
    """int64: games of one number are one observation, as they share an opening; −1 stands alone."""


@dataclass(frozen=True)
class Ratings:
    """What `fit` found for `k` players. Errors are standard errors; all is in Elo but the draws."""

    elo: np.ndarray
    """`[k]`, about the pool's mean, or with the anchor where it was put."""
    covariance: np.ndarray
    """`[k, k]`, of the ratings as they stand: about the mean, or against the anchor, whose row is 0."""
    first_move: float
    """By how much moving first makes one stronger; 0 where it was not fitted."""
    first_move_error: float
    draw: float
    """Davidson's ν: equals draw a share ν / (2 + ν) of their games; 0 where draws were not fitted."""
    draw_error: float
    fitted: np.ndarray
    """bool `[k + 2]`: which parameters were fitted; the last two are the first move and the draws."""
    prior: float
    errors: Errors

    @property
    def error(self) -> np.ndarray:
        """Standard errors against the mean or the anchor, `[k]`; for two players see `differences`."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def intervals(self) -> np.ndarray:
        """95 % intervals of the ratings, `[k, 2]`."""
        return self.elo[:, None] + Z * self.error[:, None] * np.array([-1, 1])

    @property
    def draw_share(self) -> float:
        """Of the games of two equals, the first move left aside."""
        return self.draw / (2 + self.draw)

    def differences(self) -> tuple[np.ndarray, np.ndarray]:
        """By how much row is above column, `[k, k]`, and the standard error of that."""
        own = np.diag(self.covariance)
        variance = own[:, None] + own - 2 * self.covariance
        return self.elo[:, None] - self.elo, np.sqrt(np.maximum(variance, 0))

    def superiority(self) -> np.ndarray:
        """The likelihood that row is stronger than column, `[k, k]`: Φ(difference / error); diagonal ½."""
        difference, error = self.differences()
        return normal_cdf(difference / np.where(error > 0, error, np.inf))

    def scores_first(self) -> np.ndarray:
        """The expected score, in [0, 1], of row against column where row moves first, `[k, k]`."""
        win, draw, _ = chances(self.parameters())
        return win + draw / 2

    def scores(self) -> np.ndarray:
        """The same with half of the games for each colour; ½ on the diagonal."""
        first = self.scores_first()
        return (first + 1 - first.T) / 2

    def field(self) -> np.ndarray:
        """The mean of `scores` against all others, `[k]`."""
        return (self.scores().sum(axis=1) - 0.5) / (len(self.elo) - 1)

    def parameters(self) -> np.ndarray:
        """θ about its mean, f and log ν, `[k + 2]`."""
        with np.errstate(divide="ignore"):
            terms = [self.first_move / ELO, np.log(self.draw)]
        return np.append((self.elo - self.elo.mean()) / ELO, terms)


def fit(
    games: Games,
    players: int,
    *,
    prior: float = PRIOR,
    anchor: int | None = None,
    anchor_elo: float = 0.0,
    draws: bool = True,
    first_move: bool = True,
    errors: Errors = "pairs",
) -> Ratings:
    """Rate `players` by all games at once, whose order does not matter.

    `prior` games are put to each player's own, half won and half lost, spread over its opponents as its games
    are: a perfect scorer stays finite. Two players have one such game together with ½, which takes the first
    order of the bias from their difference (Haldane, 1956). There are as many about the first move, and about
    draws of equals. Without `draws` a draw is half a win and half a loss.

    Errors are those of `pairs` (see `Games.pair`), which hold whatever the games of a pair have to do with
    each other: how far the ratings move where a pair is left out (the sandwich CR3 of Bell and McCaffrey,
    2002). Those of `games`, the inverse of the observed information, hold for games that are independent.

    Raises `ValueError` for games that are none, where no games connect the players, and with `prior=0` where
    no ratings are the likeliest.
    """
    games = _sorted(_checked(games, players))
    fitted = _fitted(players, first_move, draws)
    table = _table(games, players, prior)
    x = maximum(start(fitted), table, fitted)
    if not prior:
        refuse_infinite(x, table)
    covariance = inverse(x, table, fitted)
    if errors == "pairs":
        covariance = _sandwich(x, games, table, covariance)
    centre = _centre(players, anchor)
    wide = np.sqrt(np.diag(covariance)[players:])
    return Ratings(
        elo=ELO * centre @ x[:players] + (0.0 if anchor is None else anchor_elo),
        covariance=ELO**2 * centre @ covariance[:players, :players] @ centre.T,
        first_move=float(ELO * x[-2]),
        first_move_error=float(ELO * wide[0]),
        draw=float(np.exp(x[-1])),
        draw_error=float(np.exp(x[-1]) * wide[1]),
        fitted=fitted,
        prior=prior,
        errors=errors,
    )


def bootstrap(
    games: Games,
    players: int,
    samples: int = 1000,
    seed: int = 0,
    *,
    prior: float = PRIOR,
    anchor: int | None = None,
    anchor_elo: float = 0.0,
    draws: bool = True,
    first_move: bool = True,
) -> np.ndarray:
    """Ratings, `[samples, k]`, of as many pairs as there are, drawn anew with replacement (Efron, 1979).

    Options are those of `fit`; the prior's games are the same in all samples, so that each has a maximum. It
    cannot know of results that never came up: a perfect scorer is one in every sample, its spread too small.
    """
    if not prior:
        raise ValueError("a bootstrap needs a prior above 0: without it some samples have no finite ratings")
    games = _sorted(_checked(games, players))
    fitted = _fitted(players, first_move, draws)
    whole = _table(games, players, prior)
    best = maximum(start(fitted), whole, fitted)
    unit, found, rng = units(games.pair), [], np.random.default_rng(seed)
    count = int(unit.max()) + 1
    room = max(1, AT_ONCE // max(players**2, len(unit)))
    for k in range(0, samples, room):
        size = min(room, samples - k)
        times = [np.bincount(rng.integers(count, size=count), minlength=count)[unit] for _ in range(size)]
        played, points, drawn = _counted(games, players, np.stack(times))
        table = whole._replace(games=played, points=points, draws=drawn)
        found.append(maximum(np.tile(best, (size, 1)), table, fitted)[:, :players])
    elo = ELO * np.concatenate(found) @ _centre(players, anchor).T
    return elo + (0.0 if anchor is None else anchor_elo)


def sample_intervals(samples: np.ndarray) -> np.ndarray:
    """95 % intervals, `[k, 2]`, of what was sampled, `[samples, k]`: ratings, or differences of ratings."""
    return np.quantile(samples, [0.025, 0.975], axis=0).T


def _fitted(players: int, first_move: bool, draws: bool) -> np.ndarray:
    return np.append(np.ones(players, bool), [first_move, draws])


def _centre(players: int, anchor: int | None) -> np.ndarray:
    """The matrix that takes the mean, or the anchor's rating, from all."""
    shares = np.full(players, 1 / players) if anchor is None else np.eye(players)[anchor]
    return np.eye(players) - shares


# -- games in ----------------------------------------------------------------------------------------------


def connected(games: Games, players: int) -> list[list[int]]:
    """The groups of players that games connect, in ascending order; one group where all can be compared."""
    group = np.arange(players)
    while True:
        low = np.minimum(group[games.first], group[games.second])
        joined = group.copy()
        np.minimum.at(joined, games.first, low)
        np.minimum.at(joined, games.second, low)
        if (joined == group).all():
            return [np.flatnonzero(group == one).tolist() for one in np.unique(group)]
        group = joined


def units(pair: np.ndarray) -> np.ndarray:
    """The observation that each game belongs to, numbered from 0: its pair, or itself."""
    alone = pair < 0
    found = np.empty(len(pair), np.int64)
    numbers, found[~alone] = np.unique(pair[~alone], return_inverse=True)
    found[alone] = len(numbers) + np.arange(alone.sum())
    return found


def _checked(games: Games, players: int) -> Games:
    """The games, where they can be rated."""
    if players < 2:
        raise ValueError(f"ratings compare 2 players at least, not {players}")
    who = np.concatenate([games.first, games.second])
    if len(who) and not 0 <= who.min() <= who.max() < players:
        raise ValueError(f"players have numbers from 0 to {players - 1}, not {who.min()} to {who.max()}")
    alone = games.first == games.second
    if alone.any():
        raise ValueError(f"game {np.argmax(alone)} has player {games.first[alone][0]} on both sides")
    odd = ~np.isin(games.points, (0, 0.5, 1))
    if odd.any():
        raise ValueError(f"game {np.argmax(odd)} is worth 0, 0.5 or 1 points, not {games.points[odd][0]}")
    groups = connected(games, players)
    if len(groups) > 1:
        told = ", ".join(str(group) for group in groups[:5]) + (", …" if len(groups) > 5 else "")
        raise ValueError(f"no games connect these {len(groups)} groups of players: {told}")
    return games


def _sorted(games: Games) -> Games:
    """The same games in an order of their own, so that theirs does not matter, not even to the last digit."""
    order = np.lexsort((games.points, games.second, games.first, games.pair))
    return Games(games.first[order], games.second[order], games.points[order], games.pair[order])


def _table(games: Games, players: int, prior: float) -> Table:
    """All games counted, with the prior's."""
    count, points, draws = (one[0] for one in _counted(games, players, np.ones((1, len(games.first)))))
    return Table(count, points, draws, spread_prior(count, prior), prior)


def _counted(games: Games, players: int, times: np.ndarray) -> list[np.ndarray]:
    """Games, points and draws, each `[samples, k, k]`, of games that come so many times, `[samples, n]`."""
    samples = len(times)
    cell = games.first * players + games.second + players**2 * np.arange(samples)[:, None]

    def count(worth: np.ndarray) -> np.ndarray:
        cells = np.bincount(cell.ravel(), (times * worth).ravel(), samples * players**2)
        return cells.reshape(samples, players, players)

    return [count(worth) for worth in (np.ones(1), games.points, games.points == 0.5)]


# -- errors by pairs ---------------------------------------------------------------------------------------


def _sandwich(x: np.ndarray, games: Games, table: Table, inverted: np.ndarray) -> np.ndarray:
    """The covariance of the parameters, `[k + 2, k + 2]`, by what pairs say, and not games.

    The prior's games are observations too: without them, who won all of its games would be sure of it.
    """
    found = inverted @ prior_squares(x, table) @ inverted
    unit = units(games.pair)
    order, size = np.argsort(unit, kind="stable"), np.bincount(unit)
    begin = np.cumsum(size) - size
    for m in np.unique(size):
        rows = order[begin[size == m][:, None] + np.arange(m)]
        room = max(1, AT_ONCE // (4 * m * m + 2 * m * len(x)))
        for k in range(0, len(rows), room):
            moved = _moved_by(x, games, rows[k : k + room], inverted)
            found = found + moved.T @ moved
    return found


def _moved_by(x: np.ndarray, games: Games, rows: np.ndarray, inverted: np.ndarray) -> np.ndarray:
    """How far each of `g` pairs (games, `[g, m]`) moves the parameters, `[g, k + 2]`: one Newton step.

    It is a step without the pair's own information UᵀVU, where a game has two rows in U, of d and of λ:
    H⁻¹Uᵀ(1 − V U H⁻¹Uᵀ)⁻¹ (points and draws beyond expectation).
    """
    first, second, points = games.first[rows], games.second[rows], games.points[rows]
    g, m = rows.shape
    pair, game = np.ogrid[:g, :m]
    of_d, of_draw = np.zeros((2, g, m, len(x)))
    of_d[pair, game, first], of_d[pair, game, second], of_d[..., -2] = 1, -1, 1
    of_draw[..., -1] = 1
    design = np.stack([of_d, of_draw], axis=2).reshape(g, 2 * m, len(x))
    step = design @ inverted
    hat = (step @ np.swapaxes(design, 1, 2)).reshape(g, m, 2, 2 * m)
    of_points, of_both, of_draws = (one[first, second] for one in spread(x))
    own = np.stack([of_points, of_both, of_both, of_draws], axis=-1).reshape(g, m, 2, 2)
    leverage = np.einsum("gipr,girq->gipq", own, hat).reshape(g, 2 * m, 2 * m)
    win, draw, _ = (chance[first, second] for chance in chances(x))
    rest = np.stack([points - win - draw / 2, (points == 0.5) - draw], axis=-1).reshape(g, 2 * m, 1)
    without = np.linalg.solve(np.eye(2 * m) - leverage, rest)
    return np.einsum("gik,gi->gk", step, without[..., 0])


# -- what the model does not explain -----------------------------------------------------------------------


class Residuals(NamedTuple):
    """What each pairing that was played (`a` < `b`) scored beyond what the ratings say; columns of `m`."""

    a: np.ndarray
    b: np.ndarray
    games: np.ndarray
    points: np.ndarray
    """Of `a`."""
    residual: np.ndarray
    """Points of `a` less those that were to be expected."""
    standard: np.ndarray
    """The residual, with the prior's games, in its standard errors; 0 where it had no room to differ."""


def residuals(games: Games, ratings: Ratings) -> Residuals:
    """The residuals of the games that `ratings` were fitted to: |standard| above 3 is what no rating can say.

    Standard errors are the model's, with its parameters fitted. Where the ratings' own are those of pairs,
    they are scaled by how far pairs lie from the model (Pearson's dispersion).
    """
    players = len(ratings.elo)
    games = _sorted(_checked(games, players))
    x, table = ratings.parameters(), _table(games, players, ratings.prior)
    a, b = np.nonzero(np.triu(table.games + table.games.T, 1))
    there, back, row = (a, b), (b, a), np.arange(len(a))
    points, both, _ = (table.games * one for one in spread(x))
    variance = points + prior_spread(x, table)
    slope = np.zeros((len(a), players + 2))
    slope[row, a] = total = variance[there] + variance[back]
    slope[row, b] = -total
    slope[:, -2], slope[:, -1] = points[there] - points[back], both[there] - both[back]
    left = total - ((slope @ inverse(x, table, ratings.fitted)) * slope).sum(axis=1)
    room = np.where(left > 1e-6 * total, left, np.inf)
    if ratings.errors == "pairs":
        room = room * max(_dispersion(x, games, ratings), 1e-9)  # pairs that are all alike spread nothing
    rest = beyond(x, table)[0]
    with_prior = rest + prior_beyond(x, table)
    return Residuals(
        a,
        b,
        games=(table.games[there] + table.games[back]).astype(int),
        points=table.points[there] + table.games[back] - table.points[back],
        residual=rest[there] - rest[back],
        standard=(with_prior[there] - with_prior[back]) / np.sqrt(room),
    )


def _dispersion(x: np.ndarray, games: Games, ratings: Ratings) -> float:
    """The mean square of points of pairs beyond expectation; 1 is that of independent games."""
    win, draw, _ = (chance[games.first, games.second] for chance in chances(x))
    low, sign = np.minimum(games.first, games.second), np.sign(games.second - games.first)
    key = np.stack([units(games.pair), low, games.first + games.second], axis=1)
    _, group = np.unique(key, axis=0, return_inverse=True)
    square = (np.bincount(group, sign * (games.points - win - draw / 2)) ** 2).sum()
    free = group.max() + 1 - (ratings.fitted.sum() - 1)
    if free <= 0:
        return 1.0
    return float(square / spread(x)[0][games.first, games.second].sum() * (group.max() + 1) / free)
