"""The likelihood of games between players who differ in strength, and where it is greatest.

The model is that of Bradley and Terry (1952), with Davidson's draws (1970) and an advantage f of who moves
first (Davidson and Beaver, 1977):

    win : draw : loss of who moves first  =  e^{d/2} : ν : e^{−d/2},   d = θ[first] − θ[second] + f

θ, f and λ = log ν are the natural parameters of an exponential family: the likelihood has one maximum, which
Newton's method finds from anywhere. Its gradient is what was scored less what was to be expected; its
information is the covariance of points and draws.

Arrays of games are `[k, k]`, from who moved first to who moved second; parameters are `[k + 2]`: θ, f, λ.
Both may have an axis before these, of samples, which are then fitted at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

STEPS = 200
"""Of Newton's method, at most; 5 to 20 are usual."""
CLOSE = 1e-9
"""A step of this length, in θ, is the last: 2e-7 Elo."""
FAR = 30.0
"""No advantage that games can show is so large: its odds are 10^13."""
INFINITE = "no ratings are the likeliest: some would be infinite; a prior above 0 keeps them finite"


class Table(NamedTuple):
    """Games counted by who moved first and second, each `[..., k, k]`, and what is put to them."""

    games: np.ndarray
    points: np.ndarray
    """Of who moved first."""
    draws: np.ndarray
    pseudo: np.ndarray
    """The prior's games, `[k, k]`, symmetric, half of them won; they know no colours and no draws."""
    prior: float
    """Its games about f (half of them won by the first), and as many about ν (half of them drawn)."""


def spread_prior(games: np.ndarray, prior: float) -> np.ndarray:
    """`pseudo` where each player gets `prior` games of its own, spread over opponents as its `games` are."""
    if not prior >= 0:
        raise ValueError(f"a prior is a number of games, not {prior}")
    met = games + games.T
    each = met.sum(axis=1)
    return prior * met * (1 / each[:, None] + 1 / each) / 2


