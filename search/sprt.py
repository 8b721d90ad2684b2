"""Two players: the Elo behind a score, how sure it is, and when to stop.

Results are counted by score, the lowest first: `[losses, draws, wins]` of independent games, or, of pairs of
games with one opening and colours swapped, `[LL, LD, DD and WL, WD, WW]` (0, 1, 2, 3 and 4 half points).
Such a pair is one observation: its games share an opening, so that games alone would give a wrong spread.
docs/ratings.md explains what each number means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

Z = 1.959964
"""95 % of a normal distribution lie within ± this many standard deviations."""
UNSEEN = 1e-3
"""What counts for a result that never came up, where logarithms are taken of all (as in fishtest)."""
HALVINGS = 60
"""Of an interval a few wide, until no float64 is left inside it."""


Law = Literal["exact", "normal", "bayeselo"]


def score_of(elo: ArrayLike) -> np.ndarray:
    """The expected score, in [0, 1], of who is `elo` stronger: 1 / (1 + 10^(−elo / 400))."""
    return 1 / (1 + 10.0 ** (-np.asarray(elo, float) / 400))


def elo_of(score: ArrayLike) -> np.ndarray:
    """The reverse: −∞ for 0, ∞ for 1."""
    share = np.asarray(score, float)
    with np.errstate(divide="ignore"):
        return 400 * (np.log10(share) - np.log10(1 - share))


def normal_cdf(x: ArrayLike) -> np.ndarray:
    """The share of a normal distribution below `x`."""
    halves = np.vectorize(math.erfc, otypes=[float])(-np.asarray(x, float) / math.sqrt(2))
    return halves / 2


# -- how sure a score is -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """What the results of two players say, from the first one's view; each with its 95 % interval."""

    score: float
    score_interval: tuple[float, float]
    elo: float
    elo_interval: tuple[float, float]
    superiority: float
    """The likelihood that the first one is the stronger: Φ((score − ½) / error)."""


def estimate(counts: ArrayLike) -> Estimate:
    """Score, Elo and superiority behind results by score (see above), of a sample that was not stopped early.

    The interval is the normal one of a mean. Where all results are alike, one more of the best and of the
    worst are put to them for it, else one result would pass for certain (after Agresti and Coull, 1998).
    """
    found = _counts(counts)
    if not found.any():
        raise ValueError("there are no results yet")
    score = float(found @ np.linspace(0, 1, len(found)) / found.sum())
    middle, error = _mean(found)
    low, high = max(0.0, middle - Z * error), min(1.0, middle + Z * error)
    ahead = float(normal_cdf((middle - 0.5) / error))
    elo, elo_low, elo_high = elo_of([score, low, high]).tolist()
    return Estimate(score, (low, high), elo, (elo_low, elo_high), ahead)


def _counts(counts: ArrayLike) -> np.ndarray:
    found = np.asarray(counts, float)
    if found.shape[-1:] not in ((3,), (5,)) or (found < 0).any() or not np.isfinite(found).all():
        raise ValueError(
            f"results are counts, 3 (L, D, W) or 5 (of pairs), none below 0: not {found.tolist()}"
        )
    return found


def _mean(counts: np.ndarray) -> tuple[float, float]:
    """The mean score of counts `[bins]` and its standard error, with two more results where all are alike."""
    scores, total = np.linspace(0, 1, len(counts)), counts.sum()
    if counts.max() == total:
        counts = counts + np.eye(len(counts))[[0, -1]].sum(axis=0)
        total = total + 2
    mean = float(counts @ scores / total)
    return mean, math.sqrt(counts @ (scores - mean) ** 2) / total


# -- when to stop ------------------------------------------------------------------------------------------


def bounds(alpha: float = 0.05, beta: float = 0.05) -> tuple[float, float]:
    """Where Wald's test (1945) stops: `alpha` is the risk to accept wrongly, `beta` to reject wrongly."""
    if not (alpha > 0 and beta > 0 and alpha + beta < 1):
        raise ValueError(f"alpha and beta are risks above 0, together below 1: not {alpha} and {beta}")
    return math.log(beta / (1 - alpha)), math.log((1 - beta) / alpha)


