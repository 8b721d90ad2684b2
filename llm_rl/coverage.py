"""How coverage, the mean pass@k, grows with k: a power law, and a tail of Beta-distributed difficulties.

The power law describes what was measured. Past the number of tries, only a model of the problems that were
not solved yet can say anything: how many have which small success rate. What is known of them beforehand also
says how many problems and tries an experiment needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import least_squares, minimize
from scipy.special import betaincinv, betaln, digamma, logsumexp

from llm_rl.passk import Interval, chance_at_k, interval, pass_at_k

FAR = 12.0
"""Logarithms of the parameters of a fit stay within this of 0."""
NOTICEABLE = -2.0
"""Log-odds at which a fit begins to look for problems that are never, or always, solved."""


@dataclass(frozen=True)
class PowerLaw:
    """log C(k) = a · k^b, with a and b below 0: −log of the coverage falls as a power of the tries."""

    a: float
    b: float
    residuals: np.ndarray
    """Measured less fitted coverage, `[K]`."""

    def at(self, ks: ArrayLike) -> np.ndarray:
        """Coverage at k, `[K]`. Beyond the k that were measured, nothing vouches for it."""
        return np.exp(self.a * np.asarray(ks, np.float64) ** self.b)


def fit_power_law(ks: ArrayLike, coverage: ArrayLike) -> PowerLaw:
    """The power law nearest to mean pass@k `[K]`, by least squares of the coverage.

    Brown et al., 2024, "Large Language Monkeys", section 3.1. Raises `ValueError` where fewer than two
    entries are strictly between 0 and 1: all others fit too many laws.
    """
    ks, coverage = np.asarray(ks, np.float64), np.asarray(coverage, np.float64)
    inside = (coverage > 0) & (coverage < 1)
    if inside.sum() < 2:
        raise ValueError(
            f"a power law needs a coverage between 0 and 1 at two k at least, not at {inside.sum()}"
        )
    slope, height = np.polyfit(np.log(ks[inside]), np.log(-np.log(coverage[inside])), 1)

    def residuals(x: np.ndarray) -> np.ndarray:
        return coverage - np.exp(-np.exp(x[0]) * ks ** x[1])

    found = least_squares(residuals, [height, slope], xtol=1e-15, ftol=1e-15, gtol=1e-15).x
    return PowerLaw(-float(np.exp(found[0])), float(found[1]), residuals(found))


# -- the tail ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BetaTail:
    """How success rates are distributed over problems: Beta(alpha, beta), and some at exactly 0 or 1."""

    alpha: float
    beta: float
    zero: float = 0.0
    """The share of problems that are never solved."""
    one: float = 0.0
    """The share of problems that are always solved."""

    def at(self, ks: ArrayLike) -> np.ndarray:
        """Coverage at k, `[K]`: one less the mean of (1 − p)^k."""
        missed = np.exp(betaln(self.alpha, self.beta + np.asarray(ks)) - betaln(self.alpha, self.beta))
        return self.one + (1 - self.zero - self.one) * (1 - missed)

    def rates(self, problems: int) -> np.ndarray:
        """Success rates `[problems]`, ascending, that stand for the distribution: its quantiles."""
        middle = (np.arange(problems) + 0.5) / problems
        inner = np.clip((middle - self.zero) / max(1 - self.zero - self.one, 1e-12), 0, 1)
        rates = betaincinv(self.alpha, self.beta, inner)
        return np.where(middle < self.zero, 0.0, np.where(middle > 1 - self.one, 1.0, rates))


@dataclass(frozen=True)
class Forecast:
    """Coverage beyond the tries that there were, as one distribution of difficulties has it."""

    tail: BetaTail
    ks: np.ndarray
    coverage: Interval
    """`[K]`, of problems like these, with its bootstrap interval over problems."""
    these: Interval
    """`[K]`, of these very problems: what more tries at them would show, given what is known of each."""
    measured_ks: np.ndarray
    residuals: np.ndarray
    """`[K]`, at `measured_ks`: measured (mean pass@k) less fitted. Where large, no interval holds."""


def fit_beta_tail(n: ArrayLike, c: ArrayLike, *, zero: bool = False, one: bool = False) -> BetaTail:
    """The likeliest distribution of success rates, of c right among n tries at each problem, `[P]`.

    Counts are then beta-binomial (Kazdan et al., 2025, "Efficient Prediction of Pass@k Scaling in Large
    Language Models"; why a tail of rates makes a power law: Schaeffer et al., 2025, "How Do Large Language
    Monkeys Get Their Power (Laws)?"). `zero` and `one` say whether some problems may be never or always
    solved. Whether a problem is impossible or merely very hard, n tries cannot tell: the two extrapolate
    differently, and both are worth showing. Raises `ValueError` where nothing was right, or everything.
    """
    counts = _counted(n, c)
    return _likeliest(counts, _start(counts, zero, one), zero, one)[1]


def forecast(
    n: ArrayLike,
    c: ArrayLike,
    ks: ArrayLike,
    *,
    zero: bool = False,
    one: bool = False,
    measured_ks: ArrayLike = (1,),
    level: float = 0.95,
    resamples: int = 200,
    seed: int = 0,
) -> Forecast:
    """Coverage at any k, such as 10^6, of problems like these; options and errors as in `fit_beta_tail`.

    Intervals are those of fits to problems drawn anew with replacement; for these very problems, each fit
    also draws the rate of each problem, given its count. They hold for the model: see its residuals at
    `measured_ks`, which no problem may have fewer tries than. But rates far below 1 / n leave no trace in
    counts, and a tail of another shape may show little in the residuals: from 1,024 tries at rates that are
    log-uniform from 10^-5 to 1, the forecast at k = 10^6 is 87 %, where it is 100 %, and the interval misses
    it. So it does where problems are impossible and `zero` is not set. 200 refits take about a second.
    """
    ks, measured_ks, counts = np.atleast_1d(ks), np.atleast_1d(measured_ks), _counted(n, c)
    best, tail = _likeliest(counts, _start(counts, zero, one), zero, one)
    measured = np.average(pass_at_k(counts.n, counts.c, measured_ks), axis=0, weights=counts.times)
    problems = int(counts.times.sum())
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(problems, counts.times / problems, resamples)
    tails = [_likeliest(counts._replace(times=times), best, zero, one)[1] for times in drawn]
    coverage = interval(tail.at(ks), np.stack([again.at(ks) for again in tails]), level)
    redrawn = np.stack([chance_at_k(_drawn_rates(counts, again, rng), ks).mean(axis=0) for again in tails])
    these = interval(_expected(counts, tail, ks), redrawn, level)
    return Forecast(tail, ks, coverage, these, measured_ks, measured - tail.at(measured_ks))


class _Counts(NamedTuple):
    """Different outcomes (n, c), and how many problems had each: all `[U]`."""

    n: np.ndarray
    c: np.ndarray
    times: np.ndarray


def _counted(n: ArrayLike, c: ArrayLike) -> _Counts:
    rates = pass_at_k(n, c, 1)  # which checks them
    if rates.size == 0 or rates.max() == 0 or rates.min() == 1:
        raise ValueError("a forecast needs some tries that were right and some that were not")
    pairs = np.stack(np.broadcast_arrays(np.ravel(n), np.ravel(c)), axis=1)
    pairs, times = np.unique(pairs, axis=0, return_counts=True)
    return _Counts(pairs[:, 0], pairs[:, 1], times)


def _start(counts: _Counts, zero: bool, one: bool) -> np.ndarray:
    """Parameters of a fit, logarithms all: alpha, beta, and the odds of each mass to the Beta's share.

    Alpha and beta by the moments of c / n.
    """
    rates = counts.c / counts.n
    mean = np.average(rates, weights=counts.times)
    spread = np.average((rates - mean) ** 2, weights=counts.times)
    size = np.clip(mean * (1 - mean) / max(spread, 1e-12) - 1, 0.1, 100)
    return np.concatenate([np.log([mean * size, (1 - mean) * size]), np.full(zero + one, NOTICEABLE)])


def _likeliest(counts: _Counts, start: np.ndarray, zero: bool, one: bool) -> tuple[np.ndarray, BetaTail]:
    """The parameters of the greatest likelihood, and what they mean."""
    start = np.concatenate([start[:2], np.maximum(start[2:], NOTICEABLE)])  # odds of nothing have no slope
    args, bounds = (counts, zero, one), [(-FAR, FAR)] * len(start)
    # not L-BFGS-B, whose BLAS has threads wait for each other over four numbers
    x = minimize(_loss, start, args, method="TNC", jac=True, bounds=bounds).x
    shares = _shares(x, zero, one)
    return x, BetaTail(*(float(v) for v in (*np.exp(x[:2]), *shares[1:])))


def _shares(x: np.ndarray, zero: bool, one: bool) -> np.ndarray:
    """The shares of the Beta, of 0 and of 1."""
    odds = np.array([1.0, 0.0, 0.0])
    odds[[False, zero, one]] = np.exp(x[2:])
    return odds / odds.sum()


def _loss(x: np.ndarray, counts: _Counts, zero: bool, one: bool) -> tuple[float, np.ndarray]:
    """Minus the mean log-likelihood of a problem's count (but for a constant), and its gradient."""
    n, c, times = counts
    (a, b), shares = np.exp(x[:2]), _shares(x, zero, one)
    belongs, total = _belongs(counts, a, b, shares)
    weights = times / times.sum()
    of_beta, common = weights * belongs[0], digamma(a + b) - digamma(n + a + b)
    slope_a = a * of_beta @ (digamma(c + a) - digamma(a) + common)
    slope_b = b * of_beta @ (digamma(n - c + b) - digamma(b) + common)
    slope_masses = belongs[1:] @ weights - shares[1:]
    gradient = np.concatenate([[slope_a, slope_b], slope_masses[[zero, one]]])
    return -float(weights @ total), -gradient


def _belongs(counts: _Counts, a: float, b: float, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(`[3, U]`, `[U]`): how likely a problem of each count is one of the Beta's, of rate 0 and of rate 1.

    And the logarithm of the count's likelihood, but for a constant.
    """
    n, c, _ = counts
    inner = betaln(c + a, n - c + b) - betaln(a, b)
    ends = np.where(np.stack([c == 0, c == n]), 0.0, -np.inf)
    with np.errstate(divide="ignore"):  # a share of 0
        parts = np.concatenate([inner[None], ends]) + np.log(shares)[:, None]
    total = logsumexp(parts, axis=0)
    return np.exp(parts - total), total


def _of_tail(counts: _Counts, tail: BetaTail) -> np.ndarray:
    """How likely a problem of each count is one of the Beta's, of rate 0 and of rate 1: `[3, U]`."""
    shares = np.array([1 - tail.zero - tail.one, tail.zero, tail.one])
    return _belongs(counts, tail.alpha, tail.beta, shares)[0]


def _expected(counts: _Counts, tail: BetaTail, ks: np.ndarray) -> np.ndarray:
    """Coverage `[K]` that is to be expected of the problems that had these counts."""
    a, b, belongs = (
        tail.alpha + counts.c,
        tail.beta + counts.n - counts.c,
        _of_tail(counts, tail),
    )
    missed = np.exp(betaln(a[:, None], b[:, None] + ks) - betaln(a, b)[:, None])
    solved = belongs[0][:, None] * (1 - missed) + belongs[2][:, None]
    return np.average(solved, axis=0, weights=counts.times)


def _drawn_rates(counts: _Counts, tail: BetaTail, rng: np.random.Generator) -> np.ndarray:
    """Success rates `[P]` that problems of these counts may have."""
    every = (counts.n, counts.c, _of_tail(counts, tail))
    n, c, belongs = (np.repeat(x, counts.times, axis=-1) for x in every)
    rates, luck = rng.beta(tail.alpha + c, tail.beta + n - c), rng.random(len(c))
    return np.where(luck < belongs[1], 0.0, np.where(luck > 1 - belongs[2], 1.0, rates))


# -- planning ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Design:
    """An experiment: so many problems, and tries at each by each policy."""

    problems: int
    samples: int
    total: int
    """Tries of both policies together."""


@dataclass(frozen=True)
class Plan:
    """Designs that see a difference of pass@k with the power asked for, by their samples a problem."""

    k: int
    difference: float
    power: float
    designs: tuple[Design, ...]

    @property
    def cheapest(self) -> Design:
        """The design of the fewest tries in total."""
        return min(self.designs, key=lambda design: design.total)

    @property
    def said(self) -> str:
        """In a sentence."""
        best = self.cheapest
        return (
            f"to see a difference of {100 * self.difference:.3g} points at k={self.k} "
            f"with power {self.power:g} take {best.problems} problems × "
            f"{best.samples} samples ({best.total} in all, of both policies)"
        )


def plan(
    base: np.ndarray,
    trained: np.ndarray,
    k: int,
    difference: float,
    *,
    samples: Sequence[int] | None = None,
    power: float = 0.8,
    level: float = 0.95,
) -> Plan:
    """How many problems and tries show that two policies' pass@k differ by `difference` (0.03: 3 points).

    `base` and `trained` are success rates a try on the same problems, `[P]`: a pilot's c / n, or quantiles of
    a prior (`BetaTail.rates`). `samples` are the n to consider: k, 2k, 4k, 8k and 16k. A
    paired difference over problems varies by the problems and by the luck of the tries,

        variance = Var(pass@k trained − base) + E Var(estimate trained) + E Var(estimate base),

    and P = (z of level + z of power)² · variance / difference² problems see it. A pilot of few tries a
    problem makes the first term too large: the plan is then too careful. Raises `ValueError` for n < k.
    """
    if difference <= 0:
        raise ValueError(f"a difference to be seen is above 0, not {difference}")
    rates = np.asarray(base, np.float64), np.asarray(trained, np.float64)
    if rates[0].shape != rates[1].shape:
        raise ValueError(
            f"rates on the same problems: the base has {rates[0].shape}, the trained {rates[1].shape}"
        )
    between = np.var(chance_at_k(rates[1], k) - chance_at_k(rates[0], k))
    normal = NormalDist()
    needed = (normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(power)) ** 2 / difference**2
    designs = []
    for n in samples or [k * times for times in (1, 2, 4, 8, 16)]:
        within = sum(estimate_variance(r, n, k).mean() for r in rates)
        problems = max(2, int(np.ceil(needed * (between + within))))
        designs.append(Design(problems, n, 2 * problems * n))
    return Plan(k, difference, power, tuple(designs))


def estimate_variance(p: np.ndarray, n: int, k: int) -> np.ndarray:
    """The exact variance, `[P]`, of `pass_at_k` of n tries each right with probability `p` (`[P]`)."""
    counts = np.arange(n + 1)
    estimates = pass_at_k(n, counts, k)
    logs = np.concatenate([[0.0], np.cumsum(np.log(counts[1:]))])
    p = np.clip(np.asarray(p, np.float64), 1e-300, 1 - 1e-16)[:, None]
    chances = np.exp(logs[n] - logs - logs[::-1] + counts * np.log(p) + (n - counts) * np.log1p(-p))
    return np.maximum(chances @ estimates**2 - (chances @ estimates) ** 2, 0)
