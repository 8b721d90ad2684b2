"""Returns and advantages: pure functions over arrays `[T, n]` of a rollout."""

from __future__ import annotations

import numpy as np


def next_values(
    values: np.ndarray, valid: np.ndarray, final_values: np.ndarray, final_at: np.ndarray
) -> np.ndarray:
    """The value of what follows each row, `[T, n]`.

    `values` is `[T + 1, n]`, the last row for bootstrapping. Where an episode was cut, the value is that of
    the true last observation: `final_values` `[k]`, at the (time, slot) of `final_at` `[k, 2]`. Rows that are
    not `valid` (bool `[T, n]`) are skipped: what follows is the next valid row.
    """
    out = values[1:].copy()
    if not valid.all():
        for t in range(len(out) - 2, -1, -1):
            out[t] = np.where(valid[t + 1], out[t], out[t + 1])
    out[final_at[:, 0], final_at[:, 1]] = final_values
    return out


def gae(
    rewards: np.ndarray,
    values: np.ndarray,
    following: np.ndarray,
    *,
    terminated: np.ndarray,
    truncated: np.ndarray,
    valid: np.ndarray,
    sign: np.ndarray,
    gamma: float,
    gae_lambda: float,
) -> np.ndarray:
    """Generalised advantage estimates, `[T, n]` (Schulman et al., 2016, eq. 16), 0 where not `valid`.

    All arrays are `[T, n]`; `following` is the value of what follows each row (see `next_values`). A value
    counts on by `gamma · sign · (1 − terminated)`, where `sign` is −1 if another player moves next; the sum
    of later errors is cut at `terminated | truncated`. Rows that are not valid are skipped.
    """
    discount = gamma * sign * ~terminated
    errors = np.where(valid, rewards + discount * following - values, 0.0)
    decay = np.where(valid, gae_lambda * discount * ~truncated, 1.0)
    out = np.empty_like(errors)
    later = np.zeros_like(errors[0])
    for t in range(len(errors) - 1, -1, -1):
        later = errors[t] + decay[t] * later
        out[t] = later
    out[~valid] = 0.0
    return out.astype(np.float32)


def vtrace(
    log_ratio: np.ndarray,
    rewards: np.ndarray,
    values: np.ndarray,
    following: np.ndarray,
    *,
    terminated: np.ndarray,
    truncated: np.ndarray,
    valid: np.ndarray,
    sign: np.ndarray,
    gamma: float,
    trace_lambda: float = 1.0,
    rho_max: float = 1.0,
    c_max: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """(targets of the value, advantages of the policy) from what older weights did (Espeholt et al., 2018).

    All arrays are `[T, n]`, as in `gae`; `values` and `following` are by the weights of now. `log_ratio` is
    the log-probability of each action by them, less the one that it was drawn with. Its ratio is cut at
    `rho_max`, which fixes the policy whose value is learned, and at `c_max` where errors are handed back.
    The advantage is r + γ · vs' − V, where vs' is the target of what follows, or the value itself where the
    episode was cut or the rollout ends; who learns from it weighs it by ρ, after any standardising (else what
    is never done now would count by how far 0 is from the mean). Where a row is not `valid` its target is its
    value and its advantage 0.
    """
    ratio = np.exp(log_ratio)
    rho, c = np.minimum(ratio, rho_max), trace_lambda * np.minimum(ratio, c_max)
    discount = gamma * sign * ~terminated
    errors = np.where(valid, rewards + discount * following - values, 0.0)
    handed = discount * ~truncated
    targets, advantages = np.empty_like(values), np.empty_like(values)
    later = np.zeros_like(errors[0])  # the target of what follows, less its value
    for t in range(len(errors) - 1, -1, -1):
        advantages[t] = errors[t] + handed[t] * later
        gained = rho[t] * errors[t] + c[t] * handed[t] * later
        targets[t] = values[t] + np.where(valid[t], gained, 0.0)
        later = np.where(valid[t], gained, later)
    advantages[~valid] = 0.0
    return targets.astype(np.float32), advantages.astype(np.float32)
