"""A rollout as what a policy with a value learns from: decisions on the device, and values around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from agents.networks import split_obs
from agents.parallel import in_shares, learners
from agents.policy import PolicyActor
from agents.recurrence import Story
from agents.returns import next_values
from rollouts.agent import Metrics
from rollouts.rollout import Rollout


@dataclass(frozen=True)
class Experience:
    """The `T · n` rows of a rollout, time first, as tensors on the device."""

    obs: torch.Tensor
    mask: torch.Tensor | None
    actions: torch.Tensor
    valid: torch.Tensor
    """bool: whether a row is data."""
    shape: tuple[int, int]
    """`(T, n)`."""
    story: Story | None = None
    """What they must be read in order for, where the policy remembers."""

    def evaluate(
        self, actor: PolicyActor, index: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(log-probability, entropy, value), `[B]` each, of the rows at `index` by the policy as it is now.

        A policy that remembers reads all rows of their slots, in order.
        """
        mask = None if self.mask is None else self.mask[index]
        params, value = self._forward(actor, index)
        return *actor.distribution.evaluate(params, self.actions[index], mask), value

    def _forward(self, actor: PolicyActor, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.story is None:
            return actor.forward(self.obs[index])
        steps, n = self.shape
        slots, place = torch.unique(index % n, return_inverse=True)
        seen = self.obs.view(steps, n, *self.obs.shape[1:])[:, slots]
        params, value, _ = actor.unroll(seen, self.story.take(slots))
        at = index // n * len(slots) + place
        return params[at], value[at]

    def minibatches(self, size: int, generator: np.random.Generator) -> Iterator[torch.Tensor]:
        """Indices of the rows that are data, shuffled, in near-equal parts of at most `size` rows.

        For a policy that remembers it is slots that are shuffled, and whole ones that are in a part: one at
        least, however many rows it has.
        """
        device = self.obs.device
        rows = self.valid.nonzero().squeeze(1)
        parts = max(1, -(-len(rows) // size))
        if self.story is None:
            shuffled = torch.as_tensor(generator.permutation(rows.cpu().numpy()), device=device)
            yield from shuffled.tensor_split(parts)
            return
        slots = torch.as_tensor(generator.permutation(self.shape[1]), device=device)
        for some in slots.tensor_split(min(parts, len(slots))):
            yield self.whole(rows[torch.isin(rows % self.shape[1], some)])

    def whole(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows in the order in which learners share them: whole slots, where these are read in order."""
        if self.story is None or learners() == 1:
            return rows
        return rows[(rows % self.shape[1]).argsort(stable=True)]


def experience_of(rollout: Rollout, actor: PolicyActor) -> Experience:
    """That of a rollout, for a policy like the one that played it."""
    if rollout.rewards is None:
        raise ValueError("the rollout has no rewards yet: a Reward must set them before learn")

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(array.reshape(-1, *array.shape[2:]), device=actor.device)

    seen, mask = split_obs(rollout.obs)
    return Experience(
        tensor(seen[:-1]),
        None if mask is None else tensor(mask[:-1].astype(bool)),
        tensor(rollout.actions),
        tensor(rollout.valid),
        rollout.shape,
        actor.story(rollout),
    )


def judge(
    rollout: Rollout, actor: PolicyActor, known: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(value of each row, value of what follows it), `[T, n]` each, by the actor as it is now.

    `known` are the values of the rows where they are known already. What follows the last row, and a row in
    which an episode was cut, is looked at in one pass.
    """
    at, n = rollout.final_at, rollout.shape[1]
    cut = (rollout.truncated & ~rollout.terminated)[at[:, 0], at[:, 1]]
    seen, final = split_obs(rollout.obs)[0], split_obs(rollout.final_obs)[0][cut]
    ends = torch.as_tensor(np.concatenate([seen[-1], final]), device=actor.device)
    story = actor.story(rollout)
    if story is None:
        values = actor.values(ends)
        if known is None:
            flat = torch.as_tensor(seen[:-1].reshape(-1, *seen.shape[2:]), device=actor.device)
            known = _judged(flat, actor).reshape(rollout.shape)
    else:
        with torch.inference_mode():
            _, value, after = actor.unroll(torch.as_tensor(seen[:-1], device=actor.device), story)
            time, slot = (torch.as_tensor(x, device=actor.device) for x in at[cut].T)
            hidden, cell = (torch.cat([x[-1], x[time, slot]]) for x in after)
            values = actor.step(ends, (hidden, cell))[1].cpu().numpy()
            known = value.cpu().numpy().reshape(rollout.shape) if known is None else known
    following = next_values(np.concatenate([known, values[None, :n]]), rollout.valid, values[n:], at[cut])
    return known, following


def _judged(seen: torch.Tensor, actor: PolicyActor) -> np.ndarray:
    """The value of each observation, of which each learner judges its share."""

    def judged(own: slice) -> torch.Tensor:
        return torch.as_tensor(actor.values(seen[own]), device=actor.device)

    return in_shares(len(seen), judged).cpu().numpy()


def standardised(advantage: torch.Tensor) -> torch.Tensor:
    """To mean 0 and deviation 1, where there are several."""
    if len(advantage) < 2:
        return advantage
    return (advantage - advantage.mean()) / (advantage.std() + 1e-8)


def explained(values: np.ndarray, returns: np.ndarray) -> Metrics:
    """`explained_variance`: the share of the returns' variance that the values foresaw, if there is any."""
    spread = float(returns.var()) if len(returns) else 0.0
    return {"explained_variance": 1.0 - float((returns - values).var()) / spread} if spread > 0 else {}


def log_probs(experience: Experience, actor: PolicyActor) -> np.ndarray:
    """The log-probability of each row's action by the actor as it is now, float32 `[T, n]`, else 0."""
    out = torch.zeros(len(experience.valid), device=actor.device)
    with torch.inference_mode():
        rows = experience.whole(experience.valid.nonzero().squeeze(1))
        out[rows] = in_shares(len(rows), lambda own: experience.evaluate(actor, rows[own])[0])
    return out.cpu().numpy().reshape(experience.shape)


def ratios(log_ratio: np.ndarray) -> Metrics:
    """What tells how far the policy is from the one that acted, from the log-ratios of its rows."""
    ratio = np.exp(log_ratio)
    return {"importance": float(ratio.mean()), "importance_max": float(ratio.max(initial=0.0))}
