"""Choosing one of k tries without knowing which is right: by a majority of answers, or by a score.

Both are expected values over all subsets of k of a problem's n tries, drawn without replacement; beside them
stand pass@k, the choice of one who knows, and c / n, a choice at random.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from envs.kernels import kernel
from envs.rng import from_seeds, next_below
from llm_rl.passk import pass_hat_k

EXACT = 64
"""Up to so many tries a problem, a majority vote is computed exactly; beyond, from random permutations."""


class Votes(NamedTuple):
    """Answers counted: `[P, A]`, and a problem's columns beyond its own answers are empty."""

    counts: np.ndarray
    """int64 `[P, A]`: tries that gave this answer."""
    right: np.ndarray
    """float64 `[P, A]`: the share of these that were judged right, 0 or 1 where the judge never errs."""
    unparsed: np.ndarray
    """int64 `[P]`: tries without an answer, which are drawn too and cannot win."""


def tally(problem: np.ndarray, answer: np.ndarray, right: np.ndarray, problems: int) -> Votes:
    """Count answers. All are `[S]`, a sample each: its problem (from 0), a code of its answer, its verdict.

    Equal codes (int, from 0) are equal answers in their canonical form; −1 is no answer.
    """
    problem, answer = np.asarray(problem, np.int64), np.asarray(answer, np.int64)
    parsed = answer >= 0
    codes = answer.max(initial=0) + 1
    pairs, number = np.unique(problem[parsed] * codes + answer[parsed], return_inverse=True)
    owner = pairs // codes
    column = np.arange(len(pairs)) - np.searchsorted(owner, owner)
    counts = np.zeros((problems, int(column.max(initial=-1)) + 1), np.int64)
    shares = np.zeros(counts.shape)
    times = np.bincount(number, minlength=len(pairs))
    counts[owner, column] = times
    shares[owner, column] = np.bincount(number, np.asarray(right)[parsed], minlength=len(pairs)) / times
    return Votes(counts, shares, np.bincount(problem[~parsed], minlength=problems))


def maj_at_k(votes: Votes, ks: ArrayLike, *, permutations: int = 128, seed: int = 0) -> np.ndarray:
    """The chance that the most frequent answer of k tries is right, float64 `[P, K]` (`[P]` for one k).

    Wang et al., 2022, "Self-Consistency". Ties are broken evenly; a subset without any answer is wrong.
    Exact for problems of up to `EXACT` tries. Beyond, each of the random permutations of a problem's tries
    gives a subset of every size, its first k: a problem's standard error is at most 0.5 / √permutations, and
    that of the mean over P problems smaller by √P. A problem's draws depend on the seed and its place
    alone. Raises `ValueError` where a problem has fewer than k tries.
    """
    counts = np.ascontiguousarray(votes.counts, np.int64)
    right, unparsed = np.ascontiguousarray(votes.right, np.float64), np.asarray(votes.unparsed, np.int64)
    sizes, asked = counts.sum(axis=1) + unparsed, np.atleast_1d(ks)
    if asked.min() < 1 or sizes.min() < asked.max():
        i = int(sizes.argmin())
        raise ValueError(
            f"k is from 1 to the tries of each problem (problem {i}: {sizes[i]}), not {asked.tolist()}"
        )
    chances = np.zeros((len(counts), int(asked.max())))
    small = sizes <= EXACT
    _all_subsets(counts, right, unparsed, np.flatnonzero(small), _binomials(EXACT), chances)
    rng = from_seeds(np.random.SeedSequence(seed).generate_state(len(counts), np.uint64))
    _some_subsets(counts, right, unparsed, np.flatnonzero(~small), permutations, rng, chances)
    curve = chances[:, asked - 1]
    return curve if np.ndim(ks) else curve[:, 0]


