"""pass@k: what k tries at a problem are worth, how sure that is, and where two policies' curves cross.

Problem i was tried `n[i]` times, and `c[i]` of these were right. Arrays are over problems, `[P]`, and over
numbers of tries k, `[K]`; a curve is `[P, K]`, one row a problem, and its mean over problems is the coverage.
Everything is float64 and plain numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

TINY = 1e-30
"""Chances below this are as good as none."""
SAME = 1e-12
"""Means that differ by less are the same: they are sums of rounded numbers."""


# -- estimators ----------------------------------------------------------------------------------------------


def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> np.ndarray:
    """The chance that of k tries at least one is right: 1 − C(n − c, k) / C(n, k), unbiased.

    Chen et al., 2021, "Evaluating Large Language Models Trained on Code", eq. 1. It is the share of the
    subsets of k of the n tries (without replacement) that have a right one. `n` and `c` are `[P]`, or one
    number; `[P]` for one `k`, `[P, K]` for several. Exact to rounding for n up to 10^6. Raises `ValueError`
    where a problem has fewer than k tries: of those, nothing is known.
    """
    n, c, ks = _checked(n, c, k)
    return _as_asked(1 - _none_of(n, c, ks), k)


def pass_hat_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> np.ndarray:
    """The chance that all of k tries are right: C(c, k) / C(n, k), unbiased; shapes as in `pass_at_k`.

    pass^k of Yao et al., 2024, "τ-bench".
    """
    n, c, ks = _checked(n, c, k)
    return _as_asked(_none_of(n, n - c, ks), k)


def scarce(n: ArrayLike, ks: ArrayLike) -> np.ndarray:
    """Which k (bool `[K]`) some problem has fewer than 4k tries for: there, the estimate is a noisy one.

    At k = n it is 1 for a problem that was solved at all, and 0 for others.
    """
    return np.min(n) < 4 * np.atleast_1d(ks)


def chance_at_k(p: ArrayLike, k: ArrayLike) -> np.ndarray:
    """1 − (1 − p)^k: pass@k of a policy that is right with probability `p` (`[P]`, or one number) a try."""
    p, ks = np.asarray(p, np.float64)[..., None], np.atleast_1d(k)
    with np.errstate(divide="ignore"):  # p = 1
        return _as_asked(-np.expm1(ks * np.log1p(-p)), k)


def corrected(passed: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """(pass − chance) / (1 − chance): the share of what guessing leaves; NaN where that is nothing."""
    left = 1 - np.asarray(chance, np.float64)
    return np.divide(
        passed - chance, left, out=np.full(np.broadcast(passed, left).shape, np.nan), where=left > 0
    )


def perplexity(log_prob: np.ndarray, tokens: np.ndarray) -> float:
    """The inverse of the geometric mean probability of a token, over all tokens of all samples.

    `log_prob` `[S]` is a sample's, summed over its `tokens` (int `[S]`). Raises `ValueError` without tokens.
    """
    total = int(np.sum(tokens))
    if total < 1:
        raise ValueError("a perplexity needs at least one token")
    return float(np.exp(-np.sum(log_prob, dtype=np.float64) / total))


@dataclass(frozen=True)
class Solved:
    """Problems (int64 indices, ascending) by which of two policies ever solved them."""

    only_base: np.ndarray
    both: np.ndarray
    only_trained: np.ndarray
    neither: np.ndarray


def solved_sets(base: ArrayLike, trained: ArrayLike) -> Solved:
    """Which problems each policy solved at least once; both are counts c, `[P]`, of the same problems."""
    a, b = np.asarray(base) > 0, np.asarray(trained) > 0
    if a.shape != b.shape:
        raise ValueError(f"counts of the same problems: the base has {a.shape}, the trained {b.shape}")
    sets = (a & ~b, a & b, b & ~a, ~a & ~b)
    return Solved(*(np.flatnonzero(chosen) for chosen in sets))


def _none_of(n: np.ndarray, c: np.ndarray, k: np.ndarray) -> np.ndarray:
    """C(n − c, k) / C(n, k): the chance that k of n drawn without replacement are none of c.

    As the product of 1 − max(c, k) / (n − j) over j < min(c, k), which needs no large numbers.
    """
    n, c, k = np.broadcast_arrays(n, c, k)
    few, many = np.minimum(c, k).ravel(), np.maximum(c, k).ravel()
    tries, out, j = n.ravel(), np.ones(n.size), 0
    going = np.flatnonzero(few)
    while going.size:  # at most √(70 n) rounds: then all products are below TINY
        left = tries[going] - j
        out[going] *= (left - many[going]) / left
        j += 1
        going = going[(few[going] > j) & (out[going] > TINY)]
    return out.reshape(n.shape)


def _checked(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts n and c as `[P, 1]`, and k as `[K]`, where they can be."""
    n, c, ks = _whole("n", n)[..., None], _whole("c", c)[..., None], np.atleast_1d(_whole("k", k))
    n, c = np.broadcast_arrays(n, c)
    if ks.min(initial=1) < 1:
        raise ValueError(f"k counts tries, from 1 on, not {ks.min()}")
    if ((c < 0) | (c > n)).any():
        i = int(np.argmax(((c < 0) | (c > n)).ravel()))
        raise ValueError(
            f"problem {i} has {c.ravel()[i]} right of {n.ravel()[i]} tries: from 0 to all of them"
        )
    if n.size and n.min() < ks.max(initial=1):
        i = int(n.argmin())
        raise ValueError(f"k={ks.max()} needs as many tries at each problem; problem {i} has {n.ravel()[i]}")
    return n, c, ks


