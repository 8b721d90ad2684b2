"""Statistics of a few runs: interquartile mean and stratified bootstrap intervals.

After Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (2021).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray
Statistic = Callable[[Array], Array]
"""Reduces the first axis of an array `[scores, ...]`."""


def interquartile_mean(scores: Array) -> Array:
    """Mean of the middle half along the first axis of `scores` (`[n, ...]` to `[...]`).

    A quarter of the scores, rounded down, is cut off at each end: of fewer than four, none.
    """
    scores = np.sort(np.asarray(scores, dtype=np.float64), axis=0)
    if len(scores) == 0:
        raise ValueError("an interquartile mean needs at least one score")
    cut = len(scores) // 4
    return scores[cut : len(scores) - cut].mean(axis=0)


def mean(scores: Array) -> Array:
    """Mean along the first axis."""
    return np.mean(scores, axis=0)


def bootstrap_interval(
    strata: Sequence[Any],
    statistic: Statistic = interquartile_mean,
    *,
    level: float = 0.95,
    resamples: int = 2_000,
    seed: int = 0,
) -> tuple[Array, Array]:
    """Percentile bootstrap interval (low, high) of `statistic` over all scores of all strata.

    `strata` has one array `[runs, ...]` a task; runs are drawn with replacement within their own task, so
    that every resample has each task as often as the data. Where no task has two runs there is nothing to
    resample and both ends are NaN.
    """
    arrays = [np.asarray(s, dtype=np.float64) for s in strata]
    if not arrays or any(len(a) == 0 for a in arrays):
        raise ValueError("a bootstrap needs at least one score in every stratum")
    if all(len(a) < 2 for a in arrays):
        missing = np.full(arrays[0].shape[1:], np.nan)
        return missing, missing
    rng = np.random.default_rng(seed)
    picks = [rng.integers(len(a), size=(len(a), resamples)) for a in arrays]
    drawn = np.concatenate([a[p] for a, p in zip(arrays, picks)])
    tail = (1 - level) / 2
    low, high = np.quantile(statistic(drawn), [tail, 1 - tail], axis=0)
    return low, high


def smooth(values: Array, window: int) -> Array:
    """Running mean of the last `window` values (`[n]` to `[n]`), NaN entries left out; NaN where all are."""
    values = np.asarray(values, dtype=np.float64)
    known = np.isfinite(values)
    total = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    count = np.concatenate([[0], np.cumsum(known)])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - window, 0)
    number = count[end] - count[start]
    return np.where(number > 0, (total[end] - total[start]) / np.maximum(number, 1), np.nan)