def best_of_k(scores: np.ndarray, right: np.ndarray, k: ArrayLike) -> np.ndarray:
    """The chance that the try of the highest score among k is right; both are `[n]`, or `[P, n]`.

    The best of a subset lies at or below the m-th of all n, in ascending order, with probability
    C(m, k) / C(n, k), so each try has a known chance to be chosen; equal scores share theirs evenly. `right`
    is 0 or 1. One entry for each k, as the last axis, if `k` is `[K]`. Raises `ValueError` for a score that
    is NaN, or n < k.
    """
    scores, right = np.asarray(scores), np.asarray(right, np.float64)
    if np.isnan(scores).any():
        raise ValueError("a score is NaN: the best of such tries is not defined")
    n = scores.shape[-1]
    order = np.argsort(scores, axis=-1)
    scores, right = np.take_along_axis(scores, order, -1), np.take_along_axis(right, order, -1)
    place = np.broadcast_to(np.arange(n), scores.shape)
    rises = scores[..., 1:] > scores[..., :-1]
    edge = np.ones((*scores.shape[:-1], 1), bool)
    low = np.maximum.accumulate(np.where(np.concatenate([edge, rises], -1), place, 0), axis=-1)
    last = np.where(np.concatenate([rises, edge], -1), place + 1, n)
    high = np.minimum.accumulate(last[..., ::-1], axis=-1)[..., ::-1]
    share = right / (high - low)
    at_most = pass_hat_k(n, np.arange(n + 1), np.atleast_1d(k)).T
    curve = np.stack([(share * (row[high] - row[low])).sum(axis=-1) for row in at_most], axis=-1)
    return curve if np.ndim(k) else curve[..., 0]


def _binomials(n: int) -> np.ndarray:
    """C(i, j) as float64 `[n + 1, n + 1]`."""
    table = np.zeros((n + 1, n + 1))
    table[:, 0] = 1
    for i in range(1, n + 1):
        table[i, 1:] = table[i - 1, 1:] + table[i - 1, :-1]
    return table


@kernel
def _all_subsets(counts, right, unparsed, problems, binomials, chances):  # type: ignore[no-untyped-def]
    """Fill rows of `chances` (`[P, k − 1]`) by counting the subsets in which each right answer wins."""
    longest = chances.shape[1]
    for p in problems:
        n = unparsed[p] + counts[p].sum()
        for a in range(counts.shape[1]):
            if right[p, a] == 0:
                continue
            for votes in range(1, min(counts[p, a], longest) + 1):
                ways = _others(counts[p], unparsed[p], a, votes, longest - votes, binomials)
                for ties in range(ways.shape[0]):
                    for drawn in range(ways.shape[1]):
                        wins = right[p, a] * binomials[counts[p, a], votes] * ways[ties, drawn] / (ties + 1)
                        chances[p, votes + drawn - 1] += wins
        for k in range(1, longest + 1):
            chances[p, k - 1] /= binomials[n, k]


@kernel
def _others(counts, unparsed, a, votes, most, binomials):  # type: ignore[no-untyped-def]
    """Ways `[answers with as many votes as a, tries drawn]` in which none but `a` has more than `votes`."""
    ways = np.zeros((most // votes + 1, most + 1))
    for drawn in range(min(unparsed, most) + 1):
        ways[0, drawn] = binomials[unparsed, drawn]
    for b in range(len(counts)):
        if b == a or counts[b] == 0:
            continue
        joined = np.zeros_like(ways)
        for x in range(min(counts[b], votes, most) + 1):
            tie = 1 if x == votes else 0
            for ties in range(ways.shape[0] - tie):
                for drawn in range(most + 1 - x):
                    joined[ties + tie, drawn + x] += ways[ties, drawn] * binomials[counts[b], x]
        ways = joined
    return ways


@kernel
def _some_subsets(counts, right, unparsed, problems, permutations, rng, chances):  # type: ignore[no-untyped-def]
    """Fill rows of `chances` from the prefixes of random permutations."""
    longest = chances.shape[1]
    for p in problems:
        tries = np.full(unparsed[p] + counts[p].sum(), -1)
        end = 0
        for a in range(counts.shape[1]):
            tries[end : end + counts[p, a]] = a
            end += counts[p, a]
        seen = np.zeros(counts.shape[1], np.int64)
        for _ in range(permutations):
            seen[:] = 0
            most, tied, of_right, share = 0, 0, 0.0, 0.0
            for i in range(longest):
                j = i + next_below(rng, p, len(tries) - i)
                a, tries[j] = tries[j], tries[i]
                tries[i] = a
                if a >= 0:
                    seen[a] += 1
                    if seen[a] >= most:
                        more = seen[a] > most
                        most = seen[a]
                        tied, of_right = (1, right[p, a]) if more else (tied + 1, of_right + right[p, a])
                        share = of_right / tied
                chances[p, i] += share
        chances[p] /= permutations
