"""How much better than expected each sequence was: advantages from rewards, in float64.

Arrays are `[S]`, one entry a sequence (a whole episode). `group` (int64) says which sequences faced the
same problem, −1 none. `valid` is 0 where a reward means nothing, because its verifier failed: such a
sequence is in no mean and has advantage 0. Where a group's rewards do not differ, or fewer than two of them
are valid, the advantage is 0 exactly, with no small number in a denominator that could make much of a
rounding error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from envs.nearest import suggest
from envs.options import OptionError
from rollouts.agent import Metrics

RESIDUE = 1e-6
"""Rewards that differ by less than this share of the largest are equal: they are sums in float32."""


class Grouped(NamedTuple):
    """Rewards in their groups. `number` is `[S]`, the others are one entry a group."""

    number: np.ndarray
    """int64: the group of each sequence, counted from 0; those without a group share one, of size 0."""
    size: np.ndarray
    """int64: valid sequences."""
    signal: np.ndarray
    """bool: whether its valid rewards differ."""


def in_groups(rewards: np.ndarray, group: np.ndarray, valid: np.ndarray) -> Grouped:
    """Count the groups and see which of them teach something."""
    _, number = np.unique(group, return_inverse=True)
    members = valid & (group >= 0)
    at, values = number[members], np.asarray(rewards, np.float64)[members]
    groups = int(number.max(initial=-1)) + 1
    size = np.bincount(at, minlength=groups)
    low, high = np.full(groups, np.inf), np.full(groups, -np.inf)
    np.minimum.at(low, at, values)
    np.maximum.at(high, at, values)
    return Grouped(number, size, high - low > RESIDUE * np.maximum(np.abs(low), np.abs(high)))


def has_signal(scores: np.ndarray, group: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Whether (bool `[S]`) a sequence is of a group whose valid scores differ; whole groups are in or out.

    Dynamic sampling keeps these (Yu et al., 2025, DAPO, section 3.2, eq. 11): with the success as scores,
    the groups that were solved sometimes, and neither always nor never.
    """
    grouped = in_groups(scores, group, valid)
    return grouped.signal[grouped.number]


class Settings(NamedTuple):
    """What some of the methods need to be told beside rewards."""

    ddof: int = 1
    """A standard deviation of n rewards divides by n − this: 1 as in TRL and veRL, or 0."""
    k: int = 1
    """Tries at a problem of which the best one counts, for `pkpo`."""


# -- methods -------------------------------------------------------------------------------------------------


def group_mean(rewards: np.ndarray, group: np.ndarray, valid: np.ndarray, how: Settings) -> np.ndarray:
    """The reward less its group's mean (Liu et al., 2025, Dr. GRPO, section 3.2)."""
    return _centre(rewards, valid, in_groups(rewards, group, valid))


def group_std(rewards: np.ndarray, group: np.ndarray, valid: np.ndarray, how: Settings) -> np.ndarray:
    """The same in units of the group's standard deviation (Shao et al., 2024, GRPO, section 4.1.2)."""
    grouped = in_groups(rewards, group, valid)
    centred = _centre(rewards, valid, grouped)
    squares = np.bincount(grouped.number, centred**2, minlength=len(grouped.size))
    deviation = np.sqrt(squares / np.maximum(grouped.size - how.ddof, 1))
    return centred / np.where(grouped.signal, deviation, 1.0)[grouped.number]


def leave_one_out(rewards: np.ndarray, group: np.ndarray, valid: np.ndarray, how: Settings) -> np.ndarray:
    """The reward less the mean of its group's others (Kool et al., 2019; Ahmadian et al., 2024, RLOO)."""
    grouped = in_groups(rewards, group, valid)
    factor = grouped.size / np.maximum(grouped.size - 1, 1)
    return _centre(rewards, valid, grouped) * factor[grouped.number]


def batch_std(rewards: np.ndarray, group: np.ndarray, valid: np.ndarray, how: Settings) -> np.ndarray:
    """The reward standardised over the whole batch, without groups (Hu et al., 2025, REINFORCE++)."""
    return group_std(rewards, np.zeros_like(group), valid, how)


