"""Proximal policy optimisation (Schulman et al., 2017), with the details of Huang et al. (2022)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
import torch
from gymnasium import spaces
from pydantic import Field

from agents.experience import Experience, experience_of, explained, judge, log_probs, ratios, standardised
from agents.optim import (
    apply_gradients,
    gather_gradients,
    line_of,
    load_optimiser_state,
    make_adam,
    optimiser_state,
    set_lr,
)
from agents.options import Count, NotNegative, Positive, Precision, Share, checked
from agents.parallel import share
from agents.policy import PolicyActor
from agents.returns import gae, vtrace
from rollouts.agent import Learner, Metrics
from rollouts.rollout import Rollout

STATS = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction")
KL = STATS.index("approx_kl")


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
    weight: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """`(loss, stats)`; `stats` are the `STATS`, detached. The first three arguments are `[B]`, now.

    `numbers` are float32 `[4, B]`: log-probability and value at the time, advantage, return.

    `weight` `[B]` is that of each row's advantage, where not all count alike.

    loss = policy loss + value_coef · ½ (value − return)² − entropy_coef · entropy, means over the minibatch.
    Of several learners each gives these three for its share of the rows, and gets its part of the means.
    With `clip_value` an error counts as the larger one of the value and of a value that moved so far at most.
    """
    part = share(numbers.shape[1])
    old_log_prob, old_value, advantage, returns = numbers[:, part.own]
    if normalise_advantage:
        advantage = standardised(numbers[2])[part.own]
    if weight is not None:
        advantage = weight[part.own] * advantage
    log_ratio = log_prob - old_log_prob
    ratio = log_ratio.exp()
    policy_loss = -part.mean(torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage))
    error = (value - returns).square()
    if clip_value is not None:
        clipped = old_value + (value - old_value).clamp(-clip_value, clip_value)
        error = torch.maximum(error, (clipped - returns).square())
    value_loss, mean_entropy = 0.5 * part.mean(error), part.mean(entropy)
    loss = policy_loss + value_coef * value_loss - entropy_coef * mean_entropy
    with torch.no_grad():
        kl = part.mean(ratio - 1 - log_ratio)  # Schulman, "Approximating KL divergence", 2020: k3
        outside = part.mean(((ratio - 1).abs() > clip).float())
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
    * `normalise_obs`, `network`, `share`, `lstm`, `precision`: see `agents.policy.PolicyActor`.

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
        lstm: Annotated[int, Field(ge=0)] = 0,
        precision: Precision = "fp32",
    ) -> None:
        self.entropy_coef = line_of("entropy_coef", entropy_coef)
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
        plays: dict[str, Any] = {
            "network": network,
            "share": share,
            "normalise_obs": normalise_obs,
            "lstm": lstm,
        }
        self.actor = PolicyActor(
            observation_space, action_space, seed=seed, device=device, precision=precision, **plays
        )
        self.optimiser = make_adam(self.actor.network, lr, eps=1e-5)
        self.generator = np.random.default_rng(seed)
        self.updates = 0

    def learn(self, rollout: Rollout) -> Metrics:
        """Improve from one rollout that `self.actor` played (its `log_prob` and `value` are read from it).

        What older weights did is corrected by V-trace: advantages and returns are by the policy as it is when
        learning begins, from which ratios are then measured (Hilton et al., 2022, section 3).
        """
        experience = experience_of(rollout, self.actor)
        numbers, metrics = self._corrected(rollout, experience) if rollout.stale else self._numbers(rollout)
        told = torch.as_tensor(numbers.reshape(len(numbers), -1), device=self.actor.device)
        told, weight = told[:4], told[4] if rollout.stale else None
        lr = self.lr * (1 - self.progress) if self.anneal_lr else self.lr
        set_lr(self.optimiser, lr)
        entropy_coef = float(np.interp(self.progress, (0, 1), self.entropy_coef))
        stats, norms = [], []
        for index in self._minibatches(experience):
            now = experience.evaluate(self.actor, index[share(len(index)).own])
            weights = None if weight is None else weight[index]
            loss, stat = ppo_loss(
                *now, told[:, index], entropy_coef=entropy_coef, weight=weights, **self.loss_options
            )
            self.optimiser.zero_grad()
            loss.backward()
            total = gather_gradients(self.optimiser, stat)
            stats.append(stat)
            kl, norm = torch.stack([stat[KL], total]).tolist()  # all that the host waits for
            if self.target_kl is not None and kl > self.target_kl:
                break
            apply_gradients(self.optimiser, total, norm, self.max_grad_norm)
            norms.append(norm)
        self.updates += 1
        normaliser = self.actor.network.normaliser
        if normaliser is not None:  # after learning, so that log_prob and value stay comparable
            normaliser.update(experience.obs[experience.valid])
        metrics |= dict(zip(STATS, torch.stack(stats).mean(0).tolist()))
        metrics |= {"grad_norm": float(np.mean(norms or [0.0])), "gradient_steps": float(len(norms))}
        return metrics | {"lr": lr, "entropy_coef": entropy_coef}

    def _numbers(self, rollout: Rollout) -> tuple[np.ndarray, Metrics]:
        """(log-probability and value at the time, advantage, return: float32 `[4, T, n]`, and metrics)."""
        assert rollout.rewards is not None
        values, following = judge(rollout, self.actor, rollout.fields["value"])
        advantages = gae(
            rollout.rewards, values, following, gae_lambda=self.gae_lambda, **self._ends(rollout)
        )
        returns = advantages + values
        numbers = np.stack([rollout.fields["log_prob"], values, advantages, returns]).astype(np.float32)
        return numbers, explained(values[rollout.valid], returns[rollout.valid])

    def _corrected(self, rollout: Rollout, experience: Experience) -> tuple[np.ndarray, Metrics]:
        """The same by V-trace, for what older weights did, and each advantage's weight: `[5, T, n]`."""
        assert rollout.rewards is not None
        values, following = judge(rollout, self.actor)
        log_prob = log_probs(experience, self.actor)
        log_ratio = np.where(rollout.valid, log_prob - rollout.fields["log_prob"], 0.0)
        returns, advantages = vtrace(
            log_ratio, rollout.rewards, values, following, trace_lambda=self.gae_lambda, **self._ends(rollout)
        )
        metrics = explained(values[rollout.valid], returns[rollout.valid]) | ratios(log_ratio[rollout.valid])
        weights = np.exp(np.minimum(log_ratio, 0.0))
        return np.stack([log_prob, values, advantages, returns, weights]).astype(np.float32), metrics

    def _ends(self, rollout: Rollout) -> dict[str, Any]:
        """How rows are discounted, and where episodes end."""
        names = ("terminated", "truncated", "valid", "sign")
        return {"gamma": self.gamma, **{name: getattr(rollout, name) for name in names}}

    def _minibatches(self, experience: Experience) -> Iterator[torch.Tensor]:
        """Those of an experience, `epochs` times."""
        for _ in range(self.epochs):
            yield from experience.minibatches(self.minibatch_size, self.generator)

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