def _whole(name: str, x: ArrayLike) -> np.ndarray:
    numbers = np.asarray(x)
    if numbers.dtype.kind not in "iub" and (numbers != np.floor(numbers)).any():
        raise ValueError(
            f"{name} is a count of tries, a whole number, not {numbers[numbers != np.floor(numbers)][0]}"
        )
    return numbers.astype(np.int64)


def _as_asked(curve: np.ndarray, k: ArrayLike) -> np.ndarray:
    """A curve for several k, a column for one."""
    return curve if np.ndim(k) else curve[..., 0]


# -- intervals -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Interval:
    """A value and both ends of its interval, arrays of one shape."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def over_problems(curve: np.ndarray, resamples: int = 2000, seed: int = 0) -> np.ndarray:
    """Mean curves, `[resamples, K]`, of as many problems drawn with replacement; `curve` is `[P, K]`.

    A drawn problem keeps its tries as they are. That is no omission: curves of problems differ by their
    difficulty and by the luck of their tries, so the draws vary by both, as a new experiment with new
    problems would, however few the tries. To draw a problem's tries again with replacement as well would
    count that luck twice (Davison and Hinkley, 1997, section 3.8), and is biased for k > 1, as drawing with
    replacement is. The same seed draws the same problems for any curve.
    """
    return _weights(len(curve), resamples, seed) @ curve


@lru_cache(maxsize=4)
def _weights(problems: int, resamples: int, seed: int) -> np.ndarray:
    """The share `[resamples, P]` that each problem has in each resample."""
    times = np.random.default_rng(seed).multinomial(problems, np.full(problems, 1 / problems), resamples)
    return times / problems


def over_tries(n: ArrayLike, c: ArrayLike, ks: ArrayLike, resamples: int = 2000, seed: int = 0) -> np.ndarray:
    """Mean pass@k, `[resamples, K]`, of the same problems where each keeps a random half of its tries.

    For a benchmark that is all there is to be solved: how much the mean would vary if these very problems
    were tried again. A half drawn without replacement varies about the whole as the whole does about the
    truth, and is unbiased (draws with replacement are not). The c of a half are hypergeometric. Raises
    `ValueError` where k is more than half a problem's tries.
    """
    n, c, ks = _checked(n, c, ks)
    n, c = n.ravel(), c.ravel()
    half = n // 2
    if half.min() < ks.max():
        raise ValueError(f"k={ks.max()} needs twice as many tries at each problem; one has {n.min()}")
    rng, total = np.random.default_rng(seed), np.zeros((resamples, len(ks)))
    for h, whole in sorted(set(zip(half.tolist(), n.tolist()))):
        right = c[n == whole]
        table = pass_at_k(h, np.arange(h + 1), ks)
        drawn = rng.hypergeometric(right, whole - right, h, (resamples, len(right)))
        total += np.stack([table[:, j][drawn].sum(axis=1) for j in range(len(ks))], axis=1)
    return total / len(n)


def interval(value: np.ndarray, draws: np.ndarray, level: float = 0.95) -> Interval:
    """The percentile interval of a value (`[K]`) of which `draws` (`[resamples, K]`) were resampled."""
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return Interval(value, low, high)


def mean_interval(
    curve: np.ndarray, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """The mean of a curve `[P, K]` with its bootstrap interval over problems, each `[K]`.

    Where all problems have the same value, or there is but one, the draws cannot tell how far off it is,
    and both ends are NaN.
    """
    curve = np.asarray(curve, np.float64)
    if not len(curve):
        raise ValueError("a mean over problems needs at least one")
    found = interval(curve.mean(axis=0), over_problems(curve, resamples, seed), level)
    told = np.ptp(curve, axis=0) > 0
    return Interval(found.value, np.where(told, found.low, np.nan), np.where(told, found.high, np.nan))


def difference_interval(
    a: np.ndarray, b: np.ndarray, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """The mean of a − b, two curves `[P, K]` of the same problems, with its paired bootstrap interval."""
    return mean_interval(_paired(a, b), level=level, resamples=resamples, seed=seed)


def _paired(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if np.shape(a) != np.shape(b):
        raise ValueError(f"curves of the same problems and k: one is {np.shape(a)}, the other {np.shape(b)}")
    return np.asarray(a, np.float64) - np.asarray(b, np.float64)


# -- crossover -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Crossover:
    """Where the base's mean curve goes above the trained's, after the trained's was above.

    Between two k that were measured, the difference of the curves is taken as a line in log k.
    """

    ks: np.ndarray
    difference: Interval
    """Base less trained, `[K]`, with its paired interval, which is for one k at a time."""
    k_star: float | None
    """The first such k; None where there is none."""
    low: float
    high: float
    """The interval of `k_star`. A resample without a crossover counts as infinity where the trained is above
    at the largest k, and as the smallest k where the base is."""
    without: float
    """The share of resamples that have no crossover."""
    clear: int | None
    """The first k (from `k_star` on, where there is one) at which the paired interval is all above 0."""

    @property
    def said(self) -> str:
        """In a sentence."""
        parts = [self._crossing() if self.k_star is not None else self._no_crossing()]
        if self.clear is not None:
            stays = (self.difference.low[self.ks >= self.clear] > 0).all()
            parts.append(f"{'from' if stays else 'at'} k={self.clear} the difference is beyond its interval")
        elif self.k_star is not None:
            parts.append("at no k is the difference beyond its interval")
        if self.k_star is not None and self.without > 0:
            parts.append(f"{100 * self.without:.3g} % of resamples have no crossover")
        if self.k_star is None and self.without < 1:
            parts.append(f"{100 * (1 - self.without):.3g} % of resamples have one")
        return "; ".join(parts)

    def _crossing(self) -> str:
        high = f"beyond {self.ks[-1]}" if np.isinf(self.high) else _number(self.high)
        low = f"beyond {self.ks[-1]}" if np.isinf(self.low) else _number(self.low)
        again = self.difference.value[-1] < -SAME
        later = f", and at k={self.ks[-1]} the trained is above again" if again else ""
        return f"the base overtakes at k={_number(self.k_star or 0)} [{low}, {high}]{later}"

    def _no_crossing(self) -> str:
        above = np.sign(_settled(self.difference.value))
        none = f"no crossover up to k={self.ks[-1]}"
        if not above.any():
            return f"{none}: the curves are the same"
        if (above <= 0).all():
            return (
                f"{none}: the trained is above throughout"
                if above.all()
                else f"{none}: the base is nowhere above"
            )
        first = self.ks[above > 0][0]
        if (above >= 0).all():
            stays = (above[self.ks >= first] > 0).all()
            return f"{none}: the base is above {'from' if stays else 'at'} k={first}{' on' * bool(stays)}"
        return f"{none}: the base is above at first, the trained from k={self.ks[above < 0][0]} on"


def crossover(
    base: np.ndarray,
    trained: np.ndarray,
    ks: Sequence[int] | np.ndarray,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Crossover:
    """See where the base overtakes; `base` and `trained` are curves `[P, K]` of the same problems.

    Intervals are by bootstrap over problems, which are drawn for both policies alike. Raises `ValueError`
    where the curves are not of the same problems, or of fewer than two, or `ks` do not ascend.
    """
    ks, apart = np.asarray(ks), _paired(base, trained)
    if apart.ndim != 2 or apart.shape[1] != len(ks) or (np.diff(ks) <= 0).any():
        raise ValueError(f"curves [P, K] at K ascending ks, not {apart.shape} at {ks.tolist()}")
    if len(apart) < 2:
        raise ValueError(f"a crossover with its interval needs 2 problems at least, not {len(apart)}")
    mean = mean_interval(apart, level=level, resamples=resamples, seed=seed)
    star, crossed = _crossings(mean.value[None], ks)
    drawn, found = _crossings(over_problems(apart, resamples, seed), ks)
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], method="inverted_cdf")  # others would average infinities
    counted = mean.low > 0
    if crossed[0]:
        counted &= ks >= star[0]
    return Crossover(
        ks=ks,
        difference=mean,
        k_star=float(star[0]) if crossed[0] else None,
        low=float(low),
        high=float(high),
        without=1 - float(found.mean()),
        clear=int(ks[np.argmax(counted)]) if counted.any() else None,
    )


def _crossings(apart: np.ndarray, ks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k* `[R]` as it counts for an interval, whether there is one) of mean differences `[R, K]`."""
    apart, ks = _settled(apart), np.asarray(ks, np.float64)
    trained_was_above = np.logical_or.accumulate(apart < 0, axis=1)
    up = (apart[:, 1:] > 0) & (apart[:, :-1] <= 0) & trained_was_above[:, :-1]
    if not up.size:  # one k alone
        return np.where(apart[:, -1] > 0, ks[0], np.inf), np.zeros(len(apart), bool)
    at, row = up.argmax(axis=1), np.arange(len(apart))
    before, after, found = apart[row, at], apart[row, at + 1], up.any(axis=1)
    share = np.divide(-before, after - before, out=np.zeros(len(apart)), where=found)
    crossing = ks[at] * (ks[at + 1] / ks[at]) ** share
    return np.where(found, crossing, np.where(apart[:, -1] > 0, ks[0], np.inf)), np.asarray(found)


def _settled(apart: np.ndarray) -> np.ndarray:
    return np.where(np.abs(apart) < SAME, 0.0, apart)


def _number(k: float) -> str:
    return f"{k:.0f}" if k >= 10 else f"{k:.2g}"