def group_mean_batch_std(
    rewards: np.ndarray, group: np.ndarray, valid: np.ndarray, how: Settings
) -> np.ndarray:
    """The reward less its group's mean, in units of what that deviates by over the whole batch.

    Hu et al., 2025, REINFORCE++ with baseline. The batch's mean of these is 0 already, and is not subtracted.
    """
    centred = group_mean(rewards, group, valid, how)
    members = valid & (group >= 0)
    squares = float((centred[members] ** 2).sum())
    if squares == 0:
        return centred
    return centred / np.sqrt(squares / max(int(members.sum()) - how.ddof, 1))


def pkpo(rewards: np.ndarray, group: np.ndarray, valid: np.ndarray, how: Settings) -> np.ndarray:
    """By how much a try raises the best reward of k, where the other k − 1 are drawn from its group.

    Times k, so that the mean of advantage · ∇log π over n ≥ k tries is on average the gradient of
    E[max of k rewards]: of pass@k, where rewards are 0 and 1 (Walder and Karkhanis, 2025, PKPO, eq. 33, the
    estimator of least variance there; here times n). With k = 1 there are no others to raise, and it is
    `leave_one_out` (their eq. 29). A group of fewer valid tries than k has them for its k.

    With the rewards of n tries in order, r₁ ≤ … ≤ rₙ, the j-th try has Σ over m < j of
    k · C(m, k − 1) / C(n − 1, k − 1) · (rₘ₊₁ − rₘ): the others must all be among the m lowest.
    """
    if how.k == 1:
        return leave_one_out(rewards, group, valid, how)
    grouped = in_groups(rewards, group, valid)
    members = np.flatnonzero(valid & (group >= 0) & grouped.signal[grouped.number])
    values, out = np.asarray(rewards, np.float64), np.zeros(len(rewards))
    members = members[np.lexsort((values[members], grouped.number[members]))]
    for one in np.split(members, np.flatnonzero(np.diff(grouped.number[members])) + 1):
        out[one[1:]] = np.cumsum(np.diff(values[one]) * _chances(len(one), how.k))
    return out


def _chances(n: int, k: int) -> np.ndarray:
    """For m from 1 to n − 1: k · C(m, k − 1) / C(n − 1, k − 1), each from the one after it."""
    k, m = min(k, n), np.arange(n - 1, 1, -1)
    return k * np.cumprod(np.append(1.0, np.maximum(m - k + 1, 0) / m))[::-1]


def maxrl(rewards: np.ndarray, group: np.ndarray, valid: np.ndarray, how: Settings) -> np.ndarray:
    """The reward less its group's mean, as a share of that mean; 0 where the mean is not above 0.

    Tajwar et al., 2026, "Maximum likelihood reinforcement learning". With rewards 0 and 1 the mean of
    advantage · ∇log π over n tries is on average the gradient of −Σ over t < n of (1 − p)ᵗ / t, the first
    terms of log p. (Without subtracting the mean there are n terms: the last one comes of groups in which no
    try is right, and those have no advantage here.)
    """
    grouped = in_groups(rewards, group, valid)
    values = np.where(valid, np.asarray(rewards, np.float64), 0.0)
    mean = np.bincount(grouped.number, values, minlength=len(grouped.size)) / np.maximum(grouped.size, 1)
    return _centre(rewards, valid, grouped) / np.where(mean > 0, mean, np.inf)[grouped.number]


Method = Callable[[np.ndarray, np.ndarray, np.ndarray, Settings], np.ndarray]
ADVANTAGES: dict[str, Method] = {
    "group_mean": group_mean,
    "group_std": group_std,
    "leave_one_out": leave_one_out,
    "batch_std": batch_std,
    "group_mean_batch_std": group_mean_batch_std,
    "pkpo": pkpo,
    "maxrl": maxrl,
}
GAE = "gae"
"""The method that needs a value of each token, see `llm_rl.critic`."""
UNGROUPED = ("batch_std", GAE)
"""Methods that need no groups."""


