"""IMPALA: policy gradients, corrected for the age of what acted (Espeholt et al., 2018)."""

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
from agents.returns import vtrace
from rollouts.agent import Learner, Metrics
from rollouts.rollout import Rollout

STATS = ("policy_loss", "value_loss", "entropy")


class IMPALA(Learner):
    """An actor-critic that may learn from what older weights did: V-trace with importance weights cut off.

    * `n_steps`: rows a slot in each rollout; `minibatch_size`: rows in a gradient step, at most.
    * `epochs`: passes over a rollout (1 in the paper).
    * `lr`: Adam's learning rate (eps 1e-5), which falls to 0 in a line over the budget with `anneal_lr`.
    * `gamma`: discount a row; `trace_lambda`: 1 is the paper's V-trace, less trusts the value more.
    * `rho_max`, `c_max`: where importance weights are cut, of errors and of how far they are handed back.
    * `entropy_coef`: weight of the entropy: one number, or `[start, end]` for a line over the budget.
    * `value_coef`: weight of ½ (V − target)².
    * `normalise_advantage`: to mean 0 and deviation 1 in each minibatch (not in the paper).
    * `max_grad_norm`: gradients are scaled down to this global norm.
    * `normalise_obs`, `network`, `share`, `lstm`, `precision`: see `agents.policy.PolicyActor`.

    Importance weights are of the policy as it is at each gradient step: what earlier steps on the same
    rollout have moved counts too. The loss is a mean over rows, where the paper's is a sum. Raises
    `OptionError` for options out of range and `ValueError` for spaces that it cannot play.
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
        n_steps: Count = 20,
        minibatch_size: Count = 512,
        epochs: Count = 1,
        lr: NotNegative = 6e-4,
        anneal_lr: bool = True,
        gamma: Share = 0.99,
        trace_lambda: Share = 1.0,
        rho_max: Positive = 1.0,
        c_max: Positive = 1.0,
        entropy_coef: float | list[float] | tuple[float, float] = 0.01,
        value_coef: NotNegative = 0.5,
        normalise_advantage: bool = True,
        max_grad_norm: Positive | None = 0.5,
        normalise_obs: bool = False,
        network: Mapping[str, Any] | None = None,
        share: bool | None = None,
        lstm: Annotated[int, Field(ge=0)] = 0,
        precision: Precision = "fp32",
    ) -> None:
        self.wants = {"steps": n_steps}
        self.minibatch_size, self.epochs, self.lr, self.anneal_lr = minibatch_size, epochs, lr, anneal_lr
        self.max_grad_norm, self.value_coef = max_grad_norm, value_coef
        self.entropy_coef = line_of("entropy_coef", entropy_coef)
        self.normalise_advantage = normalise_advantage
        self.trace: dict[str, Any] = {
            "gamma": gamma,
            "trace_lambda": trace_lambda,
            "rho_max": rho_max,
            "c_max": c_max,
        }
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
        """Improve from a rollout, whoever's weights of the same network played it."""
        experience = experience_of(rollout, self.actor)
        targets, advantages, metrics = self._targets(rollout, log_probs(experience, self.actor))
        numbers = np.stack([targets, advantages, rollout.fields["log_prob"]])
        told = torch.as_tensor(numbers.reshape(3, -1), device=self.actor.device)
        lr = self.lr * (1 - self.progress) if self.anneal_lr else self.lr
        set_lr(self.optimiser, lr)
        stats, norms = [], []
        for index in self._minibatches(experience):
            self.optimiser.zero_grad()
            loss, stat = self._loss(experience, told[:, index], index)
            loss.backward()
            total = gather_gradients(self.optimiser, stat)
            norms.append(float(total))
            apply_gradients(self.optimiser, total, norms[-1], self.max_grad_norm)
            stats.append(stat)
        self.updates += 1
        normaliser = self.actor.network.normaliser
        if normaliser is not None:  # after learning, so that log-probabilities stay comparable
            normaliser.update(experience.obs[experience.valid])
        metrics |= dict(zip(STATS, torch.stack(stats).mean(0).tolist()))
        return metrics | {"grad_norm": float(np.mean(norms)), "lr": lr, "entropy_coef": self._entropy_coef()}

    def _minibatches(self, experience: Experience) -> Iterator[torch.Tensor]:
        """Those of an experience, `epochs` times."""
        for _ in range(self.epochs):
            yield from experience.minibatches(self.minibatch_size, self.generator)

    def _entropy_coef(self) -> float:
        return float(np.interp(self.progress, (0, 1), self.entropy_coef))

    def _loss(
        self, experience: Experience, told: torch.Tensor, index: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`(loss, stats)` of this learner's share of a minibatch: its part of the means over all `index`."""
        part = share(len(index))
        targets, advantage, acted = told
        if self.normalise_advantage:
            advantage = standardised(advantage)
        log_prob, entropy, value = experience.evaluate(self.actor, index[part.own])
        rho = (log_prob.detach() - acted[part.own]).exp().clamp(max=self.trace["rho_max"])
        policy_loss = -part.mean(rho * advantage[part.own] * log_prob)
        value_loss = 0.5 * part.mean((value - targets[part.own]).square())
        mean_entropy = part.mean(entropy)
        loss = policy_loss + self.value_coef * value_loss - self._entropy_coef() * mean_entropy
        return loss, torch.stack([policy_loss, value_loss, mean_entropy]).detach()

    def _targets(self, rollout: Rollout, log_prob: np.ndarray) -> tuple[np.ndarray, np.ndarray, Metrics]:
        """(targets of the value, advantages: float32 `[T, n]`, and what is known before learning)."""
        assert rollout.rewards is not None
        values, following = judge(rollout, self.actor)
        valid = rollout.valid
        log_ratio = np.where(valid, log_prob - rollout.fields["log_prob"], 0.0)
        ends = {name: getattr(rollout, name) for name in ("terminated", "truncated", "valid", "sign")}
        targets, advantages = vtrace(log_ratio, rollout.rewards, values, following, **ends, **self.trace)
        return targets, advantages, explained(values[valid], targets[valid]) | ratios(log_ratio[valid])

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