def decide(
    counts: ArrayLike, elo0: float, elo1: float, *, alpha: float = 0.05, beta: float = 0.05
) -> np.ndarray:
    """Whether results `[..., bins]` speak for `elo1` ("accept"), for `elo0` ("reject"), or not clearly yet
    ("go on"); an array of texts `[...]`.

    It may be asked anew after each result (for pairs: after each pair): that is what the bounds allow for.
    But an `estimate` of results that were stopped so is too extreme on average.
    """
    low, high = bounds(alpha, beta)
    found = llr(counts, elo0, elo1)
    return np.select([found >= high, found <= low], ["accept", "reject"], "go on")


def llr(counts: ArrayLike, elo0: float, elo1: float, law: Law = "exact") -> np.ndarray:
    """The log-likelihood ratio, of `elo1` between the two to `elo0`, of results `[..., bins]`; 0 of none.

    What else there is to know of them, such as how many are drawn, is taken as is likeliest under each (a
    generalised ratio: Van den Bergh, 2020, as in fishtest):

    - `exact` finds that most likely law itself.
    - `normal` takes the mean for normal, with the spread seen. After few results that may be next to nothing,
      and the ratio vast: it is not for decisions.
    - `bayeselo` (three bins only) is cutechess's: draws as in BayesElo, half a game more in each bin.
    """
    found = _counts(counts)
    if not elo0 < elo1:
        raise ValueError(f"elo0 must be below elo1: not {elo0} and {elo1}")
    if law == "bayeselo":
        return _bayeselo(found, elo0, elo1)
    seen = np.where(found == 0, UNSEEN, found)
    s0, s1 = score_of([elo0, elo1]).tolist()
    if law == "normal":
        return _normal(seen, s0, s1)
    ratio = (seen * np.log(_likeliest(seen, s1) / _likeliest(seen, s0))).sum(axis=-1)
    return np.where(found.any(axis=-1), ratio, 0.0)


def _likeliest(counts: np.ndarray, score: float) -> np.ndarray:
    """Of all laws `[..., bins]` with this mean score, the one under which the counts are the likeliest.

    It is p̂ / (1 + x (a − score)) for scores a, where Σ p̂ (a − score) / (1 + x (a − score)) = 0: a sum that
    falls with x (Owen, 1988, empirical likelihood).
    """
    share = counts / counts.sum(axis=-1, keepdims=True)
    off = np.linspace(0, 1, counts.shape[-1]) - score
    low = np.full((*counts.shape[:-1], 1), -1 / (1 - score))
    high = np.full_like(low, 1 / score)
    for _ in range(HALVINGS):
        x = (low + high) / 2
        falls = (share * off / (1 + x * off)).sum(axis=-1, keepdims=True) < 0
        low, high = np.where(falls, low, x), np.where(falls, x, high)
    return share / (1 + (low + high) / 2 * off)


def _normal(counts: np.ndarray, s0: float, s1: float) -> np.ndarray:
    scores, total = np.linspace(0, 1, counts.shape[-1]), counts.sum(axis=-1)
    mean = counts @ scores / total
    variance = (counts * (scores - mean[..., None]) ** 2).sum(axis=-1) / total
    return total * (s1 - s0) * (2 * mean - s0 - s1) / (2 * variance)


def _bayeselo(counts: np.ndarray, elo0: float, elo1: float) -> np.ndarray:
    """A win and a loss are logistic in ±Elo − draw Elo (Coulom's); `scale` turns that Elo into ours."""
    if counts.shape[-1] != 3:
        raise ValueError("the law bayeselo is for losses, draws and wins, not for pairs")
    counts = counts + 0.5
    loss, _, win = np.moveaxis(counts / counts.sum(axis=-1, keepdims=True), -1, 0)
    draw_elo = 200 * np.log10((1 - loss) / loss * (1 - win) / win)
    x = 10 ** (-draw_elo / 400)
    scale = 4 * x / (1 + x) ** 2

    def chances(elo: float) -> np.ndarray:
        won, lost = score_of(elo / scale - draw_elo), score_of(-elo / scale - draw_elo)
        return np.stack([lost, 1 - won - lost, won], axis=-1)

    return (counts * np.log(chances(elo1) / chances(elo0))).sum(axis=-1)