def advantages(
    method: str, rewards: np.ndarray, group: np.ndarray, valid: np.ndarray, *, ddof: int = 1, k: int = 1
) -> np.ndarray:
    """float64 `[S]`, by one of `ADVANTAGES`; see `Settings` for what `ddof` and `k` mean."""
    return ADVANTAGES[method](rewards, group, valid, Settings(ddof, k))


def teaches(method: str, advantage: np.ndarray, group: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Which sequences (bool `[S]`) an `advantage` by one of `ADVANTAGES` has something to say of.

    Those of groups in which it differs; without groups all are one. (With `pkpo` rewards may differ where it
    does not: any k of the tries hold a right one.)
    """
    return valid & has_signal(advantage, np.zeros_like(group) if method in UNGROUPED else group, valid)


def check_advantages(method: str, group_size: int, k: Sequence[int] | None = None) -> None:
    """Raise `OptionError` for a method that there is not, for groups too small for it, or for its k."""
    known = [*ADVANTAGES, GAE]
    if method not in known:
        raise OptionError("advantage", f"no advantage '{method}'; {suggest(method, known, 'there are')}")
    if group_size < 2 and method not in UNGROUPED:
        raise OptionError(
            "group_size",
            f"advantage '{method}' compares the tries at one problem: group_size must be at least 2, "
            f"not {group_size}",
        )
    if (method == "pkpo") != (k is not None):
        said = "needs k, of how many tries the best one counts" if k is None else "has no k; 'pkpo' has"
        raise OptionError("k", f"advantage '{method}' {said}")
    if k is not None and not 1 <= min(k) <= max(k) <= group_size:
        raise OptionError(
            "k", f"k must be from 1 to group_size = {group_size}, not {' to '.join(map(str, k))}"
        )


def _centre(rewards: np.ndarray, valid: np.ndarray, grouped: Grouped) -> np.ndarray:
    """Rewards less their group's mean; exactly 0 where that says nothing."""
    number = grouped.number
    counted = valid & grouped.signal[number]
    values = np.where(counted, np.asarray(rewards, np.float64), 0.0)
    mean = np.bincount(number, values, minlength=len(grouped.size)) / np.maximum(grouped.size, 1)
    return np.where(counted, values - mean[number], 0.0)


# -- shaping and metrics -------------------------------------------------------------------------------------


def soft_overlong(lengths: np.ndarray, longest: int, buffer: int) -> np.ndarray:
    """float64 `[S]`, what to add to the rewards: 0, and over the last `buffer` tokens in a line down to −1.

    Yu et al., 2025, DAPO, section 3.4, eq. 13. `lengths` and `longest`, the most that may be written, are in
    tokens of the agent's own. Raises `OptionError` for a buffer that does not fit.
    """
    if not 0 < buffer <= longest:
        raise OptionError("overlong_buffer", f"overlong_buffer must be from 1 to {longest}, not {buffer}")
    return np.clip((longest - buffer - np.asarray(lengths, np.float64)) / buffer, -1.0, 0.0)


def describe(
    rewards: np.ndarray,
    group: np.ndarray,
    valid: np.ndarray,
    lengths: np.ndarray,
    success: np.ndarray | None,
    truncated: np.ndarray,
) -> Metrics:
    """What a batch of sequences was like; what is not defined (the length of right answers: none) is absent.

    `lengths` (int) counts the agent's own tokens; `success` (None: there is no such notion) and `truncated`
    are bool, or 0 and 1.
    """
    groups = in_groups(rewards, group, valid)
    compared = groups.size > 1
    shares = {
        "zero_variance": ~groups.signal[compared],
        "answer_tokens": lengths[valid],
        "truncated": (np.asarray(truncated) > 0)[valid],
        "invalid": ~valid,
    }
    if success is not None:
        right = np.asarray(success) > 0
        solved = np.bincount(groups.number, valid & right, minlength=len(groups.size))
        shares |= {"all_right": (solved == groups.size)[compared], "all_wrong": (solved == 0)[compared]}
        shares |= {
            "answer_tokens_right": lengths[valid & right],
            "answer_tokens_wrong": lengths[valid & ~right],
        }
    return {name: float(values.mean()) for name, values in shares.items() if len(values)}
