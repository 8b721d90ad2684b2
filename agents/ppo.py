"""Proximal policy optimisation (Schulman et al., 2017), with the details of Huang et al. (2022)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from agents.networks import split_obs
from agents.optim import (
    apply_gradients,
    gradient_norm,
    load_optimiser_state,
    make_adam,
    optimiser_state,
    set_lr,
)
from agents.options import Count, NotNegative, OptionError, Positive, Precision, Share, checked
from agents.policy import PolicyActor
from agents.returns import gae, next_values
from rollouts.agent import Learner, Metrics
from rollouts.rollout import Rollout

STATS = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction")
KL = STATS.index("approx_kl")


@dataclass(frozen=True)
class Batch:
    """Decisions to learn from, `[B, ...]` tensors on the device."""

    obs: torch.Tensor
    mask: torch.Tensor | None
    actions: torch.Tensor
    numbers: torch.Tensor
    """float32 `[4, B]`: log-probability and value at the time, advantage, return."""

    def take(self, index: torch.Tensor) -> Batch:
        """The rows at `index`."""
        mask = None if self.mask is None else self.mask[index]
        return Batch(self.obs[index], mask, self.actions[index], self.numbers[:, index])


def ppo_loss(
    log_prob: torch.Tensor,
    entropy: torch.Tensor,
    value: torch.Tensor,
    numbers: torch.Tensor,
    *,
    clip: float,
    clip_value: float | None,
    value_coef: float,
    entropy_coef: float,
    normalise_advantage: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """`(loss, stats)`; `stats` are the `STATS`, detached. The first three arguments are `[B]`, now.

    loss = policy loss + value_coef · ½ (value − return)² − entropy_coef · entropy, means over the minibatch.
    With `clip_value` an error counts as the larger one of the value and of a value that moved so far at most.
    """
    old_log_prob, old_value, advantage, returns = numbers
    if normalise_advantage and len(advantage) > 1:
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    log_ratio = log_prob - old_log_prob
    ratio = log_ratio.exp()
    policy_loss = -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()
    error = (value - returns).square()
    if clip_value is not None:
        clipped = old_value + (value - old_value).clamp(-clip_value, clip_value)
        error = torch.maximum(error, (clipped - returns).square())
    value_loss, mean_entropy = 0.5 * error.mean(), entropy.mean()
    loss = policy_loss + value_coef * value_loss - entropy_coef * mean_entropy
    with torch.no_grad():
        kl = (ratio - 1 - log_ratio).mean()  # Schulman, "Approximating KL divergence", 2020: k3
        outside = ((ratio - 1).abs() > clip).float().mean()
        return loss, torch.stack([policy_loss, value_loss, mean_entropy, kl, outside])


class PPO(Learner):
    """Proximal policy optimisation for discrete, multi-discrete and continuous actions.

    * `n_steps`: rows a slot in each rollout.
    * `epochs`: passes over a rollout; `minibatch_size`: rows in a gradient step, at most.
    * `lr`: Adam's learning rate (eps 1e-5); `anneal_lr`: fall to 0 in a line over the budget.
    * `gamma`: discount a row; `gae_lambda`: 0 trusts the value, 1 the returns (GAE).
    * `clip`: how far the probability ratio may move before its gain stops counting.
    * `clip_value`: the same for the value, in its own unit; None does not clip.
    * `entropy_coef`: one number, or `[start, end]` for a line over the budget.
    * `value_coef`: weight of ½ (V − R)².
    * `max_grad_norm`: gradients are scaled down to this global norm.
    * `target_kl`: leave a rollout once approx_kl is beyond this; None never does.
    * `normalise_advantage`: to mean 0 and deviation 1 in each minibatch.
    * `normalise_obs`, `network`, `share`, `precision`: see `agents.policy.PolicyActor`.

    Defaults are the usual ones for small networks; `docs/ppo.md` has the papers' beside them. Raises
    `OptionError` for options out of range and `ValueError` for spaces that PPO cannot play.
    """

    actor: PolicyActor

    @checked
    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        seed: int = 0,
        device: str = "cpu",
        n_steps: Count = 128,
        epochs: Count = 4,
        minibatch_size: Count = 256,
        lr: NotNegative = 2.5e-4,
        anneal_lr: bool = True,
        gamma: Share = 0.99,
        gae_lambda: Share = 0.95,
        clip: Positive = 0.2,
        clip_value: Positive | None = None,
        entropy_coef: float | list[float] | tuple[float, float] = 0.01,
        value_coef: NotNegative = 0.5,
        max_grad_norm: Positive | None = 0.5,
        target_kl: Positive | None = None,
        normalise_advantage: bool = True,
        normalise_obs: bool = False,
        network: Mapping[str, Any] | None = None,
        share: bool | None = None,
        precision: Precision = "fp32",
    ) -> None:
        self.entropy_coef = _line(entropy_coef)
        self.epochs, self.minibatch_size, self.target_kl = epochs, minibatch_size, target_kl
        self.lr, self.anneal_lr, self.max_grad_norm = lr, anneal_lr, max_grad_norm
        self.gamma, self.gae_lambda = gamma, gae_lambda
        self.loss_options: dict[str, Any] = {
            "clip": clip,
            "clip_value": clip_value,
            "value_coef": value_coef,
            "normalise_advantage": normalise_advantage,
        }
        self.wants = {"steps": n_steps}
        plays: dict[str, Any] = {"network": network, "share": share, "normalise_obs": normalise_obs}
        self.actor = PolicyActor(
            observation_space, action_space, seed=seed, device=device, precision=precision, **plays
        )
        self.optimiser = make_adam(self.actor.network, lr, eps=1e-5)
        self.generator = np.random.default_rng(seed)
        self.updates = 0

    def learn(self, rollout: Rollout) -> Metrics:
        """Improve from one rollout that `self.actor` played (its `log_prob` and `value` are read from it)."""
        batch, metrics = self._prepare(rollout)
        rows = np.flatnonzero(rollout.valid)
        lr = self.lr * (1 - self.progress) if self.anneal_lr else self.lr
        set_lr(self.optimiser, lr)
        entropy_coef = float(np.interp(self.progress, (0, 1), self.entropy_coef))
        stats, norms = [], []
        for index in self._minibatches(rows):
            loss, stat = self._loss(batch.take(index), entropy_coef)
            stats.append(stat)
            self.optimiser.zero_grad()
            loss.backward()
            total = gradient_norm(self.optimiser)
            kl, norm = torch.stack([stat[KL], total]).tolist()  # all that the host waits for
            if self.target_kl is not None and kl > self.target_kl:
                break
            apply_gradients(self.optimiser, total, norm, self.max_grad_norm)
            norms.append(norm)
        self.updates += 1
        normaliser = self.actor.network.normaliser
        if normaliser is not None:  # after learning, so that log_prob and value stay comparable
            normaliser.update(batch.obs[self._tensor(rows)])
        metrics |= dict(zip(STATS, torch.stack(stats).mean(0).tolist()))
        metrics |= {"grad_norm": float(np.mean(norms or [0.0])), "gradient_steps": float(len(norms))}
        return metrics | {"lr": lr, "entropy_coef": entropy_coef}

    def _loss(self, part: Batch, entropy_coef: float) -> tuple[torch.Tensor, torch.Tensor]:
        """`(loss, stats)` of a minibatch by the policy as it is now."""
        params, value = self.actor.forward(part.obs)
        log_prob, entropy = self.actor.distribution.evaluate(params, part.actions, part.mask)
        now = (log_prob, entropy, value)
        return ppo_loss(*now, part.numbers, entropy_coef=entropy_coef, **self.loss_options)

    def _prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """The rollout as one batch `[T · n]` on the device, and what is known before learning."""
        if rollout.rewards is None:
            raise ValueError("the rollout has no rewards yet: a Reward must set them before learn")
        values, valid = rollout.fields["value"], rollout.valid
        advantages = gae(
            rollout.rewards,
            values,
            self._following(rollout),
            terminated=rollout.terminated,
            truncated=rollout.truncated,
            valid=valid,
            sign=rollout.sign,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
        )
        returns = advantages + values
        numbers = np.stack([_flat(x) for x in (rollout.fields["log_prob"], values, advantages, returns)])
        seen, mask = split_obs(rollout.obs)
        batch = Batch(
            self._tensor(_flat(seen[:-1])),
            None if mask is None else self._tensor(_flat(mask[:-1]).astype(bool)),
            self._tensor(_flat(rollout.actions)),
            self._tensor(numbers.astype(np.float32)),
        )
        return batch, _explained(values[valid], returns[valid])

    def _following(self, rollout: Rollout) -> np.ndarray:
        """The value of what follows each row, `[T, n]`: one pass over last and truncated observations."""
        at, n = rollout.final_at, rollout.valid.shape[1]
        cut = (rollout.truncated & ~rollout.terminated)[at[:, 0], at[:, 1]]
        seen, final = split_obs(rollout.obs)[0][-1], split_obs(rollout.final_obs)[0][cut]
        values = self.actor.values(self._tensor(np.concatenate([seen, final])))
        known = np.concatenate([rollout.fields["value"], values[None, :n]])
        return next_values(known, rollout.valid, values[n:], at[cut])

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(array, device=self.actor.device)

    def _minibatches(self, rows: np.ndarray) -> Iterator[torch.Tensor]:
        """Shuffled indices of `rows`, `epochs` times, in near-equal parts of at most `minibatch_size`."""
        parts = -(-len(rows) // self.minibatch_size)
        for _ in range(self.epochs):
            shuffled = self._tensor(self.generator.permutation(rows))
            yield from shuffled.tensor_split(parts)

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": self.actor.weights(),
            "optimiser": optimiser_state(self.optimiser),
            "generator": self.generator.bit_generator.state,
            "updates": self.updates,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.actor.load_weights(state["network"])
        load_optimiser_state(self.optimiser, state["optimiser"])
        self.generator.bit_generator.state = state["generator"]
        self.updates = int(state["updates"])


def _flat(array: np.ndarray) -> np.ndarray:
    """`[T, n, ...]` as `[T · n, ...]`, without a copy where memory allows."""
    return array.reshape(-1, *array.shape[2:])


def _explained(values: np.ndarray, returns: np.ndarray) -> Metrics:
    """`explained_variance`: the share of the returns' variance that the values foresaw, if there is any."""
    spread = float(returns.var()) if len(returns) else 0.0
    return {"explained_variance": 1.0 - float((returns - values).var()) / spread} if spread > 0 else {}


def _line(value: float | Sequence[float]) -> tuple[float, float]:
    """A schedule's start and end, from one number or two (`OptionError` otherwise)."""
    ends = [float(x) for x in value] if isinstance(value, Sequence) else [float(value)] * 2
    if len(ends) != 2 or min(ends) < 0:
        wanted = f"a number or [start, end], at least 0, not {value}"
        raise OptionError("entropy_coef", f"entropy_coef must be {wanted}")
    return ends[0], ends[1]
