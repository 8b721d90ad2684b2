"""From a rollout's rows to whole episodes, as sequences of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollouts.rollout import Rollout

if TYPE_CHECKING:
    import torch

FIELDS = ("tokens", "token_mask", "token_count", "log_prob")
"""What an agent's decisions must carry: `tokens` `[n, L]` (what is new in the context, then what the agent
wrote), `token_mask` `[n, L]` (1 where it wrote), `token_count` `[n]` (how many of the L there are),
`log_prob` `[n, L]`. They may carry `cut` `[n]`: 1 where it had to stop before it had ended."""


@dataclass(frozen=True)
class Sequences:
    """`S` whole episodes, in the order of their ids. Arrays are `[S]`, or padded with zeros `[S, M]`."""

    tokens: np.ndarray
    """int32 `[S, M]`: all that an episode's last decision had before it, and that decision's own tokens."""
    mask: np.ndarray
    """bool `[S, M]`: 1 where the agent itself wrote."""
    old_log_prob: np.ndarray
    """float32 `[S, M]`: what a token was sampled with; 0 where `mask` is."""
    lengths: np.ndarray
    """int64: tokens of the whole sequence; after them is padding."""
    episode: np.ndarray
    """int64: its id."""
    group: np.ndarray
    """int64: those of one group faced the same problem; −1 without."""
    valid: np.ndarray
    """bool: 0 where the environment says that judging it failed (a part named `error`)."""
    success: np.ndarray | None
    """bool; None where the environment has no such notion."""
    truncated: np.ndarray
    """bool: cut by a limit of the environment's or, in any of its turns, of the agent's own."""
    reward: np.ndarray
    """float64: the sum over the episode of what is to be maximised; 0 where that was not asked for."""
    token_reward: np.ndarray | None = None
    """float32 `[S, M]`: the same for each token, where rewards came so."""

    def __len__(self) -> int:
        return len(self.episode)

    @property
    def own_lengths(self) -> np.ndarray:
        """int64: how many tokens the agent wrote."""
        return self.mask.sum(axis=1)

    def take(self, index: np.ndarray) -> Sequences:
        """Those at `index` (ints, or bool `[S]`), no wider than they need."""
        width = int(self.lengths[index].max(initial=0))
        taken: dict[str, Any] = {}
        for f in fields(self):
            array = getattr(self, f.name)
            taken[f.name] = array if array is None else array[index]
            if array is not None and array.ndim == 2:
                taken[f.name] = taken[f.name][:, :width]
        return Sequences(**taken)


class Scores(NamedTuple):
    """What a policy says of the tokens that were written, in the order of `mask`: `K` of them."""

    log_prob: torch.Tensor
    """`[K]`, as it would have sampled them."""
    entropy: torch.Tensor
    """`[K]`: of the whole distribution that each was drawn from."""
    hidden: torch.Tensor | None = None
    """`[K, width]`: what its last layer reads before each, where the policy has a `width`."""


def whole_episodes(rollout: Rollout) -> Sequences:
    """The episodes of a rollout that was collected with `episodes=`, each as one sequence.

    An episode's rows are put one after another: what a token was conditioned on is exactly what stands
    before it, and nothing is tokenised twice. Without `rollout.rewards` (for imitation) rewards are 0.
    Raises `ValueError` where a field is missing, an episode is not whole, or a group faced different
    problems.
    """
    missing = [name for name in FIELDS if name not in rollout.fields]
    if missing:
        raise ValueError(
            f"the agent's decisions carry no {', '.join(missing)}: it writes no tokens to learn from"
        )
    time, slot, number, episode = _rows(rollout)
    first = _check_whole(rollout, time, slot, number)
    _check_groups(rollout, time[first], slot[first])
    tokens, count = rollout.fields["tokens"], rollout.fields["token_count"][time, slot].astype(np.int64)
    before = np.cumsum(count) - count  # tokens of all rows before
    start = before - before[first][number]  # where a row begins in its own sequence
    lengths = np.bincount(number, count, minlength=len(episode)).astype(np.int64)
    inside = np.arange(tokens.shape[2]) < count[:, None]
    row, place = np.nonzero(inside)
    source, target = (time[row], slot[row], place), (number[row], start[row] + place)

    def lay(array: np.ndarray, dtype: Any) -> np.ndarray:
        out = np.zeros((len(episode), int(lengths.max(initial=0))), dtype)
        out[target] = array[source]
        return out

    def add(array: np.ndarray) -> np.ndarray:
        return np.bincount(number, array[time, slot], minlength=len(episode))

    mask = lay(rollout.fields["token_mask"], bool)
    rewards = np.zeros(rollout.shape) if rollout.rewards is None else rollout.rewards
    per_token = rewards.ndim == 3
    nothing = np.zeros(rollout.shape)
    cut = rollout.truncated & ~rollout.terminated | (rollout.fields.get("cut", nothing) > 0)
    return Sequences(
        tokens=lay(tokens, np.int32),
        mask=mask,
        old_log_prob=np.where(mask, lay(rollout.fields["log_prob"], np.float32), np.float32(0)),
        lengths=lengths,
        episode=episode,
        group=rollout.group[time, slot][first],
        valid=add(rollout.parts.get("error", nothing)) == 0,
        success=add(rollout.parts["success"]) > 0 if "success" in rollout.parts else None,
        truncated=add(cut) > 0,
        reward=add(rewards.sum(axis=2) if per_token else rewards),
        token_reward=lay(rewards, np.float32) if per_token else None,
    )


def _rows(rollout: Rollout) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(time, slot, the number of its episode) of every valid row, episode by episode; the episodes' ids."""
    time, slot = np.nonzero(rollout.valid)
    order = np.lexsort((time, rollout.episode[time, slot]))
    time, slot = time[order], slot[order]
    episode, number = np.unique(rollout.episode[time, slot], return_inverse=True)
    return time, slot, number, episode


def _check_whole(rollout: Rollout, time: np.ndarray, slot: np.ndarray, number: np.ndarray) -> np.ndarray:
    """The first row of each episode, which must be its beginning; its last must be its end (`ValueError`)."""
    first = np.flatnonzero(np.diff(number, prepend=-1))
    last = np.append(first[1:], len(number))[: len(first)] - 1
    ended = rollout.terminated | rollout.truncated
    whole = rollout.first[time, slot][first] & ended[time, slot][last]
    if not whole.all():
        broken = int(rollout.episode[time, slot][first][~whole][0])
        raise ValueError(
            f"{int((~whole).sum())} of {len(whole)} episodes are not whole (the first: {broken}): "
            "sequences are made of what was collected with episodes=, not with steps="
        )
    return first


def _check_groups(rollout: Rollout, time: np.ndarray, slot: np.ndarray) -> None:
    """Raise `ValueError` where the first rows of a group differ in seed or in what they saw."""
    group = rollout.group[time, slot]
    _, leader, number = np.unique(group, return_index=True, return_inverse=True)
    theirs = leader[number]
    differs = rollout.seed[time, slot] != rollout.seed[time, slot][theirs]
    obs = rollout.obs if isinstance(rollout.obs, Mapping) else {"obs": rollout.obs}
    for seen in (array for array in obs.values() if array is not None):
        beginnings = seen[time, slot]
        apart = beginnings != beginnings[theirs]
        differs |= apart.any(axis=tuple(range(1, apart.ndim)))
    if (differs & (group >= 0)).any():
        wrong = int(group[differs & (group >= 0)][0])
        raise ValueError(f"group {wrong} faced different problems: its sequences cannot be compared")