def chances(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The chances of a win, a draw and a loss of who moves first, each `[..., k, k]`."""
    theta, draws = x[..., :-2], x[..., -1, None, None]
    half = (theta[..., :, None] - theta[..., None, :] + x[..., -2, None, None]) / 2
    top = np.maximum(np.abs(half), draws)
    win, draw, loss = np.exp(half - top), np.exp(draws - top), np.exp(-half - top)
    total = win + draw + loss
    return win / total, draw / total, loss / total


def spread(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of one game: the variance of points, their covariance with a draw, and a draw's variance."""
    win, draw, loss = chances(x)
    return win * loss + (win + loss) * draw / 4, draw * (loss - win) / 2, draw * (win + loss)


def beyond(x: np.ndarray, table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Points, and draws, beyond what is to be expected, `[..., k, k]`: the gradient by d and by λ."""
    win, draw, _ = chances(x)
    return table.points - table.games * (win + draw / 2), table.draws - table.games * draw


def prior_beyond(x: np.ndarray, table: Table) -> np.ndarray:
    """Points of the prior's games beyond what is to be expected, `[..., k, k]`."""
    return -table.pseudo * _tanh(x) / 2


def prior_spread(x: np.ndarray, table: Table) -> np.ndarray:
    """The variance of those points."""
    return table.pseudo * (1 - _tanh(x) ** 2) / 4


def _tanh(x: np.ndarray) -> np.ndarray:
    """A logistic chance less its complement, of row against column: tanh of half of the log-odds."""
    theta = x[..., :-2]
    return np.tanh((theta[..., :, None] - theta[..., None, :]) / 2)


def _tanh_of_terms(x: np.ndarray) -> np.ndarray:
    """The same of the first one among equals who never draw, and of a draw of equals, `[..., 2]`."""
    return np.tanh((x[..., -2:] - np.array([0, np.log(2)])) / 2)


def gradient(x: np.ndarray, table: Table) -> np.ndarray:
    """Of the log-likelihood, prior and all, `[..., k + 2]`."""
    points, draws = beyond(x, table)
    both = points + prior_beyond(x, table)
    terms = np.stack([points.sum(axis=(-1, -2)), draws.sum(axis=(-1, -2))], axis=-1)
    terms = terms - table.prior * _tanh_of_terms(x) / 2
    return np.concatenate([both.sum(axis=-1) - both.sum(axis=-2), terms], axis=-1)


def information(x: np.ndarray, table: Table) -> np.ndarray:
    """What is observed, which is what is expected, `[..., k + 2, k + 2]`."""
    points, both, draws = (table.games * one for one in spread(x))
    found = assembled(points + prior_spread(x, table))
    found[..., :-2, -2] = points.sum(axis=-1) - points.sum(axis=-2)
    found[..., :-2, -1] = both.sum(axis=-1) - both.sum(axis=-2)
    found[..., -2:, :-2] = np.swapaxes(found[..., :-2, -2:], -1, -2)
    terms = table.prior * (1 - _tanh_of_terms(x) ** 2) / 4
    found[..., -2, -2] = points.sum(axis=(-1, -2)) + terms[..., 0]
    found[..., -1, -1] = draws.sum(axis=(-1, -2)) + terms[..., 1]
    found[..., -1, -2] = found[..., -2, -1] = both.sum(axis=(-1, -2))
    return found


def prior_squares(x: np.ndarray, table: Table) -> np.ndarray:
    """The sum of squared gradients of the prior's games, half of them won, `[k + 2, k + 2]`."""
    found = assembled(table.pseudo * (1 + _tanh(x) ** 2) / 4)
    found[-2:, -2:] = np.diag(table.prior * (1 + _tanh_of_terms(x) ** 2) / 4)
    return found


def assembled(variance: np.ndarray) -> np.ndarray:
    """Σ variance · uuᵀ for u = e_first − e_second in θ, and zeros for f and λ: `[..., k + 2, k + 2]`."""
    k = variance.shape[-1]
    found = np.zeros((*variance.shape[:-2], k + 2, k + 2))
    found[..., :k, :k] = -variance - np.swapaxes(variance, -1, -2)
    found[..., range(k), range(k)] += variance.sum(axis=-1) + variance.sum(axis=-2)
    return found


def start(fitted: np.ndarray) -> np.ndarray:
    """Parameters of players who are all alike; what is not `fitted` (bool `[k + 2]`) stays as here."""
    return np.append(np.zeros(len(fitted) - 1), 0.0 if fitted[-1] else -np.inf)


def maximum(x: np.ndarray, table: Table, fitted: np.ndarray) -> np.ndarray:
    """The likeliest parameters, from `x` on; `ValueError` where some would be infinite.

    A step as damped as here never overshoots in such a family (Sun and Tran-Dinh, 2019): `reach` bounds by
    how much it changes any log-odds.
    """
    try:
        for _ in range(STEPS):
            slope = np.where(fitted, gradient(x, table), 0.0)
            step = np.linalg.solve(_held(information(x, table), fitted), slope[..., None])[..., 0]
            reach = np.ptp(step[..., :-2], axis=-1) + np.abs(step[..., -2:]).sum(axis=-1)
            x = x + step * (np.log1p(reach) / np.maximum(reach, 1e-300))[..., None]
            if reach.max() < CLOSE:
                return x
    except np.linalg.LinAlgError:
        pass
    raise ValueError(INFINITE)


def refuse_infinite(x: np.ndarray, table: Table) -> None:
    """`ValueError` where likelier and likelier ratings have no end: rounding stops the search for them early.

    Players are finite where each is joined to each by a chain of games not lost (Ford, 1957).
    """
    held = (table.points > 0) | ((table.games > table.points).T)
    for _ in range(len(held).bit_length()):
        held = held | (held @ held)
    terms = x[-2:][np.isfinite(x[-2:])]
    if not held.all() or (np.abs(terms) > FAR).any():
        raise ValueError(INFINITE)


def inverse(x: np.ndarray, table: Table, fitted: np.ndarray) -> np.ndarray:
    """The inverse of the information `[k + 2, k + 2]`, about the mean of θ; 0 for what is not fitted."""
    players = len(fitted) - 2
    centre = np.diag(fitted.astype(float))
    centre[:players, :players] -= 1 / players
    return centre @ np.linalg.inv(_held(information(x, table), fitted)) @ centre


def _held(found: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """The information where what is not fitted is held, and so is the mean of θ, on which no game depends."""
    k = len(fitted) - 2
    held = np.where(fitted & fitted[:, None], found, 0.0) + np.diag(~fitted)
    held[..., :k, :k] += np.trace(held[..., :k, :k], axis1=-2, axis2=-1)[..., None, None] / k**2
    return held
